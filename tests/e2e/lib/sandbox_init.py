"""Process 1 of a sandbox (sandbox.py): makes its private files, says "ready", reaps orphans, and
ends when its stdin does. With it the kernel ends everything in the sandbox, mounts included.

argv: build directory, uid for whom the sandbox is (0: none)."""
import os
import select
import signal
import stat
import subprocess
import sys


def mount(*arguments):
    subprocess.run(["mount", *arguments], check=True, stdin=subprocess.DEVNULL)


def extend(path, line):
    """The file with one line more, for this sandbox only."""
    private = "/run/loopsy/" + os.path.basename(path)
    with open(path, encoding="utf-8") as original, open(private, "w", encoding="utf-8") as copy:
        copy.write(original.read().rstrip("\n") + "\n" + line + "\n")
    os.chmod(private, 0o644)
    mount("--bind", private, path)


def set_up(build, uid):
    os.umask(0o022)
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    for directory in ("dbus", "avahi-daemon", "loopsy", "loopsy/build", "lock", "user"):
        os.mkdir("/run/" + directory)
    if build:
        mount("--bind", build, "/run/loopsy/build")
    if os.path.exists("/dev/fuse"):
        node = os.stat("/dev/fuse")
        os.mknod("/run/loopsy/fuse", stat.S_IFCHR | 0o666, node.st_rdev)
        os.chmod("/run/loopsy/fuse", 0o666)
        mount("--bind", "/run/loopsy/fuse", "/dev/fuse")
    if uid:
        extend("/etc/passwd", f"tester:x:{uid}:{uid}:tester:/nonexistent:/bin/bash")
        extend("/etc/group", f"tester:x:{uid}:")


def reap():
    try:
        while os.waitpid(-1, os.WNOHANG)[0] > 0:
            pass
    except ChildProcessError:
        pass


def main():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    set_up(sys.argv[1], int(sys.argv[2]))
    woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    print("ready", flush=True)
    while True:
        readable, _, _ = select.select([0, woken], [], [])
        if woken in readable:
            os.read(woken, 4096)
            reap()
        if 0 in readable and not os.read(0, 4096):
            os._exit(0)


main()
