#!/usr/bin/python3
"""A peer's disk that is full: what is removed makes room at once."""
from harness import *


def two_with_a_small_disk(t):
    """Paired; desk's ~/disk is 8 MiB, and lap's path to it."""
    desk, lap = t.loopback("desk", "lap")
    desk.sh("mkdir disk")
    desk.run("mount", "-t", "tmpfs", "-o", f"size=8m,uid={desk.user},gid={desk.user}", "tmpfs",
             desk.home + "/disk", root=True, check=True)
    for host in (desk, lap):
        host.init()
        host.start("--port", "0")
    pair(desk, lap)
    return desk, lap, lap.peer_path("desk", "disk")


@test(each_user=True)
def what_is_removed_makes_room_at_once(t):
    desk, lap, path = two_with_a_small_disk(t)
    lap.run("python3", "-c", r'''import errno, os, sys
os.chdir(sys.argv[1])
data = os.urandom(1 << 17)
def fill(name, n):
    with open(name, "wb", buffering=0) as f:
        for _ in range(8 * n): f.write(data)
for round in range(20):
    fill("big", 7)
    assert len(open("big", "rb").read()) == 7 << 20
    try:
        fill("more", 3); raise SystemExit("a full disk took more")
    except OSError as e: assert e.errno == errno.ENOSPC, e
    os.remove("more")
    os.remove("big")
    fill("first", 5)          # as big as what is free only if "big" has gone
    fill("second", 2)
    os.rename("second", "first")
    fill("third", 5)
    os.remove("first"); os.remove("third")
''', path, check=True, timeout=100)
    assert desk.sh("ls -A disk").stdout == ""


@test()
def what_the_peer_itself_removes_makes_room(t):
    desk, lap, path = two_with_a_small_disk(t)
    desk.sh("head -c 7M /dev/urandom >disk/big")
    assert lap.sh('wc -c <"$1/big"', path).stdout.strip() == str(7 << 20)
    desk.sh("rm disk/big")
    free = lambda: int(desk.sh("stat -f -c %a disk").stdout) * int(desk.sh("stat -f -c %S disk").stdout)
    wait_until(lambda: free() > 7 << 20, 60, "desk's disk to be empty")


main()
