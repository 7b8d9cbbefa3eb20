#!/usr/bin/python3
"""Locks are the peer's: its own programs and all machines see them, and they end with who has them."""
import signal

from harness import *
from lib.peers import configure

# A program that does what it is told, line by line, and prints the result or the errno. `a` and `b`
# are two open files of what argv[1] names.
LOCKER = r'''
import errno, fcntl, os, signal, struct, sys
RD, WR, UN = fcntl.F_RDLCK, fcntl.F_WRLCK, fcntl.F_UNLCK
def lock(fd, command, type, start=0, size=0):
    got = fcntl.fcntl(fd, command, struct.pack("hhqqi4x", type, 0, start, size, 0))
    return struct.unpack("hhqqi4x", got)
def take(fd, type, start=0, size=0): lock(fd, fcntl.F_SETLK, type, start, size); return "taken"
def wait(fd, type, start=0, size=0): lock(fd, fcntl.F_SETLKW, type, start, size); return "taken"
def ofd(fd, type, start=0, size=0): lock(fd, 37, type, start, size); return "taken"
def who(fd, type, start=0, size=0):
    type, _, start, size, pid = lock(fd, fcntl.F_GETLK, type, start, size)
    return "nobody" if type == UN else f"{'rw'[type == WR]} {start} {size}", pid
def flock(fd, how): fcntl.flock(fd, how); return "taken"
class Hey(Exception): pass
def hey(*_): raise Hey()
signal.signal(signal.SIGUSR1, hey)
a, b = os.open(sys.argv[1], os.O_RDWR), os.open(sys.argv[1], os.O_RDWR)
print(os.getpid(), flush=True)
for line in sys.stdin:
    try: got = eval(line)
    except OSError as e: got = errno.errorcode[e.errno]
    except Hey: got = "interrupted"
    print(got, flush=True)
'''


class Locker:
    """The program above on a host."""

    def __init__(self, host, path):
        self.process, self.host = host.spawn("python3", "-uc", LOCKER, path), host
        self.pid = int(self.process.read_line(60))

    def start(self, code):
        self.process.write(code + "\n")

    def answer(self, timeout=120):
        return self.process.read_line(timeout)

    def __call__(self, code):
        self.start(code)
        return self.answer()

    def signal(self, number):
        self.host.kill(self.pid, number)

    def sleeps_in_lock(self):
        """Whether its request to wait is under way: it sleeps, and not in reading what to do."""
        where = self.host.run("cat", f"/proc/{self.pid}/syscall", root=True).stdout.split()
        return where[:1] not in (["0"], ["running"], [])

    def wait_for(self, code):
        """Starts what is to wait, and returns when it does."""
        self.start(code)
        wait_until(self.sleeps_in_lock, 60, f"{code} waits")


def three(t, conf=""):
    """desk serves, lap and pad both mount it: a path on each to the same file."""
    desk, lap, pad = t.loopback("desk", "lap", "pad")
    for host in (desk, lap, pad):
        host.init()
        configure(host, conf)
        host.start("--port", "0")
    for host in (lap, pad):
        pair(desk, host)
    desk.sh("head -c 100 /dev/zero >f")
    return (desk, lap, pad), (desk.home + "/f", lap.peer_path("desk", "f"), pad.peer_path("desk", "f"))


@test(each_user=True)
def ranges_are_seen_by_the_peer_and_by_other_machines(t):
    hosts, paths = three(t)
    desk, lap, pad = map(Locker, hosts, paths)
    for mine, others in ((lap, (pad, desk)), (desk, (lap, pad)), (pad, (desk, lap))):
        assert mine("take(a, WR, 10, 10)") == "taken"
        for other in others:
            assert other("take(a, RD, 19, 5)") == "EAGAIN"
            assert other("take(a, WR, 20, 5)") == "taken"
            assert other("who(a, RD, 0, 15)").startswith("('w 10 10'"), other("who(a, RD, 0, 15)")
            assert other("who(a, RD, 0, 10)").startswith("('nobody'")
            assert other("take(a, UN, 20, 5)") == "taken"
        # Split in the middle; one part for reading only; and all of it back.
        assert mine("take(a, UN, 14, 2)") == "taken" and mine("take(a, RD, 16, 4)") == "taken"
        for other in others:
            assert other("take(a, WR, 14, 2)") == "taken" and other("take(a, UN, 14, 2)") == "taken"
            assert other("take(a, RD, 16, 4)") == "taken" and other("take(a, WR, 16, 4)") == "EAGAIN"
            assert other("take(a, RD, 13, 1)") == "EAGAIN"
            assert mine("take(a, WR, 10, 10)") == "EAGAIN" # the other reads there
            assert other("take(a, UN)") == "taken"
        assert mine("take(a, WR, 10, 10)") == "taken"
        assert others[0]("take(a, RD, 16, 4)") == "EAGAIN"
        assert mine("take(a, UN, 0, 0)") == "taken"
        assert others[0]("take(a, WR)") == "taken" and others[0]("take(a, UN)") == "taken"


@test(each_user=True)
def whole_files_and_open_file_descriptions_too(t):
    hosts, paths = three(t)
    for i, j in ((1, 2), (2, 0), (0, 1)):
        mine, other = Locker(hosts[i], paths[i]), Locker(hosts[j], paths[j])
        assert mine("flock(a, 2)") == "taken"
        assert other("flock(a, 1 | 4)") == "EAGAIN"
        assert mine("flock(b, 1 | 4)") == "EAGAIN"
        assert mine("flock(a, 1)") == "taken" and other("flock(a, 1 | 4)") == "taken"
        assert mine("flock(a, 2 | 4)") == "EAGAIN"
        assert other("flock(a, 8)") == "taken" and mine("flock(a, 8)") == "taken"
        assert mine("ofd(a, WR, 0, 10)") == "taken"
        assert mine("ofd(b, WR, 0, 10)") == "EAGAIN" and other("ofd(a, RD, 0, 10)") == "EAGAIN"
        assert mine("take(b, WR, 5, 10)") == "EAGAIN" and other("take(a, WR, 5, 10)") == "EAGAIN"
        assert mine("os.close(b)") == "None"
        assert other("ofd(a, WR, 0, 10)") == "EAGAIN"
        assert mine("os.close(a)") == "None"
        wait_until(lambda: other("ofd(a, WR, 0, 10)") == "taken", 60, "it went with its file")
        assert mine.process.end() == 0 and other.process.end() == 0


@test(each_user=True)
def who_asks_is_told_the_process(t):
    hosts, paths = three(t)
    desk, lap, pad = map(Locker, hosts, paths)
    second = Locker(hosts[1], paths[1])
    assert lap("take(a, WR, 5, 5)") == "taken"
    told = eval(second("who(a, RD)"))
    assert told[0] == "w 5 5"
    # Process ids are a namespace's own: the daemon's is the host's.
    assert told[1] == lap.pid, (told, lap.pid)
    assert eval(pad("who(a, RD)")) == ("w 5 5", 0) # of another machine: no process here
    assert lap("take(a, UN)") == "taken" and desk("take(a, WR, 5, 5)") == "taken"
    assert eval(pad("who(a, RD)")) == ("w 5 5", 0)


@test(each_user=True)
def one_who_waits_gets_it_or_is_interrupted(t):
    hosts, paths = three(t)
    desk, lap, pad = map(Locker, hosts, paths)
    for mine, other in ((lap, pad), (desk, lap), (pad, desk)):
        for take, wait, free in (("take(a, WR, 0, 10)", "wait(a, WR, 5, 10)", "take(a, UN)"), ("flock(a, 2)", "flock(a, 2)", "flock(a, 8)")):
            assert mine(take) == "taken"
            other.wait_for(wait)
            assert mine(free) == "taken" and other.answer() == "taken"
            assert other(free) == "taken" and mine(take) == "taken"
            other.wait_for(wait)
            other.signal(signal.SIGUSR1)
            assert other.answer() == "interrupted"
            assert mine(free) == "taken"
            # … and what was interrupted does not keep it: it is given back if it came too late.
            wait_until(lambda: mine(take) == "taken", 30, f"{take} after an interrupted {wait}")
            assert mine(free) == "taken"
    third = Locker(hosts[1], paths[1])
    assert pad("take(a, WR)") == "taken"
    third.wait_for("wait(a, WR)")
    third.signal(signal.SIGKILL)
    third.process.wait(30)
    assert pad("take(a, UN)") == "taken" and lap("take(a, WR)") == "taken"


@test(each_user=True)
def locks_end_with_their_process(t):
    hosts, paths = three(t)
    for how in ("posix", "flock", "ofd"):
        pad, lap = Locker(hosts[2], paths[2]), Locker(hosts[1], paths[1])
        take = {"posix": "take(a, WR)", "flock": "flock(a, 2)", "ofd": "ofd(a, WR)"}[how]
        assert lap(take) == "taken"
        pad.wait_for({"posix": "wait(a, WR)", "flock": "flock(a, 2)", "ofd": "lock(a, 38, WR) and 'taken'"}[how])
        lap.signal(signal.SIGKILL)
        assert pad.answer() == "taken", how
        # POSIX: any descriptor of the file that is closed takes them along; a child has none.
        if how == "posix":
            assert pad("os.close(b)") == "None"
            lap = Locker(hosts[1], paths[1])
            assert lap("take(a, WR)") == "taken"
            assert lap("os.waitpid(os.fork() or os._exit(0), 0)[1]") == "0"
            assert pad("take(a, WR)") == "EAGAIN"
            lap.signal(signal.SIGKILL)
            wait_until(lambda: pad("take(a, WR)") == "taken", 60, "it went with its process")
        pad.process.end()


@test(each_user=True, timeout=600)
def locks_end_when_their_machine_is_gone_for_good(t):
    hosts, paths = three(t, "session_grace = 2s")
    for again in (False, True):
        lap, pad = Locker(hosts[1], paths[1]), Locker(hosts[2], paths[2])
        assert lap("take(a, WR)") == "taken" and lap("flock(b, 2)") == "taken"
        pad.wait_for("wait(a, WR)")
        hosts[1].kill9()
        if again: # back before the time is over, but it remembers nothing
            hosts[1].unmount()
            hosts[1].start()
        assert pad.answer(120) == "taken"
        pad.start("flock(a, 2)")
        assert pad.answer(120) == "taken"
        pad.process.end()
        if not again:
            hosts[1].unmount()
            hosts[1].start()
            hosts[1].wait_online("desk")


@test(each_user=True)
def the_last_of_those_who_wait_for_each_other_is_told(t):
    hosts, paths = three(t)
    lap, other, pad = Locker(hosts[1], paths[1]), Locker(hosts[1], paths[1]), Locker(hosts[2], paths[2])
    # on one machine
    assert lap("take(a, WR, 0, 1)") == "taken" and other("take(a, WR, 1, 1)") == "taken"
    lap.wait_for("wait(a, WR, 1, 1)")
    assert other("wait(a, WR, 0, 1)") in ("EDEADLK", "EDEADLOCK")
    # and on two, round about
    assert pad("take(a, WR, 2, 1)") == "taken"
    other.wait_for("wait(a, WR, 2, 1)")
    assert pad("wait(a, WR, 0, 1)") in ("EDEADLK", "EDEADLOCK")
    lap.signal(signal.SIGUSR1)
    assert lap.answer() == "interrupted"
    pad.wait_for("wait(a, WR, 0, 1)")
    assert lap("take(a, UN, 0, 1)") == "taken"
    assert pad.answer() == "taken" and pad("take(a, UN, 0, 0)") == "taken" and other.answer() == "taken"


WRITER = r'''
import sqlite3, sys
path, name, n = sys.argv[1], sys.argv[2], int(sys.argv[3])
db = sqlite3.connect(path, timeout=120, isolation_level=None)
print("ready", flush=True); sys.stdin.readline()
for i in range(n):
    db.execute("begin immediate")
    (value,) = db.execute("select value from counter").fetchone()
    db.execute("update counter set value = ?", (value + 1,))
    db.execute("insert into log values (?, ?, ?)", (name, i, value + 1))
    db.execute("commit")
print("done", flush=True)
'''


def write_side_by_side(writers, n=40):
    """(host, path, name) each add n to a counter, in transactions."""
    programs = [host.spawn("python3", "-uc", WRITER, path, name, str(n)) for host, path, name in writers]
    for program in programs:
        assert program.read_line(60) == "ready"
    for program in programs:
        program.write("go\n")
    for program in programs:
        assert program.read_line(200) == "done"
        assert program.wait(60) == 0


CHECK = r'''
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
names, n = sys.argv[2].split(","), int(sys.argv[3])
assert db.execute("pragma integrity_check").fetchall() == [("ok",)]
assert db.execute("select value from counter").fetchone() == (n * len(names),), "an update was lost"
assert sorted(db.execute("select value from log")) == [(i + 1,) for i in range(n * len(names))]
for name in names:
    assert sorted(db.execute("select i from log where name = ?", (name,))) == [(i,) for i in range(n)], name
'''
MAKE = r'''
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.executescript("pragma journal_mode = delete; create table counter (value); insert into counter values (0);"
                 "create table log (name, i, value unique);")
'''


@test(each_user=True, timeout=600)
def sqlite_has_two_writers_on_one_mount(t):
    hosts, _ = three(t)
    lap, path = hosts[1], hosts[1].peer_path("desk", "db")
    lap.run("python3", "-c", MAKE, path, check=True)
    write_side_by_side([(lap, path, "one"), (lap, path, "two")])
    for host, where in ((lap, path), (hosts[0], hosts[0].home + "/db")):
        host.run("python3", "-c", CHECK, where, "one,two", "40", check=True)


@test(each_user=True, timeout=600)
def sqlite_has_writers_on_two_machines_and_on_the_peer(t):
    hosts, _ = three(t)
    places = [hosts[0].home + "/db"] + [host.peer_path("desk", "db") for host in hosts[1:]]
    hosts[0].run("python3", "-c", MAKE, places[0], check=True)
    write_side_by_side(list(zip(hosts, places, ("desk", "lap", "pad"))))
    for host, where in zip(hosts, places):
        host.run("python3", "-c", CHECK, where, "desk,lap,pad", "40", check=True)


main()
