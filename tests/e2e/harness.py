"""End-to-end tests: what a test file imports, and what runs its tests (see tests/README.md).

    from harness import *

    @test
    def a_listed_peer_is_there(t):
        desk, lap = t.lan("desk", "lap")
        ...

    main()

A file's tests run one after the other, each in a process and a directory of its own, with a
deadline; whatever a test started or mounted is gone before the next one begins. TAP on stdout.
Arguments: a pattern (part of the name, or with * and ?), --list.
"""
import ctypes
import fnmatch
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib.hosts import Host, answer, pair
from lib.sandbox import Lan, Sandbox, children_of, run
from lib.sanitizers import reports, sanitizer_of
from lib.waiting import wait_until

__all__ = ["test", "main", "skip", "note", "wait_until", "pair", "answer", "Host", "run"]

ORDINARY_USER = 4711
HARD_EXTRA = 60 # seconds that a test past its deadline has to clean up
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36

tests = []


class Skip(Exception):
    pass


class Deadline(BaseException):
    pass


def skip(why):
    raise Skip(why)


def note(text):
    """A line that is shown with the result."""
    print(f"note: {text}", flush=True)


def test(function=None, *, timeout=300, each_user=False):
    """Registers FILE/FUNCTION. `each_user`: once as root (if we are) and once as an ordinary
    user."""
    def register(function):
        suite = pathlib.Path(function.__code__.co_filename).stem
        user = os.geteuid() # who hosts are for: without root, only ourselves
        for user in ([0, ORDINARY_USER] if each_user and user == 0 else [user]):
            words = (" as root", " as a user")[user != 0] if each_user else ""
            tests.append((f"{suite}/{function.__name__}{words}", function, timeout, user))
        return function
    return register(function) if function else register


class Context:
    """What a test gets: makes hosts, and ends them."""

    def __init__(self, directory, user):
        self.directory, self.user = directory, user
        self.build = os.path.abspath(os.environ.get("LOOPSY_BUILD_DIR", "build"))
        self.sanitizer = sanitizer_of(self.build)
        self.hosts = []
        self._boxes = [] # in the order of making
        self._lan = self._loopback = None
        self._no_sandbox = why_no_sandbox()

    def lan(self, *names, avahi=True, user=None):
        """Hosts on one network, each with a network namespace, D-Bus and (with `avahi`) avahi."""
        return self._listed([self._lan_host(name, avahi, user) for name in names])

    def loopback(self, *names, user=None):
        """Hosts that share one loopback interface, 127.0.0.1, and nothing else; where we cannot
        make namespaces, on this very machine."""
        return self._listed([self._loopback_host(name, user) for name in names])

    def program(self, host, name):
        """The path, in the host, of a program of tests/e2e/bin."""
        return f"{host.build}/tests/e2e/bin/{name}"

    @staticmethod
    def _listed(hosts):
        return hosts[0] if len(hosts) == 1 else hosts

    def _box(self, user, network_of=None):
        box = Sandbox(self.build, user, network_of)
        self._boxes.append(box)
        return box

    def _add(self, name, **options):
        host = Host(name, self._fresh_directory(name), self.build, **options)
        self.hosts.append(host)
        return host

    def _fresh_directory(self, name):
        path, i = os.path.join(self.directory, name), 1
        while os.path.exists(path):
            i += 1
            path = os.path.join(self.directory, f"{name}-{i}")
        return path

    def _lan_host(self, name, avahi, user):
        user = self.user if user is None else user
        if self._no_sandbox:
            skip(self._no_sandbox)
        if not self._lan:
            self._lan = Lan()
            self._boxes.append(self._lan)
        box = self._box(user)
        link, address = self._lan.connect(box)
        host = self._add(name, box=box, user=user, address=address)
        host.link = link
        if avahi:
            host.start_dbus()
            host.start_avahi()
        return host

    def _loopback_host(self, name, user):
        user = self.user if user is None else user
        if self._no_sandbox:
            if user != os.geteuid():
                skip(self._no_sandbox)
            return self._add(name, user=user)
        if not self._loopback:
            self._loopback = Sandbox(self.build)
            self._boxes.append(self._loopback)
        return self._add(name, box=self._box(user, self._loopback), user=user)

    def cut(self, host):
        self._lan.set_link(host.link, False)

    def mend(self, host):
        self._lan.set_link(host.link, True)

    def isolate(self, *hosts):
        """From now on these reach the others on the network, but not each other."""
        for host in hosts:
            self._lan.isolate(host.link)

    def end_daemons(self):
        """Every daemon that still runs loses its peers, and what it had open for them, and ends in
        order: sanitizers look for leaks then."""
        for host in self.hosts:
            if not host.daemon_pid:
                continue
            host.daemon_pid = host.status()["pid"] # it may have been started anew
            if host.first_descriptors:
                host.check_descriptors()
            host.stop()
            assert not host.is_mounted(), f"{host.name} stopped and is still mounted"

    def check_reports(self):
        found = [(host.name, *report) for host in self.hosts for report in reports(host.reports)]
        for host, file, text in found:
            print(f"--- a sanitizer, on {host}: {file}", text, sep="\n", flush=True)
        assert not found, f"sanitizers reported: {', '.join(f'{h}: {f}' for h, f, _ in found)}"

    def close(self):
        for host in self.hosts:
            if not host.box:
                host.ctl("stop", timeout=20)
                host.unmount()
        left = [box for box in reversed(self._boxes) if not box.close()]
        assert not left, f"{len(left)} sandboxes did not end in order"

    def print_logs(self):
        for host in self.hosts:
            for path, lines in host.logs():
                print(f"--- {path}", *lines, sep="\n", flush=True)


def why_no_sandbox():
    """Why this machine does not let us make namespaces, or None."""
    if os.geteuid() != 0:
        return "needs root, for namespaces"
    done = run(["unshare", "--mount", "--pid", "--net", "--fork", "--mount-proc", "true"])
    return None if done.returncode == 0 else f"needs namespaces: {done.stderr.strip()}"


# ---- one test, in its process ----

def on_alarm(number, frame):
    raise Deadline()


def perform(function, directory, timeout, user):
    """Runs it and returns the exit status: 0, 1 or 77 (skipped). Raises if it cannot clean up."""
    context = Context(directory, user)
    signal.signal(signal.SIGALRM, on_alarm)
    try:
        signal.alarm(timeout)
        function(context)
        context.end_daemons()
        context.check_reports()
        signal.alarm(0)
        return 0
    except Skip as why:
        signal.alarm(0)
        print(f"skip: {why}", flush=True)
        return 77
    except BaseException as error:
        signal.alarm(0)
        if isinstance(error, Deadline):
            print(f"not done within {timeout} s, here:")
        traceback.print_exc(file=sys.stdout)
        try:
            context.print_logs()
            context.check_reports()
        except Exception:
            traceback.print_exc(file=sys.stdout)
        return 1
    finally:
        signal.alarm(0)
        context.close()
        sys.stdout.flush()


def child(function, directory, output, timeout, user):
    status = 1
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.setsid()
        os.dup2(output, 1)
        os.dup2(output, 2)
        status = perform(function, directory, timeout, user)
    except BaseException:
        traceback.print_exc(file=sys.stdout)
        status = 1
    finally:
        sys.stdout.flush()
        os._exit(status)


# ---- all tests of a file ----

def reap():
    """The ids and exit statuses of our children that ended, orphans of the test among them. A
    sandbox ends only when all that ran in it are reaped, and some of them come to us: children of
    an nsenter that was killed."""
    ended = {}
    try:
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return ended
            ended[pid] = os.waitstatus_to_exitcode(status)
    except ChildProcessError:
        return ended


def wait_child(pid, seconds):
    """Its exit status, or None if it had to be killed."""
    end = time.monotonic() + seconds
    while True:
        ended = reap()
        if pid in ended:
            return ended[pid]
        if time.monotonic() > end:
            os.kill(pid, signal.SIGKILL)
            return None
        time.sleep(0.02)


def end_orphans():
    """Kills what a test left: it is our child now (we are the subreaper)."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        reap()
        left = children_of(os.getpid())
        if not left:
            return
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.02)
    print(f"# processes that do not end: {left}", flush=True)


def remove(directory):
    """Without ever going into a mount."""
    with open("/proc/self/mounts", encoding="utf-8") as mounts:
        for line in mounts:
            path = line.split()[1]
            if path.startswith(directory + "/"):
                run(["fusermount3", "-u", "-z", path])
                run(["umount", "-l", path])
    shutil.rmtree(directory, ignore_errors=True)


def run_one(number, name, function, timeout, user):
    """Prints its result; True unless it failed."""
    directory = tempfile.mkdtemp(prefix="le-")
    os.chmod(directory, 0o711)
    pid = status = None
    began = time.monotonic()
    with tempfile.TemporaryFile() as output:
        try:
            pid = os.fork()
            if pid == 0:
                child(function, directory, output.fileno(), timeout, user)
            status = wait_child(pid, timeout + HARD_EXTRA)
        finally:
            if status is None and pid:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            end_orphans()
            remove(directory)
        output.seek(0)
        lines = output.read().decode(errors="replace").splitlines()
    seconds = f" ({time.monotonic() - began:.1f}s)"
    if status == 77:
        why = [line[6:] for line in lines if line.startswith("skip: ")][-1:]
        print(f"ok {number} - {name} # SKIP {why[0] if why else ''}", flush=True)
        return True
    print(f"{'ok' if status == 0 else 'not ok'} {number} - {name}{seconds}")
    if status is None:
        print(f"# killed: it did not end {HARD_EXTRA} s after its deadline")
    elif status not in (0, 1):
        print(f"# its process ended with {status}")
    for line in lines:
        if status != 0 or line.startswith("note: "):
            print(f"#   {line}")
    sys.stdout.flush()
    return status == 0


def on_terminate(number, frame):
    sys.exit(128 + number)


def main():
    patterns = [word for word in sys.argv[1:] if not word.startswith("--")]
    chosen = [entry for entry in tests if not patterns or
              any(p in entry[0] or fnmatch.fnmatch(entry[0], p) for p in patterns)]
    if "--list" in sys.argv:
        print(*(entry[0] for entry in chosen), sep="\n")
        sys.exit(0)
    build = os.environ.get("LOOPSY_BUILD_DIR", "build")
    if not os.path.isdir(build):
        sys.exit(f"no build in {build}: set LOOPSY_BUILD_DIR")
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on_terminate)
    print("TAP version 13")
    print(f"1..{len(chosen)}", flush=True)
    failed = 0
    for number, (name, function, timeout, user) in enumerate(chosen, 1):
        failed += not run_one(number, name, function, timeout, user)
    sys.exit(1 if failed else 0)
