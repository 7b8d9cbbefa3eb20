#!/usr/bin/python3
"""Shared values: loopsyctl kv on this machine and on peers, kill -9, full disks, lost links."""
import base64
import json
import os
import random

from harness import *
from lib.peers import configure, two

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


@test(timeout=1800)
def nothing_acknowledged_is_lost_when_the_daemon_is_killed(t):
    desk, lap = two(t)
    rounds = int(os.environ.get("LOOPSY_KV_ROUNDS", "4"))
    port = desk.port()
    writer = '''i=$(loopsyctl kv get $1 $2 2>/dev/null || echo 0)
until [ -e stop ]; do i=$((i + 1)); loopsyctl kv set $1 $i $2 2>/dev/null || break; echo $i >acked.$1; done'''
    last = 0
    for _ in range(rounds):
        for host in (desk, lap):
            host.sh("rm -f stop")
        writers = [host.spawn("bash", "-c", writer, "bash", f"{host.name}{n}", words)
                   for host, words in ((desk, ""), (lap, "--peer desk")) for n in range(8)]

        def acked(host):
            # A file that is being written anew is empty for a moment.
            return [int(line.split()[1]) for line in host.sh(
                "for i in acked.*; do echo $i $(cat $i); done", check=False).stdout.splitlines()
                    if len(line.split()) == 2 and line.split()[1].isdigit()]
        before = sum(acked(desk) + acked(lap))
        more = random.randrange(20, 200)
        wait_until(lambda: sum(acked(desk) + acked(lap)) >= before + more, 300, "writers get on")
        desk.kill9()
        for host in (desk, lap):
            host.sh("touch stop")
        assert desk.run("python3", "-c", INTEGRITY).stdout == "ok\n"
        desk.start("--port", str(port))
        for program in writers:
            program.wait(300)
        lap.wait_online("desk")
        for host in (desk, lap):
            for n in range(8):
                key = f"{host.name}{n}"
                known = int(host.sh(f"cat acked.{key} || echo 0").stdout)
                value = int(kv(desk, "get", key).stdout or 0)
                assert known <= value <= known + 1, (key, known, value)
        version = desk.ctl_json("kv", "set", "version", "x")["version"]
        assert version > last + more
        last = version
    assert desk.run("python3", "-c", INTEGRITY).stdout == "ok\n"


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


@test()
def a_full_disk_is_said_and_loses_nothing(t):
    desk, lap = t.loopback("desk", "lap")
    desk.sh("mkdir disk")
    desk.run("mount", "-t", "tmpfs", "-o", f"size=8m,uid={desk.user},gid={desk.user}", "tmpfs",
             desk.home + "/disk", root=True, check=True)
    desk.loopsy_home, desk.mount = desk.home + "/disk/l", desk.home + "/disk/l/mnt"
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
    assert len(desk.ctl_json("kv", "list", "fill")) == n
    desk.kill9()
    desk.sh('rm "$LOOPSY_HOME/state/audit.jsonl"')
    desk.start()
    assert desk.run("python3", "-c", INTEGRITY).stdout == "ok\n"
    assert len(desk.ctl_json("kv", "list", "fill")) == n


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
