#!/usr/bin/python3
"""Writes that fail on the peer after the program was told that they were taken: each handle that is
open then says so once, and nothing is silently short."""
from harness import *
from lib.peers import two

# Writes too much through one of three handles; then each of them must fail once, with errno
# argv[2], and no more; a later one never. What was acknowledged before by fsync is there.
REPORTS = r'''import errno, os, sys
os.chdir(sys.argv[1]); want = getattr(errno, sys.argv[2])
handles = [os.open("file", os.O_RDWR | os.O_CREAT) for _ in range(3)]
os.pwrite(handles[0], b"kept" * 1024, 0); os.fsync(handles[0])
def failed(call, *args):
    try: call(*args); return False
    except OSError as e: assert e.errno == want, e; return True
block = os.urandom(1 << 17)
for i in range(200):
    if failed(os.pwrite, handles[0], block, 4096 + i * len(block)): break
else: assert failed(os.fsync, handles[0]), "all was taken"
late = os.open("file", os.O_RDWR)
assert not failed(os.fsync, handles[0]), "said twice"
assert failed(os.fsync, handles[1]) and not failed(os.fsync, handles[1])
# close(2) of the last one says it
assert failed(os.close, handles[2])
assert not failed(os.fsync, late)
assert os.pread(late, 4096, 0) == b"kept" * 1024
size = os.fstat(late).st_size; at = 0
while at < size:
    data = os.pread(late, 1 << 16, at); assert data, "shorter than it says"; at += len(data)
for fd in (handles[0], handles[1], late): os.close(fd)
'''

# What is left of its file is cut off again, and then:
AND_SYNCED = r'''late = os.open("file", os.O_RDWR)
os.ftruncate(late, 4096); os.pwrite(late, b"more", 4096); os.fsync(late); os.close(late)
# A write that waits for the peer says it at once, or is short.
fd = os.open("synced", os.O_WRONLY | os.O_CREAT | os.O_SYNC); n = 0
try:
    for i in range(200): n += os.write(fd, block)
    raise SystemExit("all was taken")
except OSError as e: assert e.errno == want, e
assert os.stat("synced").st_size == n, (os.stat("synced").st_size, n)
os.close(fd); os.unlink("synced")
fd = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND); n = 0
try:
    for i in range(200): n += os.write(fd, block)
    raise SystemExit("all was taken")
except OSError as e: assert e.errno == want, e
assert os.stat("log").st_size == n, (os.stat("log").st_size, n)
os.close(fd); os.unlink("log")
'''


@test(each_user=True)
def a_full_disk_is_told_to_each_open_handle_once(t):
    desk, lap = t.loopback("desk", "lap")
    desk.sh("mkdir disk")
    desk.run("sh", "-c", '''truncate -s 12M "$1.img" && mkfs.ext4 -q -m 0 "$1.img" && mount -o loop "$1.img" "$1" && chown "$2:$2" "$1"''',
             "sh", desk.home + "/disk", desk.user, root=True, check=True)
    for host in (desk, lap):
        host.init()
        host.start("--port", "0")
    pair(desk, lap)
    lap.run("python3", "-c", REPORTS + AND_SYNCED, lap.peer_path("desk", "disk"), "ENOSPC", check=True)
    assert desk.sh("head -c 4096 disk/file | tr -d kept; tail -c 4 disk/file; stat -c %s disk/file").stdout == "more4100\n"


# For root: a disk at $1 of which the files, whoever's they are, may have 12 MiB; for its user.
QUOTA = '''truncate -s 200M "$1.img" && mkfs.btrfs -q "$1.img" && mount -o loop "$1.img" "$1" || exit 9
btrfs -q quota enable "$1" && btrfs -q qgroup limit 12M "$1" && chown "$2:$2" "$1"'''


@test(each_user=True)
def a_quota_is_told_to_each_open_handle_once(t):
    desk, lap = t.loopback("desk", "lap")
    desk.sh("mkdir disk")
    done = desk.run("sh", "-c", QUOTA, "sh", desk.home + "/disk", desk.user, root=True)
    if done.returncode == 9:
        skip("no btrfs here: " + done.stderr.strip())
    assert done.returncode == 0, done.stderr
    for host in (desk, lap):
        host.init()
        host.start("--port", "0")
    pair(desk, lap)
    lap.run("python3", "-c", REPORTS, lap.peer_path("desk", "disk"), "EDQUOT", check=True)
    desk.run("btrfs", "-q", "qgroup", "limit", "none", desk.home + "/disk", root=True, check=True)
    lap.sh('cd "$1"; head -c 20M /dev/zero >>file', lap.peer_path("desk", "disk"))
    assert desk.sh("head -c 4096 disk/file | tr -d kept; tail -c 20M disk/file | tr -d '\\0'").stdout == ""


@test(each_user=True)
def a_limit_of_the_peers_file_size_is_told_to_each_open_handle_once(t):
    desk, lap = two(t)
    port = str(desk.port())
    desk.stop()
    desk.sh('ulimit -f 3844; exec "$1" start --port "$2"', f"{desk.build}/ctl/loopsyctl", port)
    desk.daemon_pid = desk.status()["pid"]
    lap.wait_online("desk")
    lap.run("python3", "-c", REPORTS + AND_SYNCED, lap.peer_path("desk"), "EFBIG", check=True)
    assert desk.sh("head -c 4096 file | tr -d kept; tail -c 4 file; stat -c %s file").stdout == "more4100\n"


@test(each_user=True)
def a_programs_own_limit_holds_in_the_mount(t):
    desk, lap = two(t)
    script = 'cd "$1"; ulimit -f 100; trap "" XFSZ; head -c 200K /dev/zero >file; head -c 200K /dev/zero | dd of=direct bs=64K oflag=append conv=notrunc'
    done = lap.run("bash", "-c", script, "bash", lap.peer_path("desk"))
    assert done.returncode != 0 and done.stderr.count("File too large") == 2, done
    assert desk.sh("stat -c %s file direct").stdout == "102400\n102400\n"


main()
