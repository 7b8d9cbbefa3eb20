#!/usr/bin/python3
"""loopsyctl mcp: programs on a peer, through its tools."""
import hashlib
import json
import os
import signal

from harness import *
from lib.mcp import MODERN, NEWEST_LEGACY, Mcp, text_of
from lib.mcp_client import CLIENTS, Client, modules
from lib.peers import two

KIB = 1 << 10
REPLY_MAX = 12 * KIB
# Of the long command: how long it takes, how long the client waits for a reply, and the tool.
SECONDS, TIMEOUT, WAIT = (75, 60, None) if os.environ.get("LOOPSY_MCP_LONG") else (4, 3, 1)


def execute(server, command, **arguments):
    """A shell line on desk; the structured content."""
    return server.call("loopsy_execute", peer="desk", command=command, **arguments)


def pid_in(desk, file):
    """The process that writes its id there when it runs."""
    return int(wait_until(lambda: desk.sh('cat "$1" 2>/dev/null || true', file).stdout.strip(), what=f"a pid in {file}"))


def has_ended(desk, *pids):
    wait_until(lambda: not any(desk.is_alive(pid) for pid in pids), what=f"the end of {pids}")


def sleeper(file):
    return f"echo $$ >{file}.new; mv {file}.new {file}; exec sleep 1000"


# ---- results ----

@test(timeout=240)
def the_result_of_a_command_is_the_answer(t):
    desk, lap = two(t)
    desk.sh("mkdir -p project/src")
    for version in (NEWEST_LEGACY, MODERN):
        server = Mcp(lap, version)
        for line, code, output in (("true", 0, ""), ("echo out; echo err >&2; exit 3", 3, "out\nerr\n"),
                                   ("no-such-command", 127, None), ("exit 255", 255, "")):
            found = execute(server, line)
            assert (found["state"], found["exit_code"], found["truncated"]) == ("exited", code, False), found
            assert output is None or found["output"] == output, found
        found = execute(server, "kill -9 $$")
        assert (found["state"], found["signal"]) == ("killed", 9) and "exit_code" not in found, found
        found = server.call("loopsy_execute", peer="desk", argv=["printf", "%s|", "a b", "", "*", "é"])
        assert found["output"] == "a b||*|é|", found
        assert execute(server, "cat", stdin="given\n")["output"] == "given\n"
        assert execute(server, "cat")["output"] == "", "the input does not end"
        assert execute(server, 'echo "$A"', env={"A": "1 2"})["output"] == "1 2\n"
        for cwd in ("project/src", f"{desk.home}/project/src", lap.peer_path("desk", "project/src")):
            assert execute(server, "pwd", cwd=cwd)["output"] == f"{desk.home}/project/src\n", cwd
        result = server.answer(server.start_call("loopsy_execute", {"peer": "desk", "command": "echo hi; exit 4"}))
        assert "[data from desk]\nhi" in text_of(result) and "4" in text_of(result).splitlines()[0], result
        assert not result.get("isError"), result
        for arguments in ({}, {"command": "true", "argv": ["true"]}, {"command": "true", "cwd": "nowhere"}):
            assert server.call_fails("loopsy_execute", peer="desk", **arguments)
        found = execute(server, "sleep 1000", timeout_s=1)
        assert found["state"] != "running" and found.get("exit_code") != 0, found
        server.finish()
    # Nothing is kept of those whose answer said all.
    wait_until(lambda: not lap.ctl_json("jobs", "desk"), what="that no job is kept")


@test(timeout=240)
def a_peer_that_is_not_there_is_an_error_with_the_next_step(t):
    desk, lap = two(t)
    server = Mcp(desk)
    text = server.call_fails("loopsy_execute", peer="nobody", command="true")
    assert "nobody" in text and "loopsy_list_peers" in text, text
    lap.stop()
    port = desk.port()
    desk.stop() # else it would hope for a while that lap comes back
    desk.start("--port", str(port))
    text = server.call_fails("loopsy_execute", peer="lap", command="true")
    assert "lap" in text and "offline" in text and "loopsy_list_peers" in text, text
    lap.start() # it dials
    desk.wait_online("lap")
    assert server.call("loopsy_execute", peer="lap", command="echo back")["output"] == "back\n"
    server.finish()


# ---- output ----

def reply_to(server, command):
    """The answer's line, and the structured content."""
    id = server.start_call("loopsy_execute", {"peer": "desk", "command": command})
    result = server.answer(id)
    message = next(one["message"] for one in reversed(server.transcript) if one["message"].get("id") == id)
    return len(json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()), result


@test(timeout=300)
def a_large_output_costs_little_and_is_read_at_its_path(t):
    desk, lap = two(t)
    for version in (NEWEST_LEGACY, MODERN):
        server = Mcp(lap, version)
        size, result = reply_to(server, "seq 1 1500000 | head -c 10000000")
        found = result["structuredContent"]
        note(f"{version}: {size} bytes")
        assert size <= REPLY_MAX, size
        assert found["truncated"] and found["output_bytes"] == 10000000 and found["exit_code"] == 0, found
        whole = "".join(f"{i}\n" for i in range(1, 1500001))[:10000000]
        assert found["output"].startswith("1\n2\n3\n") and found["output"].endswith(whole[-200:]), found["output"]
        assert len(found["output"]) > 2000 and found["log_path"] in text_of(result), found
        there = lap.run("sha256sum", found["log_path"], check=True).stdout.split()[0]
        assert there == hashlib.sha256(whole.encode()).hexdigest()
        job = found["job"]
        part = server.call("loopsy_job_output", peer="desk", job=job, offset=5000000)
        assert part["output"].startswith(whole[5000000:5001000]), part["output"][:100]
        server.finish()


@test(timeout=300)
def no_output_makes_a_large_reply_or_one_that_is_not_text(t):
    desk, lap = two(t)
    lines = {"quotes": r"""yes '"\"\' | head -c 200000""", "controls": r"yes $'\1\2\t\33[31m' | head -c 200000",
             "wide": "yes 'é€😀' | head -c 200000", "cut": "yes 'é€😀' | head -c 99999",
             "one line": "head -c 200000 /dev/zero | tr '\\0' x", "short": r"printf '\377\376 hi\n'",
             "surrogate": r"printf 'a\355\240\200b\n'"}
    for version in (NEWEST_LEGACY, MODERN):
        server = Mcp(lap, version)
        for name, line in lines.items():
            size, result = reply_to(server, line)
            assert size <= REPLY_MAX, (name, size)
            assert name in ("short", "surrogate") or result["structuredContent"]["truncated"], (name, result)
        size, result = reply_to(server, "head -c 300000 /dev/urandom | tee random")
        found = result["structuredContent"]
        assert size <= 2 * KIB and found["output_bytes"] == 300000 and "output" not in found, (size, found)
        assert found["sha256"] == desk.sh("sha256sum <random").stdout.split()[0], found
        assert lap.run("sha256sum", found["log_path"], check=True).stdout.split()[0] == found["sha256"]
        size, result = reply_to(server, "head -c 3000 /dev/zero")
        assert size <= 2 * KIB, size
        server.finish()


# ---- long ones ----

@test(timeout=300)
def a_command_that_takes_longer_than_the_client_waits_loses_nothing(t):
    modules(t)
    desk, lap = two(t)
    clients = [Client(t, lap, sdk, mode) for sdk, mode, _ in CLIENTS]
    line = f"echo begun; sleep {SECONDS}; echo ended"
    wait = {} if WAIT is None else {"wait_s": WAIT}
    asked = [client.start("callTool", {"name": "loopsy_execute",
                                       "arguments": {"peer": "desk", "command": line, **wait}}, timeout=TIMEOUT * 1000)
             for client in clients]
    for client, number in zip(clients, asked):
        found = client.answer(number, TIMEOUT + 60)["structuredContent"]
        assert found["state"] == "running" and found["output"] == "begun\n", found
        job, offset = found["job"], found["output_bytes"]
        while found["state"] == "running":
            found = client.call("loopsy_job_wait", {"peer": "desk", "job": job, **wait}, TIMEOUT + 60,
                                timeout=TIMEOUT * 1000)
        assert found["exit_code"] == 0, found
        found = client.call("loopsy_job_output", {"peer": "desk", "job": job, "offset": offset})
        assert found["output"] == "ended\n", found
        found = client.call("loopsy_job_output", {"peer": "desk", "job": job})
        assert found["output"] == "begun\nended\n", found
        assert client.end() == 0


@test(timeout=300)
def a_cancelled_command_is_killed(t):
    desk, lap = two(t)
    for version in (NEWEST_LEGACY, MODERN):
        server = Mcp(lap, version)
        asked = [server.start_call("loopsy_execute", {"peer": "desk", "command": sleeper(f"pid{i}")}, id=id)
                 for i, id in enumerate(("1001", 1001, 4000000000, "é"))]
        pids = [pid_in(desk, f"pid{i}") for i in range(4)]
        for id in asked[:3]:
            server.cancel(id)
        has_ended(desk, *pids[:3])
        assert desk.is_alive(pids[3]), "another command was killed too"
        server.cancel("1001") # once more, and what nobody knows
        server.cancel("nobody")
        assert execute(server, "echo well")["output"] == "well\n"
        server.cancel(asked[3])
        has_ended(desk, pids[3])
        desk.sh("rm pid?")
        server.finish()


@test(timeout=300)
def with_the_server_its_commands_end(t):
    desk, lap = two(t)
    for number in (None, signal.SIGTERM):
        server = Mcp(lap)
        server.start_call("loopsy_execute", {"peer": "desk", "command": sleeper("pid")})
        pid = pid_in(desk, "pid")
        if number:
            server.signal(number)
            server.wait()
        else:
            server.finish()
        has_ended(desk, pid)
        desk.sh("rm pid")


@test(timeout=300)
def a_command_whose_server_is_killed_is_found_by_the_next_one(t):
    desk, lap = two(t)
    server = Mcp(lap)
    server.start_call("loopsy_execute", {"peer": "desk", "command": sleeper("pid")})
    pid = pid_in(desk, "pid")
    server.signal(signal.SIGKILL)
    server.wait()
    server = Mcp(lap)
    (job,) = server.call("loopsy_job_list", peer="desk")["jobs"]
    assert job["state"] == "running", job
    server.call("loopsy_job_kill", peer="desk", job=job["job"])
    has_ended(desk, pid)
    server.finish()


@test(timeout=300)
def a_client_that_gives_up_kills_the_command(t):
    modules(t)
    desk, lap = two(t)
    for sdk, mode, _ in CLIENTS:
        client = Client(t, lap, sdk, mode)
        call = {"name": "loopsy_execute", "arguments": {"peer": "desk", "command": sleeper("pid")}}
        number = client.start("callTool", call)
        pid = pid_in(desk, "pid")
        client.do("abort", {"target": number})
        has_ended(desk, pid)
        desk.sh("rm pid")
        assert client.call("loopsy_execute", {"peer": "desk", "argv": ["echo", "on"]})["output"] == "on\n"
        client.end()


# ---- side by side ----

@test(timeout=300)
def many_calls_are_served_side_by_side(t):
    desk, lap = two(t)
    server = Mcp(lap)
    line = 'echo >"begun-$N"; until [ -e go ]; do sleep 0.05; done; echo "$N"'
    asked = [server.start_call("loopsy_execute", {"peer": "desk", "command": line, "env": {"N": str(i)}, "wait_s": 45})
             for i in range(12)]
    wait_until(lambda: desk.sh("ls | grep -c ^begun || true").stdout.strip() == "12", what="all run at once")
    assert server.ask("ping") == {}
    assert server.call("loopsy_list_peers")["peers"], "the others wait"
    more = [server.start_call("loopsy_execute", {"peer": "desk", "command": f"echo {i}"}) for i in range(100)]
    desk.sh("touch go")
    for i, id in enumerate(asked):
        assert server.answer(id)["structuredContent"]["output"] == f"{i}\n"
    for i, id in enumerate(more):
        assert server.answer(id)["structuredContent"]["output"] == f"{i}\n"
    server.finish()


@test(timeout=300)
def progress_is_told_to_those_who_ask(t):
    desk, lap = two(t)
    for version in (NEWEST_LEGACY, MODERN):
        server = Mcp(lap, version)
        call = {"peer": "desk", "command": "until rm go; do sleep 0.05; done 2>/dev/null"}
        for token in ("one", 2):
            silent = server.start_call("loopsy_execute", {**call, "command": "sleep 1000"})
            id = server.start_call("loopsy_execute", call, meta={"progressToken": token})
            for _ in range(2):
                server.notification(lambda one: one["params"].get("progressToken") == token)
            desk.sh("touch go")
            assert server.answer(id)["structuredContent"]["exit_code"] == 0
            server.cancel(silent)
            assert not server.notifications, server.notifications
        server.finish()


main()
