"""Tests that misbehave, for sandboxes.py: what they leave behind must be gone, and be said."""
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import *

MARK = os.environ["LOOPSY_TEST_MARK"] # in the arguments of whatever these tests leave


def leave_things(t):
    desk = t.loopback("desk")
    desk.spawn("sleep", MARK)
    desk.sh("setsid sh -c 'trap \"\" TERM HUP INT; sleep \"$0\"' \"$1\" >/dev/null 2>&1 &", MARK)
    if desk.box:
        desk.run("mount", "-t", "tmpfs", MARK, "/mnt", root=True, check=True)
    with open(os.environ["LOOPSY_TEST_READY"], "w", encoding="utf-8") as ready:
        ready.write("left\n")


@test
def passes(t):
    leave_things(t)
    note("seen")


@test
def fails(t):
    leave_things(t)
    with open(t.hosts[0].directory + "/some.log", "w", encoding="utf-8") as log:
        log.write("a line of its log\n")
    assert False, "as told"


@test
def skips(t):
    skip("no reason")


@test
def exits(t):
    leave_things(t)
    os._exit(5)


@test(timeout=2)
def hangs(t):
    leave_things(t)
    time.sleep(1000)


@test
def hangs_longer(t):
    leave_things(t)
    time.sleep(1000)


def misbehave(t, how):
    desk = t.loopback("desk")
    desk.run(t.program(desk, "misbehave"), how)


@test
def behaves(t):
    misbehave(t, "nothing")


@test
def reads_too_far(t):
    misbehave(t, "overflow")


@test
def counts_too_far(t):
    misbehave(t, "undefined")


@test
def loses_memory(t):
    misbehave(t, "leak")


@test
def races(t):
    misbehave(t, "race")


@test(each_user=True)
def as_both(t):
    note(f"uid {t.loopback('desk').sh('id -u').stdout.strip()}")


main()
