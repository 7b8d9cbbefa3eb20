#!/usr/bin/python3
"""loopsyctl mcp, line by line: both eras, hostile input, its beginning and its end."""
import json
import os
import random
import signal
import threading

from harness import *
from lib.mcp import (ENVELOPE, INVALID_PARAMS, INVALID_REQUEST, LEGACY, META, MODERN, NEWEST_LEGACY, NO_METHOD,
                     PARSE_ERROR, UNSUPPORTED_VERSION, Failed, Mcp, text_of)

MIB = 1 << 20
LINE_MAX = 4 * MIB # of what is kept


def alone(t):
    """A machine on which loopsy was never set up."""
    return t.loopback("desk")


def memory(host, server, field="VmHWM"):
    """KiB of the server, as the host sees it."""
    pid = host.run("pgrep", "-x", "-f", "loopsyctl mcp", check=True).stdout.split()[-1]
    line = host.sh('grep "^$1:" "/proc/$2/status"', field, pid).stdout
    return int(line.split()[1])


# ---- versions ----

@test(timeout=120)
def each_version_with_sessions_is_agreed_on_and_others_get_the_newest(t):
    desk = alone(t)
    server = Mcp(desk, version=None)
    for asked, agreed in [(version, version) for version in LEGACY] + \
            [(MODERN, NEWEST_LEGACY), ("2099-01-01", NEWEST_LEGACY), ("", NEWEST_LEGACY)]:
        result = server.ask("initialize", {"protocolVersion": asked, "capabilities": {},
                                           "clientInfo": {"name": "x", "version": "1"}}, version=NEWEST_LEGACY)
        assert result["protocolVersion"] == agreed, (asked, result)
        assert result["serverInfo"]["name"] == "loopsy" and result["serverInfo"]["version"], result
        assert "tools" in result["capabilities"] and "logging" not in result["capabilities"], result
        server.notify("notifications/initialized")
        server.version = agreed
        assert server.ask("ping") == {}
        server.is_well()
    for params in ({"capabilities": {}}, {"protocolVersion": 7, "capabilities": {}}):
        server.refuses(INVALID_PARAMS, "initialize", params, version=NEWEST_LEGACY)
    server.is_well()
    server.finish()


@test(timeout=120)
def each_request_of_the_newest_version_stands_for_itself(t):
    desk = alone(t)
    server = Mcp(desk, version=MODERN)
    found = server.ask("server/discover")
    assert found["supportedVersions"][0] == MODERN and "tools" in found["capabilities"], found
    assert server.ask("tools/list") == server.ask("tools/list"), "the order differs"
    for version in ("1900-01-01", "2025-11-25", "2099-01-01"):
        error = server.refuses(UNSUPPORTED_VERSION, "tools/list", meta={META + "protocolVersion": version})
        assert MODERN in error.data["supported"] and error.data["requested"] == version, error.data
    server.refuses(UNSUPPORTED_VERSION, "server/discover", meta={META + "protocolVersion": "2031-01-01"})
    for meta in ({META + "protocolVersion": 5}, {META + "clientCapabilities": None}, {META + "clientCapabilities": []}):
        server.refuses(INVALID_PARAMS, "tools/list", meta=meta)
    for method in ("ping", "logging/setLevel", "resources/subscribe", "no/such/method"):
        server.refuses(NO_METHOD, method, {"uri": "loopsy://peers", "level": "info"})
    bare = server.shape("server/discover", version=NEWEST_LEGACY, id="bare")
    server.note_request(bare)
    server.send(bare)
    try:
        server.answer("bare")
        raise AssertionError("discovery without a version is answered")
    except Failed as error:
        assert error.code == INVALID_PARAMS, error
    server.is_well()
    server.finish()


@test(timeout=120)
def both_eras_are_served_on_one_stream(t):
    desk = alone(t)
    server = Mcp(desk, version=None)
    assert server.ask("server/discover", version=MODERN)["supportedVersions"][0] == MODERN
    server.initialize("2025-06-18")
    ids = []
    for i in range(20): # without waiting in between
        version = MODERN if i % 2 else "2025-06-18"
        ids.append((version, server.request("tools/list", version=version)))
        ids.append((version, server.request("nobody/knows", version=version)))
    for number, (version, id) in enumerate(ids):
        if number % 2:
            try:
                server.answer(id)
                raise AssertionError("an unknown method is answered")
            except Failed as error:
                assert error.code == NO_METHOD, error
        else:
            assert server.answer(id)["tools"]
    server.notify("notifications/nobody/knows")
    server.notify("notifications/cancelled", {"requestId": "unknown"})
    server.notify("notifications/cancelled", {"requestId": {}})
    server.notify("notifications/cancelled")
    server.send({"jsonrpc": "2.0", "id": 77, "result": {}})
    assert server.ask("ping", version="2025-06-18") == {}
    server.finish()


@test(timeout=120)
def batches_are_of_one_version_only(t):
    desk = alone(t)
    server = Mcp(desk, version="2025-03-26")

    def batch(*messages):
        for message in messages:
            if isinstance(message, dict) and "id" in message and "method" in message:
                server.note_request(message)
        server.write(json.dumps(messages) + "\n")
    first, second, third = (server.shape(method) for method in ("ping", "tools/list", "no/such"))
    batch(first, {"jsonrpc": "2.0", "method": "notifications/initialized"}, second, third)
    message = server.read_message()
    assert isinstance(message, list) and len(message) == 3, message
    assert server.answer(first["id"]) == {} and server.answer(second["id"])["tools"]
    batch({"jsonrpc": "2.0", "method": "notifications/initialized"})
    batch()
    server.refuses_without_id(INVALID_REQUEST)
    batch(5, server.shape("ping"))
    server.read_message()
    server.refuses_without_id(INVALID_REQUEST)
    assert server.ask("ping") == {}
    server.finish()
    for version in (None, "2024-11-05", "2025-06-18", "2025-11-25"):
        server = Mcp(desk, version=version)
        server.write(json.dumps([{"jsonrpc": "2.0", "id": 1, "method": "ping"}]) + "\n")
        server.refuses_without_id(INVALID_REQUEST)
        server.is_well()
        server.finish()


@test(timeout=120)
def the_list_of_tools_is_small_and_true(t):
    desk = alone(t)
    server = Mcp(desk)
    tools = server.ask("tools/list")["tools"]
    size = len(json.dumps({"tools": tools}, separators=(",", ":")))
    note(f"{len(tools)} tools, {size} bytes")
    assert size < 24400, size # 6,000 tokens: two tokenizers counted 4.08 and 4.16 bytes each in this text
    for tool in tools:
        assert tool["description"] and tool["inputSchema"]["type"] == "object" and tool["title"], tool
        hints = tool["annotations"]
        for name in ("readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"):
            assert isinstance(hints[name], bool), tool
        assert not (hints["readOnlyHint"] and hints["destructiveHint"]), tool
        text = json.dumps(tool).lower()
        assert "api key" not in text and "address" not in json.dumps(tool["inputSchema"]).lower(), tool
    assert len({tool["name"] for tool in tools}) == len(tools)
    server.refuses(INVALID_PARAMS, "tools/list", {"cursor": "nonsense"})
    server.finish()


# ---- hostile input ----

HOSTILE = [
    (PARSE_ERROR, b"not JSON"), (PARSE_ERROR, b'{"jsonrpc":"2.0"'), (PARSE_ERROR, b"\xff\xfe\x00"),
    (PARSE_ERROR, b'{"jsonrpc":"2.0","id":1,"method":"\xc3\x28"}'), (PARSE_ERROR, b"\x00"),
    (PARSE_ERROR, b'{"jsonrpc":"2.0","id":1,"method":"\\ud800"}'), (PARSE_ERROR, b"[" * 100000),
    (PARSE_ERROR, b'{"a":' * 100000), (PARSE_ERROR, b'{"jsonrpc":"2.0","id":1,"method":"ping"} {}'),
    ((PARSE_ERROR, INVALID_REQUEST), b'{"jsonrpc":"2.0","id":1e999,"method":"ping"}'),
    ((PARSE_ERROR, INVALID_REQUEST), b'{"jsonrpc":"2.0","id":' + b"9" * 400 + b',"method":"ping"}'),
    (INVALID_REQUEST, b"5"), (INVALID_REQUEST, b'"text"'), (INVALID_REQUEST, b"null"), (INVALID_REQUEST, b"{}"),
    (INVALID_REQUEST, b"true"), (INVALID_REQUEST, b'{"jsonrpc":"1.0","method":"ping"}'),
    (INVALID_REQUEST, b'{"jsonrpc":2,"method":"ping"}'), (INVALID_REQUEST, b'{"jsonrpc":"2.0","id":null,"method":"ping"}'),
    (INVALID_REQUEST, b'{"jsonrpc":"2.0","id":[1],"method":"ping"}'),
    (INVALID_REQUEST, b'{"jsonrpc":"2.0","id":true,"method":"ping"}'),
    (INVALID_REQUEST, b'{"jsonrpc":"2.0","id":{},"method":"ping"}'), (INVALID_REQUEST, b'{"jsonrpc":"2.0","method":5}'),
    ((PARSE_ERROR, INVALID_REQUEST), b"x" * (LINE_MAX + 1)), ((PARSE_ERROR, INVALID_REQUEST), b" " * (5 * MIB) + b"{}"),
]
# What is wrong with a request whose id can be read.
BAD_PARAMS = [
    ("tools/call", {}), ("tools/call", {"name": 5}), ("tools/call", {"name": "no_such_tool"}),
    ("tools/call", {"name": "loopsy_list_peers\0x"}), ("tools/call", {"name": "loopsy_peer_status", "arguments": "text"}),
    ("tools/call", {"name": "loopsy_peer_status", "arguments": []}), ("tools/list", {"cursor": 5}),
]
# Arguments that the tool's schema does not allow: a model is to see what is wrong, from 2025-11-25 on.
BAD_ARGUMENTS = [{"peer": 5}, {"peer": None}, {"peer": ["desk"]}, {"peer": ""}, {}, {"peer": "desk", "nonsense": 1},
                 {"peer": "x" * 100000}]


def refuses_arguments(server, arguments):
    if server.version >= "2025-11-25":
        text = server.call_fails("loopsy_peer_status", **arguments)
    else:
        text = server.refuses(INVALID_PARAMS, "tools/call",
                              {"name": "loopsy_peer_status", "arguments": arguments}).message
    assert ("nonsense" if "nonsense" in arguments else "peer") in text and len(text) < 500, text


@test(timeout=180)
def hostile_lines_get_an_error_each_and_it_lives(t):
    desk = alone(t)
    for version in ("2025-06-18", NEWEST_LEGACY, MODERN):
        server = Mcp(desk, version=version)
        for code, line in HOSTILE:
            server.write(line + b"\n")
            try:
                server.refuses_without_id(code)
            except AssertionError as error:
                raise AssertionError(f"{line[:100]!r}: {error}") from None
        for method, params in BAD_PARAMS:
            server.refuses(INVALID_PARAMS, method, params)
        for arguments in BAD_ARGUMENTS:
            refuses_arguments(server, arguments)
        for params in ([], 5, "text"):
            message = {"jsonrpc": "2.0", "id": f"params {params}", "method": "tools/list", "params": params}
            server.note_request(message)
            server.send(message)
            try:
                server.answer(message["id"])
                raise AssertionError(f"params {params} are taken")
            except Failed as error:
                assert error.code in (INVALID_REQUEST, INVALID_PARAMS), error
        server.write(b"\n\n\r\n") # nothing is said about nothing
        server.is_well()
        server.finish()


@test(timeout=180)
def lines_come_in_pieces_and_together(t):
    desk = alone(t)
    server = Mcp(desk)
    one = json.dumps(server.shape("ping", id="pieces")).encode()
    server.note_request(json.loads(one))
    for byte in one + b"\r\n":
        server.write(bytes([byte]))
    assert server.answer("pieces") == {}
    many = [server.shape("ping", id=f"ping {i} \u2028 \U0001f600") for i in range(500)]
    for message in many:
        server.note_request(message)
    server.write("".join(json.dumps(message, ensure_ascii=bool(i % 2)) + "\n" for i, message in enumerate(many)))
    for message in many:
        assert server.answer(message["id"]) == {}
    for id in (0, -1, 2 ** 53 - 1, -(2 ** 53) + 1, "", "1", 1, "é" * 1000):
        assert server.ask("ping", id=id) == {}
    server.finish()


@test(timeout=300)
def a_line_of_64_mib_is_not_kept(t):
    desk = alone(t)
    server = Mcp(desk)
    server.is_well()
    before = memory(desk, server)
    piece = b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"' + b"x" * MIB
    for _ in range(64):
        server.write(piece)
    server.write(b"\n")
    server.refuses_without_id((PARSE_ERROR, INVALID_REQUEST))
    server.is_well()
    grown = memory(desk, server) - before
    note(f"{grown} KiB more")
    assert grown < 24 * 1024 or t.sanitizer != "none", f"{grown} KiB for a line that is too long"
    server.finish()


@test(timeout=300)
def it_survives_what_chance_makes_of_requests(t):
    desk = alone(t)
    seed = int.from_bytes(os.urandom(4), "big")
    note(f"seed {seed}")
    chance = random.Random(seed)
    server = Mcp(desk)
    whole = [json.dumps(server.shape(*request)).encode() for request in
             (("tools/list",), ("ping",), ("tools/call", {"name": "loopsy_list_peers", "arguments": {}}),
              ("tools/list", {"_meta": ENVELOPE}), ("prompts/list",), ("resources/list",))]
    sent = 0
    for _ in range(600):
        line = bytearray(chance.choice(whole))
        for _ in range(chance.randrange(4)):
            at = chance.randrange(len(line))
            line[at:at + chance.randrange(3)] = bytes(chance.randrange(256) for _ in range(chance.randrange(3)))
        line = bytes(line).replace(b"\n", b" ")
        server.write(line + b"\n")
        sent += 1
        while server.has_line(): # what it says must be JSON, whatever it is about
            json.loads(server.read_raw().decode("utf-8"))
    end = server.shape("ping", id="the end")
    server.send(end)
    while json.loads(server.read_raw().decode("utf-8")).get("id") != "the end":
        pass
    server.finish_raw()


# ---- a client that does not read ----

@test(timeout=300)
def a_client_that_does_not_read_costs_little_memory(t):
    desk = alone(t)
    server = Mcp(desk)
    ids = [f"list {i}" for i in range(1000)] # 0.5 MB, and some 20 MB of answers
    messages = [server.shape("tools/list", {"unknown": "x" * 400}, id=id) for id in ids]
    for message in messages:
        server.note_request(message)
    text = "".join(json.dumps(message) + "\n" for message in messages)
    writer = threading.Thread(target=server.write, args=(text,))
    writer.start()
    # It stops to take requests.
    wait_until(lambda: server.unread_input() > 60000 or not writer.is_alive(), 120, "a full pipe")
    assert writer.is_alive(), "it takes requests without end"
    for id in ids:
        assert server.answer(id)["tools"]
    writer.join()
    most = memory(desk, server)
    note(f"{most} KiB at most")
    assert most < 48 * 1024 or t.sanitizer != "none", f"{most} KiB"
    server.finish()


@test(timeout=120)
def it_ends_though_nobody_reads(t):
    desk = alone(t)
    server = Mcp(desk)
    messages = [server.shape("tools/list") for _ in range(400)]
    server.write("".join(json.dumps(message) + "\n" for message in messages))
    server.close_input()
    assert server.wait(60) == 0, server.error_text()
    server = Mcp(desk)
    server.process.stdout.close()
    server.write("".join(json.dumps(message) + "\n" for message in messages[:3]))
    server.wait(60)


# ---- its end ----

@test(timeout=120)
def it_ends_with_its_input_or_when_it_is_told(t):
    desk = alone(t)
    Mcp(desk).finish()
    Mcp(desk, version=None).finish()
    server = Mcp(desk)
    server.write('{"jsonrpc":"2.0","id":1,"method":"pi') # half a line
    server.finish()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        server = Mcp(desk)
        server.signal(number)
        server.wait(60)
        assert server.read_message() is None


@test(timeout=120)
def a_request_at_the_very_end_is_answered(t):
    desk = alone(t)
    done = desk.run("loopsyctl", "mcp", input=json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"}) + "\n")
    assert json.loads(done.stdout) == {"jsonrpc": "2.0", "id": 1, "result": {}} and done.returncode == 0, done


# ---- without loopsyd ----

@test(timeout=180)
def without_a_daemon_tools_say_what_to_do(t):
    desk = alone(t)
    server = Mcp(desk)
    for tool in server.ask("tools/list")["tools"]:
        if not tool["inputSchema"].get("required"):
            text = server.call_fails(tool["name"])
            assert "loopsyctl" in text, (tool["name"], text)
    assert "loopsyctl" in server.call_fails("loopsy_peer_status", peer="lap")
    server.finish()
    desk.init()
    server = Mcp(desk)
    assert "loopsyctl start" in server.call_fails("loopsy_list_peers")
    desk.start("--port", "0") # and needs no new server then
    assert server.call("loopsy_list_peers")["peers"] == []
    desk.stop()
    assert "loopsyctl start" in server.call_fails("loopsy_list_peers")
    desk.start("--port", "0")
    assert server.call("loopsy_list_peers")["peers"] == []
    server.finish()


main()
