#!/usr/bin/python3
"""Shared values as files: .loopsy/kv of this machine and of peers."""
import os
import shutil

from harness import *
from lib.peers import two


def places(desk, lap):
    """The same store, from its own machine and from another one."""
    return (desk, os.path.join(desk.mount, ".loopsy/kv")), (lap, lap.peer_path("desk", ".loopsy/kv"))


@test()
def files_are_values(t):
    desk, lap = two(t)
    for host, kv in places(desk, lap):
        done = host.sh(r'''set -e; cd "$1"
echo hello >greeting; [ "$(cat greeting)" = hello ]
[ "$(stat -c '%s %F %a' greeting)" = "6 regular file 600" ]
: >empty; [ -e empty ]; [ ! -s empty ]; [ -z "$(cat empty)" ]
: >greeting; [ ! -s greeting ]; [ -z "$(cat greeting)" ]
echo one >greeting; echo two >>greeting; [ "$(cat greeting)" = $'one\ntwo' ]
printf '%s' three >greeting; [ "$(cat greeting)" = three ]
echo slash >a%2Fb; echo percent >100%25; echo dots >%2E%2E; echo 'ä b' >'ä b'
[ "$(ls | tr '\n' '|')" = "%2E%2E|100%25|a%2Fb|empty|greeting|ä b|" ]
! echo x 2>/dev/null >a%20b
! echo x 2>/dev/null >a%2fb
mv greeting renamed; [ "$(cat renamed)" = three ]; [ ! -e greeting ]
echo old >other; mv renamed other; [ "$(cat other)" = three ]; [ ! -e renamed ]
touch made; [ -f made ]; [ ! -s made ]
sed -i s/three/four/ other; [ "$(cat other)" = four ]
truncate -s 0 other; [ ! -s other ]
cp -r . ~/backup; [ "$(cat ~/backup/a%2Fb)" = slash ]; rm -r ~/backup
rm made; [ ! -e made ]
! cat made 2>/dev/null
! mkdir x 2>/dev/null
! ln -s x y 2>/dev/null
[ "$(ls -l | tail -n +2 | wc -l)" = 6 ]
''', kv, check=False)
        assert done.returncode == 0, done
        keys = [entry["key"] for entry in desk.ctl_json("kv", "list")]
        assert keys == ["..", "100%", "a/b", "empty", "other", "ä b"], keys
        host.sh('cd "$1"; rm -- *; [ -z "$(ls)" ]', kv)
        assert desk.ctl_json("kv", "list") == []


@test()
def editors_change_values(t):
    missing = [name for name in ("vim", "ed") if not shutil.which(name)]
    if missing:
        skip(f"needs {' '.join(missing)}")
    desk, lap = two(t)
    for host, kv in places(desk, lap):
        done = host.sh(r'''set -e; cd "$1"; echo one >notes
vim -es -u NONE -c '%s/one/two/' -c wq notes </dev/null; [ "$(cat notes)" = two ]
sed -i~ s/two/three/ notes; [ "$(cat notes)" = three ]; [ "$(cat notes~)" = two ]
printf ',s/three/four/\nw\nq\n' | ed -s notes; [ "$(cat notes)" = four ]
[ "$(ls | tr '\n' '|')" = "notes|notes~|" ]; rm notes notes~
''', kv, check=False)
        assert done.returncode == 0, done


@test()
def the_time_and_the_extended_attributes_are_the_values(t):
    desk, lap = two(t)
    for host, kv in places(desk, lap):
        host.run("python3", "-c", r'''import errno, os, sys, time
os.chdir(sys.argv[1])
before = time.time()
open("a", "w").write("1")
assert before - 2 <= os.stat("a").st_mtime <= time.time() + 2
version = int(os.getxattr("a", "user.loopsy.version"))
assert os.listxattr("a") == ["user.loopsy.version"]
os.utime("a")
assert int(os.getxattr("a", "user.loopsy.version")) > version
assert open("a").read() == "1"
os.setxattr("a", "user.loopsy.ttl", b"1000")
assert 990 <= int(os.getxattr("a", "user.loopsy.ttl")) <= 1000
os.stat("a")
assert sorted(os.listxattr("a")) == ["user.loopsy.ttl", "user.loopsy.version"]
open("a", "w").write("2")
assert int(os.getxattr("a", "user.loopsy.ttl")) <= 1000
os.removexattr("a", "user.loopsy.ttl")
for name, value, error in (("user.loopsy.ttl", b"soon", errno.EINVAL), ("user.loopsy.version", b"1", errno.EPERM),
                           ("user.other", b"1", errno.EPERM)):
    try: os.setxattr("a", name, value); raise SystemExit(name)
    except OSError as e: assert e.errno == error, e
os.setxattr("a", "user.loopsy.ttl", b"1")
deadline = time.monotonic() + 60
while os.path.exists("a"): assert time.monotonic() < deadline
assert os.listdir() == []
''', kv, check=True)


@test()
def what_fails_says_so_and_leaves_the_old_value(t):
    desk, lap = two(t, conf="kv_max_bytes = 20M\n")
    for host, kv in places(desk, lap):
        host.run("python3", "-c", r'''import errno, os, sys
os.chdir(sys.argv[1])
def fails(error, what):
    try: what()
    except OSError as e: assert e.errno == error, (e, error)
    else: raise SystemExit("no error %d" % error)
def write(name, data, flags=0):
    fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | flags)
    try:
        while data: data = data[os.write(fd, data):]
    except: os.close(fd); raise
    os.close(fd)
write("a", b"old")
fails(errno.EFBIG, lambda: write("a", bytes((16 << 20) + 1)))
assert open("a").read() == "old"
write("large", bytes(16 << 20))
assert os.stat("large").st_size == 16 << 20
fails(errno.ENOSPC, lambda: write("a", bytes(5 << 20)))
assert open("a").read() == "old"
fails(errno.EEXIST, lambda: write("a", b"x", os.O_EXCL))
os.remove("large"); os.remove("a")
''', kv, check=True)
    # The errno in words; and a peer that does not let this machine in.
    _, kv = places(desk, lap)[1]
    desk.ctl("peers", "allow", "lap", "fs:rw", check=True)
    done = lap.sh('cd "$1"; echo x >a', kv, check=False)
    assert done.returncode and "Permission denied" in done.stderr, done
    assert "does not share its values" in lap.sh('cat "$1/../last-error"', kv).stdout


def race(t, places, n, rounds):
    """n shells at each place want kv/lock: one of all of them gets it."""
    script = '''cd "$1"; for i in $(seq $2); do (set -C; echo $i 2>/dev/null >lock && echo won) & pids="$pids $!"; done 2>/dev/null
for pid in $pids; do wait $pid; done
echo done'''
    for _ in range(rounds):
        racing = [host.spawn("bash", "-c", script, "bash", kv, str(n)) for host, kv in places]
        lines = []
        for program in racing:
            while (line := program.read_line(300)) != "done":
                lines.append(line)
            assert program.wait(60) == 0
        assert lines == ["won"], lines
        host, kv = places[-1]
        host.sh('rm "$1/lock"', kv)


@test(timeout=900)
def a_lock_has_one_winner_of_fifty_shells(t):
    desk, lap = two(t)
    n, rounds = (50, 5) if t.sanitizer == "none" else (10, 2)
    for place in places(desk, lap):
        race(t, [place], n, rounds)


@test(timeout=900)
def a_lock_has_one_winner_from_two_machines(t):
    desk, lap = two(t)
    n, rounds = (25, 10) if t.sanitizer == "none" else (8, 3)
    race(t, places(desk, lap), n, rounds)


@test(timeout=600)
def what_was_listed_a_moment_ago_is_seen_as_it_is_now(t):
    """The list knows all that is asked for next; what has changed since is seen nevertheless."""
    desk, lap = two(t)
    for host, kv in places(desk, lap):
        words = ["--peer", "desk"] if host == lap else []
        for i in range(20):
            host.ctl("kv", "set", *words, f"k{i:02}", "x", check=True)
        program = host.spawn("python3", "-c", r'''import os, sys
os.chdir(sys.argv[1])
sizes = {}
with os.scandir() as listed:
    for entry in listed:
        sizes[entry.name] = os.stat(entry.name).st_size
print(len(sizes), flush=True)
for line in sys.stdin:
    name, _, size = line.strip().partition(" ")
    found = os.stat(name).st_size if os.path.exists(name) else -1
    assert found == int(size), (name, found, size)
    print("seen", flush=True)
    os.listdir()
''', kv)
        assert program.read_line(60) == "20"

        def seen(name, size):
            program.write(f"{name} {size}\n")
            line = program.read_line(60)
            assert line == "seen", (name, size, program.error_text())
        for i in range(0, 20, 4):
            # By loopsyctl on that machine and here, through the mount, and all of it again.
            desk.ctl("kv", "set", f"k{i:02}", "x" * (i + 2), check=True)
            wait_until(lambda: host.sh('stat -c %s "$1"', f"{kv}/k{i:02}").stdout == f"{i + 2}\n", 60, "it is seen")
            seen(f"k{i:02}", i + 2)
            host.ctl("kv", "set", *words, f"k{i + 1:02}", "x" * (i + 3), check=True)
            seen(f"k{i + 1:02}", i + 3)
            host.ctl("kv", "del", *words, f"k{i + 2:02}", check=True)
            seen(f"k{i + 2:02}", -1)
            host.sh('cd "$1"; printf %s "$3" >"$2"', kv, f"k{i + 3:02}", "x" * (i + 5))
            seen(f"k{i + 3:02}", i + 5)
        host.sh('cd "$1"; rm -- *', kv)
        program.end()


@test(timeout=600)
def a_reader_never_sees_half_of_a_value(t):
    desk, lap = two(t)
    writer = desk.spawn("python3", "-c", r'''import os, sys
os.chdir(sys.argv[1])
n = 0
while not os.path.exists("stop"):
    n += 1
    with open("value", "wb", buffering=0) as f:
        data = (b"%07d\n" % n) * (1 << 17)
        while data: data = data[f.write(data[:100000]):]
    if n == 3: print("begun", flush=True)
''', places(desk, lap)[0][1])
    assert writer.read_line(120) == "begun"
    reader = r'''import os, sys
os.chdir(sys.argv[1])
seen = set()
for _ in range(int(sys.argv[2])):
    data = open("value", "rb").read()
    line = data[:8]
    assert data == line * (1 << 17), (len(data), line)
    seen.add(line)
print(len(seen))
'''
    for host, kv in places(desk, lap):
        host.run("python3", "-c", reader, kv, "40" if t.sanitizer == "none" else "10", check=True, timeout=400)
    desk.sh('touch "$1/stop"', places(desk, lap)[0][1])
    assert writer.wait(120) == 0


@test(timeout=1500)
def a_hundred_thousand_keys_are_listed(t):
    desk, lap = two(t)
    n = 100000 if t.sanitizer == "none" else 20000
    port = str(desk.port())
    desk.stop()
    desk.run("python3", "-c", '''import os, sqlite3, sys
db = sqlite3.connect(os.environ["LOOPSY_HOME"] + "/state/loopsy.db")
db.executemany("INSERT INTO kv (key, version, size, writer, created_ns, changed_ns, expires_ns, value)"
               " VALUES (?, ?, 5, 'x', 1, 1, 0, x'3132333435')",
               ((b"key/%06d" % i, i + 1) for i in range(int(sys.argv[1]))))
db.execute("UPDATE kv_state SET version = 200000")
db.execute("INSERT INTO kv_writer VALUES ('x', ?, 15 * ?)", (sys.argv[1], sys.argv[1]))
db.commit()
''', n, check=True)
    desk.start("--port", port)
    lap.wait_online("desk")
    kv, there = (path for _, path in places(desk, lap))
    last = f"key%2F{n - 1:06}"
    # Through the mount of the other machine, with what is known of each.
    done = lap.sh('cd "$1"; ls -l >~/listed; wc -l <~/listed; tail -n 1 ~/listed', there, timeout=1000)
    lines, attributes = done.stdout.splitlines()
    assert int(lines) == n + 1 and attributes.startswith("-rw------- ") and attributes.endswith(f" {last}"), done
    assert attributes.split()[4] == "5", done
    done = desk.sh('cd "$1"; ls -f | wc -l; cat key%2F000000 "$2"; ls | sort -u | wc -l', kv, last, timeout=300)
    assert done.stdout == f"{n + 2}\n1234512345{n}\n", done
    assert len(desk.ctl_json("kv", "list", "key/0099")) == 100
    assert len(desk.ctl_json("kv", "list", timeout=300)) == n


main()
