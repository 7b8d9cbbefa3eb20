#!/usr/bin/python3
"""loopsyctl watch: changes on the peer, as they come."""
from harness import *
from lib.peers import two


@test(each_user=True)
def changes_are_told_by_the_paths_that_were_given(t):
    desk, lap = two(t)
    desk.sh("mkdir -p d/sub; touch d/file other")
    path = lap.peer_path("desk", "d")
    program = lap.spawn(f"{lap.build}/ctl/loopsyctl", "watch", "--json", path, lap.peer_path("desk", "other"))
    seen = until_set(program, desk)
    desk.sh("echo x >d/sub/new; mv d/file d/moved; rm d/moved; echo y >>other; mkdir d/later")
    wanted = [("created", f"{path}/sub/new"), ("changed", f"{path}/sub/new"), ("moved-from", f"{path}/file"),
              ("moved-to", f"{path}/moved"), ("removed", f"{path}/moved"),
              ("changed", lap.peer_path("desk", "other")), ("created", f"{path}/later")]
    for kind, name in wanted:
        take(program, seen, kind, name)
    desk.sh("touch d/later/within")
    take(program, seen, "created", f"{path}/later/within")
    assert all(event["peer"] == "desk" for event in seen)
    program.signal(2)
    assert program.wait() == 130


def take(program, seen, kind, path):
    while not any(event["kind"] == kind and event["path"] == path for event in seen):
        seen.append(program.read_json())


def until_set(program, desk):
    """The reply is not told with --json: what is touched is told once the watches are there."""
    seen = []
    while not seen:
        desk.sh("touch d/probe; rm d/probe")
        if program.has_line():
            seen.append(program.read_json())
    return seen


@test
def a_command_runs_after_changes_and_not_beside_itself(t):
    desk, lap = two(t)
    desk.sh("mkdir d")
    program = lap.spawn(f"{lap.build}/ctl/loopsyctl", "watch", lap.peer_path("desk", "d"), "--", "sh", "-c",
                        'echo "$LOOPSY_PATH"')
    path = lap.peer_path("desk", "d")
    while not program.has_line():
        desk.sh("touch d/a; rm d/a")
    assert program.read_line().startswith(path)
    program.signal(15)
    assert program.wait() == 143


@test
def what_cannot_be_watched_is_one_clear_line(t):
    desk, lap = two(t)
    for path, words in ((lap.peer_path("desk", "none"), "no such"), ("/etc", "not in the mount"), (lap.peer_path("none"), "no peer")):
        result = lap.ctl("watch", path, check=False)
        assert result.returncode == 1 and words in result.stderr.lower(), result
        assert len(result.stderr.splitlines()) == 1, result.stderr


@test
def a_link_that_was_lost_is_taken_up_again_and_what_was_missed_is_said(t):
    desk, lap = two(t)
    desk.sh("mkdir d")
    program = lap.spawn(f"{lap.build}/ctl/loopsyctl", "watch", "--json", lap.peer_path("desk", "d"))
    seen = until_set(program, desk)
    port = desk.port()
    desk.stop()
    desk.start("--port", str(port))
    take(program, seen, "missed", lap.peer_path("desk", "d"))
    desk.sh("touch d/after")
    take(program, seen, "created", lap.peer_path("desk", "d", "after"))
    program.signal(2)
    assert program.wait() == 130


if __name__ == "__main__":
    main()
