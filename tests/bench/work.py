#!/usr/bin/python3
"""work.py WORK ROOT OPTIONS STEP,STEP...: does the steps of a work in a mounted directory.

Runs in the client host. OPTIONS is JSON (`Sizes` of measure.py, and paths). Before each step it
says {"step": NAME} and waits for a line; then {"amount": A, "seconds": S, "cpu": C}: A in bytes or
files, C what the programs used that it ran on the way to another machine.
A step that has an amount may stop early, after `rate_seconds`.
"""
import json
import os
import subprocess
import sys
import threading
import time

from agents import Agents
from programs import Programs
from values import Values

MIB = 1 << 20


class Steps(Programs, Values, Agents):
    def __init__(self, root, options):
        super().__init__()
        self.root, self.options = root, options
        self.n_read = self.n_opened = None # how far the cold step came: the warm one goes as far

    def path(self, *names):
        return os.path.join(self.root, *names)

    def end(self):
        return time.monotonic() + self.options["rate_seconds"]

    # ---- large files ----

    def read_cold(self):
        piece, n, end = bytearray(MIB), 0, self.end()
        with open(self.path("big"), "rb", buffering=0) as file:
            while time.monotonic() < end and n != self.n_read:
                got = file.readinto(piece)
                if not got:
                    break
                n += got
        self.n_read = n
        return n

    read_warm = read_cold

    def write(self):
        piece, n, end = os.urandom(MIB), 0, self.end()
        with open(self.path("made", "written"), "xb", buffering=0) as file:
            while n < self.options["mib"] * MIB and time.monotonic() < end:
                n += file.write(piece)
            os.fsync(file.fileno())
        return n

    def random(self, part, n_threads):
        done = subprocess.run([self.options["random_read"], self.path("big"), str(part),
                               str(self.options["random_seconds"]), str(n_threads)], check=True,
                              stdout=subprocess.PIPE)
        n, seconds = done.stdout.split()
        return int(n), float(seconds)

    def random_1(self):
        return self.random(0, 1)

    def random_32(self):
        return self.random(1, 32)

    # ---- many files ----

    def create(self):
        content, end, n = os.urandom(4096), self.end(), 0
        os.mkdir(self.path("made", "created"))
        while n < self.options["small"] and time.monotonic() < end:
            with open(self.path("made", "created", f"f{n:05}"), "xb", buffering=0) as file:
                assert file.write(content) == len(content)
            n += 1
        return n

    def untar(self):
        return self.counted("tar", "-x", "-v", "-f", self.options["tar"], "-C", self.path("made"))

    def rm(self):
        return self.counted("rm", "-r", "-f", "-v", self.path("made", "repository"))

    def counted(self, *command):
        """A command that says a line for each file or directory, and is stopped after a while."""
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        timer = threading.Timer(self.options["rate_seconds"], process.kill)
        timer.start()
        n = 0
        while True:
            lines = os.read(process.stdout.fileno(), MIB)
            if not lines:
                break
            n += lines.count(b"\n")
        timer.cancel()
        assert process.wait() in (0, -9), f"{command} ended with {process.returncode}"
        return n

    def open_cold(self):
        end, n = self.end(), 0
        for where, dirs, files in os.walk(self.path("small")):
            dirs.sort()
            for name in sorted(files):
                if n == self.n_opened or time.monotonic() > end:
                    dirs.clear()
                    break
                with open(os.path.join(where, name), "rb", buffering=0) as file:
                    while file.read(65536):
                        pass
                n += 1
        self.n_opened = n
        return n

    open_warm = open_cold

    # ---- whole trees ----

    def command(self, *command, may_end_with=(0,)):
        # To a pipe: some commands do less when their output is /dev/null.
        done = subprocess.run(command, stdout=subprocess.PIPE)
        assert done.returncode in may_end_with, f"{command} ended with {done.returncode}"
        return done.stdout

    def find_cold(self):
        self.command("find", self.path(self.options["repository"]))

    def grep_cold(self):
        self.command("grep", "-r", "no line has this", self.path(self.options["repository"]),
                     may_end_with=(1,))

    def status_cold(self):
        # What the files' owner is over the mount does not matter here.
        said = self.command("git", "-c", "safe.directory=*", "-C",
                            self.path(self.options["repository"]), "status", "--porcelain")
        assert said == b"", f"git sees changes: {said[:200]}"

    find_warm, grep_warm, status_warm = find_cold, grep_cold, status_cold

    def list(self):
        self.command("ls", "-f", self.path("listing"))

    def list_long(self):
        self.command("ls", "-l", self.path("listing"))

    # ---- changes by the peer ----

    def changes(self):
        """Knows them as they are, has them changed on the other side at a moment that it is told,
        and says for each when it was seen."""
        with open(self.path("made", "content", "file"), "rb", buffering=0) as file:
            def content():
                return os.pread(file.fileno(), 3, 0)
            conditions = {
                "change_name": lambda: "new" in os.listdir(self.path("made", "name")),
                "change_size": lambda: os.stat(self.path("made", "size", "file")).st_size == 6,
                "change_gone": lambda: not os.path.exists(self.path("made", "gone", "file")),
                "change_content": lambda: content() == b"new",
            }
            for name, condition in conditions.items():
                assert not condition(), name
            say({"changes": True})
            changed = float(sys.stdin.readline())

            def watch(name):
                while not conditions[name]():
                    time.sleep(0.001) # asks again: there is nothing to wait for
                say({"step": name, "seconds": time.monotonic() - changed})

            threads = [threading.Thread(target=watch, args=[name]) for name in conditions]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()


def say(line):
    print(json.dumps(line), flush=True)


def main():
    work, root, options, names = sys.argv[1:]
    steps = Steps(root, json.loads(options))
    if work == "changes":
        steps.changes()
        return
    for name in names.split(","):
        say({"step": name})
        sys.stdin.readline()
        began = time.monotonic()
        amount = getattr(steps, name)()
        seconds = time.monotonic() - began
        if isinstance(amount, tuple):
            amount, seconds = amount
        say({"amount": amount, "seconds": seconds, "cpu": steps.used})


main()
