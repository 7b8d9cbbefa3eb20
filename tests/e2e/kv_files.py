#!/usr/bin/python3
"""Shared values as files: .loopsy/kv of this machine and of peers."""
import hashlib
import os

from harness import *
from lib.peers import configure, two


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


@test(timeout=900)
def a_lock_has_one_winner_from_two_machines(t):
    desk, lap = two(t)
    n, rounds = (25, 10) if t.sanitizer == "none" else (8, 3)
    race = '''cd "$1"; for i in $(seq $2); do (set -C; echo $i 2>/dev/null >lock && echo won) & pids="$pids $!"; done 2>/dev/null
for pid in $pids; do wait $pid; done'''
    for _ in range(rounds):
        racing = [host.spawn("bash", "-c", race + "\necho done", "bash", kv, str(n))
                  for host, kv in places(desk, lap)]
        lines = []
        for program in racing:
            while (line := program.read_line(300)) != "done":
                lines.append(line)
            assert program.wait(60) == 0
        assert lines == ["won"], lines
        lap.sh('rm "$1/lock"', places(desk, lap)[1][1])


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


@test(timeout=600)
def a_hundred_thousand_keys_are_listed(t):
    desk, lap = two(t)
    desk.stop()
    desk.run("python3", "-c", '''import os, sqlite3
db = sqlite3.connect(os.environ["LOOPSY_HOME"] + "/state/loopsy.db")
db.executemany("INSERT INTO kv (key, version, size, writer, created_ns, changed_ns, expires_ns, value)"
               " VALUES (?, ?, 5, 'x', 1, 1, 0, x'3132333435')",
               ((b"key/%06d" % i, i + 1) for i in range(100000)))
db.execute("UPDATE kv_state SET version = 200000")
db.execute("INSERT INTO kv_writer VALUES ('x', 100000, 1500000)")
db.commit()
''', check=True)
    desk.start()
    kv = places(desk, lap)[0][1]
    done = desk.sh('cd "$1"; ls -f | wc -l; cat key%2F000000 key%2F099999; ls | sort -u | wc -l', kv, timeout=300)
    assert done.stdout == "100002\n1234512345100000\n", done
    assert len(desk.ctl_json("kv", "list", "key/0999")) == 100
    assert len(desk.ctl_json("kv", "list", timeout=300)) == 100000


main()
