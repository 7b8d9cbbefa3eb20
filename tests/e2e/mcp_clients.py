#!/usr/bin/python3
"""loopsyctl mcp with clients of others, and what it sends against the schemas that they carry."""
from harness import *
from lib.mcp import LEGACY, META, MODERN, NEWEST_LEGACY, Failed, Mcp
from lib.mcp_client import CLIENTS, Client, inspect, modules, validate
from lib.peers import two

# What each tool is called with, in this order; a function gets what was answered before, by tool.
CALLS = {
    "loopsy_list_peers": {},
    "loopsy_peer_status": {"peer": "desk"},
    "loopsy_execute": {"peer": "desk", "command": "echo begun; exec cat fifo", "wait_s": 0},
    "loopsy_job_list": {"peer": "desk"},
    "loopsy_job_wait": lambda said: {"peer": "desk", "job": said["loopsy_execute"]["job"], "wait_s": 0},
    "loopsy_job_output": lambda said: {"peer": "desk", "job": said["loopsy_execute"]["job"]},
    "loopsy_job_kill": lambda said: {"peer": "desk", "job": said["loopsy_execute"]["job"]},
    "loopsy_session_start": {"peer": "desk", "session": "shell", "command": "cat"},
    "loopsy_session_send": {"peer": "desk", "session": "shell", "text": "typed\n"},
    "loopsy_session_screen": {"peer": "desk", "session": "shell"},
    "loopsy_session_list": {"peer": "desk"},
    "loopsy_session_stop": {"peer": "desk", "session": "shell"},
    "loopsy_session_remove": {"peer": "desk", "session": "shell"},
    "loopsy_context_set": {"key": "color", "value": "blue"},
    "loopsy_context_get": {"key": "color"},
    "loopsy_context_list": {},
    "loopsy_context_delete": {"key": "color"},
    "loopsy_broadcast_context": {"key": "all", "value": "of us"},
    "loopsy_send_message": {"peer": "desk", "body": "hello"},
    "loopsy_check_ack": lambda said: {"message_id": said["loopsy_send_message"]["sent"][0]["message_id"]},
    "loopsy_check_inbox": {},
    "loopsy_ack_message": lambda said: {"message_id": said["loopsy_check_inbox"]["messages"][0]["message_id"]},
    "loopsy_task_create": {"description": "something to do"},
    "loopsy_task_claim": lambda said: {"id": said["loopsy_task_create"]["id"]},
    "loopsy_task_finish": lambda said: {"id": said["loopsy_task_create"]["id"], "status": "done", "result": "is done"},
    "loopsy_task_list": {},
    "loopsy_transfer_file": {"peer": "desk", "direction": "pull", "source_path": "file", "dest_path": "copy"},
    "loopsy_list_remote_files": {"peer": "desk"},
    "loopsy_grep": {"peer": "desk", "pattern": "text"},
}


RESOURCES = {"loopsy://peers": "desk", "loopsy://status": "lap", "loopsy://context": "values",
             "loopsy://desk/files/file": "text\n", "loopsy://desk/kv/color": "red"}
PROMPTS = {"loopsy_help": {}, "loopsy_coordinate": {"goal": "to see that it works"}}


def prepare(desk):
    desk.sh("mkfifo fifo; echo text >file; loopsyctl kv set color red")


def read_everything(client):
    listed = client.do("listResources")["resources"]
    assert {resource["uri"] for resource in listed} < set(RESOURCES), listed
    assert len(client.do("listResourceTemplates")["resourceTemplates"]) == 2
    for uri, text in RESOURCES.items():
        (found,) = client.do("readResource", {"uri": uri})["contents"]
        assert text in found["text"], found
    assert {prompt["name"] for prompt in client.do("listPrompts")["prompts"]} == set(PROMPTS)
    for name, arguments in PROMPTS.items():
        assert client.do("getPrompt", {"name": name, "arguments": arguments})["messages"], name


def follow_a_change(client, lap, version):
    """A resource that changes, told in the manner of its era, and no more when that has ended."""
    uri = "loopsy://context"
    if version == MODERN:
        stream = client.do("listen", {"resourceSubscriptions": [uri]})
        assert stream["honored"]["resourceSubscriptions"] == [uri], stream
    else:
        client.do("subscribe", {"uri": uri})
    lap.ctl("kv", "set", "followed", str(client.number), check=True)
    client.is_told(uri)
    if version == MODERN:
        assert client.do("unlisten", {"stream": stream["stream"]}) == {"closed": "local"}
    else:
        client.do("unsubscribe", {"uri": uri})


def call_everything(tools, call):
    """Calls each tool that is listed; returns {tool: structured content}."""
    answers = {}
    assert {tool["name"] for tool in tools} == set(CALLS), tools
    for name, arguments in CALLS.items():
        answers[name] = call(name, arguments(answers) if callable(arguments) else arguments)
    return answers


@test(timeout=600)
def clients_of_both_eras_use_all_there_is(t):
    modules(t)
    desk, lap = two(t)
    prepare(desk)
    for sdk, mode, version in CLIENTS:
        desk.ctl("msg", "send", "lap", "hello", check=True)
        client = Client(t, lap, sdk, mode)
        assert client.about["version"] == version, client.about
        assert client.about["server"]["name"] == "loopsy" and client.about["instructions"], client.about
        tools = client.do("listTools")["tools"]
        answers = call_everything(tools, client.call)
        assert answers["loopsy_list_peers"]["peers"][0]["name"] == "desk", answers
        assert "typed" in answers["loopsy_session_screen"]["screen"], answers
        assert answers["loopsy_context_get"]["value"] == "blue", answers
        assert answers["loopsy_check_inbox"]["messages"], answers
        read_everything(client)
        follow_a_change(client, lap, version)
        if version != MODERN:
            assert client.do("ping") == {}
        for request in (("callTool", {"name": "no_such_tool"}), ("callTool", {"name": ""}),
                        ("listTools", {"cursor": "of another server"}), ("listResources", {"cursor": ""}),
                        ("readResource", {"uri": "loopsy://desk/files/nothing"}), ("getPrompt", {"name": "none"})):
            try:
                client.do(*request)
                raise AssertionError(f"{request} is answered")
            except Failed as error:
                assert error.code in (-32602, -32002), (request, error)
        assert client.end() == 0, client.error_text()


@test(timeout=300)
def the_inspector_lists_calls_and_reads(t):
    modules(t)
    desk, lap = two(t)
    prepare(desk)
    tools = inspect(t, lap, "--method", "tools/list")["tools"]
    assert {tool["name"] for tool in tools} == set(CALLS), tools
    done = inspect(t, lap, "--method", "tools/call", "--tool-name", "loopsy_peer_status", "--tool-arg", "peer=desk")
    assert done["structuredContent"]["state"] == "online", done
    done = inspect(t, lap, "--method", "tools/call", "--tool-name", "loopsy_execute", "--tool-arg", "peer=desk",
                   "command=cat file; exit 3")
    assert (done["structuredContent"]["output"], done["structuredContent"]["exit_code"]) == ("text\n", 3), done
    assert len(inspect(t, lap, "--method", "resources/list")["resources"]) == 3
    assert len(inspect(t, lap, "--method", "prompts/list")["prompts"]) == len(PROMPTS)
    (read,) = inspect(t, lap, "--method", "resources/read", "--uri", "loopsy://desk/files/file")["contents"]
    assert read["text"] == "text\n", read
    got = inspect(t, lap, "--method", "prompts/get", "--prompt-name", "loopsy_coordinate", "--prompt-args", "goal=it works")
    assert "it works" in got["messages"][0]["content"]["text"], got


# ---- every message ----

GARBAGE = [b"garbage\n", b"\xff\xfe\n", b"{}\n", b"[]\n", b"\n", b'{"jsonrpc":"2.0","id":{},"method":"ping"}\n',
           b'{"jsonrpc":"2.0","method":"notifications/nothing"}\n', b'{"jsonrpc":"2.0","id":1,"result":{}}\n']


def speak(server, version):
    """Asks for all there is, in the manner of that version, rightly and wrongly."""
    def maybe(*request):
        try:
            return server.ask(*request, version=version)
        except Failed:
            return None
    methods = ["tools/list", "resources/list", "resources/templates/list", "prompts/list"]
    methods += ["server/discover"] if version == MODERN else ["ping"]
    found = {method: maybe(method) for method in methods}
    for method in methods[:4]:
        maybe(method, {"cursor": "nonsense"})
    for tool in found["tools/list"]["tools"]:
        arguments = CALLS.get(tool["name"], {})
        arguments = dict(arguments) if isinstance(arguments, dict) else {}
        if "wait_s" in tool["inputSchema"]["properties"]:
            arguments["wait_s"] = 0
        maybe("tools/call", {"name": tool["name"], "arguments": arguments})
        maybe("tools/call", {"name": tool["name"], "arguments": {"peer": "nobody", "nonsense": True}})
        maybe("tools/call", {"name": tool["name"], "arguments": {"peer": "nobody"}})
    for resource in (found["resources/list"] or {"resources": []})["resources"]:
        maybe("resources/read", {"uri": resource["uri"]})
    for prompt in (found["prompts/list"] or {"prompts": []})["prompts"]:
        maybe("prompts/get", {"name": prompt["name"]})
    for uri in ("loopsy://nobody/files/x", "loopsy://desk/kv/nothing", "http://example.org/", ""):
        maybe("resources/read", {"uri": uri})
    for request in (("no/such",), ("tools/call", {"name": "no_such_tool"}), ("prompts/get", {"name": "none"})):
        maybe(*request)


def watch(server, lap, version):
    """Has a change told, and progress."""
    uri = "loopsy://context"
    if version == MODERN:
        id = server.request("subscriptions/listen", {"notifications": {"resourceSubscriptions": [uri]}})
        server.notification(lambda one: one["method"] == "notifications/subscriptions/acknowledged")
    else:
        server.ask("resources/subscribe", {"uri": uri})
    lap.ctl("kv", "set", "watched", version, check=True)
    server.notification(lambda one: one["method"] == "notifications/resources/updated")
    if version == MODERN:
        server.cancel(id)
    call = server.start_call("loopsy_execute", {"peer": "desk", "command": "sleep 1000"}, meta={"progressToken": "told"})
    server.notification(lambda one: one["method"] == "notifications/progress")
    server.cancel(call)


@test(timeout=600)
def each_message_fits_the_schemas_of_its_version(t):
    modules(t)
    desk, lap = two(t)
    transcript = []
    for version in LEGACY: # a session
        server = Mcp(lap, version)
        speak(server, version)
        watch(server, lap, version)
        server.finish()
        transcript += server.transcript
    server = Mcp(lap, MODERN) # the newest alone
    speak(server, MODERN)
    watch(server, lap, MODERN)
    server.refuses(-32022, "tools/list", meta={META + "protocolVersion": "1999-01-01"})
    server.finish()
    transcript += server.transcript
    server = Mcp(lap, None) # discovery, then a session
    server.ask("server/discover", version=MODERN)
    server.initialize("2025-06-18")
    speak(server, "2025-06-18")
    speak(server, MODERN) # and in between
    server.finish()
    transcript += server.transcript
    server = Mcp(lap, "2025-03-26") # batches
    batch = [server.shape(method) for method in ("ping", "tools/list", "no/such")]
    for message in batch:
        server.note_request(message)
    server.send(batch)
    server.read_message()
    server.finish()
    transcript += server.transcript
    note(f"{validate(t, transcript)} messages")


@test(timeout=600)
def each_message_fits_between_requests_of_both_eras_and_garbage(t):
    modules(t)
    desk, lap = two(t)
    server = Mcp(lap, NEWEST_LEGACY)
    asked = []
    for i in range(60):
        server.write(GARBAGE[i % len(GARBAGE)])
        version = MODERN if i % 3 else NEWEST_LEGACY
        for request in (("tools/list",), ("tools/call", {"name": "loopsy_list_peers", "arguments": {}}),
                        ("tools/call", {"name": "loopsy_peer_status", "arguments": {"peer": i}}), ("no/such",)):
            asked.append(server.request(*request, version=version))
    for id in asked:
        try:
            server.answer(id)
        except Failed as error:
            assert error.code in (-32601, -32602), error
    server.finish()
    assert len(server.nameless) == 5 * 60 // len(GARBAGE) + 2, server.nameless
    note(f"{validate(t, server.transcript)} messages")


main()
