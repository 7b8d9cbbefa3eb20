"""Two paired machines, which most tests begin with, and trees to compare."""
from lib.hosts import pair

BALLAST = "ballast" # of 6 MiB, on small disks: without it, there is room again

# Everything that a listing shows of a tree, one entry per NUL.
LISTING = r'''cd "$1" && find . -mindepth 1 ! -name .loopsy -printf '%P %y %m %n %s %T@ %l\0' | LC_ALL=C sort -z | tr '\0\n' '\n?' '''
CONTENTS = r'''cd "$1" && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum --zero | tr '\0\n' '\n?' '''


def configure(host, text):
    """Adds lines to its loopsy.conf."""
    host.sh('printf "%s\\n" "$1" >>"$LOOPSY_HOME/config/loopsy.conf"', text)


def two(t, *start, conf=""):
    """`desk` and `lap` on one loopback interface, paired: lap's mount shows desk, and vice versa."""
    desk, lap = t.loopback("desk", "lap")
    for host in (desk, lap):
        host.init()
        configure(host, conf)
        host.start("--port", "0", *start)
    pair(desk, lap)
    return desk, lap


def small_tmpfs(host, directory):
    """A disk of the host's own: some MiB."""
    host.sh('mkdir -p "$1"', directory)
    host.run("mount", "-t", "tmpfs", "-o", f"size=16m,mode=700,uid={host.user},gid={host.user}", "tmpfs",
             directory, root=True, check=True)
    host.sh('head -c 6M /dev/zero >"$1/$2"', directory, BALLAST)


def small_ext4(host, directory):
    """The same as a real file system, in a file. None, or why that cannot be here."""
    image = f"{host.directory}/disk"
    host.sh('mkdir -p "$1"', directory)
    made = host.run("sh", "-c", 'truncate -s 24M "$1" && mkfs.ext4 -q -F -m 0 "$1" && mount -o loop "$1" "$2" && '
                    'chown "$3:$3" "$2" && chmod 700 "$2"', "sh", image, directory, str(host.user), root=True)
    if made.returncode:
        return f"no loop device: {made.stderr}"
    host.sh('head -c 6M /dev/zero >"$1/$2"', directory, BALLAST)
    return None


def overlay(host, directory, script):
    """An overlay, as the disk of a container is, over what `script` makes in the directory below.
    None, or why that cannot be here. Its layers are in an ext4, which gives inode numbers out again
    at once."""
    layers = f"{host.directory}/layers"
    made = host.run("bash", "-ec", 'mkdir "$1" "$2"; truncate -s 64M "$1.image"; mkfs.ext4 -q -F "$1.image"; '
                    'mount -o loop "$1.image" "$1"; cd "$1"; mkdir lower upper work; (cd lower; eval "$3"); '
                    'mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work "$2"',
                    "bash", layers, directory, script, root=True)
    return f"no overlay: {made.stderr}" if made.returncode else None


def three(t):
    """`desk`, and two that mount it: `lap` and `pad`."""
    desk, lap, pad = hosts = t.loopback("desk", "lap", "pad")
    for host in hosts:
        host.init()
        configure(host, "symlinks = raw")
        host.start("--port", "0")
    for host in (lap, pad):
        pair(desk, host)
    return hosts


def for_everyone(t, allow, conf=""):
    """The same as root, for all users of lap: its mount, in a place that they can reach, has
    allow_other; desk grants `allow`."""
    desk, lap = t.loopback("desk", "lap", user=0)
    for host in (desk, lap):
        host.init()
    lap.mount = lap.directory + "/mnt"
    for host in (desk, lap):
        host.run("chmod", "755", host.directory, root=True, check=True)
    lap.sh('mkdir "$1"', lap.mount)
    configure(lap, f"mount = {lap.mount}\nallow_other = yes\n{conf}")
    configure(desk, f"allow = {allow}")
    for host in (desk, lap):
        host.start("--port", "0")
    pair(desk, lap)
    return desk, lap


def same_tree(a, a_path, b, b_path, attributes=True):
    """The tree on one host's path equals that on the other's: names, contents, and attributes."""
    if attributes:
        left, right = (h.sh(LISTING, p, timeout=300).stdout for h, p in ((a, a_path), (b, b_path)))
        assert left == right, f"attributes differ:\n{left}\n---\n{right}"
    left, right = (h.sh(CONTENTS, p, timeout=300).stdout for h, p in ((a, a_path), (b, b_path)))
    assert left == right, f"contents differ:\n{left}\n---\n{right}"
