#!/usr/bin/python3
"""Control files: other machines from shells and the programs that people use in them."""
import json
import re

from harness import *
from lib.peers import two

SHELLS = {"bash": ["bash"], "dash": ["dash"], "busybox": ["busybox", "sh"]}

# One after another, a job as the manual has it; each line of what it prints is a result.
SCRIPT = r'''
set -e
cd "$1"
mkdir jobs/$2
echo src/app >jobs/$2/cwd
echo GREETING=hello >jobs/$2/env
printf 'NAME="a b"\nLAST=1' >>jobs/$2/env
printf 'read a; echo "$GREETING $NAME $LAST $a"; basename "$PWD"; echo bad >&2; exit 42' >jobs/$2/cmd
echo typed >jobs/$2/stdin
s=$(cat jobs/$2/wait)
cat jobs/$2/stdout
cat jobs/$2/stderr
echo "$s"
while read -r key value; do case $key in state|exit) echo "$key=$value";; esac; done <jobs/$2/status
exec 3<>exec
echo 'echo one; echo two >&2; echo three' >&3
read -r first <&3
echo "first $first"
cat <&3
exec 3>&-
! echo again 2>/dev/null >jobs/$2/cmd
cat last-error
rmdir jobs/$2
! cat jobs/$2/status 2>/dev/null
'''

RESULT = '''hello a b 1 typed
app
bad
42
state=exited
exit=42
first one
two
three
jobs/NAME/cmd: the job has been started already
'''


def control(host, *path):
    return host.peer_path("desk", ".loopsy", *path)


def with_job(t, command="", *settings):
    """Two hosts, and on lap a job `x` that runs `command` on desk."""
    desk, lap = two(t)
    lap.sh('mkdir "$1"', control(lap, "jobs/x"))
    for name, value in settings:
        lap.sh('printf %s "$2" >"$1"', control(lap, "jobs/x", name), value)
    if command:
        lap.sh('echo "$2" >"$1"', control(lap, "jobs/x/cmd"), command)
    return desk, lap


@test(each_user=True, timeout=300)
def the_same_script_works_in_every_shell(t):
    desk, lap = two(t)
    desk.sh("mkdir -p src/app")
    for name, shell in SHELLS.items():
        done = lap.run(*shell, "-c", SCRIPT, name, control(lap), name)
        assert done.returncode == 0 and done.stdout == RESULT.replace("NAME", name), (name, done)


# What each program must print of a file that reads as `text`.
READERS = {
    "cat": (["cat", "FILE"], lambda text: text),
    "head -c3": (["head", "-c3", "FILE"], lambda text: text[:3]),
    "tail -n1": (["tail", "-n1", "FILE"], lambda text: text.splitlines(True)[-1] if text else ""),
    "dd bs=1": (["dd", "bs=1", "status=none", "if=FILE"], lambda text: text),
    "busybox cat": (["sh", "-c", "busybox cat <FILE"], lambda text: text),
    "bash read": (["bash", "-c", "read -r line <FILE; printf %s \"$line\""],
                  lambda text: text.split("\n")[0]),
    "dash read": (["dash", "-c", "read -r line <FILE; printf %s \"$line\""],
                  lambda text: text.split("\n")[0]),
    "grep": (["grep", "-c", "", "FILE"], lambda text: f"{text.count(chr(10))}\n"),
    "python": (["python3", "-c", "import sys; sys.stdout.write(open('FILE').read())"], lambda text: text),
    "perl": (["perl", "-e", "open(my $f, '<', 'FILE') or exit 9; print while <$f>"], lambda text: text),
}


@test(timeout=300)
def every_file_is_read_by_every_program(t):
    desk, lap = with_job(t, "echo one; echo two; echo bad >&2; stty size; exit 3",
                         ("tty", "24 80"), ("cwd", "."), ("env", "A=1\nB=2\n"))
    lap.sh('cat "$1"', control(lap, "jobs/x/wait"))
    lap.sh('mkdir "$1/y"; echo "echo one; echo two; echo bad >&2" >"$1/y/cmd"; cat "$1/y/wait"',
           control(lap, "jobs"))
    expected = {
        "jobs/x/cwd": ".\n", "jobs/x/env": "A=1\nB=2\n", "jobs/x/tty": "24 80\n", "jobs/x/wait": "3\n",
        "jobs/x/cmd": "echo one; echo two; echo bad >&2; stty size; exit 3\n",
        "jobs/y/stdout": "one\ntwo\n", "jobs/y/stderr": "bad\n", "jobs/y/cwd": "",
    }
    for name in ("status", "jobs/x/status", "jobs/x/screen", "jobs/y/log"):
        expected[name] = lap.sh('cat "$1"', control(lap, name)).stdout
        assert expected[name].count("\n") > 1, (name, expected[name])
    assert sorted(expected["jobs/y/log"].split()) == ["bad", "one", "two"], expected["jobs/y/log"]
    assert expected["jobs/x/screen"].startswith("one\ntwo\nbad\n24 80\n"), expected["jobs/x/screen"]
    for name, text in expected.items():
        is_stream = bool(re.search("wait|std", name))
        for program, (words, result) in READERS.items():
            if name == "status" and program != "head -c3":
                continue # its round trip changes
            if is_stream and program == "busybox cat":
                continue # it uses sendfile: see the manual
            words = [word.replace("FILE", control(lap, name)) for word in words]
            done = lap.run(*words)
            assert done.stdout == result(text), (name, program, done)
        if not is_stream and name != "status":
            size = lap.sh('stat -c %s "$1"', control(lap, name)).stdout
            assert int(size) == len(text.encode()), (name, size, text)


# What is written where, and the errno it must give; the last-error then is of that file.
WRONG = [
    ("jobs/n/cwd", b"\n", "EINVAL"), ("jobs/n/env", b"9=1\n", "EINVAL"), ("jobs/n/tty", b"x\n", "EINVAL"),
    ("jobs/n/cmd", b"\n", "EINVAL"), ("jobs/n/stdin", b"x", "ENXIO"), ("jobs/n/ctl", b"eof\n", "ENXIO"),
    ("jobs/x/cwd", b"/\n", "EBUSY"), ("jobs/x/env", b"A=1\n", "EBUSY"), ("jobs/x/cmd", b"ls\n", "EBUSY"),
    ("jobs/x/tty", b"24 80\n", "ENOTTY"), ("jobs/x/ctl", b"signal NO\n", "EINVAL"),
    ("jobs/x/status", b"x", "EACCES"), ("jobs/x/log", b"x", "EACCES"), ("jobs/x/screen", b"x", "EACCES"),
    ("jobs/x/wait", b"x", "EACCES"), ("jobs/x/stdout", b"x", "EACCES"), ("jobs/x/stderr", b"x", "EACCES"),
    ("status", b"x", "EACCES"), ("last-error", b"x", "EACCES"), ("events", b"x", "EACCES"),
]

# Written into every file that can be written: no shell may ever see one of them as a command.
HOSTILE = [b"\0\1\2\n", b"torn \xe2\x82\n", b"\xff\xfe\xfd", b"\xc0\xafls\n", b"x" * 1000000 + b"\n"]

WRITE = r'''
import errno, json, os, sys
top = sys.argv[1]
def write(name, data):
    path = os.path.join(top, name)
    try:
        fd = os.open(path, os.O_RDWR if name == "exec" else os.O_WRONLY | os.O_TRUNC)
        try:
            while data:
                data = data[os.write(fd, data):]
        finally:
            os.close(fd)
    except OSError as error:
        with open(os.path.join(top, "last-error")) as file:
            return errno.errorcode[error.errno], file.read()
    return "OK", ""
print(json.dumps([write(name, bytes.fromhex(data)) for name, data in json.load(sys.stdin)]))
'''


def write_all(host, wanted):
    """Writes each data to its file: a list of (errno or OK, last-error)."""
    done = host.run("python3", "-c", WRITE, control(host), check=True,
                    input=json.dumps([(name, data.hex()) for name, data in wanted]))
    return [tuple(result) for result in json.loads(done.stdout)]


def write(host, name, data):
    return write_all(host, [(name, data)])[0]


@test(timeout=300)
def what_is_wrong_is_an_errno_and_a_line(t):
    desk, lap = with_job(t, "cat >kept")
    lap.sh('mkdir "$1"', control(lap, "jobs/n"))
    results = write_all(lap, [(name, data) for name, data, _ in WRONG])
    for (name, data, expected), (result, why) in zip(WRONG, results):
        assert result == expected and why.startswith(f"{name}: ") and why.count("\n") == 1, \
            (name, data, result, why)
    hostile = [(name, data) for data in HOSTILE for name in (
        "exec", "jobs/n/cwd", "jobs/n/env", "jobs/n/tty", "jobs/n/cmd", "jobs/x/ctl", "jobs/x/cwd",
        "jobs/x/env", "jobs/x/tty", "jobs/x/cmd")]
    for (name, data), (result, why) in zip(hostile, write_all(lap, hostile)):
        assert result in ("EINVAL", "EILSEQ", "E2BIG"), (name, data[:20], result)
        assert why.startswith(f"{name}: ") and why.count("\n") == 1, (name, data[:20], why)
    status = lap.sh('cat "$1"', control(lap, "jobs/n/status")).stdout
    assert status == "state new\n", status
    # Its input is bytes as they are.
    lap.run("python3", "-c", "import sys; open('sent', 'wb').write(bytes.fromhex(sys.stdin.read()))",
            input=b"".join(HOSTILE).hex(), check=True)
    assert write_all(lap, [("jobs/x/stdin", data) for data in HOSTILE]) == [("OK", "")] * len(HOSTILE)
    lap.sh('echo eof >"$1/ctl"; test "$(cat "$1/wait")" = 0', control(lap, "jobs/x"))
    sums = [host.run("sha256sum", path, check=True).stdout.split()[0] for host, path in
            ((desk, desk.home + "/kept"), (lap, lap.home + "/sent"))]
    assert sums[0] == sums[1], sums
    refused = [("mkdir", "jobs/.x"), ("mkdir", "new"), ("rmdir", "jobs"), ("rm", "status"),
               ("touch", "jobs/x/more"), ("ln", "status", "other")]
    for program, *names in refused:
        assert lap.run(program, *(control(lap, name) for name in names)).returncode != 0, (program, names)


# Starts readers that wait, tells when all do, and ends them by SIGINT; all must have ended so.
WAITERS = r'''
import os, signal, subprocess, sys, time
top, n = sys.argv[1], int(sys.argv[2])
files = ["jobs/x/stdout", "jobs/x/stderr", "jobs/x/wait", "events"]
children = []
for i in range(n):
    children.append(subprocess.Popen(["cat", os.path.join(top, files[i % len(files)])],
                                     stdout=subprocess.DEVNULL, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)))
def waits(child):
    with open(f"/proc/{child.pid}/syscall") as file:
        words = file.read().split()
    return words[0] == "0" # read
while not all(waits(child) for child in children):
    assert all(child.poll() is None for child in children), "one has ended"
    time.sleep(0.01)
print("all wait", flush=True)
sys.stdin.readline()
for child in children:
    child.send_signal(signal.SIGINT)
print(*sorted({child.wait() for child in children}), flush=True)
'''


@test(timeout=300)
def two_hundred_who_wait_are_in_nobodys_way(t):
    desk, lap = with_job(t, "sleep 1000")
    desk.sh("mkdir dir; touch dir/f{1..50}")
    lap.sh('head -n1 "$1"', control(lap, "events")) # jobs are told of from here on
    waiters = lap.spawn("python3", "-c", WAITERS, control(lap), "200")
    assert waiters.read_line() == "all wait"
    assert len(lap.sh('ls "$1"', lap.peer_path("desk", "dir")).stdout.split()) == 50
    lap.sh('grep -rq nothing "$1"; find "$1" >all; ! grep -q loopsy all', lap.peer_path("desk"))
    lap.sh('cp -r "$1" copied; test ! -e copied/.loopsy', lap.peer_path("desk"))
    assert lap.sh('exec 3<>"$1"; echo "echo still" >&3; cat <&3', control(lap, "exec")).stdout == "still\n"
    waiters.write("\n")
    assert waiters.read_line() == "-2", waiters.error_text()
    assert waiters.wait() == 0
    lap.sh('echo close >"$1/ctl"; cat "$1/wait"', control(lap, "jobs/x"))


BLOCKED_WRITER = r'''
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
fd = os.open(sys.argv[1], os.O_WRONLY)
print("open", flush=True)
while True:
    os.write(fd, b"x" * 65536)
'''


@test(timeout=300)
def a_blocked_writer_ends_on_a_signal(t):
    desk, lap = with_job(t, "sleep 1000")
    for number in (2, 15, 9):
        writer = lap.spawn("python3", "-c", BLOCKED_WRITER, control(lap, "jobs/x/stdin"))
        assert writer.read_line() == "open"
        pid = wait_until(lambda: lap.sh('pgrep -f "os.O_WRONL[Y]"', check=False).stdout.strip(), 60, "the writer")
        wait_until(lambda: lap.sh('read -r call rest </proc/$1/syscall; echo $call', pid, check=False,
                                  root=True).stdout == "1\n", 60, "it writes")
        lap.kill(pid, number)
        assert writer.wait(60) != 0
    lap.sh('echo "signal KILL" >"$1/ctl"; test "$(cat "$1/wait")" = 137', control(lap, "jobs/x"))


@test(timeout=300)
def exec_reads_and_writes_on_one_descriptor_at_once(t):
    desk, lap = two(t)
    # The read is blocked before there is a line: a write must not wait for it.
    script = r'''
import os, select, sys, threading
fd = os.open(sys.argv[1], os.O_RDWR)
assert select.select([fd], [fd], [], 0)[:2] == ([], [fd])
got = []
reader = threading.Thread(target=lambda: got.append(os.read(fd, 100)))
reader.start()
os.write(fd, b"echo up\n")
reader.join()
poll = select.poll()
poll.register(fd, select.POLLIN)
assert poll.poll(60000), "the end is not told"
print(got[0], os.read(fd, 100))
other = os.open(sys.argv[1], os.O_RDWR | os.O_NONBLOCK)
try:
    os.read(other, 1)
except BlockingIOError:
    print("would block")
'''
    done = lap.run("python3", "-c", script, control(lap, "exec"))
    assert done.stdout == "b'up\\n' b''\nwould block\n", done
    # One that is closed takes its command with it.
    pid = lap.sh('exec 3<>"$1"; echo "echo \\$\\$; exec sleep 1000" >&3; read -r pid <&3; echo $pid',
                 control(lap, "exec")).stdout.strip()
    wait_until(lambda: not desk.is_alive(pid), 60, "its end")
    assert lap.sh('exec 3<>"$1"; echo "no-such-command" >&3; cat <&3', control(lap, "exec")).stdout
    many = lap.sh('for i in $(seq 20); do (exec 3<>"$1"; echo "echo $i" >&3; cat <&3) & done; wait',
                  control(lap, "exec"))
    assert sorted(many.stdout.split(), key=int) == [str(i) for i in range(1, 21)], many


@test(timeout=300)
def the_local_machine_has_them_too(t):
    desk, lap = two(t)
    lap.sh("mkdir -p src/app")
    for shell, words in SHELLS.items():
        done = lap.run(*words, "-c", SCRIPT, shell, lap.mount + "/.loopsy", f"x-{shell}")
        assert done.stdout == RESULT.replace("NAME", f"x-{shell}"), (shell, done)
    assert lap.sh('ls -a "$1"; mkdir "$1/mine"; ls "$1"', lap.mount + "/.loopsy/jobs").stdout == ".\n..\nmine\n"
    # Those of a peer are not among them, and what runs here is none of the peer's business.
    lap.sh('cd "$1"; echo "echo up; exec sleep 1000" >mine/cmd; head -n1 mine/stdout', lap.mount + "/.loopsy/jobs")
    assert desk.sh('ls "$1"', desk.peer_path("lap", ".loopsy", "jobs")).stdout == ""
    assert desk.sh('mkdir "$1/x"; echo "sleep 1000" >"$1/x/cmd"; ls "$1"',
                   desk.peer_path("lap", ".loopsy", "jobs")).stdout == "x\n"
    assert lap.sh('ls "$1"', lap.mount + "/.loopsy/jobs").stdout == "mine\n"
    why = lap.sh('cd "$1"; ! echo elsewhere 2>/dev/null >jobs/mine/cwd; cat last-error', lap.mount + "/.loopsy").stdout
    assert why == "jobs/mine/cwd: the job has been started already\n", why
    lap.sh('cd "$1"; echo "signal TERM" >mine/ctl; test "$(cat mine/wait)" = 143; rmdir mine', lap.mount + "/.loopsy/jobs")


@test(timeout=300)
def a_cut_link_loses_and_doubles_no_byte(t):
    desk, lap = t.lan("desk", "lap", avahi=False)
    for host in (desk, lap):
        host.init()
        host.start("--lan")
    pair(desk, lap)
    lap.sh('mkdir "$1"; echo "seq 2000000" >"$1/cmd"', control(lap, "jobs/x"))
    reader = lap.spawn("bash", "-c", 'head -c 1000000 <"$1" | md5sum; cat "$1" | md5sum', "bash",
                       control(lap, "jobs/x/stdout"))
    reader.read_line()
    t.cut(lap)
    wait_until(lambda: (lap.peer("desk") or {}).get("state") != "online", 120, "the link is lost")
    t.mend(lap)
    assert reader.read_line() == lap.sh("seq 2000000 | md5sum").stdout.strip()
    assert reader.wait() == 0


@test(timeout=300)
def errors_of_the_other_machine_arrive(t):
    desk, lap = with_job(t)
    result, why = write(lap, "jobs/x/cwd", b"nowhere\n")
    assert result == "OK"
    result, why = write(lap, "jobs/x/cmd", b"ls\n")
    assert result == "ENOENT" and "no such directory on desk" in why, (result, why)
    desk.ctl("peers", "allow", "lap", "fs:rw", check=True)
    wait_until(lambda: write(lap, "jobs/x/cmd", b"ls\n")[0] == "EACCES", 60, "exec is refused")
    result, why = write(lap, "exec", b"ls\n")
    assert result == "EACCES" and "does not let this machine run programs" in why, (result, why)
    desk.stop()
    wait_until(lambda: write(lap, "exec", b"ls\n")[0] == "EHOSTDOWN", 120, "desk is offline")
    assert lap.sh('cat "$1"', control(lap, "status")).stdout
    assert "desk is offline" in write(lap, "exec", b"ls\n")[1]
    assert '"event":"down"}' in lap.sh('head -n 2 "$1"', control(lap, "events")).stdout


main()
