"""A program that runs beside the test: lines in and out, each with a deadline."""
import json
import os
import select
import signal
import subprocess
import tempfile
import time

from lib.sandbox import descendants_of, describe, kill_group


class Process:
    """In a process group of its own. stdout is read in lines, stderr goes to a file."""

    def __init__(self, command, environment):
        self.text = describe(command)
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(command, start_new_session=True, env=environment,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.errors, bufsize=0)
        self.pid = self.process.pid # of nsenter, in a sandbox
        self.buffer = b""

    def write(self, text):
        self.process.stdin.write(text.encode() if isinstance(text, str) else text)

    def close_input(self):
        self.process.stdin.close()

    def read_line(self, timeout=120):
        """A line without its end; "" at the end of file. After `timeout` seconds an
        AssertionError."""
        end = time.monotonic() + timeout
        while b"\n" not in self.buffer:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                raise AssertionError(f"{self.text}: no line within {timeout} s; it said so far: "
                                     f"{self.buffer!r}; {self.error_text()}")
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                line, self.buffer = self.buffer, b""
                return line.decode(errors="replace")
            self.buffer += data
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line.decode(errors="replace")

    def read_some(self):
        """What it has said by now, line or not; "" if nothing."""
        text, self.buffer = self.buffer, b""
        while select.select([self.process.stdout], [], [], 0)[0]:
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                break
            text += data
        return text.decode(errors="replace")

    def has_line(self):
        """Whether read_line would return at once."""
        return b"\n" in self.buffer or bool(select.select([self.process.stdout], [], [], 0)[0])

    def read_json(self, timeout=120):
        line = self.read_line(timeout)
        if not line:
            raise AssertionError(f"{self.text}: ended; {self.error_text()}")
        return json.loads(line)

    def read_until(self, matches, timeout=120, what="a line"):
        """Reads JSON lines until matches(line); returns that line."""
        end = time.monotonic() + timeout
        seen = []
        while True:
            try:
                line = self.read_json(max(end - time.monotonic(), 0.01))
            except AssertionError as error:
                raise AssertionError(f"not within {timeout} s: {what}; seen: {seen}; {error}") \
                    from None
            if matches(line):
                return line
            seen.append(line)

    def error_text(self):
        self.errors.seek(0)
        return "stderr: " + self.errors.read().decode(errors="replace")[-4000:]

    def signal(self, number):
        """To the program and its descendants, as Ctrl-C does; not to the nsenter around them, which
        waits for them and ends as they do."""
        pids = descendants_of(self.process.pid)
        if os.path.basename(self.process.args[0]) != "nsenter":
            pids.append(self.process.pid)
        assert pids, f"{self.text}: ended before it could be sent signal {number}"
        for pid in pids:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def wait(self, timeout=120):
        """The exit status, as subprocess gives it."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.text}: still runs after {timeout} s; "
                                 f"{self.error_text()}") from None

    def end(self, timeout=120):
        """End of input, then the exit status."""
        self.close_input()
        return self.wait(timeout)

    def kill(self):
        kill_group(self.process, signal.SIGKILL)
