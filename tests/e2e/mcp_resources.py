#!/usr/bin/python3
"""Resources and prompts of `loopsyctl mcp`, in both eras."""
import base64
import json
import os

from harness import *
from lib.mcp import INVALID_PARAMS, INVALID_REQUEST, LEGACY, MODERN, NEWEST_LEGACY, NOT_FOUND_LEGACY, Failed, Mcp
from lib.peers import two


def read(server, uri):
    contents = server.ask("resources/read", {"uri": uri})["contents"]
    assert len(contents) == 1 and contents[0]["uri"] == uri, contents
    return contents[0]


def is_unknown(server, uri):
    error = server.refuses(INVALID_PARAMS if server.version == MODERN else NOT_FOUND_LEGACY, "resources/read", {"uri": uri})
    assert error.data == {"uri": uri}, (uri, error.data)


@test(timeout=300)
def what_there_is_is_listed_and_read_in_each_version(t):
    desk, lap = two(t)
    text, data = "grüße\n", b"\xff\x00\x01" * 700
    desk.run("sh", "-c", 'mkdir "a b"; cat >"a b/ü"', input=text, check=True)
    desk.run("sh", "-c", "cat >data", input=data, text=False, check=True)
    desk.sh(": >empty")
    desk.ctl("kv", "set", "build/state", "ok", check=True)
    lap.ctl("kv", "set", "mine", "1", check=True)
    for version in (*LEGACY, MODERN):
        server = Mcp(lap, version=version)
        listed = server.ask("resources/list")["resources"]
        assert [resource["uri"] for resource in listed] == ["loopsy://peers", "loopsy://status", "loopsy://context"]
        templates = server.ask("resources/templates/list")["resourceTemplates"]
        assert [template["name"] for template in templates] == ["file", "value"], templates
        server.refuses(INVALID_PARAMS, "resources/list", {"cursor": ""})
        peers = json.loads(read(server, "loopsy://peers")["text"])["peers"]
        assert [(peer["name"], peer["state"]) for peer in peers] == [("desk", "online")], peers
        assert json.loads(read(server, "loopsy://status")["text"])["mount"] == lap.mount
        assert [value["key"] for value in json.loads(read(server, "loopsy://context")["text"])["values"]] == ["mine"]
        assert read(server, "loopsy://desk/files/a%20b/%C3%BC")["text"] == text
        assert base64.b64decode(read(server, "loopsy://desk/files/data")["blob"]) == data
        assert read(server, "loopsy://desk/files/empty")["text"] == ""
        assert read(server, "loopsy://desk/kv/build%2Fstate")["text"] == "ok"
        assert read(server, "loopsy://lap/kv/mine")["text"] == "1"
        server.finish()


@test(timeout=300)
def what_cannot_be_read_is_said(t):
    desk, lap = two(t)
    desk.sh("mkdir d; truncate -s 2M large; mkfifo pipe; echo secret >../secret; ln -s ../../secret out")
    servers = [Mcp(lap, version=version) for version in (NEWEST_LEGACY, MODERN)]
    for server in servers:
        for uri in ("loopsy://nothing", "loopsy://desk/files/none", "loopsy://desk/kv/none", "loopsy://nobody/files/d",
                    "loopsy://nobody/kv/x", "loopsy://desk/files/../secret", "loopsy://desk/files/%2e%2e/secret", "file:///etc/passwd",
                    "loopsy://desk/files/d%00", "loopsy://desk"):
            is_unknown(server, uri)
        server.refuses(INVALID_PARAMS, "resources/read", {"uri": 7})
        for uri, words in (("loopsy://desk/files/large", lap.peer_path("desk", "large")),
                           ("loopsy://desk/files/d", "is a directory"), ("loopsy://desk/files/pipe", "desk: "),
                           ("loopsy://desk/files/.loopsy/kv/x", "control files"), ("loopsy://desk/files/out", "desk: ")):
            try:
                answered = read(server, uri)
                raise AssertionError(f"{uri} is answered: {answered}")
            except Failed as error:
                assert words in error.message, (uri, error)
    desk.stop()
    wait_until(lambda: lap.peer("desk")["state"] != "online", 120, "desk is away")
    for server in servers:
        for uri in ("loopsy://desk/files/d", "loopsy://desk/kv/x"):
            try:
                answered = read(server, uri)
                raise AssertionError(f"{uri} is answered: {answered}")
            except Failed as error:
                assert "desk is offline" in error.message, error
        server.finish()


@test(timeout=120)
def without_a_daemon_lists_are_there_and_reading_says_what_to_do(t):
    lap = t.loopback("lap")
    lap.init()
    server = Mcp(lap)
    assert len(server.ask("resources/list")["resources"]) == 3 and len(server.ask("prompts/list")["prompts"]) == 2
    try:
        read(server, "loopsy://peers")
        raise AssertionError("peers are answered")
    except Failed as error:
        assert "loopsyctl start" in error.message, error
    server.finish()


@test(timeout=120)
def prompts_are_listed_and_got(t):
    lap = t.loopback("lap")
    for version in (*LEGACY, MODERN):
        server = Mcp(lap, version=version)
        assert [prompt["name"] for prompt in server.ask("prompts/list")["prompts"]] == ["loopsy_help", "loopsy_coordinate"]
        for name, arguments, words in (("loopsy_help", {}, "loopsy_list_peers"),
                                       ("loopsy_coordinate", {"goal": "port it to arm64"}, "port it to arm64")):
            got = server.ask("prompts/get", {"name": name, "arguments": arguments})
            assert len(got["messages"]) == 1 and got["messages"][0]["role"] == "user", got
            assert words in got["messages"][0]["content"]["text"], got
        server.refuses(INVALID_PARAMS, "prompts/get", {"name": "none"})
        server.refuses(INVALID_PARAMS, "prompts/get", {})
        server.refuses(INVALID_PARAMS, "prompts/get", {"name": "loopsy_coordinate", "arguments": {"goal": 1}})
        server.finish()


# ---- subscriptions ----

FILE, VALUE, CONTEXT, PEERS = "loopsy://desk/files/watched", "loopsy://desk/kv/a%2Fb", "loopsy://context", "loopsy://peers"


def is_update(uri, id=None):
    def matches(message):
        params = message.get("params", {})
        stream = params.get("_meta", {}).get("io.modelcontextprotocol/subscriptionId")
        return message["method"] == "notifications/resources/updated" and params["uri"] == uri and stream == id
    return matches


def changes(desk, lap):
    """What changes each resource."""
    return {FILE: lambda: desk.sh("echo more >>watched"), VALUE: lambda: desk.ctl("kv", "set", "a/b", "2", check=True),
            CONTEXT: lambda: lap.ctl("kv", "set", "mine", "2", check=True),
            PEERS: lambda: desk.ctl("peers", "allow", "lap", "fs:rw,kv", check=True)}


@test(timeout=300)
def a_session_is_told_what_changes_until_it_unsubscribes(t):
    desk, lap = two(t)
    desk.sh("echo one >watched")
    server = Mcp(lap, version=NEWEST_LEGACY)
    for uri, change in changes(desk, lap).items():
        assert server.ask("resources/subscribe", {"uri": uri}) == {}
        assert server.ask("resources/subscribe", {"uri": uri}) == {}, "once more"
        change()
        server.notification(is_update(uri))
    # Files are also replaced, as editors do, and removed, and come again.
    for script in ("echo two >new; mv new watched", "rm watched", "echo three >watched"):
        desk.sh(script)
        server.notification(is_update(FILE))
    for uri in (FILE, VALUE, CONTEXT, PEERS):
        assert server.ask("resources/unsubscribe", {"uri": uri}) == {}
    server.notifications.clear()
    for uri, change in changes(desk, lap).items():
        if uri != PEERS:
            change()
    # It hears of another one, which is later than all of those.
    assert server.ask("resources/subscribe", {"uri": "loopsy://desk/kv/other"}) == {}
    desk.ctl("kv", "set", "other", "1", check=True)
    server.notification(is_update("loopsy://desk/kv/other"))
    assert server.notifications == [], server.notifications
    server.refuses(NOT_FOUND_LEGACY, "resources/subscribe", {"uri": "loopsy://desk/files/../x"})
    server.refuses(INVALID_PARAMS, "resources/subscribe", {})
    server.finish()


def listen(server, *uris, **wanted):
    """The id of a request that listens, and what it was promised."""
    id = server.request("subscriptions/listen", {"notifications": {"resourceSubscriptions": list(uris), **wanted}})
    message = server.read_message()
    while message.get("method") != "notifications/subscriptions/acknowledged":
        assert message.get("method") == "notifications/resources/updated", message
        message = server.read_message()
    server.notifications.remove(message)
    assert message["params"]["_meta"] == {"io.modelcontextprotocol/subscriptionId": id}, message
    return id, message["params"]["notifications"]


@test(timeout=300)
def requests_listen_until_they_are_cancelled(t):
    desk, lap = two(t)
    desk.sh("echo one >watched")
    server = Mcp(lap, version=MODERN)
    first, promised = listen(server, FILE, VALUE, "loopsy://nothing", toolsListChanged=True)
    assert promised == {"resourceSubscriptions": [FILE, VALUE]}, promised
    second, promised = listen(server, FILE, CONTEXT, PEERS)
    for uri, change in changes(desk, lap).items():
        change()
        for id in [first] * (uri in (FILE, VALUE)) + [second] * (uri != VALUE):
            server.notification(is_update(uri, id))
    quiet, _ = listen(server, "loopsy://desk/kv/quiet")
    server.refuses(INVALID_REQUEST, "tools/list", id=quiet)
    server.cancel(first)
    server.is_well()
    server.notifications.clear()
    desk.sh("echo more >>watched")
    server.notification(is_update(FILE, second))
    assert not any(is_update(uri, first)(message) for message in server.notifications for uri in (FILE, VALUE)), \
        server.notifications
    for params in ({}, {"notifications": []}, {"notifications": {"resourceSubscriptions": [1]}},
                   {"notifications": {"toolsListChanged": "yes"}}):
        server.refuses(INVALID_PARAMS, "subscriptions/listen", params)
    server.finish()


@test(timeout=300)
def what_was_missed_while_a_daemon_was_away_is_told(t):
    desk, lap = t.lan("desk", "lap", avahi=False)
    for host in (desk, lap):
        host.init()
        host.start("--lan")
    pair(desk, lap)
    desk.sh("echo one >watched")
    server = Mcp(lap, version=MODERN)
    id, _ = listen(server, FILE, VALUE, PEERS)
    desk.stop()
    server.notification(is_update(PEERS, id))
    desk.sh("echo two >watched")
    desk.start()
    desk.ctl("kv", "set", "a/b", "3", check=True)
    lap.wait_online("desk")
    for uri in (FILE, VALUE):
        server.notification(is_update(uri, id))
    lap.stop()
    lap.start()
    lap.wait_online("desk")
    server.notifications.clear()
    desk.sh("echo three >watched")
    server.notification(is_update(FILE, id))
    server.finish()


main()
