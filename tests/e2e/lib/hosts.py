"""Hosts: machines of a test, each with a LOOPSY_HOME, a home directory and, as root, a sandbox."""
import glob
import json
import os
import shlex
import signal

from lib import sandbox, sanitizers
from lib.process import Process
from lib.waiting import wait_until

AVAHI_CONF = """\
[server]
host-name={name}
use-ipv4=yes
use-ipv6=yes
ratelimit-interval-usec=0
[wide-area]
enable-wide-area=no
[publish]
publish-hinfo=no
publish-workstation=no
"""


class Host:
    """A machine. `box` is its Sandbox, or None: then all happens on this very machine.

    name       what init calls it unless told otherwise
    home       its user's home directory: what a peer sees
    loopsy_home, mount    LOOPSY_HOME, and DIR/mnt in it
    address    IPv4 address, under which others reach it
    user       uid of its user, 0 is root
    """

    def __init__(self, name, directory, build, box=None, user=0, address="127.0.0.1"):
        self.name, self.directory, self.box = name, directory, box
        self.user, self.address = user, address
        self.build = "/run/loopsy/build" if box else build
        self.home = os.path.join(directory, "home")
        self.loopsy_home = os.path.join(directory, "l")
        self.mount = os.path.join(self.loopsy_home, "mnt")
        self.reports = os.path.join(directory, "reports") # of sanitizers
        self.link = None      # its number in the Lan
        self.daemon_pid = None
        self.start_arguments = ()
        self.first_descriptors = None # of its daemon, while that knew nobody
        self._dbus_pid = self._avahi_pid = None
        for path in (directory, self.home, self.reports, os.path.join(directory, "tmp")):
            os.mkdir(path)
            if user != os.geteuid():
                os.chown(path, user, user)

    # ---- programs in the host ----

    def environment(self, **more):
        build = self.build
        environment = {
            "PATH": f"{build}/daemon:{build}/ctl:/usr/local/sbin:/usr/local/bin:/usr/sbin:"
                    "/usr/bin:/sbin:/bin",
            "HOME": self.home, "LOOPSY_HOME": self.loopsy_home,
            "TMPDIR": os.path.join(self.directory, "tmp"), "LANG": "C.UTF-8", "SHELL": "/bin/bash",
            "USER": "tester" if self.user else "root", "TERM": "dumb",
            "LOOPSYD": f"{build}/daemon/loopsyd", "NO_COLOR": "1",
        }
        environment.update(sanitizers.environment(self.reports))
        environment.update(more)
        return environment

    def command(self, words, directory=None, root=False):
        """What to execute here, so that `words` run in the host."""
        directory = directory or self.home
        words = [str(word) if not isinstance(word, bytes) else word for word in words]
        if self.box:
            return self.box.prefix(0 if root else self.user, directory) + words
        return ["env", "-C", directory] + words

    def run(self, *words, timeout=120, input=None, check=False, directory=None, root=False,
            env=None, **options):
        """Runs a command as the host's user (or root) in its home; a CompletedProcess, of text.
        After `timeout` seconds it is killed and subprocess.TimeoutExpired raised."""
        return sandbox.run(self.command(words, directory, root), timeout=timeout, input=input,
                           check=check, env=self.environment(**(env or {})), **options)

    def sh(self, script, *arguments, check=True, **options):
        """Runs a bash script; `check` by default. "$1"… are the arguments."""
        return self.run("bash", "-c", script, "bash", *arguments, check=check, **options)

    def spawn(self, *words, directory=None, root=False, env=None):
        """Starts a command; a Process (process.py), killed at the end of the test at the latest."""
        return Process(self.command(words, directory, root), self.environment(**(env or {})))

    def kill(self, pid, number=signal.SIGKILL):
        """A signal to a process of the host, by the id that it has there."""
        self.run("kill", f"-{int(number)}", str(pid), root=True)

    def is_alive(self, pid):
        """One that was killed is so, and holds what it had locked, until its last thread has ended:
        the first may be long dead while another one still writes to the disk."""
        states = self.run("sh", "-c", 'sed -n "s/^State:[[:space:]]*//p" /proc/"$1"/task/*/status',
                          "sh", str(pid), root=True)
        return any(not state.startswith(("Z", "X")) for state in states.stdout.splitlines())

    # ---- loopsy ----

    def ctl(self, *arguments, **options):
        return self.run(f"{self.build}/ctl/loopsyctl", *arguments, **options)

    def ctl_json(self, *arguments, **options):
        """The object that `loopsyctl … --json` prints; a list where it is one per line."""
        done = self.ctl(*arguments, "--json", check=True, **options)
        try:
            return json.loads(done.stdout)
        except json.JSONDecodeError:
            return [json.loads(line) for line in done.stdout.splitlines()]

    def init(self, name=None):
        return self.ctl("init", "--name", name or self.name, check=True)

    def start(self, *arguments, timeout=120):
        """Starts the daemon; it is ready after that. Without arguments: as the last time."""
        self.start_arguments = arguments or self.start_arguments
        self.ctl("start", *self.start_arguments, check=True, timeout=timeout)
        self.daemon_pid = self.status()["pid"]
        if not self.first_descriptors and not self.ctl_json("peers"):
            self.first_descriptors = self.descriptors()

    def descriptors(self):
        """What the daemon has open: the paths of files, and the number of sockets."""
        links = self.run("find", f"/proc/{self.daemon_pid}/fd", "-mindepth", "1", "-printf", "%l\\n",
                         root=True).stdout.splitlines()
        own = f"/proc/{self.daemon_pid}/"
        return {link.replace(own, "/proc/self/") for link in links if link.startswith("/")}, \
            sum(link.startswith("socket:") for link in links)

    def check_descriptors(self):
        """A daemon without peers has no more open than it had at first; D-Bus may be there now."""
        for peer in self.ctl_json("peers"):
            self.ctl("peers", "remove", peer["name"], check=True)
        files, n_sockets = self.first_descriptors

        def is_back():
            now, n_now = self.descriptors()
            return now <= files and n_now <= n_sockets + 1
        try:
            wait_until(is_back, 60, "descriptors are closed")
        except AssertionError:
            now, n_now = self.descriptors()
            raise AssertionError(f"{self.name}'s daemon has open: {sorted(now - files)}, and {n_now} sockets "
                                 f"after {n_sockets}") from None

    def status(self):
        return self.ctl_json("status")

    def port(self):
        return int(self.status()["listen"][0].rpartition(":")[2])

    def stop(self, timeout=120):
        self.ctl("stop", check=True, timeout=timeout)
        self.daemon_pid = None

    def kill9(self):
        """Kills the daemon, and waits until it is gone. Its dead mount stays."""
        pid, self.daemon_pid = self.daemon_pid, None
        self.kill(pid)
        wait_until(lambda: not self.is_alive(pid), what=f"the end of {self.name}'s daemon")

    def unmount(self):
        """Takes the mount away lazily, whatever it does."""
        self.run("umount", "-l", self.mount, root=True) if self.box else \
            self.run("fusermount3", "-u", "-z", self.mount)

    def is_mounted(self):
        mounts = self.run("cat", "/proc/self/mounts", check=True).stdout
        return f" {self.mount} fuse" in mounts

    def peer(self, name):
        """The entry of `peers --json`, or None."""
        return next((peer for peer in self.ctl_json("peers") if peer["name"] == name), None)

    def peer_path(self, peer, *path):
        return os.path.join(self.mount, peer, *path)

    def wait_online(self, peer, timeout=120):
        wait_until(lambda: (self.peer(peer) or {}).get("state") == "online", timeout=timeout,
                   what=f"{peer} online on {self.name}")

    def logs(self):
        """(path, last lines) of all that the host's programs logged."""
        found = glob.glob(self.loopsy_home + "/**/*.log", recursive=True) + \
            glob.glob(self.loopsy_home + "/**/audit.jsonl", recursive=True) + \
            glob.glob(self.directory + "/*.log")
        for path in sorted(found):
            if path.startswith(self.mount + "/"):
                continue
            with open(path, encoding="utf-8", errors="replace") as file:
                yield os.path.relpath(path, os.path.dirname(self.directory)), \
                    file.read().splitlines()[-40:]

    # ---- network ----

    def start_dbus(self):
        done = self.run("dbus-daemon", "--system", "--fork", "--nopidfile", "--print-pid=1",
                        root=True, check=True)
        self._dbus_pid = int(done.stdout)

    def stop_dbus(self):
        self.kill(self._dbus_pid)
        wait_until(lambda: not self.is_alive(self._dbus_pid), what="the end of dbus-daemon")
        self.run("rm", "-f", "/run/dbus/system_bus_socket", root=True, check=True)

    def start_avahi(self):
        conf, log = self.directory + "/avahi.conf", self.directory + "/avahi.log"
        with open(conf, "w", encoding="utf-8") as file:
            file.write(AVAHI_CONF.format(name=self.name))
        command = ["avahi-daemon", "--no-drop-root", "--no-chroot", "--no-proc-title", "-f", conf]
        script = f"{shlex.join(command)} </dev/null >>{shlex.quote(log)} 2>&1 & echo $!"
        self._avahi_pid = int(self.run("sh", "-c", script, root=True, check=True).stdout)
        # It takes the bus name, then writes this file.
        wait_until(lambda: self.run("avahi-daemon", "--check", root=True).returncode == 0,
                   what=f"avahi-daemon on {self.name}")

    def stop_avahi(self, number=signal.SIGTERM):
        self.kill(self._avahi_pid, number)
        wait_until(lambda: not self.is_alive(self._avahi_pid), what="the end of avahi-daemon")
        self.run("rm", "-f", "/run/avahi-daemon/pid", root=True)


def answer(host, command, event, timeout):
    """The next line of `pair --json` with that event; others on the way are passed over, but a
    failure is an AssertionError."""
    while True:
        line = command.read_json(timeout)
        if line.get("event") == event:
            return line
        if line.get("event") == "failed":
            raise AssertionError(f"pairing failed on {host.name}: {line.get('error')}")


def pair(a, b, target=None, timeout=120):
    """Pairs two hosts whose daemons run: a waits, b dials a's address and port (or `target`). Both
    codes must be equal, both say yes; afterwards both have each other online. Returns what b and a
    call each other: (name of b on a, name of a on b)."""
    on_a = a.spawn(f"{a.build}/ctl/loopsyctl", "pair", "--json")
    waiting = answer(a, on_a, "waiting", timeout)
    on_b = b.spawn(f"{b.build}/ctl/loopsyctl", "pair", "--json",
                   target or f"{a.address}:{waiting['port']}")
    code_a, code_b = answer(a, on_a, "code", timeout), answer(b, on_b, "code", timeout)
    assert code_a["code"] == code_b["code"], f"codes differ: {code_a} {code_b}"
    assert len(code_a["code"]) == 6 and code_a["code"].isdigit(), code_a
    on_a.write("yes\n")
    on_b.write("yes\n")
    names = answer(a, on_a, "paired", timeout)["peer"], answer(b, on_b, "paired", timeout)["peer"]
    assert on_a.wait(timeout) == 0 and on_b.wait(timeout) == 0
    a.wait_online(names[0], timeout)
    b.wait_online(names[1], timeout)
    return names
