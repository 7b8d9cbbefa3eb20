#!/usr/bin/python3
"""What happens when a peer, a link or a daemon goes away, and comes back."""
import signal

from harness import *
from lib.peers import two


def instant(host, peer):
    """What must be answered whatever the peer does: within a generous deadline, not a timed test."""
    host.sh('ls "$1" >/dev/null; stat "$1/$2" >/dev/null; cat "$1/$2/.loopsy/status" >/dev/null',
            host.mount, peer, timeout=20)
    assert host.status()["peers"]


@test(each_user=True, timeout=600)
def a_stopped_peer_blocks_only_its_own_readers(t):
    desk, lap = two(t)
    desk.sh("for i in 0 1 2; do head -c 1M /dev/urandom >f$i; done")
    desk.kill(desk.daemon_pid, signal.SIGSTOP)
    try:
        readers = [lap.spawn("sh", "-c", 'echo go; exec cat "$1" >/dev/null', "sh",
                             lap.peer_path("desk", f"f{i}")) for i in range(3)]
        for reader in readers:
            reader.read_line(60)
        instant(lap, "desk")
        readers[0].signal(signal.SIGINT)
        readers[1].signal(signal.SIGKILL)
        readers[0].wait(60), readers[1].wait(60)
    finally:
        desk.kill(desk.daemon_pid, signal.SIGCONT)
    readers[2].wait(60)
    lap.wait_online("desk")
    wait_until(lambda: lap.run("cat", lap.peer_path("desk", "f0")).returncode == 0, 60, "it works again")


@test(timeout=600, each_user=True)
def calls_to_a_dead_peer_fail_and_work_again_when_it_is_back(t):
    desk, lap = two(t)
    desk.sh("echo f >f")
    path = lap.peer_path("desk", "f")
    assert lap.sh('cat "$1"', path).stdout == "f\n"
    port = desk.port()
    desk.kill9()
    instant(lap, "desk")
    assert wait_until(lambda: lap.run("cat", lap.peer_path("desk", "other"), timeout=60).stderr, 90, "an error")
    wait_until(lambda: "Host is down" in lap.run("ls", lap.peer_path("desk", "."), timeout=60).stderr, 90,
               "EHOSTDOWN")
    desk.start("--port", str(port))
    lap.wait_online("desk")
    wait_until(lambda: lap.run("cat", path).stdout == "f\n", 60, "it is back")


@test(timeout=600, each_user=True)
def an_open_file_survives_a_cut_link(t):
    desk, lap = t.lan("desk", "lap", avahi=False)
    for host in (desk, lap):
        host.init()
        host.start("--lan")
    pair(desk, lap)
    desk.sh("seq 100000 >numbers")
    reader = lap.spawn("python3", "-uc", r'''import sys
f = open(sys.argv[1], "rb", buffering=0); print(f.read(6)); sys.stdin.readline(); f.seek(500000); print(f.read(10))
w = open(sys.argv[1] + ".out", "wb", buffering=0); w.write(b"a" * 100000); sys.stdin.readline(); w.write(b"b"); w.close(); print("done")
''', lap.peer_path("desk", "numbers"))
    assert "1" in reader.read_line(60)
    t.cut(desk)
    reader.write("go\n")
    instant(lap, "desk")
    t.mend(desk)
    expected = desk.sh("tail -c +500001 numbers | head -c 10").stdout.encode()
    assert reader.read_line(60).strip() == repr(expected)
    t.cut(desk)
    t.mend(desk)
    reader.write("go\n")
    assert reader.read_line(60).strip() == "done"
    assert desk.sh("tail -c 2 numbers.out; wc -c <numbers.out").stdout == "ab100001\n"


@test(each_user=True, timeout=600)
def a_killed_daemon_just_starts_again(t):
    desk, lap = two(t)
    desk.sh("echo f >f")
    lap.sh('cat "$1"', lap.peer_path("desk", "f"))
    lap.kill9()
    lap.start("--port", "0")
    lap.wait_online("desk")
    assert lap.sh('cat "$1"', lap.peer_path("desk", "f")).stdout == "f\n"


@test(each_user=True)
def a_second_daemon_is_refused_with_the_pid_of_the_first(t):
    desk = t.loopback("desk")
    desk.init()
    desk.start("--port", "0")
    second = desk.ctl("start", "--port", "0")
    assert second.returncode == 1 and str(desk.status()["pid"]) in second.stderr + second.stdout, second
    desk.stop()
    assert not desk.is_mounted()
    desk.start("--port", "0")


@test(each_user=True)
def stopping_with_open_files_unmounts_and_exits(t):
    desk, lap = two(t)
    desk.sh("echo f >f")
    reader = lap.spawn("python3", "-uc", "import sys; f = open(sys.argv[1]); print('open'); sys.stdin.readline()",
                       lap.peer_path("desk", "f"))
    reader.read_line(60)
    lap.stop()
    assert not lap.is_mounted()
    reader.end()


@test(each_user=True)
def a_full_disk_is_reported(t):
    desk, lap = t.loopback("desk", "lap")
    desk.init()
    desk.run("sh", "-c", 'mkdir "$1/small" && mount -t tmpfs -o size=1m tmpfs "$1/small"', "sh", desk.home,
             root=True, check=True)
    lap.init()
    for host in (desk, lap):
        host.start("--port", "0")
    pair(desk, lap)
    result = lap.run("dd", "if=/dev/zero", "of=" + lap.peer_path("desk", "small/f"), "bs=64k", "count=64",
                     "conv=fsync")
    assert result.returncode != 0 and "No space left" in result.stderr, result
    lap.sh('rm "$1"', lap.peer_path("desk", "small/f"))
    # the peer holds a removed file until the kernel here has forgotten it
    wait_until(lambda: int(desk.sh("df --output=used small | tail -n 1").stdout) == 0, 60, "its space is free")
    lap.sh('echo fits >"$1"', lap.peer_path("desk", "small/f"))
    there = desk.sh("cat small/f; ls -la small").stdout
    assert there.startswith("fits\n"), there


main()
