"""Who competes: each mounts desk's home at `root` on lap, and takes it away again; or it is what
runs programs on desk, or both.

name   a word, for files and --only      text   the head of its column
root   where desk's home is on lap       build  of loopsy
about  FILES, PROGRAMS, VALUES, AGENTS: what it can do   commands  for work.py's parts: see there
rows   of what is no such thing, but a limit of those that are: {work: rows that its figure is for}
"""
import json
import os
import shutil
import signal

from harness import Host, pair, wait_until
from network import PORTS
from lib import mcp_modules
from lib.mcp import ENVELOPE
from rows import AGENTS, FILES, KV_FEW, KV_MANY, PROGRAMS, VALUES

# The caches last, the cipher is the fastest, and there are connections to spare.
TUNED = "kernel_cache,cache_timeout=60,entry_timeout=60,attr_timeout=60,max_conns=4," \
        "Ciphers=aes128-gcm@openssh.com"


# The versions go on behind those that were given.
LOAD_VALUES = '''import os, sqlite3, sys, time
db, n = sqlite3.connect(sys.argv[1]), int(sys.argv[2])
# As long as any: rows do not grow, and split pages, when they are set anew.
writer, now = "0" * 32, time.time_ns()
first = db.execute("SELECT version FROM kv_state").fetchone()[0] + 1
db.execute("DELETE FROM kv")
db.execute("DELETE FROM kv_writer")
db.executemany("INSERT INTO kv (key, version, size, writer, created_ns, changed_ns, expires_ns, value)"
               " VALUES (?, ?, 64, ?, ?, ?, 0, ?)",
               ((b"key-%06d" % i, first + i, writer, now, now, os.urandom(64)) for i in range(n)))
db.execute("INSERT INTO kv_writer VALUES (?, ?, ?)", (writer, n, n * (64 + 10)))
db.execute("UPDATE kv_state SET version = ?", (first + n,))
db.commit()
'''


class Loopsy:
    """Two daemons of its own, in the sandboxes of desk and lap. lap dials, desk cannot."""
    about, rows = {FILES, PROGRAMS, VALUES}, {}

    def __init__(self, network, name, text, build):
        self.name, self.text, self.build = name, text, build
        self.desk, self.lap = (self._host(host, build) for host in (network.desk, network.lap))
        for host in (self.desk, self.lap):
            host.init()
        self.desk.start("--lan", "--port", PORTS[name])
        self.lap.start("--port", "0")
        _, self.peer = pair(self.desk, self.lap, f"{network.address}:{PORTS[name]}")
        self.root = self.lap.peer_path(self.peer)
        loopsyctl = [f"{self.lap.build}/ctl/loopsyctl", "--home", self.lap.loopsy_home]
        self.commands = {
            "exec": loopsyctl + ["exec", self.peer, "--"],
            "shell": loopsyctl + ["shell", self.peer, "--new"],
            "copy": ["dd", f"if={self.root}/big", "bs=1M", "iflag=nocache", "status=none"],
            "ctl": f"{self.lap.loopsy_home}/run/ctl.sock",
            "desk_ctl": f"{self.desk.loopsy_home}/run/ctl.sock",
            "peer": self.peer,
        }
        if self.lap.run(*loopsyctl, "help", "mcp").returncode == 0: # not in every build of `before`
            self.about = self.about | {AGENTS}
            self.commands |= {"mcp": loopsyctl + ["mcp"],
                              "execute": {"peer": self.peer, "argv": ["true"]}}
        self.unmount()

    def _host(self, host, build):
        """Another user of the same machine, as it were, with the same home."""
        own = Host(f"{host.name}-{self.name}", f"{host.directory}/{self.name}", build, box=host.box,
                   address=host.address)
        own.home, own.build = host.home, build
        return own

    def load_values(self, n):
        """desk has so many, and no others; into its store, which takes long otherwise."""
        self.desk.run("python3", "-c", LOAD_VALUES, f"{self.desk.loopsy_home}/state/loopsy.db", n,
                      check=True, timeout=600)

    def mount(self):
        self.desk.start()
        self.lap.start()
        self.lap.wait_online(self.peer)

    def unmount(self):
        self.lap.stop()
        self.desk.stop()

    def end(self):
        pass


class Node(Loopsy):
    """What one writes with the SDK instead of our server, with our tools in its list; it starts
    loopsyctl for each program."""

    def __init__(self, network, build):
        super().__init__(network, "node", "Node, SDK", build)
        self.about = {AGENTS}
        tools = os.path.join(self.lap.directory, "tools.json")
        with open(tools, "w", encoding="utf-8") as file:
            file.write(self.list_tools())
        program = os.path.join(mcp_modules.prepare(network.context), "node_server.mjs")
        self.commands["mcp"] = ["node", program, tools, *self.commands["exec"]]

    def list_tools(self):
        asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": ENVELOPE}}
        done = self.lap.run(*self.commands["mcp"], input=json.dumps(asked) + "\n", check=True)
        return json.dumps(json.loads(done.stdout)["result"])


class Sshfs:
    build, about, commands, rows = None, {FILES}, {}, {}

    def __init__(self, network, sshd, name, text, options):
        self.lap, self.name, self.text = network.lap, name, text
        self.root = os.path.join(self.lap.directory, name)
        os.mkdir(self.root)
        words = ssh_options(self.lap) + ([options] if options else [])
        self.command = ["sshfs", "-f", "-F", "/dev/null", "-o", ",".join(words),
                        f"root@{network.address}:{network.desk.home}", self.root]
        self.process = None

    def is_mounted(self):
        return self.lap.run("mountpoint", "-q", self.root).returncode == 0

    def mount(self):
        self.process = self.lap.spawn(*self.command)
        wait_until(self.is_mounted, what=self.process.text)

    def unmount(self):
        self.lap.run("fusermount3", "-u", self.root, check=True)
        self.process.wait()

    def end(self):
        pass


class Ssh:
    """Sessions through a master that is a process of its own. None of them could do without: the
    only way that they have besides is a program that fails."""
    build, about, root, rows = None, {PROGRAMS}, "/", {}

    def __init__(self, network, sshd, name, text, options):
        self.lap, self.name, self.text = network.lap, name, text
        control = os.path.join(self.lap.directory, name)
        words = ["ssh", "-F", "/dev/null", "-S", control]
        for option in ssh_options(self.lap) + options:
            words += ["-o", option]
        session = words + ["-o", "ControlMaster=no", "-o", "ProxyCommand=false"]
        where = f"root@{network.address}"
        self.master = words + ["-M", "-N", where]
        self.check = session + ["-O", "check", where]
        self.commands = {"exec": session + ["-T", where], "shell": session + ["-t", where]}
        self.commands["copy"] = self.commands["exec"] + ["cat", f"{network.desk.home}/big"]
        self.process = None

    def mount(self):
        self.process = self.lap.spawn(*self.master)
        wait_until(lambda: self.lap.run(*self.check).returncode == 0, what=self.process.text)

    def unmount(self):
        self.process.signal(signal.SIGTERM)
        self.process.wait()

    def end(self):
        pass


def ssh_options(lap):
    """To reach Sshd from lap."""
    keys = lap.directory
    return [f"Port={PORTS['ssh']}", f"IdentityFile={keys}/key", f"UserKnownHostsFile={keys}/known",
            "GlobalKnownHostsFile=/dev/null", "StrictHostKeyChecking=yes", "BatchMode=yes"]


class Sshd:
    """A server of desk's own: its key, its configuration, one user's key."""

    def __init__(self, network):
        desk, lap = network.desk, network.lap
        where, port = desk.directory, PORTS["ssh"]
        for host, key in ((desk, f"{where}/host_key"), (lap, f"{lap.directory}/key")):
            host.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key, check=True)
        shutil.copy(f"{lap.directory}/key.pub", f"{where}/authorized_keys")
        with open(f"{where}/host_key.pub", encoding="utf-8") as file:
            host_key = file.read()
        with open(f"{lap.directory}/known", "w", encoding="utf-8") as file:
            file.write(f"[{network.address}]:{port} {host_key}")
        with open(f"{where}/sshd_config", "w", encoding="utf-8") as file:
            file.write(f"Port {port}\nListenAddress {desk.address}\n"
                       f"HostKey {where}/host_key\nAuthorizedKeysFile {where}/authorized_keys\n"
                       "PidFile none\nUsePAM no\nStrictModes no\nPermitRootLogin yes\n"
                       "PasswordAuthentication no\nSubsystem sftp internal-sftp\n")
        desk.run("mkdir", "-p", "/run/sshd", check=True) # of this host only
        # What root's shell does when it starts (.bashrc) would be timed too; loopsy's home is empty.
        desk.run("mount", "-t", "tmpfs", "-o", "mode=700", "home", "/root", root=True, check=True)
        self.process = desk.spawn(shutil.which("sshd") or "/usr/sbin/sshd", "-D", "-e", "-f",
                                  f"{where}/sshd_config")
        wait_until(lambda: desk.run("bash", "-c", f"</dev/tcp/{desk.address}/{port}")
                   .returncode == 0, what=self.process.text)

    def end(self):
        self.process.signal(signal.SIGTERM)
        self.process.wait()


class Tls:
    """No file system: what one TLS connection can do is the limit of those that are."""
    name, text, build, about, commands = "tls", "TLS", None, {FILES}, {}
    rows = {"read": ["read_cold"], "write": ["write"], "random": ["random_1"]}

    def __init__(self, network):
        self.lap, self.server = network.lap, f"{network.address}:{PORTS['tls']}"
        self.program = f"{network.lap.build}/tests/bench/bin/tls_rate"
        self.process = network.desk.spawn(self.program, "serve",
                                          f"{network.desk.address}:{PORTS['tls']}")
        assert self.process.read_line() == "ready", self.process.error_text()

    def measure(self, work, sizes):
        """(amount, seconds, CPU seconds) of what is comparable."""
        what, amount = {"read": ("read", sizes.mib), "write": ("write", sizes.mib),
                        "random": ("ping", 1000000)}[work]
        seconds = sizes.random_seconds if what == "ping" else sizes.rate_seconds
        done = self.lap.run(self.program, what, self.server, amount, seconds, check=True,
                            timeout=600)
        amount, seconds, cpu = done.stdout.split()
        return float(amount), float(seconds), float(cpu)

    def end(self):
        self.process.end()


APPEND = '''import os, sys, time
file = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY | os.O_APPEND)
began, n = time.monotonic(), 0
while time.monotonic() < began + float(sys.argv[2]):
    os.write(file, bytes(100))
    os.fsync(file)
    n += 1
print(n, time.monotonic() - began, sum(os.times()[:2]))
'''


class Disk:
    """How often desk's disk flushes what little was written: a value that was set is there."""
    name, text, build, about, commands = "disk", "flushes of the disk", None, {VALUES}, {}
    rows = {work: [step for step in steps if "_set_" in step]
            for work, steps in (("kv_few", KV_FEW), ("kv_many", KV_MANY))}

    def __init__(self, network):
        self.desk = network.desk

    def measure(self, work, sizes):
        done = self.desk.run("python3", "-c", APPEND, f"{self.desk.directory}/appended",
                             sizes.values_seconds, check=True)
        return [float(word) for word in done.stdout.split()]

    def end(self):
        pass


def make(network, names, builds):
    """Those of `names`, in that order, and what else has to be ended: two lists. builds: {name:
    directory} of those that are loopsy."""
    sshd = Sshd(network) if {"sshfs", "tuned", "ssh", "ssh-gcm"} & set(names) else None
    makers = {
        "loopsy": lambda: Loopsy(network, "loopsy", "loopsy", builds["loopsy"]),
        "before": lambda: Loopsy(network, "before", "before", builds["before"]),
        "sshfs": lambda: Sshfs(network, sshd, "sshfs", "sshfs", ""),
        "tuned": lambda: Sshfs(network, sshd, "tuned", "sshfs, tuned", TUNED),
        "tls": lambda: Tls(network),
        "disk": lambda: Disk(network),
        "node": lambda: Node(network, builds["loopsy"]),
        "ssh": lambda: Ssh(network, sshd, "ssh", "ssh", []),
        "ssh-gcm": lambda: Ssh(network, sshd, "ssh-gcm", "ssh, AES-GCM",
                               ["Ciphers=aes128-gcm@openssh.com"]),
    }
    return [makers[name]() for name in names], [sshd] if sshd else []
