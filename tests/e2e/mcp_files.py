#!/usr/bin/python3
"""The tools for files of `loopsyctl mcp`: copies, lists, searches; and peers that go meanwhile."""
import hashlib
import os

from harness import *
from lib.mcp import MODERN, Mcp, text_of
from lib.peers import two


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def mode_and_time(host, path):
    return host.sh('stat -c "%a %Y" "$1"', path).stdout.split()


@test(timeout=300, each_user=True)
def files_go_to_a_peer_and_come_from_it(t):
    desk, lap = two(t)
    server = Mcp(lap, version=MODERN)
    data = os.urandom(3_000_001)
    for name in ("plain", "with blank and ü", "-dash"):
        lap.run("sh", "-c", 'cat >"$1"; chmod 750 -- "$1"; touch -d @1000000000 -- "$1"', "sh", f"./{name}", input=data,
                text=False, check=True)
        there = server.call("loopsy_transfer_file", peer="desk", direction="push", source_path=f"{lap.home}/{name}",
                            dest_path=name)
        assert there == {"path": lap.peer_path("desk", name), "bytes": len(data), "source_sha256": sha256(data),
                         "dest_sha256": sha256(data)}, there
        assert desk.run("cat", "--", name, text=False).stdout == data
        assert mode_and_time(desk, f"{desk.home}/{name}") == ["750", "1000000000"]
        back = server.call("loopsy_transfer_file", peer="desk", direction="pull",
                           source_path=lap.peer_path("desk", name), dest_path=f"{lap.home}/back")
        assert back["bytes"] == len(data) and back["path"] == f"{lap.home}/back", back
        assert lap.run("cat", "back", text=False).stdout == data
    # What is replaced keeps its mode; an empty file is one, too.
    desk.sh("chmod 600 plain")
    lap.sh(": >empty")
    wait_until(lambda: mode_and_time(lap, lap.peer_path("desk", "plain"))[0] == "600", what="the mode is seen here")
    server.call("loopsy_transfer_file", peer="desk", direction="push", source_path=f"{lap.home}/empty", dest_path="plain")
    assert desk.sh("stat -c '%a %s' plain").stdout == "600 0\n"
    left = desk.sh("ls -A | LC_ALL=C sort").stdout
    assert left == "-dash\nplain\nwith blank and ü\n", left
    server.finish()


@test(timeout=300)
def what_cannot_be_copied_is_said_and_nothing_is_changed(t):
    desk, lap = two(t)
    desk.sh("mkdir d; echo old >file; mkfifo pipe; ln -s file link")
    lap.sh("mkdir d; echo new >file")
    server = Mcp(lap)

    def fails(direction, source, dest, words, peer="desk"):
        text = server.call_fails("loopsy_transfer_file", peer=peer, direction=direction, source_path=source, dest_path=dest)
        assert words in text, text
    here = lap.home
    fails("push", f"{here}/d", "x", "is a directory")
    fails("push", f"{here}/file", "d", "name the file in it")
    fails("push", f"{here}/nothing", "x", "No such file")
    fails("push", f"{here}/file", "no/such/x", "no such directory")
    fails("push", f"{here}/file", "../x", "'..'")
    fails("push", f"{here}/file", "d/../../x", "'..'")
    fails("push", f"{here}/file", "/etc/x", "is not below")
    fails("push", f"{here}/file", ".loopsy/kv/x", "control files")
    fails("push", f"{here}/file", lap.peer_path("lap", "x"), "is on lap, not on desk")
    fails("pull", "pipe", f"{here}/x", "no regular file")
    fails("pull", "d", f"{here}/x", "is a directory")
    fails("pull", "file", f"{here}/d", "name the file in it")
    fails("pull", "file", f"{here}/x", "no peer is called", peer="nobody")
    assert desk.sh("ls -A | sort; cat file").stdout == "d\nfile\nlink\npipe\nold\n"
    assert lap.sh("ls -A | sort; cat file").stdout == "d\nfile\nnew\n"
    # A link stays one: what it leads to is replaced.
    server.call("loopsy_transfer_file", peer="desk", direction="push", source_path=f"{here}/file", dest_path="link")
    assert desk.sh("readlink link; cat file").stdout == "file\nnew\n"
    server.finish()


@test(timeout=300)
def a_large_copy_tells_how_far_it_is_and_is_cancelled_at_once(t):
    desk, lap = two(t)
    lap.sh("truncate -s 64G large; echo old >small")
    desk.sh("echo old >large")
    server = Mcp(lap)
    id = server.start_call("loopsy_transfer_file", {"peer": "desk", "direction": "push", "dest_path": "large",
                                                    "source_path": f"{lap.home}/large"}, meta={"progressToken": "p"})
    told = server.notification(lambda m: m["method"] == "notifications/progress" and m["params"]["progress"] > 0)
    assert abs(told["params"]["total"] - (2 << 36)) < 1000 and "bytes copied" in told["params"]["message"], told
    server.cancel(id)
    wait_until(lambda: desk.sh("ls -A").stdout == "large\n", 60, "what was copied is taken away")
    assert desk.sh("cat large").stdout == "old\n"
    server.is_well()
    server.finish()


@test(timeout=300)
def directories_are_listed_in_pages(t):
    desk, lap = two(t)
    desk.sh('mkdir -p many d; for i in $(seq -w 1 250); do echo $i >many/f$i; done; ln -s many/f001 d/link; '
            'touch -d @1000000000 d/file; mkdir d/sub; : >"d/$(printf "bad\\377name")"')
    server = Mcp(lap, version=MODERN)
    names, offset = [], 0
    while offset is not None:
        page = server.call("loopsy_list_remote_files", peer="desk", path="many", offset=offset)
        assert page["total"] == 250 and page["path"] == lap.peer_path("desk", "many"), page
        names += [entry["name"] for entry in page["entries"]]
        offset = page.get("next_offset")
    assert names == [f"f{i:03}" for i in range(1, 251)], names
    listed = server.call("loopsy_list_remote_files", peer="desk", path=lap.peer_path("desk", "d"))
    entries = {entry["name"]: entry for entry in listed["entries"]}
    assert {name: entry["type"] for name, entry in entries.items()} == \
        {"link": "link", "file": "file", "sub": "directory", "bad\ufffdname": "file"}, entries
    assert entries["file"]["size"] == 0 and entries["file"]["mtime"] == "2001-09-09T01:46:40Z", entries
    assert server.call("loopsy_list_remote_files", peer="desk")["total"] == 2
    result = server.answer(server.start_call("loopsy_list_remote_files", {"peer": "desk", "path": "d"}))
    assert text_of(result).startswith("[data from desk: 4 of 4 entries"), result
    for path, words in (("nothing", "No such file"), ("many/f001", "Not a directory"), ("..", "'..'"),
                        (".loopsy", "control files"), (lap.mount, "is not below")):
        text = server.call_fails("loopsy_list_remote_files", peer="desk", path=path)
        assert words in text, (path, text)
    server.finish()


@test(timeout=300)
def files_are_searched_where_they_are(t):
    desk, lap = two(t)
    desk.sh('mkdir -p src/deep ./-x; printf "one\\nint main(void)\\n" >src/a.c; printf "int MAIN;\\n" >src/deep/b.c; '
            'echo "main here" >./-x/note; printf "main\\0" >src/binary; for i in $(seq 300); do echo "many $i"; done >src/many; '
            'head -c 5000 /dev/zero | tr "\\0" x >src/wide; echo "wide" >>src/wide')
    server = Mcp(lap)

    def grep(**arguments):
        found = server.call("loopsy_grep", peer="desk", **arguments)
        prefix = lap.peer_path("desk") + "/"
        assert all(match["path"].startswith(prefix) for match in found["matches"]), found
        return [(match["path"][len(prefix):], match["line"], match["text"]) for match in found["matches"]], found
    assert sorted(grep(pattern="main")[0]) == [("-x/note", 1, "main here"), ("src/a.c", 2, "int main(void)")]
    assert sorted(grep(pattern="main", path="src", ignore_case=True, glob="*.c")[0]) == \
        [("src/a.c", 2, "int main(void)"), ("src/deep/b.c", 1, "int MAIN;")]
    assert grep(pattern="^int m.*\\)$")[0] == [("src/a.c", 2, "int main(void)")]
    assert grep(pattern="main(void)", fixed=True)[0] == [("src/a.c", 2, "int main(void)")]
    assert grep(pattern="main", path="-x")[0] == [("-x/note", 1, "main here")]
    assert grep(pattern="one", path=lap.peer_path("desk", "src", "a.c"))[0] == [("src/a.c", 1, "one")]
    assert grep(pattern="no such text")[0] == []
    found, whole = grep(pattern="many", max_matches=7)
    assert len(found) == 7 and whole["truncated"], whole
    found, whole = grep(pattern="^x")
    assert len(found) == 1, found
    assert found[0][2] == "x" * 300 and not whole["truncated"], whole
    for arguments, words in (({"pattern": "(", "path": "src"}, "nmatched"), ({"pattern": "x", "path": "none"}, "No such file"),
                             ({"pattern": "x", "path": "../y"}, "'..'")):
        text = server.call_fails("loopsy_grep", peer="desk", **arguments)
        assert words in text, text
    assert desk.ctl_json("jobs", "--here") == [], "a job is left"
    server.finish()


@test(timeout=300)
def a_peer_that_is_away_is_not_waited_for(t):
    desk, lap = t.lan("desk", "lap", avahi=False)
    for host in (desk, lap):
        host.init()
        host.start("--lan")
    pair(desk, lap)
    desk.sh("echo x >file")
    server = Mcp(lap)
    desk.stop()
    wait_until(lambda: lap.peer("desk")["state"] != "online", 120, "desk is away")
    for tool, arguments in (("loopsy_list_remote_files", {}), ("loopsy_grep", {"pattern": "x"}),
                            ("loopsy_transfer_file", {"direction": "pull", "source_path": "file",
                                                      "dest_path": f"{lap.home}/file"})):
        text = server.call_fails(tool, peer="desk", **arguments)
        assert "desk is offline" in text and "loopsy_list_peers" in text, text
    desk.start()
    lap.wait_online("desk")
    # It goes without a word while a copy is under way: the call is cancelled, and nothing waits.
    lap.sh("truncate -s 64G large")
    id = server.start_call("loopsy_transfer_file", {"peer": "desk", "direction": "push", "dest_path": "large",
                                                    "source_path": f"{lap.home}/large"}, meta={"progressToken": 1})
    server.notification(lambda m: m["method"] == "notifications/progress" and m["params"]["progress"] > 0)
    t.cut(desk)
    server.cancel(id)
    server.is_well()
    server.finish()
    t.mend(desk)


main()
