#!/usr/bin/python3
"""Read-only peers and exports, which behave as a read-only mount does; and several exports."""
from harness import *
from lib.peers import configure, two
from lib.syscalls import compare

FILL = r'''
mkdir -p tree/d tree/empty; cd tree; echo f >f; echo g >d/g; ln -s f l; mkfifo p; ln f hard
setfattr -n user.a -v 1 f; printf '#!/bin/sh\necho ran\n' >run; chmod 755 run
'''
STEPS = [("-", code) for code in (
    "r = get('f'), get('d/g'), os.readlink('l'), ls(), os.stat('hard').st_nlink", "put('f', b'x')", "put('new')", "put('l')",
    "os.open('f', os.O_WRONLY)", "os.open('f', os.O_RDWR)", "os.open('f', os.O_WRONLY | os.O_APPEND)", "os.open('f', os.O_RDONLY | os.O_TRUNC)",
    "r = os.read(os.open('f', os.O_RDONLY | os.O_CREAT), 5)", "os.open('f', os.O_RDONLY | os.O_CREAT | os.O_EXCL)", "os.open('new', os.O_RDONLY | os.O_CREAT)",
    "os.open('d', os.O_WRONLY)", "r = os.write(os.open('p', os.O_RDWR), b'to a pipe')", "os.truncate('f', 0)", "os.truncate('d', 0)", "os.truncate('none', 0)",
    "os.chmod('f', 0o600)", "os.chmod('d', 0o700)", "os.chown('f', os.getuid(), os.getgid())", "os.lchown('l', os.getuid(), os.getgid())", "os.utime('f')", "os.utime('f', (1, 1))",
    "os.utime('l', (1, 1), follow_symlinks=False)", "os.setxattr('f', 'user.b', b'1')", "os.removexattr('f', 'user.a')", "r = os.getxattr('f', 'user.a'), os.listxattr('f')",
    "os.setxattr('d', 'system.posix_acl_default', acl((1, 7, -1), (4, 5, -1), (32, 5, -1)))", "os.mkdir('x')", "os.mkdir('d')", "os.mkdir('none/x')", "os.rmdir('empty')", "os.rmdir('d')",
    "os.unlink('f')", "os.unlink('p')", "os.unlink('l')", "os.rename('f', 'x')", "os.rename('f', 'd/g')", "os.rename('d', 'empty')", "renameat2('f', 'p', 2)",
    "os.link('f', 'x')", "os.link('f', 'p')", "os.symlink('a', 'x')", "os.symlink('a', 'l')", "os.mkfifo('x')", "os.mkfifo('p')", "os.mknod('x', 0o100644)",
    "s = socket.socket(socket.AF_UNIX); s.bind('x')", *(f"r = [os.access('{name}', m) for m in (0, 1, 2, 4)]" for name in ("f", "d", "p", "run", "none", ".")),
    "os.access('f', 2) or call('access', b'f', 2)", "call('access', b'd', 2)", "r = call('access', b'p', 2)", "call('access', b'f', 6)", "r = call('access', b'f', 4)",
    "r = os.spawnv(os.P_WAIT, './run', ['run'])", "fd = os.open('d', os.O_RDONLY); os.fsync(fd)", "fd = os.open('f', os.O_RDONLY); os.fsync(fd); fcntl.flock(fd, 6); r = 'locked'",
    "fd = os.open('f', os.O_RDONLY); fcntl.lockf(fd, 5); r = 'locked'", "fd = os.open('f', os.O_RDONLY); os.fchmod(fd, 0o600)", "fd = os.open('f', os.O_RDONLY); os.utime(fd)", "fd = os.open('f', os.O_RDONLY); os.setxattr(fd, 'user.c', b'1')",
    "fd = os.open('f', os.O_RDONLY); mmap.mmap(fd, 1)", "r = os.statvfs('.').f_blocks > 0")]


def same_as_read_only(desk, lap, path):
    """desk's tree as a read-only mount of its own shows it, and as lap sees `path`."""
    desk.sh('mkdir ro && mount --bind tree ro && mount -o remount,bind,ro ro', root=True)
    compare(STEPS, desk, desk.home + "/ro", lap, path)
    desk.sh("umount ro && rmdir ro", root=True)


@test(each_user=True)
def who_may_only_read_sees_a_read_only_file_system(t):
    desk, lap = two(t)
    desk.sh(FILL)
    desk.ctl("peers", "allow", "lap", "fs:ro", check=True)
    wait_until(lambda: lap.run("touch", lap.peer_path("desk", "tree/x")).returncode != 0, 60, "it may only read")
    desk.sh("rm -f tree/x")
    same_as_read_only(desk, lap, lap.peer_path("desk", "tree"))
    desk.ctl("peers", "allow", "lap", "fs:rw", check=True)
    lap.sh('echo again >"$1"', lap.peer_path("desk", "tree/f"))
    assert desk.sh("cat tree/f").stdout == "again\n"


@test(each_user=True)
def files_open_for_writing_end_when_the_permission_does(t):
    desk, lap = two(t)
    desk.sh("echo f >f")
    writer = lap.spawn("python3", "-uc", r'''import errno, os, sys
fd = os.open(sys.argv[1], os.O_RDWR); print("open")
sys.stdin.readline()
try: os.write(fd, b"late"); os.fsync(fd)
except OSError as e: print(errno.errorcode[e.errno])
else: print("written")
print(os.pread(fd, 10, 0))
''', lap.peer_path("desk", "f"))
    assert writer.read_line(60) == "open"
    desk.ctl("peers", "allow", "lap", "fs:ro", check=True)
    writer.write("go\n")
    assert writer.read_line(60) == "EROFS"
    writer.read_line(60)
    assert writer.wait(60) == 0 and desk.sh("cat f").stdout == "f\n"


@test(each_user=True)
def several_exports_keep_apart(t):
    desk, lap = t.loopback("desk", "lap")
    for host in (desk, lap):
        host.init()
    desk.sh(FILL + "cd; mkdir shared; echo s >shared/s; mkdir other; echo o >other/o")
    configure(desk, f"[export free]\npath = {desk.home}/shared\n[export fixed]\npath = {desk.home}/tree\nmode = ro\n"
                    f"[export other]\npath = {desk.home}/other")
    for host in (desk, lap):
        host.start("--port", "0")
    pair(desk, lap)
    top = lap.peer_path("desk")
    assert lap.sh('ls "$1"', top).stdout.split() == ["fixed", "free", "other"]
    lap.sh('cd "$1"; echo new >new; mkdir d; mv new d; rm s; echo back >s; chmod 600 s; setfattr -n user.x -v y s', top + "/free")
    assert desk.sh("cat shared/s shared/d/new; stat -c %a shared/s").stdout == "back\nnew\n600\n"
    same_as_read_only(desk, lap, top + "/fixed")
    script = r'''import errno, os, sys
os.chdir(sys.argv[1])
def gives(wanted, function, *arguments):
    try: function(*arguments)
    except OSError as e: assert e.errno == wanted, (function, arguments, e)
    else: raise SystemExit(f"{function} {arguments} worked")
for a, b in ("free/s", "other/s"), ("free/d", "other/d"), ("other/o", "free/o"), ("fixed/f", "free/f"), ("free/s", "fixed/s"):
    gives(errno.EXDEV, os.rename, a, b)
gives(errno.EXDEV, os.link, "free/s", "other/s")
gives(errno.EXDEV, os.link, "fixed/f", "free/f")
for change in (os.mkdir, "x"), (os.mkdir, "free"), (os.rmdir, "free"), (os.rename, "free", "x"), (os.rename, "free/s", "x"), (os.symlink, "a", "x"):
    try: change[0](*change[1:])
    except OSError: pass
    else: raise SystemExit(f"{change} worked")
assert sorted(n for n in os.listdir(".") if n != ".loopsy") == ["fixed", "free", "other"]
assert os.stat("free").st_dev == os.stat("fixed").st_dev and os.stat("free").st_ino != os.stat("fixed").st_ino
with open("fixed/f", "rb") as a, open("free/copy", "wb") as b: # from the one to the other is a copy
    assert os.copy_file_range(a.fileno(), b.fileno(), 10) == 2
'''
    lap.run("python3", "-c", script, top, check=True)
    assert desk.sh("cat shared/copy; ls shared").stdout.split() == ["f", "copy", "d", "s"]


main()
