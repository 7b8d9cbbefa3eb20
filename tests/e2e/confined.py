#!/usr/bin/python3
"""A whole machine exported: what is no file of a disk is not to be had through the mount."""
from harness import *


@test(each_user=True)
def proc_devices_and_loopsy_mounts_are_empty_or_refused(t):
    desk, lap = t.loopback("desk", "lap")
    for host in (desk, lap):
        host.init()
    desk.sh('''echo f >f; mkfifo fifo; ln -s /proc/self/environ magic
        printf "[export all]\\npath = /\\n" >>"$LOOPSY_HOME/config/loopsy.conf"''')
    for host in (desk, lap):
        host.start("--port", "0")
    pair(desk, lap)
    root = lap.peer_path("desk")
    for empty in ("proc", "sys", desk.mount.lstrip("/")):
        assert lap.sh('ls -A "$1/$2"', root, empty).stdout == "", empty
        assert lap.run("touch", f"{root}/{empty}/x").returncode != 0
        assert lap.run("rmdir", f"{root}/{empty}").returncode != 0
        assert lap.run("mv", f"{root}/{empty}", f"{root}{desk.home}/moved").returncode != 0
    home = root + desk.home
    assert lap.sh('cat "$1/f"', home).stdout == "f\n"
    for path in (root + "/proc/self/environ", root + "/proc/1/root/etc/passwd", home + "/magic",
                 f"{home}/../../../../../proc/version/..", root + desk.loopsy_home + "/config/identity.pem",
                 root + desk.loopsy_home + "/state/loopsy.db"):
        done = lap.run("cat", path)
        assert done.returncode != 0 and done.stdout == "", (path, done.stdout)
    # its own configuration is neither listed nor to be made anew
    assert "config" not in lap.sh('ls -A "$1"', root + desk.loopsy_home).stdout.split()
    assert lap.run("mkdir", root + desk.loopsy_home + "/config").returncode != 0
    assert lap.run("mv", root + desk.loopsy_home, home + "/away").returncode != 0
    # a FIFO is a node of this machine: nothing of desk waits at its other end
    assert desk.run("timeout", "0.5", "cat", "fifo").returncode == 124
    lap.sh('test -p "$1/fifo"', home)


main()
