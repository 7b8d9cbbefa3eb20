#!/usr/bin/python3
"""System calls, one by one: each sequence is done on the peer's own disk and through the mount, and
results, errno and what is left must be equal."""
import os

from harness import *
from lib.peers import for_everyone, overlay, two
from lib.syscalls import compare

ALICE = "4711:4711:999"


def same(t, *codes, who="-"):
    """Steps of one user: of the host's, and, where that is root, also of an ordinary one through
    root's mount."""
    steps = [(who, code) for code in codes]
    desk, lap = two(t, conf="symlinks = raw")
    desk.sh("mkdir disk mount")
    compare(steps, desk, desk.home + "/disk", lap, lap.peer_path("desk", "mount"))
    if t.user != 0:
        return
    desk, lap = for_everyone(t, "fs:rw,fs:ids", conf="symlinks = raw")
    desk.sh("mkdir disk mount; chown 4711:4711 disk mount; chmod 755 .")
    compare([(ALICE, code) for code in codes], desk, desk.home + "/disk", lap, lap.peer_path("desk", "mount"))


@test(each_user=True)
def open_and_its_flags(t):
    same(t,
         "put('f', b'0123456789'); os.mkdir('d'); os.symlink('f', 'l'); os.symlink('d', 'ld')",
         "os.symlink('nothing', 'broken'); os.symlink('loop', 'loop'); os.mkfifo('p')",
         "os.open('none', os.O_RDONLY)", "os.open('none/x', os.O_RDONLY)", "os.open('f/x', os.O_RDONLY)",
         "os.open('f', os.O_WRONLY | os.O_CREAT | os.O_EXCL)", "os.open('l', os.O_WRONLY | os.O_CREAT | os.O_EXCL)",
         "os.open('broken', os.O_WRONLY | os.O_CREAT | os.O_EXCL)", "os.open('f', os.O_RDONLY | os.O_DIRECTORY)",
         "os.open('l', os.O_RDONLY | os.O_NOFOLLOW)", "os.open('ld', os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)",
         "os.open('loop', os.O_RDONLY)", "os.open('loop/x', os.O_RDONLY)", "os.open('d', os.O_WRONLY)",
         "os.open('d', os.O_RDWR)", "os.open('d', os.O_RDONLY | os.O_CREAT)", "os.open('d', os.O_RDONLY | os.O_TRUNC)",
         "os.open('x' * 256, os.O_RDONLY)", "os.open('x' * 256, os.O_WRONLY | os.O_CREAT)",
         "os.open('y/' * 2100, os.O_RDONLY)", "put('x' * 255); r = 'x' * 255 in ls()", "os.open('', os.O_RDONLY)",
         "os.open('p', os.O_WRONLY | os.O_NONBLOCK)", "r = os.read(os.open('p', os.O_RDWR | os.O_NONBLOCK), 1)",
         "w = os.open('p', os.O_RDWR); os.write(w, b'through'); r = os.read(w, 10), os.fstat(w).st_size",
         "fd = os.open('f', os.O_RDONLY); os.write(fd, b'x')", "fd = os.open('f', os.O_WRONLY); os.read(fd, 1)",
         "fd = os.open('f', os.O_RDONLY | os.O_TRUNC); r = os.fstat(fd).st_size", "put('f', b'0123456789')",
         "fd = os.open('f', os.O_WRONLY | os.O_APPEND); os.write(fd, b'a'); os.lseek(fd, 0, 0); os.write(fd, b'b'); "
         "r = get('f'), os.lseek(fd, 0, 1)",
         "fd = os.open('f', os.O_RDWR | os.O_APPEND); os.pwrite(fd, b'c', 0); r = os.pread(fd, 100, 0)",
         "fd = os.open('f', os.O_RDWR | os.O_SYNC); os.write(fd, b'sync'); os.fsync(fd); os.fdatasync(fd); r = get('f')",
         "fd = os.open('f', os.O_RDONLY | os.O_NOATIME); r = os.read(fd, 4)",
         "fd = os.open('f', os.O_PATH); r = os.fstat(fd).st_size; os.read(fd, 1)",
         "fd = os.open('f', os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC); r = os.read(fd, 3)",
         "put('u', b'x', 0o000); r = mode('u')", "r = get('u')", "put('u', b'y')", "os.chmod('u', 0o200); put('u', b'z'); r = mode('u')",
         "fd = os.open('w', os.O_RDWR | os.O_CREAT, 0o400); os.write(fd, b'w'); r = os.pread(fd, 5, 0), mode('w')",
         "fd = os.open('w', os.O_RDWR)", "m = os.open('m', os.O_WRONLY | os.O_CREAT, 0o7777); r = mode('m')",
         "s = socket.socket(socket.AF_UNIX); s.bind('s'); r = mode('s')", "os.open('s', os.O_RDONLY)",
         "s = socket.socket(socket.AF_UNIX); s.bind('t'); s.listen(); c = socket.socket(socket.AF_UNIX); c.connect('t')",
         "os.unlink('s'); os.unlink('p'); r = ls()")


@test(each_user=True)
def what_may_not_be_searched(t):
    """Each step uses names that were just used, so that they are known."""
    major, minor = os.uname().release.split(".")[:2]
    if (int(major), int(minor)) < (6, 16):
        skip("before 6.16 a file system cannot take all names back from the kernel at once")
    use = ("d = os.open('d', os.O_PATH)", "os.stat('d/f')", "os.lstat('d/l')", "r = get('d/f')", "r = os.readlink('d/l')",
           "r = ls('d/e')", "os.stat('d/e/g')", "os.stat('d/none')", "r = os.access('d/f', os.F_OK)", "r = ls('d')",
           "os.chdir('d')", "os.utime('d/f', (1, 1))", "os.chmod('d/f', 0o600)", "os.unlink('d/none')", "os.mkdir('d/n')",
           "os.rename('d/f', 'f'); os.rename('f', 'd/f')")
    steps = ["os.mkdir('d'); os.mkdir('d/e'); put('d/f', b'f'); put('d/e/g', b'g'); os.symlink('f', 'd/l')"]
    for mode in 0, 0o600, 0o400, 0o300, 0o200, 0o077:
        steps += [f"os.stat('d/f'); os.lstat('d/l'); os.stat('d/e/g'); ls('d'); ls('d/e'); os.chmod('d', {mode}); "
                  f"r = os.path.lexists('d/f'), os.path.lexists('d/l'), os.path.lexists('d/e/g')"]
        steps += [*use, "os.chmod('d', 0o700); r = get('d/f'), os.readlink('d/l'), get('d/e/g'); "
                        "os.path.exists('d/n') and os.rmdir('d/n')"]
    steps += ["os.chdir('d'); os.stat('f'); os.chmod('.', 0); r = os.path.exists('f'), os.path.exists('e/g')",
              "os.chmod('d', 0o700); fd = os.open('d/f', os.O_RDWR); os.chmod('d', 0); os.write(fd, b'on'); "
              "os.fchmod(fd, 0o640); r = os.pread(fd, 9, 0), os.fstat(fd).st_size, oct(os.fstat(fd).st_mode)",
              "os.chmod('d', 0o700); os.setxattr('d', 'system.posix_acl_access', acl((1, 7, -1), (2, 5, 4712), "
              "(4, 5, -1), (16, 5, -1), (32, 5, -1))); r = os.path.exists('d/f')",
              "os.stat('d/f'); os.setxattr('d', 'system.posix_acl_access', acl((1, 6, -1), (2, 5, 4712), "
              "(4, 5, -1), (16, 5, -1), (32, 5, -1))); r = os.path.exists('d/f'), os.path.exists('d/e/g'), mode('d')",
              "os.chmod('d', 0o700); r = get('d/f')"]
    same(t, *steps)


@test(each_user=True)
def names_links_and_directories(t):
    same(t,
         "put('f', b'f'); put('g', b'g'); os.mkdir('d'); os.mkdir('d/e'); put('d/f', b'df'); os.symlink('f', 'l')",
         "os.mkdir('d')", "os.mkdir('f')", "os.mkdir('l')", "os.mkdir('none/d')", "os.mkdir('f/d')", "os.mkdir('z' * 256)",
         "os.mkdir('d/')", "os.mkdir('n/'); r = mode('n')", "os.rmdir('n/')", "os.rmdir('d')", "os.rmdir('f')", "os.rmdir('l')",
         "os.rmdir('none')", "os.rmdir('.')", "os.rmdir('d/..')", "os.rmdir('d/.')", "os.unlink('d')", "os.unlink('none')", "os.unlink('f/x')", "os.unlink('f/')",
         "os.symlink('', 'empty')", "os.symlink('x' * 4095, 'long'); r = len(os.readlink('long')), os.lstat('long').st_size",
         "os.symlink('x' * 4096, 'longer')", "os.symlink('a', 'f')", "os.symlink('a', 'l')", "r = os.readlink('l')", "r = os.readlink('f')", "r = os.readlink('d')",
         "os.symlink('../' * 50 + 'x', 'up'); r = os.readlink('up')", "os.symlink('/etc/hostname', 'abs'); r = os.readlink('abs')",
         "os.link('f', 'h'); r = os.stat('f').st_nlink, os.stat('h').st_ino == os.stat('f').st_ino", "os.link('f', 'g')",
         "os.link('d', 'hd')", "os.link('none', 'x')", "os.link('f', 'none/x')", "os.link('l', 'hl', follow_symlinks=False); r = os.readlink('hl'), os.lstat('l').st_nlink",
         "os.link('l', 'hf', follow_symlinks=True); r = os.stat('f').st_nlink", "put('h', b'through h'); r = get('f'), os.stat('f').st_size",
         "os.unlink('f'); r = os.stat('h').st_nlink, get('h')", "os.unlink('hf'); r = os.stat('h').st_nlink", "os.rename('h', 'f')",
         "os.rename('f', 'g'); r = get('g'), ls()", "os.rename('none', 'x')", "os.rename('g', 'none/x')", "os.rename('g', 'd')",
         "os.rename('d', 'g')", "os.rename('d', 'd/e/in')", "os.rename('d', 'd')", "os.mkdir('full'); put('full/x'); os.mkdir('empty2'); os.rename('d', 'full')",
         "os.rename('d', 'empty2'); r = ls('empty2')", "os.rename('empty2/e', 'e'); r = os.stat('empty2').st_nlink, os.stat('e').st_nlink",
         "os.rename('g', 'g'); r = get('g')", "os.rename('g', 'k/')", "os.rename('g', 'z' * 256)", "os.rename('z' * 256, 'g')",
         "os.link('g', 'g2'); os.rename('g', 'g2'); r = ls()", "renameat2('g', 'full', 1)", "renameat2('g', 'new', 1); r = ls()",
         "renameat2('new', 'none', 2)", "renameat2('new', 'full', 2); r = ls(), ls('new'), get('full')", "renameat2('new', 'full', 3)",
         "renameat2('new/x', 'full', 2); r = get('new/x'), get('full')", "renameat2('full', 'new/y', 4); r = ls(), ls('new')",
         "renameat2('full', 'x2', 8)", "os.rename('empty2', 'l')", "os.rename('l', 'l3'); r = os.readlink('l3')",
         "os.mkdir('many'); [put('many/%03d' % i) for i in range(300)]; r = len(ls('many')), os.stat('many').st_nlink",
         "fd = os.open('many', os.O_RDONLY); [os.unlink('%03d' % i, dir_fd=fd) for i in range(0, 300, 2)]; r = ls('many')",
         "r = [(e.name, e.is_file(), e.inode() == e.stat().st_ino) for e in sorted(os.scandir('many'), key=lambda e: e.name)][:5]",
         "os.chdir('many'); put('../moved', b'm'); r = os.getcwd().endswith('many')",
         "os.mkdir('cwd'); os.chdir('cwd'); os.rename('../cwd', '../cwd2'); put('in', b'in'); r = get('../cwd2/in'), os.path.basename(os.getcwd())",
         "os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone'); r = os.stat('.').st_nlink", "os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone'); put('x')",
         "os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone'); r = os.listdir('.')", "os.mkdir('gone'); fd = os.open('gone', os.O_RDONLY); os.rmdir('gone'); r = os.fstat(fd).st_nlink, os.listdir(fd)",
         "fd = os.open('many', os.O_RDONLY); os.fsync(fd); os.fdatasync(fd)", "fd = os.open('many', os.O_RDONLY); r = os.read(fd, 10)",
         "r = os.stat('many').st_ino == os.stat('many/.').st_ino == os.stat('e/../many').st_ino")


@test(each_user=True)
def unlinked_files_live_on(t):
    same(t,
         "fd = os.open('f', os.O_RDWR | os.O_CREAT, 0o644); os.write(fd, b'0123456789'); os.unlink('f'); s = os.fstat(fd); "
         "r = s.st_nlink, s.st_size, os.pread(fd, 4, 3)",
         "fd = os.open('f', os.O_RDWR | os.O_CREAT, 0o644); os.unlink('f'); os.write(fd, b'late'); os.ftruncate(fd, 3); "
         "r = os.pread(fd, 9, 0), os.fstat(fd).st_size",
         "fd = os.open('f', os.O_RDWR | os.O_CREAT, 0o644); os.unlink('f'); os.fchmod(fd, 0o600); os.utime(fd, (1, 2)); s = os.fstat(fd); "
         "r = oct(s.st_mode), s.st_atime, s.st_mtime",
         "fd = os.open('f', os.O_RDWR | os.O_CREAT, 0o644); os.unlink('f'); os.setxattr(fd, 'user.a', b'1'); r = os.getxattr(fd, 'user.a'), os.listxattr(fd)",
         "fd = os.open('f', os.O_RDWR | os.O_CREAT, 0o644); os.unlink('f'); fallocate(fd, 0, 0, 5000); r = os.fstat(fd).st_size, os.lseek(fd, 0, os.SEEK_HOLE)",
         "fd = os.open('f', os.O_RDWR | os.O_CREAT, 0o644); os.write(fd, b'old'); os.unlink('f'); put('f', b'new'); r = os.pread(fd, 9, 0), get('f')",
         "fd = os.open('g', os.O_RDWR | os.O_CREAT, 0o644); os.write(fd, b'old'); put('n', b'new'); os.rename('n', 'g'); r = os.pread(fd, 9, 0), get('g'), os.fstat(fd).st_nlink",
         "fd = os.open('h', os.O_RDWR | os.O_CREAT, 0o644); os.link('h', 'i'); os.unlink('h'); os.write(fd, b'x'); r = os.fstat(fd).st_nlink, get('i')",
         "fd = os.open('j', os.O_RDWR | os.O_CREAT, 0o644); os.unlink('j'); os.link('/proc/self/fd/%d' % fd, 'back', follow_symlinks=True)",
         "fd = os.open('k', os.O_RDWR | os.O_CREAT, 0o644); os.write(fd, b'k'); os.mkdir('d'); os.rename('k', 'd/k'); os.write(fd, b'l'); r = get('d/k')")


@test(each_user=True)
def modes_times_and_owners(t):
    same(t,
         "put('f', b'f'); os.mkdir('d'); os.symlink('f', 'l'); os.mkfifo('p')",
         *(f"os.chmod('{name}', {bits}); r = mode('{name}')" for name in "fdp" for bits in ("0", "0o777", "0o7777", "0o1644", "0o4711", "0o2755", "0o644", "0o700")),
         "os.chmod('l', 0o640); r = mode('l'), mode('f')", "call('fchmodat', -100, b'l', 0o600, 0x100)", "os.chmod('none', 0o644)",
         "fd = os.open('f', os.O_RDONLY); os.fchmod(fd, 0o604); r = mode('f')", "os.chown('f', -1, -1); r = own('f')",
         "os.chown('f', os.getuid(), os.getgid()); r = own('f')", "os.lchown('l', os.getuid(), os.getgid())", "os.chown('f', 12345, -1); r = own('f')",
         "os.chown('f', -1, 12345); r = own('f')", "os.lchown('l', 12345, 12346); r = own('l'), own('f')", "os.chown('d', 1, 2); r = own('d')", "os.lchown('p', 1, 2); r = own('p')",
         "os.utime('f', ns=(1000000000123456789, 1100000000987654321)); s = os.stat('f'); r = s.st_atime_ns, s.st_mtime_ns",
         "os.utime('l', ns=(1000000000000000001, 2), follow_symlinks=False); s = os.lstat('l'); r = s.st_atime_ns, s.st_mtime_ns, os.stat('f').st_mtime_ns",
         "os.utime('p', ns=(1, 2)); s = os.stat('p'); r = s.st_atime_ns, s.st_mtime_ns", "os.utime('d', ns=(3, 4)); s = os.stat('d'); r = s.st_atime_ns, s.st_mtime_ns",
         "os.utime('f', ns=(-1000000000, -1)); s = os.stat('f'); r = s.st_atime_ns, s.st_mtime_ns",
         "os.utime('f', ns=(2**33 * 10**9, 2**33 * 10**9 + 5)); s = os.stat('f'); r = s.st_atime_ns, s.st_mtime_ns", "os.utime('none')",
         "T = struct.pack('qqqq', 0, 1073741822, 77, 88); call('utimensat', -100, b'f', T, 0); s = os.stat('f'); r = s.st_atime_ns, s.st_mtime_ns",
         "T = struct.pack('qqqq', 55, 66, 0, 1073741822); call('utimensat', -100, b'f', T, 0); s = os.stat('f'); r = s.st_atime_ns, s.st_mtime_ns",
         "T = struct.pack('qqqq', 0, 1073741823, 0, 1073741822); call('utimensat', -100, b'f', T, 0); s = os.stat('f'); r = s.st_atime > 1.6e9, s.st_mtime_ns",
         "T = struct.pack('qqqq', 0, 1073741822, 0, 1073741822); call('utimensat', -100, b'none', T, 0)",
         "T = struct.pack('qqqq', 0, 1073741824, 0, 0); call('utimensat', -100, b'f', T, 0)",
         "os.utime('f'); s = os.stat('f'); r = abs(s.st_mtime - s.st_ctime) < 1, s.st_mtime > 1.6e9",
         "before = os.stat('f').st_ctime_ns; os.chmod('f', 0o644); r = os.stat('f').st_ctime_ns > before",
         "before = os.stat('d'); put('d/x'); after = os.stat('d'); r = after.st_mtime_ns > before.st_mtime_ns, after.st_ctime_ns > before.st_ctime_ns",
         "before = os.stat('f'); os.link('f', 'f2'); after = os.stat('f'); r = after.st_mtime_ns == before.st_mtime_ns, after.st_ctime_ns > before.st_ctime_ns",
         "before = os.stat('f'); fd = os.open('f', os.O_WRONLY); os.write(fd, b'y'); after = os.fstat(fd); r = after.st_mtime_ns > before.st_mtime_ns",
         "before = os.stat('f'); os.truncate('f', 1); after = os.stat('f'); r = after.st_size",
         "before = os.stat('d'); os.rename('d/x', 'd/y'); after = os.stat('d'); r = after.st_mtime_ns > before.st_mtime_ns",
         "before = os.stat('d/y').st_ctime_ns; os.unlink('d/y'); r = ls('d')",
         # the time of an access, as far as the disk keeps it
         *(f"put('a{n}', b'a' * {n}); os.utime('a{n}', (1, 2)); get('a{n}'); r = os.stat('a{n}').st_atime > 2" for n in (1, 60000, 500000)),
         "os.utime('a500000', (1, 2)); fd = os.open('a500000', os.O_RDWR); os.read(fd, 10); r = os.fstat(fd).st_atime > 2; os.unlink('a500000')",
         "os.mknod('reg', 0o100640); r = mode('reg')", "os.mknod('noth'); r = mode('noth')", "os.mknod('chr', 0o20600, os.makedev(1, 3)); r = mode('chr'), os.stat('chr').st_rdev",
         "os.mknod('blk', 0o60600, os.makedev(7, 200)); r = mode('blk'), os.stat('blk').st_rdev", "os.mknod('big', 0o20600, os.makedev(300, 70000)); r = os.stat('big').st_rdev",
         "os.mknod('dir', 0o40755)", "os.mknod('sock', 0o140600); r = mode('sock')", "os.mknod('f', 0o100644)",
         *(f"r = [os.access('{name}', m) for m in (0, 1, 2, 4, 7)]" for name in ("f", "d", "l", "p", "none", "f/x", "chr")),
         "os.chmod('f', 0); r = [os.access('f', m) for m in (0, 1, 2, 4)]", "os.chmod('d', 0); r = [os.access('d/f', m) for m in (0, 1, 2, 4)]", "r = faccessat2('l', 2, 0x100)", "r = faccessat2('f', 2, 0x200)", "os.chmod('f', 0o500); r = faccessat2('f', 1, 0x200)",
         "r = ls('d')", "os.stat('d/x')", "put('d/x')", "os.chmod('d', 0o444); r = ls('d')", "os.chmod('d', 0o111); r = ls('d')", "put('d/x')", "os.chmod('d', 0o755); r = ls('d')")


@test(each_user=True)
def contents_holes_and_ranges(t):
    same(t,
         "put('f', b'0123456789' * 1000); r = os.stat('f').st_size, os.stat('f').st_blocks",
         "os.truncate('f', 5000); r = get('f')[-3:]", "os.truncate('f', 6000); r = get('f')[4998:5003]", "os.truncate('f', -1)", "os.truncate('d', 0)",
         "os.mkdir('d'); os.truncate('d', 0)", "os.truncate('f', 2**62)", "fd = os.open('f', os.O_RDONLY); os.ftruncate(fd, 0)",
         "fd = os.open('s', os.O_RDWR | os.O_CREAT, 0o644); os.pwrite(fd, b'x', 2**32 + 5); os.fsync(fd); s = os.fstat(fd); r = s.st_size, s.st_blocks, os.pread(fd, 3, 2**32 + 4)",
         "fd = os.open('s', os.O_RDWR); r = [os.lseek(fd, 0, w) for w in (os.SEEK_DATA, os.SEEK_HOLE, os.SEEK_END)]",
         "fd = os.open('s', os.O_RDWR); os.lseek(fd, 2**33, os.SEEK_DATA)", "fd = os.open('s', os.O_RDWR); os.lseek(fd, 2**33, os.SEEK_HOLE)", "fd = os.open('s', os.O_RDWR); r = os.lseek(fd, 2**32 + 5, os.SEEK_HOLE)",
         "fd = os.open('s', os.O_RDWR); os.lseek(fd, -1, os.SEEK_SET)", "fd = os.open('s', os.O_RDWR); r = os.lseek(fd, 7, os.SEEK_SET), os.lseek(fd, 3, os.SEEK_CUR), os.lseek(fd, -3, os.SEEK_END)",
         "os.truncate('s', 2**40); r = os.stat('s').st_size, os.stat('s').st_blocks", "fd = os.open('s', os.O_RDWR); r = os.pwrite(fd, b'end', 2**40 - 3), os.pread(fd, 10, 2**40 - 5)",
         "fd = os.open('s', os.O_RDWR); r = os.pwrite(fd, b'x', 2**63 - 1)", "fd = os.open('s', os.O_RDWR); r = os.pwrite(fd, b'x', 2**45)", "os.unlink('s')",
         *(f"put('a', bytes(range(256)) * 256); fd = os.open('a', os.O_RDWR); fallocate(fd, {m}, {o}, {n}); s = os.fstat(fd); "
           "r = s.st_size, s.st_blocks, hashlib.sha256(os.pread(fd, 200000, 0)).hexdigest()[:12]"
           for m, o, n in ((0, 0, 100000), (0, 60000, 20000), (1, 60000, 100000), (3, 4096, 8192), (3, 5000, 100), (3, 60000, 100000), (3, 2**30, 4096),
                           (16, 4096, 8192), (16, 100, 70000), (17, 100, 70000), (2, 0, 4096), (19, 0, 4096), (0, -1, 5), (0, 0, 0), (0, 0, -1), (0, 2**62, 2**62), (128, 0, 4096))),
         "fd = os.open('a', os.O_RDONLY); fallocate(fd, 0, 0, 10)", "fd = os.open('d', os.O_RDONLY); fallocate(fd, 0, 0, 10)",
         "fd = os.open('a', os.O_RDWR); os.posix_fallocate(fd, 0, 300000); r = os.fstat(fd).st_size",
         "a = os.open('a', os.O_RDONLY); b = os.open('b', os.O_RDWR | os.O_CREAT, 0o644); r = os.copy_file_range(a, b, 1000, 10, 20), os.pread(b, 2000, 0)[:40]",
         "a = os.open('a', os.O_RDONLY); b = os.open('b', os.O_RDWR); r = os.copy_file_range(a, b, 1000000, 0, 0), os.copy_file_range(a, b, 10, 10**9, 0)",
         "a = os.open('a', os.O_RDWR); r = os.copy_file_range(a, a, 100, 0, 50)", "a = os.open('a', os.O_RDWR); r = os.copy_file_range(a, a, 100, 0, 5000)",
         "a = os.open('a', os.O_RDONLY); r = os.copy_file_range(a, a, 100, 0, 5000)", "a = os.open('a', os.O_RDONLY); b = os.open('b', os.O_WRONLY | os.O_APPEND); r = os.copy_file_range(a, b, 10)",
         "a = os.open('a', os.O_RDONLY); b = os.open('c', os.O_RDWR | os.O_CREAT, 0o644); r = os.sendfile(b, a, 0, 5000), os.fstat(b).st_size",
         "a = os.open('a', os.O_RDWR); r = os.preadv(a, [bytearray(3), bytearray(5)], 10), os.pwritev(a, [b'ab', b'cd'], 5), os.pread(a, 8, 3)",
         "put('m', b'm' * 10000); fd = os.open('m', os.O_RDWR); m = mmap.mmap(fd, 10000); m[5000:5003] = b'MAP'; m.flush(); m.close(); r = os.pread(fd, 5, 4999), get('m')[4999:5004]",
         "fd = os.open('m', os.O_RDONLY); m = mmap.mmap(fd, 10000, prot=mmap.PROT_READ); r = m[4999:5004]", "fd = os.open('m', os.O_RDONLY); m = mmap.mmap(fd, 10000)",
         "fd = os.open('m', os.O_RDWR); m = mmap.mmap(fd, 10000, flags=mmap.MAP_PRIVATE); m[0:3] = b'xxx'; r = get('m')[:3]",
         "fd = os.open('dio', os.O_RDWR | os.O_CREAT | os.O_DIRECT, 0o644); m = mmap.mmap(-1, 8192); m[:] = b'd' * 8192; r = os.pwritev(fd, [m], 0), os.preadv(fd, [m], 4096), os.fstat(fd).st_size",
         "put('run', get('/bin/true'), 0o755); r = os.spawnv(os.P_WAIT, 'run', ['run'])", "fd = os.open('run', os.O_WRONLY); os.execv('run', ['run'])",
         "put('script', b'#!/bin/sh\\nexit 7\\n', 0o755); r = os.spawnv(os.P_WAIT, './script', ['script'])", "put('noexec', get('/bin/true'), 0o644); os.execv('noexec', ['noexec'])",
         "put('junk', b'junk', 0o755); os.execv('junk', ['junk'])", "put('empty'); r = get('empty'), os.stat('empty').st_blocks",
         "fd = os.open('t', os.O_RDWR | os.O_CREAT, 0o644); os.write(fd, b'abc'); os.ftruncate(fd, 1); os.write(fd, b'd'); r = get('t')",
         "s, d = os.statvfs('.'), os.statvfs('f'); r = s.f_bsize, s.f_frsize, s.f_blocks, s.f_files, s.f_namemax, d.f_blocks",
         "r = sorted(os.listxattr('f')), os.pathconf('.', 'PC_NAME_MAX'), os.pathconf('.', 'PC_LINK_MAX') > 1")


@test(each_user=True)
def extended_attributes_and_acls(t):
    same(t,
         "put('f', b'f'); os.mkdir('d'); os.symlink('f', 'l'); os.mkfifo('p')",
         "os.setxattr('f', 'user.a', b'value'); r = os.getxattr('f', 'user.a'), os.listxattr('f')", "os.setxattr('f', 'user.empty', b''); r = os.getxattr('f', 'user.empty')",
         "os.setxattr('f', 'user.a', b'x', os.XATTR_CREATE)", "os.setxattr('f', 'user.b', b'x', os.XATTR_REPLACE)", "os.setxattr('f', 'user.b', b'b', os.XATTR_CREATE)",
         "os.setxattr('f', 'user.b', b'c', os.XATTR_REPLACE); r = os.getxattr('f', 'user.b')", "os.setxattr('f', 'user.b', b'd', 3)", "os.setxattr('f', 'user.b', b'd', 4)",
         "r = os.getxattr('f', 'user.none')", "os.removexattr('f', 'user.none')", "os.removexattr('f', 'user.b'); r = os.listxattr('f')",
         "b = ctypes.create_string_buffer(3); call('getxattr', b'f', b'user.a', b, 3)", "r = call('getxattr', b'f', b'user.a', None, 0)", "b = ctypes.create_string_buffer(5); r = call('getxattr', b'f', b'user.a', b, 5), b.raw",
         "r = call('listxattr', b'f', None, 0)", "b = ctypes.create_string_buffer(3); call('listxattr', b'f', b, 3)",
         "os.setxattr('f', 'user.' + 'n' * 250, b'1'); r = len(os.listxattr('f'))", "os.setxattr('f', 'user.' + 'n' * 251, b'1')", "os.setxattr('f', 'user.', b'1')", "os.setxattr('f', '', b'1')", "os.setxattr('f', 'nospace', b'1')",
         "os.setxattr('f', 'wrong.a', b'1')", "os.getxattr('f', 'wrong.a')", "os.setxattr('f', 'user.big', b'b' * 3000); r = len(os.getxattr('f', 'user.big'))", "os.setxattr('f', 'user.bigger', b'b' * 65536)", "os.setxattr('f', 'user.bigger', b'b' * 65537)",
         "os.setxattr('l', 'user.a', b'1', follow_symlinks=False)", "os.getxattr('l', 'user.a', follow_symlinks=False)", "r = os.listxattr('l', follow_symlinks=False)", "os.removexattr('l', 'user.a', follow_symlinks=False)", "r = os.getxattr('l', 'user.a')",
         "os.setxattr('p', 'user.a', b'1')", "os.getxattr('p', 'user.a')", "os.setxattr('d', 'user.a', b'dir'); r = os.getxattr('d', 'user.a')", "os.setxattr('none', 'user.a', b'1')",
         "os.setxattr('f', 'trusted.t', b'1')", "os.getxattr('f', 'trusted.t')", "r = sorted(os.listxattr('f'))", "os.setxattr('l', 'trusted.t', b'link', follow_symlinks=False)", "os.setxattr('f', 'security.x', b'1')", "os.getxattr('f', 'security.x')",
         "os.setxattr('f', 'security.capability', b'1')", "os.setxattr('f', 'security.capability', struct.pack('<IIIII', 0x2000001, 0x2000, 0, 0, 0)); r = os.getxattr('f', 'security.capability')", "fd = os.open('f', os.O_WRONLY | os.O_APPEND); os.write(fd, b'x'); os.getxattr('f', 'security.capability')",
         "fd = os.open('f', os.O_RDWR); os.setxattr(fd, 'user.fd', b'1'); r = os.getxattr(fd, 'user.fd'); os.removexattr(fd, 'user.fd')",
         "os.chmod('f', 0o400); os.setxattr('f', 'user.ro', b'1')", "os.chmod('f', 0o200); os.getxattr('f', 'user.a')", "os.chmod('f', 0o644)",
         "os.setxattr('f', 'system.posix_acl_access', acl((1, 6, -1), (2, 4, 1234), (4, 4, -1), (16, 4, -1), (32, 0, -1))); r = mode('f'), os.getxattr('f', 'system.posix_acl_access')",
         "os.chmod('f', 0o660); r = os.getxattr('f', 'system.posix_acl_access')", "os.setxattr('f', 'system.posix_acl_access', b'rubbish')", "os.setxattr('f', 'system.posix_acl_access', acl((1, 6, -1)))",
         "os.setxattr('f', 'system.posix_acl_default', acl((1, 6, -1), (4, 4, -1), (32, 0, -1)))", "os.setxattr('d', 'system.posix_acl_default', acl((1, 7, -1), (2, 5, 1234), (4, 5, -1), (16, 5, -1), (32, 0, -1))); r = mode('d')",
         "put('d/f', b'x', 0o666); os.mkdir('d/d', 0o777); r = mode('d/f'), mode('d/d'), os.getxattr('d/f', 'system.posix_acl_access'), os.getxattr('d/d', 'system.posix_acl_default')",
         "os.getxattr('d/f', 'system.posix_acl_default')", "os.setxattr('l', 'system.posix_acl_access', acl((1, 6, -1), (4, 4, -1), (32, 0, -1)), follow_symlinks=False)", "os.getxattr('l', 'system.posix_acl_access', follow_symlinks=False)",
         "os.removexattr('f', 'system.posix_acl_access'); r = mode('f'), sorted(os.listxattr('f'))", "os.removexattr('f', 'system.posix_acl_access')", "os.removexattr('d', 'system.posix_acl_default'); r = os.listxattr('d')", "os.removexattr('d', 'system.posix_acl_default')",
         "os.setxattr('f', 'system.posix_acl_access', acl((1, 6, -1), (4, 4, -1), (32, 4, -1))); r = mode('f'), os.listxattr('f')", "os.setxattr('f', 'system.other', b'1')", "os.getxattr('f', 'system.other')")


@test(each_user=True)
def tools_show_and_keep_attributes_and_acls(t):
    desk, lap = two(t)
    desk.sh(r'''mkdir -p tree/d/e; cd tree; echo f >f; echo g >d/g; cp /bin/true run
        setfattr -n user.a -v hello f; setfattr -n user.bytes -v 0x00ff0a f; setfattr -n user.dir -v x d
        setfacl -m u:1234:rw,g:1235:r f; setfacl -d -m u:1234:rwx d; setfacl -m m::r d/g
        [ $UID != 0 ] || { setfattr -n trusted.t -v root f; setcap cap_net_raw+ep run; }''')
    shown = "cd \"$1\" && getfattr -R -d -m - -e hex . 2>&1 | grep -v ^$; getfacl -R . ; getcap -r ."
    want = desk.sh(shown, desk.home + "/tree").stdout
    assert "user.bytes=0x00ff0a" in want and "default:user:1234:rwx" in want, want
    assert t.user != 0 or ("trusted.t" in want and "cap_net_raw" in want), want
    assert lap.sh(shown, lap.peer_path("desk", "tree")).stdout == want
    # Through the mount and back.
    lap.sh('cp -a "$1" local && cp -a local "$2"', lap.peer_path("desk", "tree"), lap.peer_path("desk", "back"))
    assert desk.sh(shown, desk.home + "/back").stdout == want
    lap.sh(r'''cd "$1"; setfacl -R -b .; setfattr -x user.a f; setfattr -n user.new -v 1 d''', lap.peer_path("desk", "tree"))
    assert lap.sh(shown, lap.peer_path("desk", "tree")).stdout == desk.sh(shown, desk.home + "/tree").stdout
    assert "1234" not in desk.sh(shown, desk.home + "/tree").stdout


@test(each_user=True)
def locks_of_one_machine(t):
    same(t,
         "put('f', bytes(100))",
         "fd = os.open('f', os.O_RDWR); fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 5); r = fcntl.fcntl(fd, fcntl.F_GETLK, struct.pack('hhqqi4x', fcntl.F_WRLCK, 0, 0, 0, 0))[:2]",
         "fd = os.open('f', os.O_RDONLY); fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)", "fd = os.open('f', os.O_WRONLY); fcntl.lockf(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)",
         "a, b = os.open('f', os.O_RDWR), os.open('f', os.O_RDWR); fcntl.flock(a, fcntl.LOCK_EX); fcntl.flock(b, fcntl.LOCK_EX | fcntl.LOCK_NB)",
         "a, b = os.open('f', os.O_RDWR), os.open('f', os.O_RDWR); fcntl.flock(a, fcntl.LOCK_SH); fcntl.flock(b, fcntl.LOCK_SH | fcntl.LOCK_NB); fcntl.flock(b, fcntl.LOCK_EX | fcntl.LOCK_NB)",
         "a, b = os.open('f', os.O_RDWR), os.open('f', os.O_RDWR); fcntl.flock(a, fcntl.LOCK_EX); os.close(a); fcntl.flock(b, fcntl.LOCK_EX | fcntl.LOCK_NB); r = 'taken'",
         "a, b = os.open('f', os.O_RDWR), os.open('f', os.O_RDWR); fcntl.flock(a, fcntl.LOCK_EX); c = os.dup(a); os.close(a); fcntl.flock(b, fcntl.LOCK_EX | fcntl.LOCK_NB)",
         # Open file descriptions: F_OFD_SETLK is 37, F_OFD_GETLK 36.
         "L = struct.pack('hhqqi4x', fcntl.F_WRLCK, 0, 0, 10, 0); a, b = os.open('f', os.O_RDWR), os.open('f', os.O_RDWR); fcntl.fcntl(a, 37, L); fcntl.fcntl(b, 37, L)",
         "L = struct.pack('hhqqi4x', fcntl.F_WRLCK, 0, 0, 10, 0); a, b = os.open('f', os.O_RDWR), os.open('f', os.O_RDWR); fcntl.fcntl(a, 37, L); fcntl.fcntl(b, 37, struct.pack('hhqqi4x', fcntl.F_WRLCK, 0, 10, 10, 0)); r = struct.unpack('hhqqi4x', fcntl.fcntl(b, 36, L))",
         "L = struct.pack('hhqqi4x', fcntl.F_WRLCK, 0, 0, 10, 0); a, b = os.open('f', os.O_RDWR), os.open('f', os.O_RDWR); fcntl.fcntl(a, 37, L); os.close(os.open('f', os.O_RDWR)); fcntl.fcntl(b, 37, L)",
         "L = struct.pack('hhqqi4x', fcntl.F_WRLCK, 0, 0, 10, 0); a, b = os.open('f', os.O_RDWR), os.open('f', os.O_RDWR); fcntl.fcntl(a, 37, L); fcntl.lockf(b, fcntl.LOCK_EX | fcntl.LOCK_NB, 5, 0)",
         # Another process, with ranges that are split, upgraded and downgraded.
         *(f"fd = os.open('f', os.O_RDWR); {mine}; r = [lock_by_other('f', k, n, o) for k, n, o in "
           "((1, 1, 0), (2, 1, 0), (2, 1, 5), (1, 1, 5), (2, 1, 14), (2, 1, 15), (2, 10, 20), (2, 0, 95))]"
           for mine in ("fcntl.lockf(fd, 2, 10, 5)", "fcntl.lockf(fd, 1, 10, 5)", "fcntl.lockf(fd, 2, 20, 0); fcntl.lockf(fd, 8, 5, 5)",
                        "fcntl.lockf(fd, 2, 20, 0); fcntl.lockf(fd, 1, 5, 5)", "fcntl.lockf(fd, 1, 20, 0); fcntl.lockf(fd, 2, 5, 5)", "fcntl.lockf(fd, 2, 0, 10)",
                        "fcntl.lockf(fd, 2, 5, 0); fcntl.lockf(fd, 2, 5, 5); fcntl.lockf(fd, 8)", "fcntl.lockf(fd, 2); os.close(os.open('f', os.O_RDONLY))",
                        "os.lseek(fd, 10, 0); fcntl.lockf(fd, 2, 5, 5, 1)", "fcntl.lockf(fd, 2, 5, -5, 2)", "fcntl.lockf(fd, 2, 1, 2**40)")),
         "fd = os.open('f', os.O_RDWR); fcntl.lockf(fd, 2, 5, -5)", "fd = os.open('f', os.O_RDWR); fcntl.lockf(fd, 2, 2**62, 2**62)")


@test()
def an_overlay_is_as_any_disk(t):
    desk, lap = two(t, conf="symlinks = raw")
    why = overlay(desk, desk.home + "/ov", 'for i in disk mount; do mkdir -p $i/d/e; echo low >$i/low; echo x >$i/x; '
                  'echo old >$i/d/old; echo f >$i/d/e/f; ln -s low $i/l; done')
    if why:
        skip(why)
    compare([("-", code) for code in (
        "r = ls(), ls('d'), get('low'), get('l'), get('d/e/f')",
        # an inode number that is free is given to the next object, whatever that is
        "[put('f%d' % i, b'f') for i in range(20)]",
        "[(os.unlink('f%d' % i), os.mkdir('m%d' % i), put('m%d/f' % i, b'%d' % i)) for i in range(20)]; r = ls()",
        "r = [get('m%d/f' % i) for i in range(20)]",
        "[(os.unlink('m%d/f' % i), os.rmdir('m%d' % i), put('n%d' % i, b'%d' % i)) for i in range(20)]; r = ls()",
        "r = [get('n%d' % i) for i in range(20)]",
        "[(os.unlink('n%d' % i), os.symlink('low', 's%d' % i)) for i in range(20)]; r = [get('s%d' % i) for i in range(20)]",
        # what lies below is copied when it is changed, and stays what it is
        "was = os.stat('low').st_ino; w = os.open('low', os.O_WRONLY | os.O_APPEND); os.write(w, b'more'); "
        "r = get('low'), os.fstat(w).st_size, os.stat('low').st_ino == was == os.fstat(w).st_ino",
        "w = os.open('x', os.O_RDWR); os.pwrite(w, b'yz', 1); os.ftruncate(w, 2); r = os.pread(w, 9, 0), get('x')",
        "os.chmod('d/old', 0o600); os.utime('d/old', (1, 2)); r = mode('d/old'), os.stat('d/old').st_mtime, get('d/old')",
        "os.link('low', 'hard'); r = os.stat('hard').st_nlink, os.stat('low').st_nlink; os.rename('hard', 'd/hard')",
        "put('d/new', b'n'); os.unlink('d/e/f'); r = ls('d'), ls('d/e')", "os.rename('d/old', 'moved'); r = get('moved')",
        "os.rmdir('d/e'); os.mkdir('d/e'); put('d/e/again', b'a'); r = ls('d/e')", "os.setxattr('low', 'user.a', b'1')",
        "u = os.open('moved', os.O_RDWR); os.unlink('moved'); os.write(u, b'gone'); r = os.pread(u, 9, 0), os.fstat(u).st_nlink",
        "put('moved', b'another'); r = get('moved'), ls(), ls('d')")],
        desk, desk.home + "/ov/disk", lap, lap.peer_path("desk", "ov", "mount"))


@test(each_user=True)
def what_fuse_does_not_offer_is_refused(t):
    """The limits of the kernel's FUSE and of this libfuse: an errno that programs know how to take."""
    desk, lap = two(t)
    script = r'''import ctypes, errno, os, sys
os.chdir(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
fd = os.open("f", os.O_RDWR | os.O_CREAT, 0o644); os.write(fd, bytes(65536))
for mode in 8, 32: # FALLOC_FL_COLLAPSE_RANGE, FALLOC_FL_INSERT_RANGE
    assert libc.fallocate(fd, mode, ctypes.c_long(4096), ctypes.c_long(4096)) == -1
    assert ctypes.get_errno() == errno.EOPNOTSUPP, mode
try: os.open(".", os.O_TMPFILE | os.O_RDWR)
except OSError as e: assert e.errno == errno.EOPNOTSUPP, e
else: raise SystemExit("O_TMPFILE is there: compare it with the disk now")
'''
    lap.run("python3", "-c", script, lap.peer_path("desk"), check=True)


main()
