"""Steps about programs on the other machine and a terminal there: a part of work.py.

options: exec and shell, what comes before a command's words, and what opens a terminal; copy, what
copies the large file to its standard output; big, the large file's path there.
"""
import os
import pty
import resource
import statistics
import subprocess
import threading
import time

MIB = 1 << 20
PROMPT, DRAWN = b"# ", b"set up" # of root's shell; by our command, which is typed otherwise
LINE = b"stty raw -echo; printf 'set %s' up; exec cat\r"


class Programs:
    def __init__(self):
        self.used = 0 # CPU seconds of clients, in the step that was last

    def spawn(self, words, output="/dev/null"):
        """Nothing of Python between it and exec."""
        files = [(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                 (os.POSIX_SPAWN_OPEN, 1, output, os.O_WRONLY, 0)]
        return os.posix_spawnp(words[0], words, os.environ, file_actions=files)

    def run_there(self, *words):
        """How long it took, in seconds."""
        words = self.options["exec"] + list(words)
        before, began = children_cpu(), time.monotonic()
        pid = self.spawn(words)
        _, status = os.waitpid(pid, 0)
        seconds = time.monotonic() - began
        assert status == 0, f"{words} ended with {status}"
        self.used += children_cpu() - before
        return seconds

    def exec(self):
        self.used = 0
        end, times = self.end(), []
        while len(times) < self.options["execs"] and time.monotonic() < end:
            times.append(self.run_there("true"))
        return len(times), {"exec": statistics.median(times)}

    def stdout(self):
        self.used = 0
        return self.options["mib"] * MIB, self.run_there("cat", self.options["big"])

    # ---- a terminal ----

    def echo(self):
        self.used = 0
        terminal = Terminal(self.options["shell"])
        try:
            times = self.type_keys(terminal)
        finally:
            terminal.close()
        return len(times), {"echo": statistics.median(times), "echo_99": part_within(times, 99)}

    def echo_busy(self):
        self.used = 0
        terminal, copying = Terminal(self.options["shell"]), Copying(self.options["copy"])
        try:
            copying.begin()
            times = self.type_keys(terminal)
            assert not copying.failed
        finally:
            copying.end()
            terminal.close()
        return len(times), {"echo_busy": statistics.median(times),
                            "echo_busy_99": part_within(times, 99)}

    def type_keys(self, terminal):
        end, times = self.end(), []
        while len(times) < self.options["keys"] and time.monotonic() < end:
            times.append(terminal.type_key())
        return times


class Terminal:
    """A client at a terminal of ours. What is typed comes back from a program there."""

    def __init__(self, words):
        self.pid, self.tty = pty.fork()
        if self.pid == 0:
            os.execvp(words[0], words)
        self.wait_for(PROMPT)
        os.write(self.tty, LINE)
        self.wait_for(DRAWN)

    def wait_for(self, text):
        shown = b""
        while text not in shown:
            shown += os.read(self.tty, 4096)

    def type_key(self):
        began = time.monotonic()
        os.write(self.tty, b"k")
        while b"k" not in os.read(self.tty, 4096): # what a terminal is drawn with may come too
            pass
        return time.monotonic() - began

    def close(self):
        os.close(self.tty) # it hangs up
        os.waitpid(self.pid, 0)


class Copying:
    """The large file, again and again, so that the line is never idle."""

    def __init__(self, words):
        self.words, self.process = words, None
        self.has_ended = self.failed = False
        self.first = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.has_ended:
            self.process = subprocess.Popen(self.words, stdin=subprocess.DEVNULL,
                                            stdout=subprocess.DEVNULL)
            if self.process.wait() != 0 and not self.has_ended:
                self.failed = True
                break
            self.first.set()
        self.first.set()

    def begin(self):
        """It is at its second copy when this returns."""
        self.thread.start()
        self.first.wait()

    def end(self):
        self.has_ended = True
        if self.process:
            self.process.kill()
        self.thread.join()


def children_cpu():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def part_within(times, percent):
    """So many of 100 are not longer."""
    return sorted(times)[max(len(times) * percent // 100, 1) - 1]
