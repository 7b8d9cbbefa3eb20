"""The same system calls on the peer's own disk and through the mount: results, errno and the tree
that is left must be equal, so that a difference is the mount's."""

# Runs in the host: argv[1] is the directory, stdin the steps, one per line: "WHO<tab>CODE". WHO is
# "-" (whoever we are) or uid:gid:group,group. CODE is Python; what it leaves in r is its result.
RUNNER = r'''
import array, ctypes, ctypes.util, errno, fcntl, hashlib, json, mmap, os, signal, socket, stat, struct, subprocess, sys
libc = ctypes.CDLL(None, use_errno=True)

def call(name, *args):
    """A libc function that is not in os; bytes for strings."""
    got = getattr(libc, name)(*args)
    if got < 0:
        raise OSError(ctypes.get_errno(), name)
    return got

def renameat2(a, b, flags): return call("renameat2", -100, a.encode(), -100, b.encode(), flags)
def fallocate(fd, mode, offset, size):
    return call("fallocate", fd, mode, ctypes.c_long(offset), ctypes.c_long(size))
def faccessat2(path, mode, flags): return call("syscall", 439, -100, path.encode(), mode, flags)
def put(path, data=b"", mode=0o644):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    os.write(fd, data); os.close(fd)
def get(path):
    with open(path, "rb") as f: return f.read()
def mode(path): return oct(os.lstat(path).st_mode)
def own(path): s = os.lstat(path); return s.st_uid, s.st_gid, oct(s.st_mode)
def ls(path="."): return sorted(n for n in os.listdir(path) if n != ".loopsy")
def lock_by_other(path, kind, size, offset):
    """What another process gets that asks for such a lock (1 shared, 2 exclusive), and who it hears
    has it: its type and range."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        fd = os.open(path, os.O_RDWR)
        ask = struct.pack("hhqqi4x", fcntl.F_WRLCK if kind == 2 else fcntl.F_RDLCK, 0, offset, size, 0)
        told = struct.unpack("hhqqi4x", fcntl.fcntl(fd, fcntl.F_GETLK, ask))
        try: fcntl.lockf(fd, kind | fcntl.LOCK_NB, size, offset); got = "taken"
        except OSError as error: got = show(error)
        os.write(writer, repr((got, told[:4])).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    return os.read(reader, 1000).decode()
def acl(*entries):
    """An ACL as the kernel wants it, of (tag, permissions, id): 1 owner, 2 user, 4 group of the
    file, 8 group, 16 mask, 32 others."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", t, p, i & 0xffffffff) for t, p, i in entries)

def show(value):
    if isinstance(value, BaseException):
        if isinstance(value, OSError) and value.errno:
            return errno.errorcode[value.errno]
        return "no answer of the system: " + repr(value)
    return repr(value)

def step(who, code):
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.umask(0o022)
            if who != "-":
                uid, gid, groups = who.split(":")
                os.setgroups([int(g) for g in groups.split(",") if g])
                os.setresgid(int(gid), int(gid), int(gid))
                os.setresuid(int(uid), int(uid), int(uid))
            names = dict(globals(), r=None)
            exec(code, names)
            text = show(names["r"])
        except BaseException as error:
            text = show(error)
        os.write(writer, text.encode("utf-8", "backslashreplace"))
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as f:
        text = f.read().decode()
    os.waitpid(pid, 0)
    return text

def describe(path):
    s = os.lstat(path)
    said = [path, oct(s.st_mode), s.st_uid, s.st_gid, s.st_nlink]
    if not stat.S_ISDIR(s.st_mode): said.append(s.st_size)
    if stat.S_ISCHR(s.st_mode) or stat.S_ISBLK(s.st_mode): said.append(s.st_rdev)
    if stat.S_ISLNK(s.st_mode): said.append(os.readlink(path))
    if s.st_mtime_ns < 1500000000 * 10**9: said.append(s.st_mtime_ns)
    try:
        for name in sorted(os.listxattr(path, follow_symlinks=False)):
            said.append((name, os.getxattr(path, name, follow_symlinks=False)))
        if stat.S_ISREG(s.st_mode): said.append(hashlib.sha256(get(path)).hexdigest()[:16])
    except OSError as error:
        said.append(show(error))
    return " ".join(map(str, said))

os.chdir(sys.argv[1])
for line in sys.stdin.read().splitlines():
    who, code = line.split("\t")
    print(f"{who} {code}\n    {step(who, code)}")
print("-- what is left")
for top, dirs, files in os.walk("."):
    dirs.sort()
    if ".loopsy" in dirs: dirs.remove(".loopsy")
    for name in sorted(files + dirs):
        print(describe(os.path.join(top, name)))
'''


def run_steps(host, path, steps, root=False):
    """What the steps gave in that directory: a list of lines."""
    script = "\n".join(f"{who}\t{code}" for who, code in steps)
    done = host.run("python3", "-c", RUNNER, path, input=script, timeout=200, root=root)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    wrong = [line for line in lines if line.startswith("    no answer")]
    assert not wrong, wrong
    return lines


def compare(steps, disk, disk_path, mount, mount_path, root=False):
    """Runs the steps on the disk and then through the mount; all that differs is an error."""
    want = run_steps(disk, disk_path, steps, root)
    have = run_steps(mount, mount_path, steps, root)
    differ = []
    for i in range(max(len(want), len(have))):
        a, b = (lines[i] if i < len(lines) else "(nothing)" for lines in (want, have))
        if a != b:
            differ.append(f"{have[i - 1] if a.startswith('    ') else ''}\n  disk:  {a}\n  mount: {b}")
    assert not differ, "\n".join([f"{len(differ)} differ:"] + differ)
    return want
