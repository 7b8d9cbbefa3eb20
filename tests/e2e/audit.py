#!/usr/bin/python3
"""The audit log: who did what on this machine."""
import json

from harness import *
from lib.peers import two


def lines(host, **fields):
    """The lines of `loopsyctl logs` that have these fields."""
    text = host.ctl("logs", "-n", "10000", "--json", check=True).stdout
    return [line for line in map(json.loads, text.splitlines())
            if all(line.get(key) == value for key, value in fields.items())]


def counts(host, outcome):
    total = {}
    for line in lines(host, what="files", outcome=outcome, peer="lap"):
        for name, n in line["detail"].items():
            total[name] = total.get(name, 0) + n
    return total


@test()
def pairing_allowing_and_unpairing_have_lines_on_both_sides(t):
    desk, lap = two(t)
    desk.ctl("peers", "allow", "lap", "fs:ro", check=True)
    desk.ctl("peers", "remove", "lap", check=True)
    for host, peer in ((desk, "lap"), (lap, "desk")):
        assert len(lines(host, what="pair", outcome="paired", peer=peer)) == 1
    assert [l["detail"] for l in lines(desk, what="allow", peer="lap")] == [{"permissions": "fs:ro"}]
    assert len(lines(desk, what="unpair", outcome="ok", peer="lap")) == 1
    wait_until(lambda: lines(lap, what="unpaired-by-peer", peer="desk"), 60, "lap's line")
    first = lines(desk)[0]
    assert first["time"].endswith("Z") and set(first) >= {"time", "peer", "what", "outcome"}, first


@test(timeout=600)
def file_operations_are_counted_by_the_minute(t):
    desk, lap = two(t)
    desk.sh("for i in $(seq 20); do echo $i >f$i; done")
    path = lap.peer_path("desk")
    lap.sh('cd "$1"; cat f* >/dev/null; mkdir a b c; rmdir a; ! rmdir a; ! mkdir b', path)
    wait_until(lambda: counts(desk, "ok"), 120, "the minute's counts")
    good, failed = counts(desk, "ok"), counts(desk, "failed")
    assert good["mkdir"] == 3 and good["rmdir"] == 1 and good["open"] == 20, good
    assert failed["lookup"] >= 1, failed # names that were not there
    for line in lines(lap, what="files"): # nobody asked lap for its files
        assert set(line["detail"]) <= {"exports"}, line
    # what is left is written at the end
    lap.sh('mkdir "$1/d"', path)
    desk.stop()
    assert counts(desk, "ok")["mkdir"] == 4
    assert all("f1" not in json.dumps(line) for line in lines(desk)), "no names"


@test()
def what_is_denied_has_a_line_at_once(t):
    desk, lap = two(t)
    desk.ctl("peers", "allow", "lap", "fs:ro", check=True)
    path = lap.peer_path("desk")
    lap.sh('cd "$1"; for i in 1 2 3; do ! mkdir d$i || exit 1; done; ls', path)
    assert len(lines(desk, what="mkdir", outcome="denied", peer="lap")) == 1
    desk.ctl("peers", "allow", "lap", "none", check=True)

    def read_is_denied():
        lap.run("ls", path) # until the listing is not believed any more
        return [line for line in lines(desk, outcome="denied") if line["what"] != "mkdir"]
    wait_until(read_is_denied, 60, "a denial")
    desk.stop()
    assert counts(desk, "denied")["mkdir"] == 2, lines(desk)
    assert desk.sh("ls -A").stdout == ""


@test()
def a_long_log_is_put_aside(t):
    desk, lap = t.loopback("desk", "lap")
    for host in (desk, lap):
        host.init()
    desk.sh(r'''echo audit_max_size = 64k >>"$LOOPSY_HOME/config/loopsy.conf"
        echo audit_keep = 2 >>"$LOOPSY_HOME/config/loopsy.conf"; cd "$LOOPSY_HOME/state"
        for i in $(seq 1000); do printf '{"time":"2025-01-01T00:00:00.000Z","peer":null,"what":"old","outcome":"%05d"}\n' $i
        done >audit.jsonl; chmod 600 audit.jsonl; test $(stat -c %s audit.jsonl) -gt 65536''')
    for host in (desk, lap):
        host.start("--port", "0")
    pair(desk, lap)
    wait_until(lambda: lines(desk, what="pair"), 60, "the line of the pairing")
    sizes = desk.sh('cd "$LOOPSY_HOME/state"; stat -c "%n %s %a" audit.jsonl*').stdout.split()
    assert sizes[0] == "audit.jsonl" and int(sizes[1]) < 1000 and sizes[2] == "600", sizes
    assert sizes[3] == "audit.jsonl.1" and int(sizes[4]) > 65536 and len(sizes) == 6, sizes
    assert len(lines(desk, what="old")) == 1000, "logs shows what was put aside, too"


main()
