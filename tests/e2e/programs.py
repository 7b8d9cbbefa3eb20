#!/usr/bin/python3
"""Programs of every day in the mount: they do what they do on the peer's disk."""
import signal

from harness import *
from lib.peers import same_tree, two

TREE = r'''
mkdir -p tree/a/b tree/empty tree/other; cd tree; umask 022
echo hello >a/hello; : >nothing; head -c 300000 /dev/urandom >a/big; printf 'x%.0s' {1..5000} >a/b/five-thousand
ln a/hello other/hello; ln a/hello other/again; ln a/big b; ln -s a/hello link; ln -s ../../a/hello a/b/up; ln -s none broken
mkfifo fifo; truncate -s 40M holes; printf end >>holes; printf 'a name\nof two lines' >$'two\nlines'
chmod 600 a/hello; chmod 755 a/big; chmod 1777 empty; chmod 2750 other
setfattr -n user.color -v blue a/hello; setfattr -n user.binary -v 0x00ff00 a; setfacl -m u:1:r-x,g:2:rwx a/big
setfacl -d -m u:1:rwx other # rsync takes times of directories and links within one second for equal
touch -h -d '1999-01-01 00:00:00.000000001' link broken a/b/up fifo; touch -d '2001-02-03 04:05:06.123456789' a/hello a/b empty; touch -d @5 a; touch -d @6 other
'''
# What names share an inode, extended attributes and ACLs: what a listing does not show.
REST = r'''cd "$1"; find . ! -name .loopsy -links +1 -type f -printf '%i %p\n' | sort -k 2 |
    awk '!($1 in n) { n[$1] = NR } { print n[$1], $2 }'
find . ! -name .loopsy -print0 | LC_ALL=C sort -z | xargs -0 getfattr -h -d -m - -e hex --'''


def same_in_all(a, a_path, b, b_path):
    same_tree(a, a_path, b, b_path)
    left, right = (host.sh(REST, path).stdout for host, path in ((a, a_path), (b, b_path)))
    assert left == right, f"links or extended attributes differ:\n{left}\n---\n{right}"
    assert "user.color" in left and "posix_acl_default" in left, left


def two_raw(t):
    desk, lap = two(t, conf="symlinks = raw")
    return desk, lap, lap.peer_path("desk")


@test(each_user=True, timeout=600)
def rsync_copies_everything_both_ways_and_has_nothing_to_do_then(t):
    desk, lap, path = two_raw(t)
    sync = lambda a, b: lap.sh('rsync -aHAXS --itemize-changes "$1/" "$2/"', a, b, timeout=200).stdout
    lap.sh(TREE)
    assert sync(lap.home + "/tree", path + "/there")
    same_in_all(lap, lap.home + "/tree", desk, desk.home + "/there")
    assert sync(lap.home + "/tree", path + "/there") == ""
    assert sync(path + "/there", lap.home + "/back")
    same_in_all(lap, lap.home + "/tree", lap, lap.home + "/back")
    assert sync(path + "/there", lap.home + "/back") == ""
    lap.sh('echo more >>tree/a/hello; rm tree/nothing; mv tree/a/big tree/moved; mkdir tree/new; touch -d @6 tree tree/a tree/new')
    lap.sh('rsync -aHAXS --delete tree/ "$1/there/"', path)
    same_in_all(lap, lap.home + "/tree", desk, desk.home + "/there")
    assert int(desk.sh("stat -c %b there/holes").stdout) < 1000


@test(each_user=True, timeout=600)
def tar_through_pipes_keeps_times_links_and_attributes(t):
    desk, lap, path = two_raw(t)
    desk.sh(TREE)
    options = "--format=posix --xattrs --acls --sparse"
    lap.sh(f'''set -o pipefail; mkdir "$1/in" here
        tar -C "$1/tree" {options} -c . | tar -C here {options} --xattrs-include='*' -xp
        tar -C here {options} -c . | tar -C "$1/in" {options} --xattrs-include='*' -xp''', path, timeout=200)
    same_in_all(desk, desk.home + "/tree", lap, lap.home + "/here")
    same_in_all(desk, desk.home + "/tree", desk, desk.home + "/in")


@test(each_user=True, timeout=600)
def cp_a_within_the_mount_keeps_everything(t):
    desk, lap, path = two_raw(t)
    desk.sh(TREE)
    lap.sh('cd "$1" && cp -a tree copy && mkdir out && cp -a --sparse=always --reflink=never copy out', path)
    for copy in ("/copy", "/out/copy"):
        same_in_all(desk, desk.home + "/tree", desk, desk.home + copy)
    assert int(desk.sh("stat -c %b out/copy/holes").stdout) < 1000


@test(each_user=True, timeout=600)
def git_clones_with_hard_links_and_has_worktrees(t):
    desk, lap, path = two_raw(t)
    desk.sh(r'''git init -q -b main origin; cd origin; git config user.name n; git config user.email e@example.org
        for i in $(seq 60); do mkdir -p d$((i % 5)); seq $i 1000 >d$((i % 5))/f$i; done; ln -s d1/f1 link
        git add -A; git commit -qm first; seq 9 >nine; git add nine; git commit -qm second''')
    lap.sh(r'''cd "$1"; git clone -q origin clone; cd clone; git config user.name n; git config user.email e@example.org
        test "$(find .git/objects -type f -links 2 | wc -l)" -gt 60
        git worktree add -q ../tree -b side; cd ../tree; for i in 1 2 3; do echo $i >new$i; git add .; git commit -qm new$i; done
        git rebase -q --onto HEAD~3 HEAD~2; git rebase -q main; test "$(git log --format=%s | tr '\n' ' ')" = "new3 new2 second first "
        echo more >>nine; git stash -q; git stash pop -q; git commit -qam nine; git push -q origin side
        git bisect start -q HEAD HEAD~3; git bisect run sh -c '! test -e new3' >/dev/null; git bisect reset -q
        cd ../clone; git merge -q side; git worktree remove ../tree; git branch -qd side; git checkout -q HEAD~2; git checkout -q main
        git gc -q --aggressive --prune=now; git repack -qad; git fsck --full --strict --no-progress; test -z "$(git status --porcelain)"
        git clone -q --no-local --bare . ../bare; git clone -q --shared . ../shared; cd ../bare; git fsck --full --no-progress''',
           path, timeout=300)
    assert desk.sh("cd clone; git fsck --full --no-progress; git status --porcelain; git log --format=%s | head -n 2; "
                   "cd ../origin; git log --format=%s side | head -n 1").stdout.split() == ["nine", "new3", "nine"]
    assert desk.sh("ls -A").stdout.split() == ["bare", "clone", "origin", "shared"]


PROJECT = r'''mkdir project; cd project
for i in $(seq 30); do printf '#include "all.h"\nint f%d(void) { return VALUE + %d; }\n' $i $i >f$i.c; done
{ echo '#define VALUE 1'; for i in $(seq 30); do echo "int f$i(void);"; done; } >all.h
{ printf '#include <stdio.h>\n#include "all.h"\nint main(void) { int n = 0;\n'
  for i in $(seq 30); do echo "n += f$i();"; done; echo 'printf("%d\n", n); return n < 30; }'; } >main.c
printf "project('p', 'c')\ntest('runs', executable('p', run_command('sh', '-c', 'ls *.c', check: true).stdout().split()))\n" >meson.build
printf 'objects = $(patsubst %%.c,%%.o,$(wildcard *.c))\np: $(objects)\n\tcc -o $@ $^\n$(objects): all.h\n' >Makefile
'''


@test(each_user=True, timeout=600)
def meson_and_make_build_what_is_needed(t):
    desk, lap, path = two_raw(t)
    desk.sh(PROJECT)
    lap.sh(r'''cd "$1/project"; meson setup out >/dev/null; ninja -C out >/dev/null; meson test -C out >/dev/null; test "$(out/p)" = 495
        test "$(ninja -C out | tail -n 1)" = "ninja: no work to do."
        make -sj4; test "$(./p)" = 495; make -q
        sed -i 's/VALUE 1/VALUE 2/' all.h; ! make -q; make -sj4; test "$(./p)" = 525; make -q
        ninja -C out >/dev/null; test "$(out/p)" = 525; test "$(ninja -C out | tail -n 1)" = "ninja: no work to do."''',
           path, timeout=300)
    assert desk.sh("project/p; project/out/p; make -C project -q && echo made").stdout.split() == ["525", "525", "made"]


@test(each_user=True, timeout=600)
def a_python_environment_and_find_with_xargs(t):
    desk, lap, path = two_raw(t)
    lap.sh(r'''cd "$1"; python3 -m venv --without-pip env; printf 'value = 7\n' >"$(echo env/lib/python3*/site-packages)/seven.py"
        test "$(env/bin/python -c 'import seven; print(seven.value)')" = 7; ls env/lib/python3*/site-packages/__pycache__/seven.*.pyc
        mkdir many; seq -f 'many/a file %03.0f' 500 | tr '\n' '\0' | xargs -0 touch; echo word >'many/a file 321'
        find many -type f -print0 | xargs -0 -P 4 -n 20 grep -l word | grep -qx 'many/a file 321'
        find many -name '*5' -delete; find many -type f -print0 | xargs -0 -P 4 -n 7 sed -i 's/word/other/'
        find . -name .loopsy; test "$(find many -type f | wc -l)" = 450''', path, timeout=200)
    assert desk.sh("ls many | wc -l; cat many/*").stdout == "450\nother\n"


MAP = r'''import hashlib, mmap, os, random, sys
path, size = sys.argv[1], 3 * 2**20 + 123
random.seed(7)
want = bytearray(random.randbytes(size))
with open(path, "wb") as f: f.write(want)
f = open(path, "r+b"); shared = mmap.mmap(f.fileno(), size); private = mmap.mmap(f.fileno(), size, access=mmap.ACCESS_COPY)
for round in range(5):
    for _ in range(200):
        n = random.randrange(1, 9000); at = random.randrange(size - n); piece = random.randbytes(n)
        shared[at:at + n] = piece; want[at:at + n] = piece
    private[round] = private[round] ^ 255
    shared.flush() # msync
    assert open(path, "rb").read() == want
    print(hashlib.sha256(want).hexdigest(), flush=True); sys.stdin.readline()
os.pwrite(f.fileno(), b"through write", 5000); assert shared[5000:5013] == b"through write"
shared[size - 5:] = b"the e"; shared.close(); f.close()
print("closed", flush=True); sys.stdin.readline()
'''


@test(each_user=True)
def a_mapped_file_is_on_the_peer_after_msync(t):
    desk, lap, path = two_raw(t)
    program = lap.spawn("python3", "-c", MAP, path + "/mapped")
    for _ in range(5):
        assert program.read_line() == desk.sh("sha256sum <mapped").stdout.split()[0]
        program.write("on\n")
    assert program.read_line() == "closed"
    assert desk.sh("tail -c 5 mapped; tail -c +5001 mapped | head -c 13").stdout == "the ethrough write"
    program.write("end\n")
    assert program.wait() == 0


@test(each_user=True)
def tail_f_follows_a_file_that_grows_on_the_peer(t):
    desk, lap, path = two_raw(t)
    desk.sh("echo first >log")
    tail = lap.spawn("tail", "-n", "+1", "-f", path + "/log")
    assert tail.read_line() == "first"
    for i in range(3):
        desk.sh('printf "line %d\nand %05000d\n" "$1" "$1" >>log', str(i))
        assert tail.read_line() == f"line {i}"
        assert tail.read_line() == f"and {i:05000d}"
    tail.signal(signal.SIGTERM)
    tail.wait()


@test(each_user=True, timeout=600)
def programs_that_are_interrupted_leave_the_mount_as_it_should_be(t):
    desk, lap, path = two_raw(t)
    desk.sh(PROJECT + "cd ..; head -c 30M /dev/urandom >big; mkdir many; seq -f 'many/%.0f' 3000 | xargs touch")
    for script in ('cp "$1/big" "$1/copy"', 'cat "$1/big" >/dev/null', 'cd "$1/project"; make -sj4', 'rm -r "$1/many"',
                   'tar -C "$1" -cf "$1/tar" big many project', 'find "$1/many" -print0 | xargs -0 -n 50 ls -l >/dev/null'):
        program = lap.spawn("sh", "-c", "trap : INT; echo go; while :; do (" + script + ") 2>/dev/null; done", "sh", path)
        assert program.read_line() == "go"
        for number in (signal.SIGINT, signal.SIGINT, signal.SIGTERM):
            program.signal(number)
        program.end()
        assert lap.sh('ls "$1" >/dev/null; cat "$1/project/all.h" | head -n 1; echo x >"$1/new"; cat "$1/new"; rm "$1/new"',
                      path, timeout=40).stdout == "#define VALUE 1\nx\n"
    lap.sh('rm -rf "$1"/*', path)
    assert desk.sh("ls -A").stdout == ""


main()
