#!/usr/bin/python3
"""Several machines, and the peer itself, change the same files at once."""
import json

from harness import *
from lib.peers import CONTENTS, LISTING, three

# What programs that race begin with: argv[1] is the directory, argv[2] who they are. They say
# "ready", wait for a line, and print what they have to say as JSON.
COMMON = r'''import ctypes, errno, json, os, random, sys
os.chdir(sys.argv[1]); who = sys.argv[2]
libc = ctypes.CDLL(None, use_errno=True)
def renameat2(a, b, flags):
    if libc.renameat2(-100, a.encode(), -100, b.encode(), flags) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
def ready(): print("ready", flush=True); sys.stdin.readline()
def say(what): print(json.dumps(what), flush=True)
'''


def race(hosts, script, path_of, timeout=200):
    """Runs the script on all of them at once; what each said, by name."""
    programs = {host.name: host.spawn("python3", "-c", COMMON + script, path_of(host), host.name) for host in hosts}
    for program in programs.values():
        assert program.read_line(timeout) == "ready"
    for program in programs.values():
        program.write("go\n")
    lines = {name: program.read_line(timeout) for name, program in programs.items()}
    for name, program in programs.items():
        assert program.wait(timeout) == 0, f"{name}: {program.error_text()}"
    return {name: json.loads(line) for name, line in lines.items()}


def at(desk):
    return lambda host: desk.home if host is desk else host.peer_path("desk")


@test(each_user=True, timeout=600)
def no_record_that_is_appended_is_lost_or_torn(t):
    desk, lap, pad = hosts = three(t)
    desk.sh(": >log")
    race(hosts, r'''fd = os.open("log", os.O_WRONLY | os.O_APPEND)
ready()
for i in range(300):
    record = f"{who} {i} ".encode(); record += b"." * (i * 37 % 6000) + b"\n"
    assert os.write(fd, record) == len(record)
os.close(fd); say(True)
''', at(desk))
    records = [line.split(" ") for line in desk.sh("cat log").stdout.splitlines()]
    for host in hosts:
        own = [(int(i), len(rest)) for who, i, rest in records if who == host.name]
        assert own == [(i, i * 37 % 6000) for i in range(300)], (host.name, own)
    assert len(records) == 900
    assert all(rest == "." * len(rest) for _, _, rest in records)


@test(each_user=True, timeout=600)
def of_those_who_make_a_name_exactly_one_does(t):
    desk, lap, pad = hosts = three(t)
    said = race(hosts, r'''made = {}
for i in range(100):
    with open(f"own-{who}-{i}", "w") as f: f.write(who)
ways = {
    "create": lambda i: os.close(os.open(f"create{i}", os.O_CREAT | os.O_EXCL | os.O_WRONLY)),
    "mkdir": lambda i: os.mkdir(f"mkdir{i}"),
    "symlink": lambda i: os.symlink(who, f"symlink{i}"),
    "link": lambda i: os.link(f"own-{who}-0", f"link{i}"),
    "rename": lambda i: renameat2(f"own-{who}-{i}", f"rename{i}", 1), # RENAME_NOREPLACE
}
ready()
for way, make in ways.items():
    made[way] = []
    for i in range(100):
        try: make(i); made[way].append(i)
        except FileExistsError: pass
say(made)
''', at(desk))
    for way in ("create", "mkdir", "symlink", "link", "rename"):
        made = sorted(i for name in said for i in said[name][way])
        assert made == list(range(100)), (way, said)
    for name, made in said.items():
        owners = desk.sh('for i in $1; do readlink symlink$i; cat rename$i; echo; done',
                         " ".join(map(str, sorted(set(made["symlink"]) & set(made["rename"]))))).stdout.split()
        assert set(owners) <= {name}, (name, owners)


@test(each_user=True, timeout=600)
def of_those_who_take_a_name_away_exactly_one_does(t):
    desk, lap, pad = hosts = three(t)
    desk.sh("mkdir unlink rmdir rename; for i in {0..99}; do : >unlink/$i; mkdir rmdir/$i; : >rename/$i; done")
    said = race(hosts, r'''done = {}
ways = {"unlink": lambda i: os.unlink(f"unlink/{i}"), "rmdir": lambda i: os.rmdir(f"rmdir/{i}"),
        "rename": lambda i: os.rename(f"rename/{i}", f"{who}-{i}")}
ready()
for way, take in ways.items():
    done[way] = []
    for i in range(100):
        try: take(i); done[way].append(i)
        except FileNotFoundError: pass
say(done)
''', at(desk))
    for way in ("unlink", "rmdir", "rename"):
        assert sorted(i for name in said for i in said[name][way]) == list(range(100)), (way, said)
    for name in said:
        assert len(said[name]["rename"]) == len(desk.sh(f"ls | grep -e '^{name}-' || true").stdout.split())
    assert desk.sh("ls unlink rmdir rename").stdout.split() == ["rename:", "rmdir:", "unlink:"]


@test(each_user=True, timeout=600)
def names_that_are_exchanged_are_never_missing(t):
    desk, lap, pad = three(t)
    desk.sh("mkdir a b; echo a >a/who; echo b >b/who; printf %05000d 1 >one; printf %05000d 2 >two")
    said = race([desk, lap, pad], r'''seen = {}
ready()
if who == "lap":
    for i in range(301):
        renameat2("a", "b", 2); renameat2("one", "two", 2)
    try: renameat2("one", "two", 1); raise SystemExit("RENAME_NOREPLACE replaced")
    except FileExistsError: pass
    os.mkdir("end")
while not os.path.isdir("end"):
    for name in "a/who", "b/who", "one", "two":
        with open(name) as f: text = f.read()
        seen[text.strip()[-1]] = seen.get(text.strip()[-1], 0) + 1
        assert text in ("a\n", "b\n") if name[1] == "/" else len(text) == 5000, (name, text)
say(seen)
''', at(desk))
    assert desk.sh("cat a/who b/who; tail -c 1 one; tail -c 1 two").stdout == "b\na\n21"
    assert lap.sh('cd "$1"; cat a/who b/who; tail -c 1 one; tail -c 1 two', lap.peer_path("desk")).stdout == "b\na\n21"
    note(f"read while names were exchanged: {said}")


@test(each_user=True, timeout=600)
def a_file_that_is_renamed_over_is_never_missing_or_mixed(t):
    desk, lap, pad = hosts = three(t)
    desk.sh("printf 'desk %09999d' 0 >file")
    said = race(hosts, r'''read = written = 0
ready()
def look():
    with open("file") as f: text, size = f.read(), os.fstat(f.fileno()).st_size
    name, _, number = text.partition(" ")
    assert name in ("desk", "lap", "pad") and len(number) == 9999 and size == len(text), (text[:20], len(text), size)
if who == "lap": # only reads, until both others are done
    while not (os.path.exists("done-desk") and os.path.exists("done-pad")):
        look(); read += 1
else:
    for i in range(200):
        with open(f"new-{who}", "w") as f: f.write(f"{who} {i:09999d}")
        os.rename(f"new-{who}", "file"); written += 1
        look(); read += 1
    os.close(os.open(f"done-{who}", os.O_CREAT | os.O_WRONLY))
say((read, written))
''', at(desk))
    note(f"read and written: {said}")


@test(each_user=True, timeout=600)
def two_machines_write_parts_of_one_file(t):
    desk, lap, pad = hosts = three(t)
    desk.sh("truncate -s 2700000 file")
    race([lap, pad, desk], r'''turn = ("desk", "lap", "pad").index(who)
fd = os.open("file", os.O_RDWR)
ready()
for i in range(turn, 2700, 3): assert os.pwrite(fd, (f"{who} {i} ".encode() + b"-" * 1000)[:1000], i * 1000) == 1000
os.fsync(fd); os.close(fd); say(True)
''', at(desk))
    check = r'''import sys
data = open(sys.argv[1], "rb").read(); assert len(data) == 2700000
for i in range(2700):
    who = ("desk", "lap", "pad")[i % 3]
    assert data[i * 1000:i * 1000 + 1000] == (f"{who} {i} ".encode() + b"-" * 1000)[:1000], i
'''
    desk.run("python3", "-c", check, desk.home + "/file", check=True)
    for host in (lap, pad):
        wait_until(lambda: host.run("python3", "-c", check, host.peer_path("desk", "file")).returncode == 0, 60,
                   "the whole file")


# Does whatever comes to the mind in a few directories; what is gone or there already is no matter.
# So is, rarely, that one was replaced twice while it was looked up: the kernel looks again once.
STRESS = r'''random.seed(who + sys.argv[3]); n_stale = 0; allowed = {errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR,
    errno.EINVAL, errno.ELOOP, errno.ENXIO, errno.EPERM}
def name(): return "/".join(random.choice("abcde") for _ in range(random.randrange(1, 4)))
def write():
    with open(name(), random.choice(("wb", "r+b", "ab")), buffering=0) as f:
        for _ in range(random.randrange(4)):
            if random.random() < .5: f.seek(random.randrange(200000))
            f.write(random.randbytes(random.choice((10, 5000, 70000))))
        if random.random() < .3: f.truncate(random.randrange(100000))
def read():
    with open(name(), "rb") as f: f.read()
def fill():
    with open(name(), "r+b") as f: os.posix_fallocate(f.fileno(), random.randrange(50000), 10000)
ways = [write, write, write, read, fill, lambda: os.rename(name(), name()), lambda: os.rename(name(), name()),
    lambda: renameat2(name(), name(), random.randrange(1, 3)), lambda: os.unlink(name()), lambda: os.mkdir(name()),
    lambda: os.mkdir(name()), lambda: os.rmdir(name()), lambda: os.link(name(), name()), lambda: os.symlink(name(), name()),
    lambda: os.utime(name(), ns=(1, random.randrange(10**18))), lambda: os.truncate(name(), random.randrange(100000)),
    lambda: os.setxattr(name(), "user.x", random.randbytes(9)), lambda: os.listdir(name()), lambda: os.stat(name())]
for _ in range(int(sys.argv[4])):
    way = random.choice(ways)
    try: way()
    except OSError as e:
        n_stale += e.errno == errno.ESTALE
        if e.errno not in allowed and (e.errno != errno.ESTALE or n_stale > 2): raise
'''


@test(each_user=True, timeout=900)
def after_many_processes_on_all_sides_the_trees_are_equal(t):
    desk, lap, pad = hosts = three(t)
    programs = [host.spawn("python3", "-c", COMMON + STRESS, at(desk)(host), host.name, str(i), "400")
                for i in range(5) for host in hosts]
    for program in programs:
        assert program.wait(400) == 0, program.error_text()
    times = LISTING.replace("%T@", "%T@ %C@ %b")
    want = [desk.sh(script, desk.home, timeout=300).stdout for script in (times, CONTENTS)]
    for host in (lap, pad):
        look = lambda: [host.sh(script, host.peer_path("desk"), timeout=300).stdout for script in (times, CONTENTS)]
        wait_until(lambda: look() == want, 60, f"the same tree on {host.name}")
    note(f"{want[0].count(chr(10))} entries are left")


def peak_kib(host):
    text = host.run("cat", f"/proc/{host.daemon_pid}/status", root=True, check=True).stdout
    return int(next(line for line in text.splitlines() if line.startswith("VmHWM")).split()[1])


@test(timeout=900)
def memory_is_bounded_while_64_programs_copy_list_and_delete(t):
    desk, lap, pad = three(t)
    desk.sh("mkdir source; cd source; for i in {0..9}; do mkdir $i; for j in {0..9}; do head -c 60000 /dev/urandom >$i/$j; done; done; "
            "head -c 4M /dev/urandom >big")
    work = 'cd "$1"; for i in 1 2; do cp -r source copy$2; ls -lR copy$2 >/dev/null; diff -r source copy$2; rm -r copy$2; done'
    programs = [host.spawn("bash", "-ec", work, "bash", host.peer_path("desk"), f"-{host.name}-{i}")
                for i in range(32) for host in (lap, pad)]
    for program in programs:
        assert program.wait(500) == 0, program.error_text()
    peaks = {host.name: peak_kib(host) for host in (desk, lap, pad)}
    note(f"KiB at most: {peaks}")
    assert desk.sh("ls").stdout == "source\n"
    # sanitizers keep what was freed
    assert t.sanitizer != "none" or max(peaks.values()) < 160 * 1024, peaks


main()
