"""Sandboxes: a PID and a mount namespace, and a network namespace of its own or another's.

Everything that runs in a sandbox ends with it, and its mounts go. It ends with close(), or when
the process that made it dies, however it dies: its process 1 (sandbox_init.py) holds on to a pipe
from us."""
import os
import select
import signal
import subprocess

PYTHON = "/usr/bin/python3"
INIT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sandbox_init.py")


def kill_group(process, number=signal.SIGKILL):
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        pass


def run(command, timeout=120, input=None, check=False, **options):
    """subprocess.run in a process group of its own, which a time-out kills as a whole; never waits
    for what does not die (a program blocked in a mount). Text in and out, unless text=False."""
    options.setdefault("text", True)
    if options["text"]:
        options.setdefault("errors", "surrogateescape")
    options.setdefault("stdout", subprocess.PIPE)
    options.setdefault("stderr", subprocess.PIPE)
    process = subprocess.Popen(
        command, start_new_session=True,
        stdin=subprocess.DEVNULL if input is None else subprocess.PIPE, **options)
    try:
        out, err = process.communicate(input, timeout=timeout)
    except BaseException:
        kill_group(process)
        try:
            process.communicate(timeout=5)
        except (subprocess.TimeoutExpired, ValueError):
            pass
        raise
    done = subprocess.CompletedProcess(command, process.returncode, out, err)
    if check and done.returncode != 0:
        raise AssertionError(f"{describe(command)} exited with {done.returncode}\n"
                             f"stdout: {out}\nstderr: {err}")
    return done


def describe(command):
    """The command without what brings it into the sandbox."""
    words = [str(word) for word in command]
    while "--" in words and os.path.basename(words[0]) in ("nsenter", "env"):
        words = words[words.index("--") + 1:]
    if words and words[0] == "env" and words[1:2] == ["-C"]:
        words = words[3:]
    return " ".join(words)


def parents():
    """{pid: its parent's pid} of all processes."""
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as file:
                found[int(entry)] = int(file.read().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            pass
    return found


def children_of(pid):
    return [child for child, parent in parents().items() if parent == pid]


def descendants_of(pid):
    everyone, found = parents(), [pid]
    for ancestor in found:
        found += [child for child, parent in everyone.items() if parent == ancestor]
    return found[1:]


class Sandbox:
    def __init__(self, build, uid=0, network_of=None):
        """network_of: another sandbox, whose network namespace it shares; None: a new one."""
        command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
                   "--propagation", "private"]
        if network_of:
            command = ["nsenter", "-t", str(network_of.pid), "-n", "--"] + command
        else:
            command.append("--net")
        self.holder = subprocess.Popen(
            command + ["--", PYTHON, "-S", "-E", INIT, build or "", str(uid)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        try:
            self._wait_ready()
            self.pid = children_of(self.holder.pid)[0]
            if not network_of:
                self.enter(["ip", "link", "set", "lo", "up"], check=True)
        except BaseException:
            self.close()
            raise

    def _wait_ready(self):
        readable, _, _ = select.select([self.holder.stdout], [], [], 60)
        if not readable or self.holder.stdout.readline() != b"ready\n":
            raise AssertionError("the sandbox did not come up")

    def prefix(self, uid=0, directory=None):
        words = ["nsenter", "-t", str(self.pid), "-m", "-p", "-n"]
        if uid:
            words += ["-S", str(uid), "-G", str(uid)]
        return words + ["--"] + (["env", "-C", directory] if directory else [])

    def enter(self, command, uid=0, directory=None, **options):
        return run(self.prefix(uid, directory) + list(command), **options)

    def close(self):
        """Ends everything in it; True if that worked."""
        self.holder.stdin.close()
        self.holder.stdout.close()
        try:
            self.holder.wait(60)
            return True
        except subprocess.TimeoutExpired:
            kill_group(self.holder)
            return False


class Lan:
    """A switch, in a sandbox of its own: hosts get a link each, 10.77.0.N and a link-local IPv6
    address."""

    def __init__(self):
        self.switch = Sandbox(None)
        self.n_links = 0
        self._ip("link add br0 type bridge stp_state 0 mcast_snooping 0", "link set br0 up")

    def _ip(self, *lines):
        # In its network namespace only: process ids are then ours, and name the hosts' networks.
        run(["nsenter", "-t", str(self.switch.pid), "-n", "--", "ip", "-batch", "-"],
            input="\n".join(lines) + "\n", check=True)

    def connect(self, sandbox):
        """Returns (number of the link, IPv4 address)."""
        self.n_links += 1
        number, address = self.n_links, f"10.77.0.{self.n_links}"
        # Addresses are usable at once: nobody else is here to have them.
        sandbox.enter(["sh", "-c", "echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad; "
                       "echo 0 >/proc/sys/net/ipv6/conf/all/accept_dad"])
        self._ip(f"link add p{number} type veth peer name eth0 netns {sandbox.pid}",
                 f"link set p{number} master br0 up")
        sandbox.enter(["ip", "-batch", "-"], check=True,
                      input=f"addr add {address}/24 dev eth0\nlink set eth0 up\n")
        return number, address

    def set_link(self, number, up):
        self._ip(f"link set p{number} {'up' if up else 'down'}")

    def isolate(self, number):
        self._ip(f"link set p{number} type bridge_slave isolated on")

    def close(self):
        return self.switch.close()
