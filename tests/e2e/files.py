#!/usr/bin/python3
"""Browsing, copying and editing on a peer: equal in bytes, modes and times to its disk."""
from harness import *
from lib.peers import same_tree, two

TREE = r'''
mkdir -p tree/a/b tree/empty; cd tree
echo hello >a/hello; : >empty-file; printf 'x%.0s' {1..5000} >a/b/five-thousand
head -c 300000 /dev/urandom >a/big; ln -s a/hello link; ln -s ../../a/hello a/b/up
chmod 600 a/hello; chmod 755 a/big; chmod 1777 empty
touch -d '2001-02-03 04:05:06.123456789' a/hello; touch -h -d '1999-01-01' link
ln a/hello a/second-name; mkfifo fifo
'''


@test(each_user=True)
def ls_find_and_cat_show_what_is_there(t):
    desk, lap = two(t)
    desk.sh(TREE)
    same_tree(desk, desk.home + "/tree", lap, lap.peer_path("desk", "tree"))
    assert lap.sh('cat "$1"', lap.peer_path("desk", "tree/a/hello")).stdout == "hello\n"
    listed = lap.sh('ls -A "$1"', lap.mount).stdout.split()
    assert listed == ["desk"], listed


@test(each_user=True)
def cp_a_both_ways_keeps_everything(t):
    desk, lap = two(t)
    desk.sh(TREE)
    lap.sh('cp -a "$1" copy', lap.peer_path("desk", "tree"))
    same_tree(desk, desk.home + "/tree", lap, lap.home + "/copy")
    lap.sh('cp -a copy "$1"', lap.peer_path("desk", "back"))
    same_tree(desk, desk.home + "/tree", desk, desk.home + "/back")
    same_tree(desk, desk.home + "/back", lap, lap.peer_path("desk", "back"))


@test(each_user=True)
def making_moving_and_removing_happen_on_the_peer(t):
    desk, lap = two(t)
    lap.sh(r'''cd "$1"; mkdir -p d/e; echo one >d/one; mv d/one d/e/two; cp d/e/two d/three
        ln -s three d/link; chmod 640 d/three; touch -d @1000000000.5 d/three; rm d/e/two; rmdir d/e
        mv d renamed; echo more >>renamed/three; truncate -s 7 renamed/three''', lap.peer_path("desk"))
    assert desk.sh("ls -A; ls -A renamed; cat renamed/three").stdout.split() == \
        ["renamed", "link", "three", "one", "mor"][:5], desk.sh("ls -A; ls -A renamed").stdout
    assert desk.sh("stat -c %a renamed/three").stdout == "640\n"
    lap.sh('rm -r "$1"', lap.peer_path("desk", "renamed"))
    assert desk.sh("ls -A").stdout == ""


# Waits until nano shows the file, types, saves (^O, return) and leaves (^X).
TYPE_INTO_NANO = r'''import os, pty, sys
pid, tty = pty.fork()
if pid == 0:
    os.environ["TERM"] = "xterm"
    os.execvp("nano", ["nano", "-I", sys.argv[1]])
seen, keys = b"", [(b"first", b"by nano "), (b"by nano", b"\x0f"), (b"Write", b"\r"), (b"Wrote", b"\x18")]
while True:
    try: data = os.read(tty, 4096)
    except OSError: break
    if not data: break
    seen += data
    if keys and keys[0][0] in seen:
        seen = b""
        os.write(tty, keys.pop(0)[1])
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) or len(keys))
'''


@test(each_user=True)
def editors_save_what_was_typed(t):
    desk, lap = two(t)
    desk.sh("printf 'first\nsecond\n' >file; cp file file2; cp file file3")
    lap.sh(r'''cd "$1"; sed -i s/first/changed/ file
        vim -es -u NONE -c '%s/second/by vim/' -c wq file2 </dev/null''', lap.peer_path("desk"))
    assert desk.sh("cat file").stdout == "changed\nsecond\n"
    assert desk.sh("cat file2").stdout == "first\nby vim\n"
    lap.run("python3", "-c", TYPE_INTO_NANO, lap.peer_path("desk", "file3"), check=True)
    assert desk.sh("cat file3").stdout == "by nano first\nsecond\n"


@test(each_user=True)
def tar_goes_in_and_out(t):
    desk, lap = two(t)
    desk.sh(TREE)
    lap.sh('tar --format=posix -C "$1" -cf out.tar tree && mkdir "$1/in" && tar -C "$1/in" -xpf out.tar',
           lap.peer_path("desk"))
    same_tree(desk, desk.home + "/tree", desk, desk.home + "/in/tree")


@test(each_user=True, timeout=600)
def git_works_in_the_mount(t):
    desk, lap = two(t)
    desk.sh(r'''git init -q origin; cd origin; git config user.name n; git config user.email e@example.org
        for i in $(seq 200); do mkdir -p d$((i % 10)); echo $i >d$((i % 10))/f$i; done
        git add -A; git commit -qm first''')
    # the directory belongs to desk's user, who is shown as lap's
    lap.sh(r'''cd "$1"; git clone -q origin clone; cd clone
        git config user.name n; git config user.email e@example.org
        test -z "$(git status --porcelain)"; echo changed >d1/f1; git status --porcelain | grep -q d1/f1
        git commit -qam second; git gc -q; git fsck --no-progress; test -z "$(git status --porcelain)"''',
           lap.peer_path("desk"), timeout=600)
    assert desk.sh("cd clone && git log --format=%s && git status --porcelain").stdout == "second\nfirst\n"


@test(each_user=True)
def names_may_be_any_bytes(t):
    desk, lap = two(t)
    script = r'''import os, sys
names = [b"new\nline", b"x" * 255, b"not-\xff\xfe-utf8", b" blank ", b"-rf", b"*", b"\\", b"'\""]
os.chdir(sys.argv[1].encode())
if sys.argv[2] == "make":
    for name in names:
        with open(name, "wb") as f: f.write(name)
        os.mkdir(b"d" + name[:254])
want = sorted(names + [b"d" + n[:254] for n in names])
have = sorted(n for n in os.listdir(b".") if n != b".loopsy")
assert have == want, have
for name in names:
    assert open(name, "rb").read() == name
    assert os.path.isdir(b"d" + name[:254])
try:
    open(b"x" * 256, "wb")
    raise SystemExit("256 bytes were taken")
except OSError as e:
    assert e.errno == 36, e
'''
    lap.run("python3", "-c", script, lap.peer_path("desk"), "make", check=True)
    desk.run("python3", "-c", script, desk.home, "check", check=True)


@test(timeout=1500, each_user=True)
def a_gibibyte_goes_both_ways(t):
    desk, lap = two(t)
    size = {"none": "1G", "address": "256M", "thread": "64M"}[t.sanitizer]
    desk.sh('openssl enc -aes-128-ctr -pass pass:x -nosalt -pbkdf2 </dev/zero 2>/dev/null | head -c "$1" >big',
            size, timeout=300)
    want = desk.sh("sha256sum <big", timeout=300).stdout
    assert lap.sh('sha256sum <"$1"', lap.peer_path("desk", "big"), timeout=600).stdout == want
    lap.sh('cp "$1" copy && cp copy "$1.back" && sync "$1.back"', lap.peer_path("desk", "big"),
           timeout=300)
    assert desk.sh("sha256sum <big.back", timeout=300).stdout == want


@test(timeout=1500, each_user=True)
def a_hundred_thousand_entries_are_listed_and_found(t):
    desk, lap = two(t)
    n = {"none": 100000, "address": 30000, "thread": 10000}[t.sanitizer]
    desk.sh("mkdir many")
    if desk.box: # in memory: quickly made, and gone with the sandbox
        desk.sh('mount -t tmpfs -o "nr_inodes=0,mode=755,uid=$2" tmpfs "$1"', desk.home + "/many", desk.user, root=True)
    desk.sh("cd many; seq -f 'file-%06.0f' $1 | xargs touch", n, timeout=600)
    path = lap.peer_path("desk", "many")
    assert lap.sh('ls -f "$1" | wc -l', path, timeout=600).stdout.strip() == str(n + 2)
    assert lap.sh('ls -l "$1" | wc -l', path, timeout=600).stdout.strip() == str(n + 1)
    lap.sh('test -f "$1/$2" && ! test -e "$1/$3"', path, f"file-{n - 1:06}", f"file-{n + 1:06}")


@test(each_user=True)
def what_one_side_changes_the_other_sees(t):
    desk, lap = two(t)
    desk.sh("echo old >file; mkdir dir")
    path = lap.peer_path("desk")
    assert lap.sh('cat "$1/file"', path).stdout == "old\n"
    desk.sh("echo newer >file; touch dir/new; rm -f gone")
    wait_until(lambda: lap.sh('cat "$1/file"', path).stdout == "newer\n", 60, "the new content")
    wait_until(lambda: lap.sh('ls "$1/dir"', path).stdout == "new\n", 60, "the new name")


@test(each_user=True)
def programs_use_files_as_on_a_disk(t):
    """Unlinked open files, holes, appends, locks, mmap, rename over, O_EXCL, xattrs, fallocate."""
    desk, lap = two(t)
    script = r'''import errno, fcntl, mmap, os, sys
os.chdir(sys.argv[1])
fd = os.open("f", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
try: os.open("f", os.O_WRONLY | os.O_CREAT | os.O_EXCL); raise SystemExit("O_EXCL")
except FileExistsError: pass
os.write(fd, b"hello"); os.pwrite(fd, b"end", 5 * 2**30); assert os.fstat(fd).st_size == 5 * 2**30 + 3
assert os.fstat(fd).st_blocks < 1000
assert os.pread(fd, 5, 0) == b"hello" and os.pread(fd, 4, 2**32) == bytes(4)
assert os.lseek(fd, 100000, os.SEEK_DATA) >= 2**32
os.unlink("f"); assert os.pread(fd, 3, 5 * 2**30) == b"end"; os.ftruncate(fd, 2); assert os.pread(fd, 9, 0) == b"he"
os.close(fd)
a = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND); b = os.open("log", os.O_WRONLY | os.O_APPEND)
for i in range(100): os.write((a, b)[i % 2], b"line %03d\n" % i)
lines = open("log").read().splitlines(); assert lines == ["line %03d" % i for i in range(100)], lines
os.close(a); os.close(b)
with open("m", "wb+") as f:
    f.truncate(10000); m = mmap.mmap(f.fileno(), 10000); m[5000:5005] = b"mmap!"; m.flush(); m.close()
assert open("m", "rb").read()[5000:5005] == b"mmap!"
open("x", "w").write("x"); open("y", "w").write("y"); r = os.open("y", os.O_RDONLY); os.rename("x", "y")
assert os.read(r, 5) == b"y" and open("y").read() == "x"; os.close(r)
with open("y", "r+") as one, open("y", "r+") as two:
    fcntl.flock(one, fcntl.LOCK_EX)
    try: fcntl.flock(two, fcntl.LOCK_EX | fcntl.LOCK_NB); raise SystemExit("flock")
    except BlockingIOError: pass
    fcntl.flock(one, fcntl.LOCK_UN); fcntl.flock(two, fcntl.LOCK_EX | fcntl.LOCK_NB)
with open("y", "r+") as f:
    fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 0)
    if os.fork() == 0:
        with open("y", "r+") as g:
            try: fcntl.lockf(g, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 0); os._exit(1)
            except OSError as e: os._exit(0 if e.errno in (errno.EAGAIN, errno.EACCES) else 2)
    assert os.wait()[1] == 0
os.setxattr("y", "user.test", b"value"); assert os.getxattr("y", "user.test") == b"value"
assert os.listxattr("y") == ["user.test"]; os.removexattr("y", "user.test")
try: os.getxattr("y", "user.test"); raise SystemExit("xattr")
except OSError as e: assert e.errno == errno.ENODATA
f = os.open("y", os.O_RDWR); os.posix_fallocate(f, 0, 65536); assert os.fstat(f).st_size == 65536; os.close(f)
os.link("y", "z"); assert os.stat("y").st_nlink == 2 and os.stat("y").st_ino == os.stat("z").st_ino
os.mkdir("dir"); os.rename("dir", "other")
try: os.rmdir("."); raise SystemExit("rmdir .")
except OSError: pass
st = os.statvfs("."); assert st.f_blocks > 0
'''
    lap.run("python3", "-c", script, lap.peer_path("desk"), check=True)
    desk.run("python3", "-c", script, desk.sh('mktemp -d -p "$PWD"').stdout.strip(), check=True)


@test(each_user=True)
def a_read_only_export_and_a_denied_place_stay_so(t):
    desk, lap = t.loopback("desk", "lap")
    desk.init()
    desk.sh("mkdir shared secret shared/hidden; echo s >secret/file; echo h >shared/hidden/h; echo f >shared/f; "
            "ln -s ../secret/file shared/out")
    desk.sh('printf "[export shared]\npath = %s/shared\nmode = ro\ndeny = hidden\n" "$PWD" '
            '>>"$LOOPSY_HOME/config/loopsy.conf"')
    lap.init()
    for host in (desk, lap):
        host.start("--port", "0")
    pair(desk, lap)
    path = lap.peer_path("desk")
    assert sorted(lap.sh('ls -A "$1"', path).stdout.split()) == ["f", "out"]
    assert lap.sh('cat "$1/f"', path).stdout == "f\n"
    for words in (["touch", path + "/new"], ["rm", "-f", path + "/f"], ["cat", path + "/hidden/h"],
                  ["cat", path + "/out"], ["mkdir", path + "/hidden"], ["cat", path + "/../../../secret/file"],
                  ["dd", "if=/dev/null", "of=" + path + "/f"]):
        assert lap.run(*words).returncode != 0, words
    assert desk.sh("cat shared/f; ls -A shared").stdout.split() == ["f", "f", "hidden", "out"]


main()
