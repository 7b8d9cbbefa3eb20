#!/usr/bin/python3
"""The API key of loopsyctl mcp: which one it presents, and what happens when that is void."""
from harness import *
from lib.mcp import MODERN, NEWEST_LEGACY, Failed, Mcp, text_of
from lib.peers import two


def generate(host, *options):
    return host.ctl("key", "generate", *options, check=True).stdout.strip()


def with_key(host, key, version=NEWEST_LEGACY):
    return Mcp(host, version, env={"LOOPSY_API_KEY": key})


def start_sleeper(server, desk):
    """A command that runs: the request's id, and the process's there."""
    id = server.start_call("loopsy_execute", {"peer": "desk", "command": "echo $$ >new; mv new pid; exec sleep 1000"})
    pid = int(wait_until(lambda: desk.sh("cat pid 2>/dev/null || true").stdout.strip(), what="it runs"))
    desk.sh("rm pid")
    return id, pid


def is_cut_off(server, id):
    """The call ends with an error that says why, and so does all that is asked after."""
    result = server.answer(id)
    assert result["isError"] and "key" in text_of(result) and "mcp install" in text_of(result), result
    for tool, arguments in (("loopsy_list_peers", {}), ("loopsy_execute", {"peer": "desk", "command": "true"}),
                            ("loopsy_context_list", {})):
        text = server.call_fails(tool, **arguments)
        assert "key" in text and "mcp install" in text, (tool, text)
    try:
        raise AssertionError(server.ask("resources/read", {"uri": "loopsy://peers"}))
    except Failed as error:
        assert "key" in error.message, error
    server.is_well() # it still says what it could do


def is_taken_over(server, desk, pid):
    """What the other one started is a job like others."""
    (job,) = [job for job in server.call("loopsy_job_list", peer="desk")["jobs"] if job["state"] == "running"]
    server.call("loopsy_job_kill", peer="desk", job=job["job"])
    wait_until(lambda: not desk.is_alive(pid), what="the command's end")


@test(timeout=300)
def a_revoked_key_is_cut_off_and_not_replaced(t):
    desk, lap = two(t)
    for version in (NEWEST_LEGACY, MODERN):
        key = generate(lap, "--name", "agent")
        server = with_key(lap, key, version)
        id, pid = start_sleeper(server, desk)
        lap.ctl("key", "revoke", "agent", check=True)
        is_cut_off(server, id)
        new = generate(lap, "--name", "agent") # nor by one of the same name
        assert "key" in server.call_fails("loopsy_list_peers")
        server.finish()
        server = with_key(lap, new, version)
        is_taken_over(server, desk, pid)
        server.finish()


@test(timeout=300)
def a_replaced_default_key_is_cut_off_and_not_read_again(t):
    desk, lap = two(t)
    server = Mcp(lap)
    id, pid = start_sleeper(server, desk)
    generate(lap)
    is_cut_off(server, id)
    server.finish()
    server = Mcp(lap)
    is_taken_over(server, desk, pid)
    server.finish()


@test(timeout=300)
def a_limited_key_limits_the_tools(t):
    desk, lap = two(t)
    desk.sh("echo text >file")
    server = with_key(lap, generate(lap, "--name", "agent", "--allow", "fs:ro,kv", "--peers", "desk"))
    assert [peer["name"] for peer in server.call("loopsy_list_peers")["peers"]] == ["desk"]
    server.call("loopsy_context_set", peer="desk", key="color", value="blue")
    assert desk.ctl("kv", "get", "color", check=True).stdout == "blue"
    for tool, arguments in (("loopsy_execute", {"command": "touch made"}), ("loopsy_send_message", {"body": "x"}),
                            ("loopsy_session_start", {"session": "s"}), ("loopsy_job_list", {})):
        text = server.call_fails(tool, peer="desk", **arguments)
        assert "key" in text, (tool, text)
    assert "key" in server.call_fails("loopsy_context_set", key="color", value="blue"), "this machine is not named"
    assert desk.run("test", "-e", "made").returncode == 1
    server.finish()


@test(timeout=120)
def the_key_is_the_one_of_the_file_that_is_named(t):
    desk, lap = two(t)
    lap.sh('loopsyctl key generate --name agent >key; echo nonsense >wrong')
    server = Mcp(lap, words=("loopsyctl", "mcp", "--key-file", "key"))
    assert server.call("loopsy_list_peers")["peers"]
    lap.ctl("key", "revoke", "agent", check=True)
    wait_until(lambda: server.answer(server.start_call("loopsy_list_peers", {})).get("isError"), what="an error")
    server.finish()
    server = Mcp(lap, words=("loopsyctl", "mcp", "--key-file", "wrong"))
    assert "key" in server.call_fails("loopsy_list_peers")
    server.finish()
    server = with_key(lap, "nonsense")
    assert "key" in server.call_fails("loopsy_list_peers")
    server.finish()


main()
