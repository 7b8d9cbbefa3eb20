#!/usr/bin/python3
"""API keys: those with a name and limits, what they keep a program from, and that they end."""
import json
import re

from harness import *
from lib.peers import three, two

KEY = re.compile("[A-Za-z0-9_-]{43}")


def generate(host, *options):
    key = host.ctl("key", "generate", *options, check=True).stdout.strip()
    assert KEY.fullmatch(key), key
    return key


def using(host, key, *words, **options):
    """loopsyctl as a program does it that presents this key."""
    return host.run("loopsyctl", *words, env={"LOOPSY_API_KEY": key}, **options)


def denied(host, key, *words, why):
    done = using(host, key, *words)
    assert done.returncode != 0 and why in done.stdout + done.stderr, (words, done)


def listed(host):
    return {key["name"]: key for key in host.ctl_json("key", "list")["keys"]}


def audited(host, **fields):
    text = host.ctl("logs", "-n", "10000", "--json", check=True).stdout
    return [line for line in map(json.loads, text.splitlines())
            if all(line.get(key) == value for key, value in fields.items())]


@test(timeout=300)
def a_key_without_a_name_allows_everything_until_it_is_replaced(t):
    desk, lap = two(t)
    key = lap.ctl("key", "show", check=True).stdout.strip()
    assert using(lap, key, "exec", "desk", "echo", "hello").stdout == "hello\n"
    assert using(lap, key, "peers", "rename", "desk", "tower").returncode == 0
    new = generate(lap)
    assert new != key
    denied(lap, key, "status", why="the API key does not hold here")
    assert using(lap, new, "exec", "tower", "echo", "hello").stdout == "hello\n"
    # As long as there is no key, none holds, and who presents none is not limited.
    lap.sh('rm "$LOOPSY_HOME/config/api.key"')
    denied(lap, new, "status", why="does not hold here")
    lap.ctl("status", check=True)


@test(timeout=300)
def a_named_key_allows_what_was_said_and_nothing_else(t):
    desk, lap, pad = three(t)
    # lap knows desk only; it gets to know pad, too.
    pair(lap, pad)
    desk.ctl("kv", "set", "color", "blue", check=True)
    pad.ctl("kv", "set", "color", "red", check=True)
    lap.ctl("kv", "set", "color", "own", check=True)
    key = generate(lap, "--name", "reader", "--allow", "fs:ro,kv", "--peers", "desk")
    assert using(lap, key, "kv", "get", "--peer", "desk", "color").stdout == "blue"
    denied(lap, key, "kv", "get", "--peer", "pad", "color", why="the API key 'reader' is not for pad")
    denied(lap, key, "kv", "get", "color", why="the API key 'reader' is not for this machine")
    denied(lap, key, "exec", "desk", "true", why="the API key 'reader' does not allow exec")
    denied(lap, key, "msg", "send", "desk", "hello", why="does not allow msg")
    assert [peer["name"] for peer in json.loads(using(lap, key, "peers", "--json").stdout)] == ["desk"]
    assert [peer["name"] for peer in json.loads(using(lap, key, "status", "--json").stdout)["peers"]] == ["desk"]
    denied(lap, key, "peers", "show", "pad", why="is not for pad")
    for words in (["stop"], ["restart"], ["config"], ["peers", "remove", "desk"],
                  ["peers", "allow", "desk", "fs:rw"], ["peers", "rename", "desk", "x"], ["pair", "--ttl", "5"],
                  ["peers", "discovered"], ["key", "generate", "--name", "more"], ["key", "list"],
                  ["key", "revoke", "reader"]):
        denied(lap, key, *words, why="is for asking peers, and for nothing else")
    assert set(listed(lap)) == {"reader"} and lap.peer("desk")
    whole = generate(lap, "--name", "whole")
    assert using(lap, whole, "kv", "get", "color").stdout == "own"
    assert using(lap, whole, "exec", "pad", "echo", "1").stdout == "1\n"
    denied(lap, whole, "stop", why="is for asking peers")


@test(timeout=300)
def what_is_denied_is_in_the_audit_log(t):
    desk, lap = two(t)
    key = generate(lap, "--name", "reader", "--allow", "kv", "--peers", "desk,.")
    using(lap, key, "exec", "desk", "true")
    using(lap, key, "stop")
    using(lap, "x" * 43, "status")
    wait_until(lambda: audited(lap, outcome="denied", what="key"), 60, "the last line")
    first, *_, second, third = audited(lap, outcome="denied")
    assert first["what"] == "job_start" and first["peer"] == "desk", first
    assert first["detail"] == {"key": "reader", "why": "does not allow exec"}, first
    assert second["what"] == "ctl_stop" and second["detail"]["key"] == "reader", second
    assert third["what"] == "key" and third["peer"] is None, third
    made, = audited(lap, what="key_generate")
    assert made["detail"] == {"key": "reader", "permissions": "kv", "peers": ".,desk"}, made
    assert key not in json.dumps(audited(lap)), "never a key"


@test(timeout=300)
def messages_are_those_of_the_peers_that_a_key_is_for(t):
    desk, lap, pad = three(t)
    pair(lap, pad)
    ids = {host.name: host.ctl("msg", "send", "lap", "--wait", "delivered", f"from {host.name}",
                               check=True).stdout.strip() for host in (desk, pad)}
    key = generate(lap, "--name", "mail", "--allow", "msg", "--peers", "desk")
    inbox = json.loads(using(lap, key, "msg", "inbox", "--peer", "desk", "--json").stdout)
    assert [message["body"] for message in inbox] == ["from desk"], inbox
    denied(lap, key, "msg", "inbox", why="is not for all peers: name one of desk")
    denied(lap, key, "msg", "inbox", "--peer", "pad", why="is not for pad")
    assert "from desk" in using(lap, key, "msg", "show", ids["desk"]).stdout
    denied(lap, key, "msg", "show", ids["pad"], why="no such message")
    denied(lap, key, "msg", "send", "pad", "x", why="is not for pad")
    denied(lap, key, "msg", "broadcast", "x", why="is not for all peers")
    sent = using(lap, key, "msg", "send", "desk", "hello", check=True).stdout.strip()
    assert json.loads(using(lap, key, "msg", "status", sent, "--json").stdout)["to"] == "desk"
    other = lap.ctl("msg", "send", "pad", "hello", check=True).stdout.strip()
    denied(lap, key, "msg", "status", other, why="no such message")
    denied(lap, key, "msg", "ack", ids["desk"], why="is not for all peers")
    denied(lap, key, "msg", "ack", "--peer", "pad", ids["pad"], why="is not for pad")
    denied(lap, key, "msg", "ack", "--peer", "desk", ids["desk"], ids["pad"], why="no such message")
    assert len(lap.ctl_json("msg", "inbox")) == 2, "all or none"
    using(lap, key, "msg", "ack", "--peer", "desk", ids["desk"], check=True)
    assert [message["id"] for message in lap.ctl_json("msg", "inbox")] == [ids["pad"]]
    denied(lap, key, "kv", "list", "--peer", "desk", why="does not allow kv")


@test(timeout=300)
def who_uses_a_key_is_cut_off_when_it_is_revoked_or_replaced(t):
    desk, lap = two(t)
    for end in ("revoke", "replace", "api.key"):
        key = generate(lap) if end == "api.key" else generate(lap, "--name", "agent")
        running = lap.spawn("env", f"LOOPSY_API_KEY={key}", "loopsyctl", "exec", "desk", "--", "sh", "-c",
                            "echo $$; exec sleep 4711")
        pid = int(running.read_line())
        if end == "revoke":
            lap.ctl("key", "revoke", "agent", check=True)
        elif end == "replace":
            assert generate(lap, "--name", "agent") != key
        else:
            generate(lap)
        assert running.wait(60) != 0
        text = {"revoke": "the API key 'agent' was revoked",
                "replace": "the API key 'agent' was replaced by a new one",
                "api.key": "the API key was replaced by a new one"}[end]
        assert text in running.error_text(), running.error_text()
        wait_until(lambda: not desk.is_alive(pid), 60, "the program to end with its client")
        denied(lap, key, "status", why="does not hold here")


@test(timeout=300)
def keys_are_made_listed_and_revoked_whether_the_daemon_runs_or_not(t):
    desk, lap = two(t)
    first = generate(lap, "--name", "one", "--allow", "fs:ro,kv", "--peers", "desk,.")
    one = listed(lap)["one"]
    assert one["permissions"] == ["fs:ro", "kv"] and sorted(one["peers"]) == [".", "desk"], one
    assert one["created"] and one["used"] is None, one
    using(lap, first, "status", check=True)
    assert listed(lap)["one"]["used"]
    table = lap.ctl("key", "list", check=True).stdout
    assert "fs:ro,kv" in table and first not in table, table
    before = listed(lap)
    lap.stop()
    assert listed(lap) == before, (listed(lap), before)
    second = generate(lap, "--name", "two", "--allow", "msg")
    renewed = generate(lap, "--name", "one")
    assert listed(lap)["one"]["peers"] == one["peers"], "as of the older one"
    assert listed(lap)["two"]["peers"] is None
    for words, text in ((["generate", "--name", "x", "--peers", "nobody"], "no peer is called 'nobody'"),
                        (["generate", "--name", "x", "--allow", "all"], "unknown permission"),
                        (["generate", "--name", ".x"], "no name for a key"),
                        (["revoke", "none"], "no key is called 'none'")):
        done = lap.ctl("key", *words)
        assert done.returncode == 1 and text in done.stderr, (words, done)
    lap.start()
    lap.wait_online("desk")
    denied(lap, first, "status", why="does not hold here")
    using(lap, renewed, "kv", "list", "--peer", "desk", check=True)
    lap.ctl("key", "revoke", "two", check=True)
    for words, text in ((["generate", "--name", "x", "--peers", "nobody"], "no peer is called 'nobody'"),
                        (["generate", "--name", "x", "--allow", "all"], "unknown permission"),
                        (["generate", "--name", ".x"], "no name for a key"),
                        (["revoke", "two"], "no key is called 'two'")):
        done = lap.ctl("key", *words)
        assert done.returncode == 1 and text in done.stderr, (words, done)
    assert lap.ctl("key", "generate", "--allow", "kv").returncode == 2
    denied(lap, second, "status", why="does not hold here")
    lap.stop()
    lap.ctl("key", "revoke", "one", check=True)
    assert listed(lap) == {}
    for key in (first, second, renewed):
        done = lap.run("grep", "-rqF", key, lap.loopsy_home + "/state")
        assert done.returncode == 1, "a key itself is kept nowhere"


@test(timeout=300)
def a_key_follows_a_peer_that_gets_another_name(t):
    desk, lap, pad = three(t)
    pair(lap, pad)
    key = generate(lap, "--name", "reader", "--allow", "kv", "--peers", "desk")
    lap.ctl("peers", "rename", "desk", "tower", check=True)
    lap.ctl("peers", "rename", "pad", "desk", check=True)
    assert listed(lap)["reader"]["peers"] == ["tower"]
    using(lap, key, "kv", "list", "--peer", "tower", check=True)
    denied(lap, key, "kv", "list", "--peer", "desk", why="is not for desk")


@test(timeout=300)
def an_agent_that_is_registered_has_a_key_of_its_own(t):
    desk, lap = two(t)
    file = lap.loopsy_home + "/config/agents/claude.key"

    def install():
        done = lap.ctl("mcp", "install", "claude")
        assert done.returncode == 0, done
        key = lap.sh('cat "$1"', file).stdout.strip()
        assert KEY.fullmatch(key), key
        return key

    first = install()
    assert set(listed(lap)) == {"mcp-claude"}
    using(lap, first, "status", check=True)
    assert install() == first, "it has one"
    lap.ctl("key", "revoke", "mcp-claude", check=True)
    second = install()
    assert second != first and set(listed(lap)) == {"mcp-claude"}
    using(lap, second, "status", check=True)
    lap.ctl("mcp", "remove", "claude", check=True)
    assert listed(lap) == {}
    denied(lap, second, "status", why="does not hold here")


main()
