#!/usr/bin/python3
"""Several users of one mount: allow_other, and fs:ids on a peer whose daemon is root. Each step is
done by the same users on the peer's disk as well."""
import os

from harness import *
from lib.peers import for_everyone
from lib.syscalls import compare

ROOT, ALICE, BOB = "0:0:0", "4711:4711:", "65534:65534:"
ALICE_IN_TEAM, BOB_IN_TEAM = "4711:4711:999", "65534:65534:998,999"


def same_for_all(t, steps, allow="fs:rw,fs:ids"):
    desk, lap = for_everyone(t, allow)
    desk.sh("mkdir disk mount; chmod 1777 disk mount; chmod 755 .")
    return desk, compare(steps, desk, desk.home + "/disk", lap, lap.peer_path("desk", "mount"))


@test()
def what_is_made_belongs_to_its_maker(t):
    desk, _ = same_for_all(t, [(who, code.replace("@", str(i))) for i, who in enumerate((ALICE, BOB, ROOT))
                               for code in ("put('f@', b'hello'); r = own('f@')",
                                            "os.mkdir('d@'); r = own('d@')",
                                            "os.symlink('f@', 'l@'); r = own('l@')",
                                            "os.mkfifo('p@'); r = own('p@')",
                                            "s = socket.socket(socket.AF_UNIX); s.bind('s@'); r = own('s@')",
                                            "os.mknod('c@', 0o20666, os.makedev(1, 3)); r = own('c@')",
                                            "os.link('f@', 'h@'); r = own('h@'), os.stat('h@').st_nlink",
                                            "put('f@', b'more'); r = get('f@')",
                                            "os.mkdir('d@/e'); put('d@/e/f', b'x', 0o600); r = own('d@/e/f')")])
    owners = desk.sh("stat -c '%n %u %g' mount/f0 mount/f1 mount/f2 mount/l1 mount/d0/e/f").stdout
    assert owners == ("mount/f0 4711 4711\nmount/f1 65534 65534\nmount/f2 0 0\nmount/l1 65534 65534\n"
                      "mount/d0/e/f 4711 4711\n"), owners


@test()
def modes_and_groups_decide_as_on_the_disk(t):
    same_for_all(t, [
        (ROOT, "os.mkdir('team'); os.chown('team', 0, 999); os.chmod('team', 0o2770)"),
        (ROOT, "put('secret', b's', 0o600); os.mkdir('closed', 0o700); put('closed/f', b'f')"),
        (ROOT, "put('shared', b'shared'); os.chown('shared', 0, 999); os.chmod('shared', 0o660)"),
        *((who, code) for who in (ALICE, BOB, ALICE_IN_TEAM, BOB_IN_TEAM) for code in (
            "put('team/%d' % os.getuid(), b'x'); r = own('team/%d' % os.getuid())",
            "r = ls('team')", "r = get('secret')", "put('secret', b'y')", "r = ls('closed')",
            "r = get('closed/f')", "os.stat('closed/f')", "os.mkdir('closed/d')",
            "r = get('shared')", "put('shared', b'by %d' % os.getuid())",
            "os.mkdir('team/d%d' % os.getuid()); r = own('team/d%d' % os.getuid())",
            "r = [os.access('shared', m) for m in (os.R_OK, os.W_OK, os.X_OK)]",
            "r = [os.access('closed', m) for m in (os.R_OK, os.W_OK, os.X_OK)]",
            "os.chmod('shared', 0o666)", "os.truncate('shared', 1)", "os.truncate('secret', 1)",
            "os.utime('shared')", "os.utime('shared', (1, 1))", "os.utime('secret')",
            "os.unlink('team/4711')", "os.rename('shared', 'mine')", "os.link('secret', 'linked')")),
    ])


@test()
def owner_rules_of_chown_and_chmod(t):
    same_for_all(t, [
        (ALICE, "put('f'); put('g')"),
        (ALICE, "os.chown('f', 65534, -1)"), (ALICE, "os.chown('f', -1, 65534)"),
        (ALICE, "os.chown('f', 4711, 4711); r = own('f')"),
        (ALICE_IN_TEAM, "os.chown('f', -1, 999); r = own('f')"), (BOB, "os.chown('f', -1, 65534)"),
        (BOB, "os.chmod('f', 0o777)"), (ALICE, "os.chmod('f', 0o2755); r = own('f')"),
        (ALICE_IN_TEAM, "os.chmod('f', 0o2755); r = own('f')"),
        (ALICE, "os.chmod('g', 0o6755); r = own('g')"), (ALICE, "os.chown('g', -1, 4711); r = own('g')"),
        (ROOT, "os.chmod('g', 0o6755); os.chown('g', 65534, 65534); r = own('g')"),
        (ROOT, "os.chmod('g', 0o6755); r = own('g')"), (BOB, "os.chmod('g', 0o4711); r = own('g')"),
        (ALICE, "os.symlink('f', 'l'); os.chown('l', -1, 4711, follow_symlinks=False); r = own('l')"),
        (BOB, "os.chown('l', -1, 65534, follow_symlinks=False)"),
        (ROOT, "os.chown('l', 65534, 999, follow_symlinks=False); r = own('l'), own('f')"),
        (ALICE, "os.mkdir('d'); os.chmod('d', 0o2755); r = own('d')"),
        (ALICE, "os.mkdir('d/e'); put('d/f'); r = own('d/e'), own('d/f')"),
        (ROOT, "os.mkdir('s'); os.chown('s', 0, 999); os.chmod('s', 0o2777)"),
        (ALICE, "put('s/f', mode=0o2755); r = own('s/f')"), (ALICE, "os.mkdir('s/d'); r = own('s/d')"),
        (ALICE_IN_TEAM, "put('s/t', mode=0o2755); r = own('s/t')"),
        (ALICE, "os.mknod('s/p', 0o10644); r = own('s/p')"),
        (ALICE, "os.setxattr('f', 'user.a', b'1')"), (BOB, "os.setxattr('f', 'user.a', b'2')"),
        (BOB, "r = os.getxattr('f', 'user.a')"), (ALICE, "os.setxattr('f', 'trusted.a', b'1')"),
        (ROOT, "os.setxattr('f', 'trusted.a', b'1')"), (ALICE, "r = os.listxattr('f')"),
        (ALICE, "r = os.getxattr('f', 'trusted.a')"), (ROOT, "r = sorted(os.listxattr('f'))"),
    ])


@test()
def set_id_bits_go_when_they_must(t):
    same_for_all(t, [(who, code) for who in (ALICE, BOB, ROOT, ALICE_IN_TEAM) for code in (
        *(f"put('f'); os.chmod('f', {m}); r = mode('f')" for m in ("0o777",)),)] + [
        step for m in ("0o6777", "0o4777", "0o2777", "0o2767") for who in (ALICE, BOB, ROOT) for step in (
            (ROOT, f"put('f', b'12345'); os.chown('f', 4711, 4711); os.chmod('f', {m}); r = mode('f')"),
            (who, "fd = os.open('f', os.O_WRONLY); os.write(fd, b'x'); r = oct(os.fstat(fd).st_mode)"),
            (ROOT, f"os.chmod('f', {m})"),
            (who, "os.truncate('f', 3); r = mode('f')"),
            (ROOT, f"os.chmod('f', {m})"),
            (who, "fd = os.open('f', os.O_WRONLY); os.ftruncate(fd, 2); r = oct(os.fstat(fd).st_mode)"),
            (ROOT, f"os.chmod('f', {m})"),
            (who, "fd = os.open('f', os.O_WRONLY | os.O_TRUNC); r = oct(os.fstat(fd).st_mode)"),
            (ROOT, f"os.chmod('f', {m})"),
            (who, "fd = os.open('f', os.O_WRONLY); fallocate(fd, 0, 0, 100); r = oct(os.fstat(fd).st_mode)"),
            # asked for the mode alone, which is not what a write changes for the kernel
            (ROOT, f"os.chmod('f', {m}); r = os.popen('stat -c %a f').read()"),
            (who, "fd = os.open('f', os.O_WRONLY); os.write(fd, b'x'); os.close(fd); r = os.popen('stat -c %a f').read()"),
            (ROOT, f"os.chmod('f', {m}); os.chown('f', 0, 0); r = mode('f')"),
        )])


@test()
def who_may_execute_a_program_needs_not_read_it(t):
    same_for_all(t, [
        (ROOT, "put('p', open('/bin/true', 'rb').read()); os.chmod('p', 0o711)"),
        (ROOT, "put('team', open('/bin/true', 'rb').read()); os.chown('team', 0, 999); os.chmod('team', 0o710)"),
        (ROOT, "put('none', open('/bin/true', 'rb').read()); os.chmod('none', 0o700)"),
        *((who, f"r = subprocess.run(['./{name}']).returncode")
          for who in (ROOT, ALICE, ALICE_IN_TEAM) for name in ("p", "team", "none")),
        *((who, f"r = len(get('{name}'))") for who in (ALICE, ALICE_IN_TEAM) for name in ("p", "team", "none"))])


@test()
def sticky_directories_protect_what_is_in_them(t):
    same_for_all(t, [
        (ROOT, "os.mkdir('tmp'); os.chmod('tmp', 0o1777); os.mkdir('open'); os.chmod('open', 0o777)"),
        (ALICE, "put('tmp/a'); put('open/a'); os.mkdir('tmp/da'); put('tmp/a2'); os.chmod('tmp/a2', 0o666)"),
        (BOB, "os.unlink('tmp/a')"), (BOB, "os.rename('tmp/a', 'tmp/b')"), (BOB, "os.rmdir('tmp/da')"),
        (BOB, "put('tmp/b'); os.rename('tmp/b', 'tmp/a')"), (BOB, "renameat2('tmp/b', 'tmp/a', 2)"),
        (BOB, "os.unlink('open/a')"), (BOB, "put('tmp/a2', b'x')"), (BOB, "os.link('tmp/a', 'tmp/l')"),
        (BOB, "os.link('tmp/a2', 'tmp/l2'); r = own('tmp/l2')"),
        (BOB, "os.open('tmp/a2', os.O_WRONLY | os.O_CREAT)"),
        (ALICE, "os.rename('tmp/a', 'tmp/c'); os.unlink('tmp/c'); os.rmdir('tmp/da'); r = ls('tmp')"),
        (ROOT, "os.unlink('tmp/b'); r = ls('tmp')"),
    ])


@test()
def umask_and_default_acls(t):
    acls = "acl((1, 7, -1), (2, 7, 4711), (4, 5, -1), (8, 6, 999), (16, 7, -1), (32, 0, -1))"
    same_for_all(t, [
        *((ALICE, f"os.umask({m}); put('f{m}', mode=0o777); os.mkdir('d{m}', 0o777); "
           f"os.mkfifo('p{m}', 0o666); r = own('f{m}'), own('d{m}'), own('p{m}')") for m in ("0o0", "0o27", "0o77")),
        (ROOT, f"os.mkdir('dir', 0o755); os.setxattr('dir', 'system.posix_acl_default', {acls}); r = own('dir')"),
        (ROOT, f"os.setxattr('dir', 'system.posix_acl_access', {acls}); r = own('dir')"),
        (ALICE, "os.umask(0o77); put('dir/f', b'f', 0o666); os.mkdir('dir/d', 0o777); r = own('dir/f'), own('dir/d')"),
        (ALICE, "os.umask(0o77); put('dir/g', b'f', 0o600); os.mkfifo('dir/p', 0o644); r = own('dir/g'), own('dir/p')"),
        (BOB, "put('dir/b')"), (BOB, "r = ls('dir')"), (BOB, "r = get('dir/f')"),
        (BOB_IN_TEAM, "r = ls('dir')"), (BOB_IN_TEAM, "r = get('dir/f')"),
        (ALICE, "r = sorted(os.listxattr('dir/d'))"), (ALICE, "r = os.getxattr('dir/f', 'system.posix_acl_access')"),
        (ALICE, "put('mine', b'm', 0o600); os.setxattr('mine', 'system.posix_acl_access', "
         "acl((1, 6, -1), (2, 4, 65534), (4, 0, -1), (16, 4, -1), (32, 0, -1))); r = own('mine')"),
        (BOB, "r = get('mine')"), (BOB, "put('mine', b'n')"), (BOB_IN_TEAM, "r = get('mine')"),
        ("1234:1234:", "r = get('mine')"),
        (ALICE, "os.setxattr('mine', 'system.posix_acl_access', "
         "acl((1, 6, -1), (2, 0, 65534), (4, 4, -1), (16, 4, -1), (32, 4, -1))); r = own('mine')"),
        (BOB, "r = get('mine')"), ("1234:1234:", "r = get('mine')"),
        (BOB, "os.setxattr('mine', 'system.posix_acl_access', acl((1, 6, -1), (4, 4, -1), (32, 4, -1)))"),
        (ALICE, "os.chmod('mine', 0o640); r = own('mine'), os.getxattr('mine', 'system.posix_acl_access')"),
        (ALICE, "os.removexattr('mine', 'system.posix_acl_access'); r = own('mine'), os.listxattr('mine')"),
    ])


@test()
def what_one_user_may_not_see_is_not_served_from_anothers_cache(t):
    desk, lap = for_everyone(t, "fs:rw,fs:ids")
    desk.sh("chmod 755 .; mkdir private; echo s >private/secret; chown -R 4711:4711 private; chmod 700 private; "
            "chmod 644 private/secret")
    path = lap.peer_path("desk", "private")
    script = r'''
import os, sys
for i in range(50):
    for uid in 4711, 65534:
        if os.fork() == 0:
            os.setgroups([]); os.setgid(uid); os.setuid(uid)
            seen = []
            for look in (lambda: os.listdir(sys.argv[1]), lambda: open(sys.argv[1] + "/secret").read(),
                         lambda: os.stat(sys.argv[1] + "/secret"), lambda: os.stat(sys.argv[1] + "/no")):
                try: look(); seen.append("")
                except OSError as e: seen.append(e.strerror)
            want = ["", "", "", "No such file or directory"] if uid == 4711 else ["Permission denied"] * 4
            os._exit(seen != want)
        assert os.wait()[1] == 0, (i, uid)
'''
    lap.run("python3", "-c", script, path, check=True)
    # Of the peer's directory itself, too.
    desk.sh("chmod 700 .; chown 4711:4711 .")
    as_bob = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    wait_until(lambda: lap.run(*as_bob, "ls", lap.peer_path("desk")).returncode != 0, 60, "the new mode is known")
    assert lap.run(*as_bob, "cat", path + "/secret").returncode != 0
    assert lap.run("setpriv", "--reuid=4711", "--regid=4711", "--clear-groups", "cat", path + "/secret",
                   check=True).stdout == "s\n"
    desk.sh("chmod 755 .; setfacl -m u:65534:--- .")
    wait_until(lambda: lap.run("setpriv", "--reuid=1234", "--regid=1234", "--clear-groups", "ls",
                               lap.peer_path("desk")).returncode == 0, 30, "others may enter")
    wait_until(lambda: lap.run(*as_bob, "ls", lap.peer_path("desk")).returncode != 0, 60, "the ACL is known")


@test(timeout=600)
def many_users_at_once_do_not_get_into_each_others_way(t):
    desk, lap = for_everyone(t, "fs:rw,fs:ids")
    desk.sh("mkdir -m 1777 all; chmod 755 .; mkdir closed; chown 5000:5000 closed; chmod 700 closed")
    script = r'''
import os, sys
children = []
for uid in range(5000, 5012):
    pid = os.fork()
    if pid == 0:
        os.setgroups([uid + 1000]); os.setgid(uid); os.setuid(uid)
        os.chdir(sys.argv[1])
        bad = 0
        for i in range(60):
            name = f"all/{uid}-{i}"
            with open(name, "w") as f: f.write(name)
            os.mkdir(name + "-d"); os.symlink("x", name + "-l"); os.chown(name, -1, uid + 1000)
            os.rename(name + "-l", name + "-m")
            try: open(f"closed/{uid}-{i}", "w").close(); bad += uid != 5000
            except PermissionError: bad += uid == 5000
        os._exit(bad != 0)
    children.append(pid)
assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children] == [0] * len(children)
'''
    lap.run("python3", "-c", script, lap.peer_path("desk"), check=True, timeout=200)
    listed = desk.sh("find all closed -mindepth 1 -printf '%p %U %G %y\\n'").stdout.splitlines()
    assert len(listed) == 12 * 60 * 3 + 60, len(listed)
    for line in listed:
        path, uid, gid, kind = line.split()
        assert path.split("/")[1].startswith(uid + "-"), line
        is_given = path.startswith("all/") and kind == "f"
        assert int(gid) == int(uid) + (1000 if is_given else 0), line


@test()
def without_fs_ids_files_are_the_daemons(t):
    desk, lap = for_everyone(t, "fs:rw")
    desk.sh("mkdir -m 1777 mount; echo x >mount/suid; chmod 6777 mount/suid; chmod 755 .")
    lap.sh('setpriv --reuid=4711 --regid=4711 --clear-groups sh -c \'echo y >"$1/f"; mkdir "$1/d"\' sh "$1"',
           lap.peer_path("desk", "mount"))
    assert desk.sh("stat -c '%u %g' mount/f mount/d").stdout == "0 0\n0 0\n"
    # … but an ordinary user's write does not leave a program that runs as root.
    lap.sh('setpriv --reuid=4711 --regid=4711 --clear-groups sh -c \'echo evil >>"$1"\' sh "$1"',
           lap.peer_path("desk", "mount/suid"))
    assert desk.sh("stat -c %a mount/suid; cat mount/suid").stdout == "777\nx\nevil\n"


main()
