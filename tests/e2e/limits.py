#!/usr/bin/python3
"""Strangers, hostile bytes, and memory."""
import time

from harness import *
from lib.peers import two

# Connects n times in five ways; keeps some connections open to its end.
HOSTILE = r'''import socket, ssl, sys
port, n = int(sys.argv[1]), int(sys.argv[2])
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname = False; context.verify_mode = ssl.CERT_NONE
context.set_alpn_protocols(["loopsy/1"])
kept = []
for i in range(n):
    s = socket.create_connection(("127.0.0.1", port), timeout=20)
    try:
        if i % 5 == 0: s.sendall(b"\xff\xff\xff\xff" + b"\x91" * 100)
        elif i % 5 == 1: s.sendall(b"\x16\x03\x01\x02\x00\x01")
        elif i % 5 == 2: kept.append(s)
        elif i % 5 == 3: s.sendall(b"GET / HTTP/1.0\r\n\r\n")
        elif i % 100 == 4: context.wrap_socket(s).sendall(b"\xff\xff\xff\xff")
    except OSError: pass
    if len(kept) > 100: kept.pop(0).close()
print("done")
'''


def rss_kib(host, field="VmRSS"):
    """What its daemon has resident; VmHWM: the most that it ever had."""
    text = host.run("cat", f"/proc/{host.daemon_pid}/status", root=True, check=True).stdout
    return int(next(l for l in text.splitlines() if l.startswith(field)).split()[1])


@test(timeout=900)
def ten_thousand_hostile_connections_change_nothing(t):
    desk, lap = two(t)
    desk.sh("echo f >f")
    path = lap.peer_path("desk", "f")
    attack = lambda n: lap.run("python3", "-c", HOSTILE, str(desk.port()), str(n), timeout=500, check=True)
    attack(100)
    before = rss_kib(desk)
    attack(10000 if t.sanitizer == "none" else 1000)
    after = rss_kib(desk)
    note(f"memory {before} KiB before, {after} KiB after")
    # sanitizers keep what was freed
    assert t.sanitizer != "none" or after - before < 16 * 1024, (before, after)
    assert lap.sh('cat "$1"', path).stdout == "f\n"
    assert lap.status()["peers"][0]["state"] == "online"


@test(timeout=600)
def an_idle_daemon_is_small_and_sleeps(t):
    desk, lap = two(t)
    desk.sh("echo f >f")
    lap.sh('cat "$1"', lap.peer_path("desk", "f"))
    used = lambda: sum(map(int, desk.run("cat", f"/proc/{desk.daemon_pid}/stat", root=True,
                                         check=True).stdout.rsplit(")", 1)[1].split()[11:13]))
    before = used()
    lap.sh("sleep 10")
    ticks = used() - before
    note(f"{rss_kib(desk)} KiB resident, {ticks * 10} ms of CPU in 10 s")
    assert ticks <= 20, ticks
    assert t.sanitizer != "none" or rss_kib(desk) < 12 * 1024, rss_kib(desk)


# Lists the directories below its argument as ls -l does, and holds on to every single file until
# the end of its input: what is held the kernel cannot forget. A process per directory, because one
# may not have that many descriptors.
HOLD = r'''import os, resource, sys
top = sys.argv[1]
most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
ready, tell = os.pipe()
wait, go = os.pipe()
n = held = 0
for d in os.listdir(top):
    n += 1
    if os.fork() == 0:
        os.close(go)
        directory = os.open(f"{top}/{d}", os.O_RDONLY | os.O_DIRECTORY)
        names = os.listdir(directory)
        for name in names:
            assert os.fstat(os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=directory)).st_size == 0
        os.close(directory)
        os.write(tell, b"%9d\n" % len(names))
        os.read(wait, 1)
        os._exit(0)
    held += int(os.read(ready, 10))
print("held", held, flush=True)
sys.stdin.read()
os.close(go)
for child in range(n): os.wait()
'''


@test(timeout=1800)
def a_million_nodes_are_held_at_once_and_forgotten(t):
    desk, lap = two(t)
    if t.sanitizer != "none":
        skip("memory is measured without sanitizers")
    # With the directories as many as a session may have (1,000,000, then ENFILE).
    # In memory: quickly made, and gone with the sandbox.
    desk.sh('mkdir "$1" && mount -t tmpfs -o nr_inodes=0 tmpfs "$1"', desk.home + "/many", root=True)
    desk.run("python3", "-c", r'''import os
os.chdir("many")
for d in range(100):
    os.mkdir(f"{d}"); fd = os.open(f"{d}", os.O_RDONLY)
    for i in range(9990): os.close(os.open(f"file-{i:06}.txt", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    os.close(fd)
''', timeout=300, check=True)
    idle = rss_kib(desk), rss_kib(lap)
    began = time.monotonic()
    holder = lap.spawn("python3", "-c", HOLD, lap.peer_path("desk", "many"))
    line = holder.read_line(1000)
    assert line == "held 999000", (line, holder.error_text())
    highest = rss_kib(desk, "VmHWM"), rss_kib(lap, "VmHWM")
    note(f"{time.monotonic() - began:.0f} s; KiB serving, mounting: idle {idle}, highest {highest}, "
         f"holding {(rss_kib(desk), rss_kib(lap))}")
    assert max(highest) < 256 * 1024, highest
    assert holder.end(60) == 0
    lap.run("sh", "-c", "echo 2 >/proc/sys/vm/drop_caches", root=True, timeout=300)
    wait_until(lambda: max(rss_kib(desk), rss_kib(lap)) < 64 * 1024, 120, "memory falls back")
    note(f"after FORGET {(rss_kib(desk), rss_kib(lap))}")
    assert lap.sh('ls "$1" | wc -l', lap.peer_path("desk", "many/42"), timeout=120).stdout == "9990\n"


@test(timeout=600)
def what_a_peer_may_have_under_way_is_configured(t):
    desk, lap = t.loopback("desk", "lap")
    for host in (desk, lap):
        host.init()
    desk.sh("""printf '%s\\n' 'max_nodes = 1000' 'max_open_files = 16' 'max_streams = 4' 'max_calls = 16' \
        'max_write_bytes = 128k' 'pool_threads = 4' >>"$LOOPSY_HOME/config/loopsy.conf"
        mkdir many few; cd many; seq 1500 | xargs touch; cd ../few; for i in $(seq 40); do mkdir d$i; seq 50 >d$i/f; done
        head -c 20M /dev/urandom >big""")
    for host in (desk, lap):
        host.start("--port", "0")
    pair(desk, lap)
    path = lap.peer_path("desk")
    # with few calls, streams and bytes at once everything is done, later
    lap.sh(r"""cd "$1/few"; cp -r . ../copy & (find . | wc -l) & cat d*/f | md5sum & cp big ../big2 & wait
        cmp big ../big2; diff -r . ../copy""", path, timeout=120)
    desk.sh("cmp few/big big2; diff -r few copy")
    # open files: one more than may be open
    lap.run("python3", "-c", r"""import errno, os, sys
os.chdir(sys.argv[1])
files = [os.open(f"few/d{i + 1}/f", os.O_RDONLY) for i in range(16)]
try: os.open("few/d17/f", os.O_RDONLY); raise SystemExit("the 17th was opened")
except OSError as e: assert e.errno == errno.ENFILE, e
os.close(files.pop())
while True:   # a close is sent without waiting for it
    try: os.open("few/d17/f", os.O_RDONLY); break
    except OSError as e: assert e.errno == errno.ENFILE, e
""", path, check=True)
    # nodes: names are listed; those beyond are not there until others are forgotten
    assert lap.sh('ls -f "$1/many" | wc -l', path).stdout.strip() == "1502"
    full = lap.run("ls", "-l", path + "/many")
    assert full.returncode != 0 and "Too many open files in system" in full.stderr, full.stderr[-300:]
    lap.run("sh", "-c", "echo 2 >/proc/sys/vm/drop_caches", root=True)
    def found():
        return lap.run("stat", path + "/few/d40/f").returncode == 0
    wait_until(found, 60, "room for other nodes")


main()
