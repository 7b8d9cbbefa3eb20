#!/usr/bin/python3
"""loopsyctl mcp: terminals on a peer, and what tools say of jobs."""
import time
from datetime import datetime

from harness import *
from lib.mcp import MODERN, NEWEST_LEGACY, Mcp
from lib.peers import two


def shows(server, session, text, **arguments):
    """The screen, once `text` is on it."""
    return wait_until(lambda: (found := server.call("loopsy_session_screen", peer="desk", session=session, **arguments))
                      and text in found["screen"] and found, what=f"{text!r} on the screen of {session}")


def send(server, session, text="", *keys):
    return server.call("loopsy_session_send", peer="desk", session=session, text=text, keys=list(keys))


@test(timeout=240)
def a_session_is_typed_into_and_its_screen_read(t):
    desk, lap = two(t)
    for version in (NEWEST_LEGACY, MODERN):
        server = Mcp(lap, version)
        started = server.call("loopsy_session_start", peer="desk", session="work", command="sh", env={"PS1": "> "},
                              rows=10, cols=40)
        assert started["session"] == "work" and started["state"] == "running", started
        send(server, "work", "stty size; echo $((6 * 7))\n")
        assert "10 40" in shows(server, "work", "\n42\n")["screen"]
        # A program that reads keys: a newline is enter, and what is typed later comes later.
        send(server, "work", "cat >typed", "enter")
        send(server, "work", "ünï\nlast line\n", "ctrl-d")
        wait_until(lambda: desk.sh("cat typed 2>/dev/null || true").stdout == "ünï\nlast line\n", what="what was typed")
        send(server, "work", "sleep 1000\n")
        send(server, "work", "", "ctrl-c")
        send(server, "work", "echo st'ill there'; rm typed\n")
        shows(server, "work", "\nstill there\n")
        send(server, "work", "seq 1 30\n")
        screen = shows(server, "work", "\n30\n")["screen"]
        assert "\n12\n" not in screen and "\n12\n" in shows(server, "work", "\n30\n", scrollback=50)["screen"]
        assert [entry["session"] for entry in server.call("loopsy_session_list", peer="desk")["sessions"]] == ["work"]
        assert "loopsy_session_stop" in server.call_fails("loopsy_session_remove", peer="desk", session="work")
        assert "work" in server.call_fails("loopsy_session_start", peer="desk", session="work", command="sh")
        assert server.call("loopsy_session_stop", peer="desk", session="work")["state"] != "running"
        assert "30" in server.call("loopsy_session_screen", peer="desk", session="work")["screen"]
        assert "ended" in server.call_fails("loopsy_session_send", peer="desk", session="work", text="x")
        assert server.call("loopsy_session_remove", peer="desk", session="work") == {"removed": "work"}
        for tool in ("screen", "send", "stop", "remove"):
            text = server.call_fails(f"loopsy_session_{tool}", peer="desk", session="work")
            assert "loopsy_session_list" in text, text
        server.finish()


@test(timeout=240)
def cursor_keys_are_those_that_the_program_asked_for(t):
    desk, lap = two(t)
    server = Mcp(lap)
    # Raw, so that the bytes are seen as they came: before the mode is set, and after.
    program = r"stty raw -echo; printf 'one\r\n'; dd bs=3 count=1 2>/dev/null | od -An -c; printf '\033[?1htwo\r\n'; " \
              r"dd bs=3 count=1 2>/dev/null | od -An -c"
    server.call("loopsy_session_start", peer="desk", session="keys", command=program)
    shows(server, "keys", "one")
    send(server, "keys", "", "up")
    shows(server, "keys", "two")
    send(server, "keys", "", "up")
    lines = shows(server, "keys", "O   A")["screen"].split("\n")
    assert any("[   A" in line for line in lines), lines
    server.call("loopsy_session_start", peer="desk", session="other", command="cat", wait_s=0)
    assert "no key 'hyper'" in server.call_fails("loopsy_session_send", peer="desk", session="other", keys=["hyper"])
    server.call("loopsy_session_stop", peer="desk", session="other")
    server.finish()


@test(timeout=240)
def a_session_outlives_the_agent(t):
    desk, lap = two(t)
    server = Mcp(lap)
    server.call("loopsy_session_start", peer="desk", session="kept", command="sh", env={"PS1": "> "})
    send(server, "kept", "A=41\n")
    server.finish()
    server = Mcp(lap)
    send(server, "kept", "echo $((A + 1))\n")
    shows(server, "kept", "\n42\n")
    assert server.call("loopsy_session_stop", peer="desk", session="kept")["session"] == "kept"
    server.finish()


@test(timeout=240)
def sessions_and_jobs_are_told_apart(t):
    desk, lap = two(t)
    server = Mcp(lap)
    job = server.call("loopsy_execute", peer="desk", command="sleep 1000", wait_s=0)["job"]
    server.call("loopsy_session_start", peer="desk", session="shell", command="sh", wait_s=0)
    assert [entry["session"] for entry in server.call("loopsy_session_list", peer="desk")["sessions"]] == ["shell"]
    jobs = {entry["job"]: entry for entry in server.call("loopsy_job_list", peer="desk")["jobs"]}
    assert jobs[job]["terminal"] is False and jobs["shell"]["terminal"] is True, jobs
    for tool in ("screen", "send", "stop", "remove"):
        text = server.call_fails(f"loopsy_session_{tool}", peer="desk", session=job)
        assert "loopsy_job_output" in text, text
    assert server.call("loopsy_job_kill", peer="desk", job=job)["state"] == "killed"
    assert server.call("loopsy_job_kill", peer="desk", job="shell", signal="KILL")["state"] == "killed"
    assert "loopsy_job_list" in server.call_fails("loopsy_job_wait", peer="desk", job="nonsense")
    server.finish()


@test(timeout=240)
def output_is_read_from_any_offset(t):
    desk, lap = two(t)
    server = Mcp(lap)
    command = r"printf 0123456789; until [ -e go ]; do sleep 0.05; done; printf 'äöü\n'; exit 7"
    job = server.call("loopsy_execute", peer="desk", command=command, wait_s=0)["job"]
    wait_until(lambda: server.call("loopsy_job_output", peer="desk", job=job)["output_bytes"] > 0 and True, what="output")
    assert server.call("loopsy_job_wait", peer="desk", job=job, wait_s=0)["state"] == "running"
    desk.sh("touch go")
    waited = server.call("loopsy_job_wait", peer="desk", job=job)
    assert (waited["exit_code"], waited["output"], waited["output_bytes"]) == (7, "0123456789äöü\n", 17), waited

    def read(**arguments):
        found = server.call("loopsy_job_output", peer="desk", job=job, **arguments)
        return found["offset"], found["output"], found["next_offset"], found["eof"]

    assert read() == (0, "0123456789äöü\n", 17, True)
    assert read(offset=8) == (8, "89äöü\n", 17, True)
    assert read(offset=-7) == (10, "äöü\n", 17, True)
    assert read(offset=-1000) == (0, "0123456789äöü\n", 17, True)
    assert read(offset=1000) == (17, "", 17, True)
    assert server.call("loopsy_job_wait", peer="desk", job=job, offset=10)["output"] == "äöü\n"
    # In pieces, the characters stay whole.
    big = server.call("loopsy_execute", peer="desk", command="yes äöüx | head -n 3000")
    assert big["truncated"] and big["output_bytes"] == 24000, big
    job, at, pieces = big["job"], 0, []
    while True:
        piece = server.call("loopsy_job_output", peer="desk", job=job, offset=at, max_bytes=1000)
        pieces.append(piece["output"])
        at = piece["next_offset"]
        if piece["eof"]:
            break
    assert "".join(pieces) == "äöüx\n" * 3000
    assert lap.sh('cat "$1"', big["log_path"]).stdout == "äöüx\n" * 3000
    server.finish()


@test(timeout=240)
def a_peer_is_away_since_it_went(t):
    desk, lap = two(t)
    server = Mcp(lap)

    def desk_now():
        return server.call("loopsy_list_peers")["peers"][0]

    assert desk_now()["state"] == "online" and "last_seen" not in desk_now(), desk_now()
    linked = time.time()
    wait_until(lambda: time.time() >= linked + 2, what="another second than that of the link")
    desk.stop()
    gone = wait_until(lambda: (peer := desk_now())["state"] != "online" and peer, what="that desk has gone")
    seen = datetime.fromisoformat(gone["last_seen"].replace("Z", "+00:00")).timestamp()
    assert linked + 1 <= seen <= time.time(), (linked, gone)
    lap.stop()
    lap.start("--port", "0")
    assert desk_now()["last_seen"] == gone["last_seen"], (gone, desk_now())
    server.finish()


main()
