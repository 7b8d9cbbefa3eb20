#!/usr/bin/python3
"""Shared values: loopsyctl kv on this machine and on peers, kill -9, full disks, lost links.
LOOPSY_KV_ROUNDS is how often a daemon is killed (4 otherwise), LOOPSY_KV_WRITERS how many write
meanwhile (16)."""
import base64
import json
import os
import random

from harness import *
from lib.peers import BALLAST, small_ext4, small_tmpfs, two

ROUNDS = int(os.environ.get("LOOPSY_KV_ROUNDS", "4"))
WRITERS = int(os.environ.get("LOOPSY_KV_WRITERS", "16")) # half of them on each machine

INTEGRITY = '''import os, sqlite3
db = sqlite3.connect(os.environ["LOOPSY_HOME"] + "/state/loopsy.db")
print(db.execute("PRAGMA integrity_check").fetchone()[0])
counted = dict((w, (e, b)) for w, e, b in db.execute("SELECT * FROM kv_writer") if e)
real = dict((w, (e, b)) for w, e, b in
            db.execute("SELECT writer, count(*), sum(size + length(key)) FROM kv GROUP BY writer"))
assert counted == real, (counted, real)
assert db.execute("SELECT count(*) FROM kv WHERE size != length(value)").fetchone() == (0,)
'''


def kv(host, *words, **options):
    return host.ctl("kv", *words, **options)


def got(host, key, *words):
    return kv(host, "get", *words, key, check=True).stdout


@test()
def values_are_set_got_listed_renamed_and_deleted(t):
    desk, lap = two(t)
    for host, words in ((desk, []), (lap, ["--peer", "desk"])):
        assert kv(host, "get", *words, "nothing").returncode == 1
        for key, value in (("a", "one"), ("a/b c", "ä\nb\n"), ("empty", "")):
            done = kv(host, "set", *words, key, value, check=True)
            assert (done.stdout, done.stderr) == ("", ""), done
            assert got(host, key, *words) == value
        binary = bytes(range(256)) * 4000
        kv(host, "set", *words, "binary", "-", input=binary, text=False, check=True)
        assert kv(host, "get", *words, "binary", text=False).stdout == binary
        host.sh("printf content >file")
        kv(host, "set", *words, "file", "--file", "file", check=True)
        assert got(host, "file", *words) == "content"
        entry = host.ctl_json("kv", "get", *words, "binary")
        assert base64.b64decode(entry["value_base64"]) == binary and "value" not in entry
        entry = host.ctl_json("kv", "get", *words, "a")
        assert entry.pop("value") == "one" and entry["from"] == host.name and entry["ttl_s"] is None
        assert set(entry) == {"key", "size", "version", "from", "created", "changed", "ttl_s"}
        entries = host.ctl_json("kv", "list", *words)
        assert [e["key"] for e in entries] == ["a", "a/b c", "binary", "empty", "file"], entries
        assert entries[0] == entry
        assert [e["key"] for e in host.ctl_json("kv", "list", *words, "a/")] == ["a/b c"]
        kv(host, "mv", *words, "a", "moved", check=True)
        assert got(host, "moved", *words) == "one" and kv(host, "get", *words, "a").returncode == 1
        assert kv(host, "mv", *words, "--if-absent", "moved", "file").returncode == 1
        kv(host, "del", *words, "moved", check=True)
        assert kv(host, "del", *words, "moved").returncode == 1
    # The stores are the machines' own; the earlier program's names.
    assert kv(lap, "get", "file").returncode == 1
    lap.ctl("context", "set", "x", "y", check=True)
    assert lap.ctl("context", "get", "x").stdout == "y"
    assert [e["key"] for e in lap.ctl_json("context", "list")] == ["x"]
    lap.ctl("context", "delete", "x", check=True)
    assert lap.ctl_json("context", "list") == []


@test()
def what_is_wrong_is_one_clear_line_and_changes_nothing(t):
    desk, lap = two(t)
    kv(desk, "set", "a", "old", check=True)
    version = desk.ctl_json("kv", "get", "a")["version"]
    for words, status in ((["set", "a", "x", "--if-absent"], 1), (["set", "a", "x", "--if-version", "99"], 1),
                          (["set", "", "x"], 1), (["set", "a\nb", "x"], 1), (["set", "k" * 513, "x"], 1),
                          (["set", "a"], 2), (["set", "a", "x", "--file", "y"], 2),
                          (["set", "a", "--file", "nowhere"], 1), (["set", "a", "x", "--ttl", "0"], 2),
                          (["del", "a", "--if-version", "99"], 1), (["get", "a", "--peer", "nobody"], 1),
                          (["set", "a", "x", "--all", "--peer", "lap"], 2)):
        done = kv(desk, *words)
        assert done.returncode == status and done.stdout == "", (words, done)
        assert done.stderr.startswith("loopsyctl: ") and done.stderr.count("\n") == status, (words, done)
    done = desk.sh("head -c 16777217 /dev/zero | loopsyctl kv set a -", check=False)
    assert done.returncode == 1 and "16 MiB" in done.stderr, done
    entry = desk.ctl_json("kv", "get", "a")
    assert (entry["value"], entry["version"]) == ("old", version)
    # Who is not let in.
    desk.ctl("peers", "allow", "lap", "fs:rw", check=True)
    done = kv(lap, "get", "--peer", "desk", "a")
    assert done.returncode == 1 and "does not share its values" in done.stderr, done


@test()
def all_machines_are_told_of_each(t):
    desk, lap = two(t)
    done = kv(lap, "set", "--all", "a", "1")
    assert (done.returncode, done.stdout) == (0, "lap: ok\ndesk: ok\n"), done
    assert got(desk, "a") == got(lap, "a") == "1"
    both = lap.ctl_json("kv", "list", "--all")
    assert [(e["peer"], e["key"], e["from"]) for e in both] == [("lap", "a", "lap"), ("desk", "a", "lap")]
    desk.ctl("peers", "allow", "lap", "fs:rw", check=True)
    done = kv(lap, "set", "--all", "a", "2", "--json")
    here, there = json.loads(done.stdout)
    assert done.returncode == 1 and here["ok"] and not there["ok"] and there["peer"] == "desk", done
    assert got(lap, "a") == "2" and got(desk, "a") == "1"
    assert kv(lap, "del", "--all", "a").returncode == 1 and kv(lap, "get", "a").returncode == 1


@test()
def values_of_all_machines_are_got(t):
    desk, lap = two(t)
    kv(lap, "set", "a", "here\n", check=True)
    kv(desk, "set", "a", "there\nand\x1b[0m", check=True)
    done = kv(lap, "get", "--all", "a", check=True)
    assert done.stdout.startswith("lap: here\ndesk: there\ndesk: and") and "\x1b" not in done.stdout, done
    assert done.stdout.count("\n") == 3, done
    both = lap.ctl_json("kv", "get", "--all", "a")
    assert [(e["peer"], e["ok"], e["entry"]["value"]) for e in both] == \
        [("lap", True, "here\n"), ("desk", True, "there\nand\x1b[0m")], both
    kv(lap, "set", "only", "x", check=True)
    done = kv(lap, "get", "--all", "only")
    assert (done.returncode, done.stdout) == (1, "lap: x\n"), done
    assert done.stderr.startswith("loopsyctl: desk: ") and done.stderr.count("\n") == 1, done
    here, there = json.loads(kv(lap, "get", "--all", "only", "--json").stdout)
    assert here["ok"] and not there["ok"] and there["error"], (here, there)
    kv(lap, "set", "empty", "", check=True)
    assert kv(lap, "get", "--all", "empty").stdout == "lap: \n"
    assert kv(lap, "get", "--all", "--peer", "desk", "a").returncode == 2


@test(timeout=600)
def changes_on_all_machines_are_told(t):
    desk, lap = two(t)
    port = str(desk.port())
    watch = lap.spawn("loopsyctl", "kv", "watch", "--all", "--json", "a/")

    def until_told(host, key):
        """Sets it until it is told: the watch has begun on that machine. The version."""
        wait_until(lambda: kv(host, "set", key, "x", check=True) and watch.has_line(), 120, "it watches")
        last = host.ctl_json("kv", "get", key)["version"]
        while (told := watch.read_json(60))["version"] < last:
            assert (told["peer"], told["key"], told["kind"]) == (host.name, key, "set"), told
        assert told["version"] == last, told
    until_told(lap, "a/here")
    until_told(desk, "a/there")
    kv(lap, "set", "--peer", "desk", "b", "x", check=True)
    kv(lap, "set", "--all", "a/both", "x", check=True)
    told = [watch.read_json(60) for _ in range(2)]
    assert {(c["peer"], c["key"], c["from"]) for c in told} == {("lap", "a/both", "lap"), ("desk", "a/both", "lap")}
    # One machine is away, and comes back.
    desk.stop()
    kv(lap, "set", "a/alone", "x", check=True)
    assert watch.read_json(60)["key"] == "a/alone"
    desk.start("--port", port)
    kv(desk, "set", "a/back", "x", check=True)
    kv(desk, "del", "a/back", check=True)
    told = [watch.read_json(120) for _ in range(2)]
    assert [(c["peer"], c["key"], c["kind"]) for c in told] == [("desk", "a/back", "set"), ("desk", "a/back", "deleted")]
    watch.kill()
    assert kv(lap, "watch", "--all", "--since", "1").returncode == 2
    assert kv(lap, "watch", "--all", "--peer", "desk").returncode == 2
    # Who does not share is said; the others are watched.
    desk.ctl("peers", "allow", "lap", "fs:rw", check=True)
    watch = lap.spawn("loopsyctl", "kv", "watch", "--all", "a/")
    wait_until(lambda: "desk: " in watch.error_text() and "watching lap" in watch.error_text(), 60, "both are said")
    version = lap.ctl_json("kv", "set", "a/here", "y")["version"]
    assert watch.read_line(60) == f"lap: set {version} a/here"


@test(timeout=600)
def a_watch_goes_on_over_restarts_of_the_other_daemon(t):
    desk, lap = two(t)
    port = str(desk.port())
    since = desk.ctl_json("kv", "set", "begin", "x")["version"]
    kv(desk, "set", "a", "1", check=True)
    watch = lap.spawn("loopsyctl", "kv", "watch", "--peer", "desk", "--since", str(since), "--json")
    assert watch.read_json(60)["key"] == "a"
    for how in (desk.stop, desk.kill9):
        how()
        desk.start("--port", port)
        # What is changed before the watch is back, too.
        for words in (["set", "b", "2"], ["set", "b", "3"], ["mv", "b", "c"], ["del", "c"]):
            kv(desk, *words, check=True)
        told = [watch.read_json(120) for _ in range(5)]
        assert [(c["kind"], c["key"]) for c in told] == \
            [("set", "b"), ("set", "b"), ("deleted", "b"), ("set", "c"), ("deleted", "c")], told
        assert [c["version"] for c in told] == list(range(told[0]["version"], told[0]["version"] + 5)), told


@test()
def what_is_over_is_absent_also_after_a_restart(t):
    desk, lap = two(t)
    kv(desk, "set", "short", "x", "--ttl", "1", check=True)
    kv(desk, "set", "long", "x", "--ttl", "1000", check=True)
    assert 990 <= desk.ctl_json("kv", "get", "long")["ttl_s"] <= 1000
    desk.stop()
    desk.start()
    wait_until(lambda: kv(desk, "get", "short").returncode == 1, 60, "it is over")
    assert [e["key"] for e in desk.ctl_json("kv", "list")] == ["long"]
    kv(desk, "set", "long", "y", "--keep-ttl", check=True)
    assert desk.ctl_json("kv", "get", "long")["ttl_s"] is not None
    kv(desk, "set", "long", "z", check=True)
    assert desk.ctl_json("kv", "get", "long")["ttl_s"] is None


@test(timeout=900)
def each_of_many_increments_of_one_counter_counts(t):
    """100 processes on two machines; a set is for a version, or it is done again."""
    desk, lap = two(t)
    n = 100 if t.sanitizer == "none" else 20
    kv(desk, "set", "counter", "0", check=True)
    increment = '''increment() {
  while :; do
    entry=$(loopsyctl kv get counter $1 --json) || exit 3
    value=$(sed 's/.*"value":"\\([0-9]*\\)".*/\\1/' <<<"$entry")
    version=$(sed 's/.*"version":\\([0-9]*\\).*/\\1/' <<<"$entry")
    loopsyctl kv set counter $((value + 1)) --if-version $version $1 2>>errors && return
  done
}
for i in $(seq $2); do increment "$1" & pids="$pids $!"; done
for pid in $pids; do wait $pid || exit 1; done'''
    running = [host.spawn("bash", "-c", increment, "bash", words, str(n // 2))
               for host, words in ((desk, ""), (lap, "--peer desk"))]
    for program in running:
        assert program.wait(800) == 0
    assert got(desk, "counter") == str(n)


@test(timeout=900 + 60 * ROUNDS)
def nothing_acknowledged_is_lost_when_a_daemon_is_killed(t):
    """Either, at any moment: that of the store, or that through which half of the writers ask."""
    desk, lap = two(t)
    ports = {host: str(host.port()) for host in (desk, lap)}
    writer = '''i=$(loopsyctl kv get $1 $2 2>/dev/null || echo 0)
until [ -e stop ]; do i=$((i + 1)); loopsyctl kv set $1 $i $2 2>/dev/null || break; echo $i >>acked.$1; done'''
    names = {host: [f"{host.name}{n}" for n in range(WRITERS // 2)] for host in (desk, lap)}
    last = sets = 0

    def acked(host):
        """{key: the last number that was acknowledged}"""
        lines = host.sh("for i in acked.*; do [ ! -e $i ] || echo ${i#acked.} $(tail -n 1 $i); done",
                        check=False).stdout.splitlines()
        return {key: int(n) for key, n in (line.split() for line in lines if line.count(" "))}

    def n_acked():
        return sum(sum(acked(host).values()) for host in (desk, lap))
    for _ in range(ROUNDS):
        for host in (desk, lap):
            host.sh("rm -f stop")
        before = n_acked()
        writers = [host.spawn("bash", "-c", writer, "bash", name, words)
                   for host, words in ((desk, ""), (lap, "--peer desk")) for name in names[host]]
        more = random.randrange(WRITERS, 12 * WRITERS)
        wait_until(lambda: n_acked() >= before + more, 300, "writers get on")
        killed = random.choice((desk, lap))
        killed.kill9()
        for host in (desk, lap):
            host.sh("touch stop")
        if killed == desk:
            assert desk.run("python3", "-c", INTEGRITY).stdout == "ok\n"
        killed.start("--port", ports[killed])
        for program in writers:
            program.wait(300)
        lap.wait_online("desk")
        entries = {key: int(value) for key, value in (line.split() for line in desk.sh(
            "for i in $*; do echo $i $(loopsyctl kv get $i 2>/dev/null || echo 0); done",
            *names[desk], *names[lap]).stdout.splitlines())}
        for host in (desk, lap):
            for key, known in acked(host).items():
                assert known <= entries[key] <= known + 1, (key, known, entries[key])
        version = desk.ctl_json("kv", "set", "version", "x")["version"]
        assert version > last + more
        last, sets = version, n_acked()
    desk.stop()
    assert desk.run("python3", "-c", INTEGRITY).stdout == "ok\n"
    note(f"{sets} sets by {WRITERS} writers, {ROUNDS} kills")


@test(timeout=900)
def a_watch_sees_each_change_once_and_in_order_over_a_cut_link(t):
    desk, lap = t.lan("desk", "lap", avahi=False)
    for host in (desk, lap):
        host.init()
        host.start("--lan")
    pair(desk, lap, target=desk.address)
    n = 10000 if t.sanitizer == "none" else 2000
    since = desk.ctl_json("kv", "set", "begin", "x")["version"]
    watch = lap.spawn("loopsyctl", "kv", "watch", "--peer", "desk", "--since", str(since), "w/", "--json")
    program = desk.spawn("bash", "-c", '''for w in 1 2 3 4 5 6 7 8; do
        (for i in $(seq $1); do loopsyctl kv set w/$w $i || exit 1; done) & pids="$pids $!"; done
        for pid in $pids; do wait $pid || exit 1; done''', "bash", str(n // 8))
    seen, versions = {}, [since]

    def take(count):
        for _ in range(count):
            change = json.loads(watch.read_line(300))
            assert change["kind"] == "set" and change["version"] > versions[-1], change
            versions.append(change["version"])
            seen[change["key"]] = seen.get(change["key"], 0) + 1
    take(n // 8)
    t.cut(lap)
    wait_until(lambda: lap.peer("desk")["state"] != "online", 60, "the link is lost")
    before = desk.ctl_json("kv", "set", "begin", "y")["version"]
    wait_until(lambda: desk.ctl_json("kv", "set", "begin", "y")["version"] > before + 10, 300, "changes meanwhile")
    t.mend(lap)
    take(n - n // 8)
    assert program.wait(300) == 0
    assert seen == {f"w/{w}": n // 8 for w in range(1, 9)}, seen
    # Nothing came twice: what comes next is the next change.
    kv(desk, "set", "w/last", "x", check=True)
    assert json.loads(watch.read_line(60))["key"] == "w/last"


def fill_disk(t, make_disk):
    desk, lap = t.loopback("desk", "lap")
    disk = desk.home + "/disk"
    why = make_disk(desk, disk)
    if why:
        skip(why)
    desk.loopsy_home, desk.mount = disk + "/l", disk + "/l/mnt"
    for host in (desk, lap):
        host.init()
        host.start("--port", "0")
    pair(desk, lap)
    kv(desk, "set", "before", "kept", check=True)
    desk.sh("head -c 100000 /dev/zero >value")
    for n in range(1000):
        done = kv(desk, "set", f"fill{n}", "--file", "value")
        if done.returncode:
            break
    assert done.returncode == 1 and "no room on this machine" in done.stderr, done
    done = kv(lap, "set", "--peer", "desk", "x", "y" * 100000)
    assert done.returncode == 1 and "no room on desk" in done.stderr, done
    assert got(desk, "before") == "kept"
    assert len(desk.ctl_json("kv", "list", "fill")) == n > 0
    desk.kill9()
    desk.sh('rm "$1"', f"{disk}/{BALLAST}")
    desk.start()
    assert desk.run("python3", "-c", INTEGRITY).stdout == "ok\n"
    assert len(desk.ctl_json("kv", "list", "fill")) == n
    kv(desk, "set", "x", "y" * 100000, check=True)


@test()
def a_full_disk_is_said_and_loses_nothing(t):
    fill_disk(t, small_tmpfs)


@test()
def a_full_file_system_is_said_and_loses_nothing(t):
    fill_disk(t, small_ext4)


@test()
def limits_are_per_machine_and_said(t):
    desk, lap = two(t, conf="kv_max_entries = 3\n")
    for n in range(3):
        kv(lap, "set", "--peer", "desk", f"k{n}", "x", check=True)
        kv(desk, "set", f"own{n}", "x", check=True)
    done = kv(lap, "set", "--peer", "desk", "k3", "x")
    assert done.returncode == 1 and "kv_max_entries" in done.stderr, done
    kv(lap, "set", "--peer", "desk", "k0", "y", check=True)
    kv(lap, "del", "--peer", "desk", "k1", check=True)
    kv(lap, "set", "--peer", "desk", "k3", "x", check=True)
    # Each change is a line in the audit log.
    def audited():
        lines = [json.loads(line) for line in
                 desk.sh('cat "$LOOPSY_HOME/state/audit.jsonl"').stdout.splitlines()]
        return [(line["peer"], line["detail"]["op"]) for line in lines if line["what"] == "kv"]
    wait_until(lambda: len(audited()) == 9, 60, "all changes are in the audit log")
    assert audited().count(("lap", "delete")) == 1 and audited().count((None, "set")) == 3, audited()


main()
