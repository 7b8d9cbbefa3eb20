#!/usr/bin/python3
"""Pairing, between real daemons: found by mDNS, by address, and everything that must not pair."""
import errno
import signal
import time

from harness import *
from lib.hosts import answer


def start_two(t, **options):
    desk, lap = t.loopback("desk", "lap", **options)
    for host in (desk, lap):
        host.init()
        host.start("--port", "0")
    return desk, lap


def window(host, *arguments):
    """A `pair --json` that waits, and the port."""
    process = host.spawn(f"{host.build}/ctl/loopsyctl", "pair", "--json", *arguments)
    return process, answer(host, process, "waiting", 60)["port"]


def dial(host, port, *arguments):
    return host.spawn(f"{host.build}/ctl/loopsyctl", "pair", "--json", f"127.0.0.1:{port}", *arguments)


def both_codes(desk, lap):
    on_desk, port = window(desk)
    on_lap = dial(lap, port)
    codes = answer(desk, on_desk, "code", 60), answer(lap, on_lap, "code", 60)
    assert codes[0]["code"] == codes[1]["code"]
    return on_desk, on_lap


def nothing_is_paired(*hosts):
    for host in hosts:
        assert host.ctl_json("peers") == [], host.ctl_json("peers")
        assert host.sh('ls -A "$1"', host.mount).stdout == ""


def failed(host, process):
    def is_failed(event):
        return event["event"] == "failed"
    seen = process.read_until(is_failed, 60, "failed")
    assert process.wait(60) == 1
    return str(seen)


@test(timeout=600, each_user=True)
def machines_find_each_other_and_pair_by_name(t):
    desk, lap = t.lan("desk", "lap")
    for host in (desk, lap):
        host.init()
        host.start("--lan")
    for host, other in ((desk, "lap"), (lap, "desk")):
        wait_until(lambda: any(f["name"] == other for f in host.ctl_json("peers", "discovered")), 60,
                   f"{host.name} finds {other}")
    names = pair(desk, lap, "desk")
    assert names == ("lap", "desk"), names
    desk.sh("echo from desk >file")
    assert lap.sh('cat "$1"', lap.peer_path("desk", "file")).stdout == "from desk\n"


@test(timeout=600, each_user=True)
def one_reachable_side_is_enough_for_both(t):
    desk, lap = t.lan("desk", "lap", avahi=False)
    for host in (desk, lap):
        host.init()
    desk.start("--lan")
    lap.start()
    pair(desk, lap, desk.address)
    desk.sh("echo d >d")
    lap.sh("echo l >l")
    assert lap.sh('cat "$1"', lap.peer_path("desk", "d")).stdout == "d\n"
    assert desk.sh('cat "$1"', desk.peer_path("lap", "l")).stdout == "l\n"
    lap.stop()
    lap.start()
    lap.wait_online("desk")
    desk.wait_online("lap")


@test(each_user=True)
def a_no_on_either_side_grants_nothing(t):
    desk, lap = start_two(t)
    for no_on_desk in (True, False):
        on_desk, on_lap = both_codes(desk, lap)
        on_desk.write("no\n" if no_on_desk else "yes\n")
        on_lap.write("yes\n" if no_on_desk else "no\n")
        failed(desk, on_desk), failed(lap, on_lap)
        nothing_is_paired(desk, lap)


@test(each_user=True)
def the_six_digits_count_as_yes_and_others_as_no(t):
    desk, lap = start_two(t)
    on_desk, port = window(desk)
    on_lap = dial(lap, port)
    code = answer(desk, on_desk, "code", 60)["code"]
    answer(lap, on_lap, "code", 60)
    on_desk.write(f"{(int(code) + 1) % 1000000:06}\n")
    failed(desk, on_desk), failed(lap, on_lap)
    nothing_is_paired(desk, lap)
    on_desk, port = window(desk)
    on_lap = dial(lap, port)
    code = answer(desk, on_desk, "code", 60)["code"]
    on_desk.write(f"{code}\n")
    answer(lap, on_lap, "code", 60)
    on_lap.write(f"{code}\n")
    answer(desk, on_desk, "paired", 60), answer(lap, on_lap, "paired", 60)


@test(each_user=True)
def a_window_ends_with_its_time_and_with_its_program(t):
    desk, lap = start_two(t)
    on_desk, port = window(desk, "--ttl", "1")
    failed(desk, on_desk)
    failed(lap, dial(lap, port))
    on_desk, port = window(desk)
    on_desk.signal(signal.SIGKILL)
    on_desk.wait(60)
    wait_until(lambda: lap.ctl("pair", f"127.0.0.1:{port}", input="no\n").returncode == 1, 60, "closed")
    on_desk, on_lap = both_codes(desk, lap)
    on_lap.signal(signal.SIGKILL)
    failed(desk, on_desk)
    nothing_is_paired(desk, lap)


@test(each_user=True)
def one_attempt_at_a_time(t):
    desk, lap, third = t.loopback("desk", "lap", "third")
    for host in (desk, lap, third):
        host.init()
        host.start("--port", "0")
    on_desk, port = window(desk)
    on_lap = dial(lap, port)
    answer(desk, on_desk, "code", 60)
    on_third = dial(third, port)
    failed(third, on_third)
    answer(lap, on_lap, "code", 60)
    on_desk.write("yes\n")
    on_lap.write("yes\n")
    answer(desk, on_desk, "paired", 60), answer(lap, on_lap, "paired", 60)
    assert [p["name"] for p in desk.ctl_json("peers")] == ["lap"]
    nothing_is_paired(third)


@test(timeout=600, each_user=True)
def a_daemon_killed_at_any_step_leaves_nothing_half_paired(t):
    desk, lap = start_two(t)
    for killed, other in ((desk, lap), (lap, desk)):
        for step in ("waiting", "code", "confirmed here", "confirmed there"):
            on_desk, port = window(desk)
            commands = {desk: on_desk}
            if step != "waiting":
                commands[lap] = dial(lap, port)
                answer(desk, on_desk, "code", 60), answer(lap, commands[lap], "code", 60)
            if step.startswith("confirmed"):
                commands[killed if step == "confirmed here" else other].write("yes\n")
            killed.kill9()
            if step != "waiting":
                failed(other, commands[other])
            elif killed is lap:
                on_desk.signal(signal.SIGINT) # its window is open still
            for command in commands.values():
                command.end()
            killed.start("--port", "0")
            nothing_is_paired(desk, lap)
    pair(desk, lap)


# Reads a file again and again, or waits for a lock: says so, and how and when that ended.
READ = r'''import os, sys, time
print("reading", flush=True)
try:
    while True:
        with open(sys.argv[1], "rb", buffering=0) as file:
            while file.read(65536): pass
except OSError as error: print(error.errno, time.monotonic(), flush=True)
'''
LOCK = r'''import fcntl, os, sys, time
file = open(sys.argv[1], "r+")
try: fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError: print("taken", flush=True)
try: fcntl.flock(file, fcntl.LOCK_EX); print("got it", flush=True)
except OSError as error: print(error.errno, time.monotonic(), flush=True)
'''
OF_LINKS = "ss -tnHp state established | grep -c loopsyd || :"
OF_FILES = 'ls -l /proc/"$1"/fd | grep -cE "/home/(big|locked)" || :'


@test(timeout=600, each_user=True)
def unpairing_cuts_the_other_off_in_the_middle_of_a_read(t):
    desk, lap = start_two(t)
    pair(desk, lap)
    desk.sh("head -c 200M /dev/urandom >big; : >locked")
    holder = desk.spawn("flock", "locked", "sh", "-c", "echo locked; exec cat")
    assert holder.read_line(60) == "locked"
    reader = lap.spawn("python3", "-c", READ, lap.peer_path("desk", "big"))
    locker = lap.spawn("python3", "-c", LOCK, lap.peer_path("desk", "locked"))
    assert (reader.read_line(60), locker.read_line(60)) == ("reading", "taken")
    links = lambda: int(desk.sh(OF_LINKS, root=True).stdout)
    files = lambda: int(desk.sh(OF_FILES, desk.daemon_pid, root=True).stdout)
    wait_until(lambda: links() and files() >= 2, 60, "both files open on desk")
    before = time.monotonic()
    assert desk.ctl("peers", "remove", "lap").returncode == 0
    removed = time.monotonic()
    # desk is rid of it, and lap's programs hear of it: neither waits until the peer counts as down
    wait_until(lambda: not links(), 10, "the end of the link")
    ended = time.monotonic()
    assert files() == 0
    for program in (reader, locker):
        error, when = program.read_line(10).split()
        assert int(error) in (errno.EHOSTDOWN, errno.ECONNABORTED, errno.ENOTCONN), error
        note(f"after {float(when) - before:.3f} s a program on lap had error {error}")
    note(f"remove took {removed - before:.3f} s, the link was seen to be gone after {ended - before:.3f} s")
    assert desk.ctl_json("peers") == []
    wait_until(lambda: lap.peer("desk")["state"] == "offline", 60, "lap knows it")
    assert lap.run("cat", lap.peer_path("desk", "big")).returncode != 0
    assert lap.run("ls", lap.peer_path("desk"), timeout=60).returncode != 0
    # and it does not come back
    lap.stop()
    lap.start("--port", "0")
    assert desk.ctl_json("peers") == []
    assert lap.run("cat", lap.peer_path("desk", "big")).returncode != 0


@test(each_user=True)
def a_new_key_of_a_known_machine_is_refused_with_both_fingerprints(t):
    desk, lap = start_two(t)
    pair(desk, lap)
    lap.stop()
    lap.sh('rm "$LOOPSY_HOME/config/identity.pem"')
    lap.init()
    lap.start("--port", "0")
    on_desk, port = window(desk)
    on_lap = dial(lap, port)
    text = failed(desk, on_desk)
    assert text.count("SHA256:") == 2, text
    on_lap.end()
    assert desk.ctl("peers", "remove", "lap").returncode == 0
    on_desk, port = window(desk)
    lap.ctl("peers", "remove", "desk")
    on_lap = dial(lap, port)
    answer(desk, on_desk, "code", 60), answer(lap, on_lap, "code", 60)
    on_desk.write("yes\n")
    on_lap.write("yes\n")
    answer(desk, on_desk, "paired", 60), answer(lap, on_lap, "paired", 60)


@test(each_user=True)
def permissions_are_what_each_side_grants(t):
    desk, lap = start_two(t)
    on_desk, port = window(desk, "--allow", "fs:ro")
    on_lap = dial(lap, port)
    answer(desk, on_desk, "code", 60), answer(lap, on_lap, "code", 60)
    on_desk.write("yes\n")
    on_lap.write("yes\n")
    answer(desk, on_desk, "paired", 60), answer(lap, on_lap, "paired", 60)
    lap.wait_online("desk")
    desk.sh("echo f >f")
    path = lap.peer_path("desk", "f")
    assert lap.sh('cat "$1"', path).stdout == "f\n"
    assert lap.sh('echo x >"$1"', path, check=False).returncode != 0
    assert desk.ctl("peers", "allow", "lap", "fs:rw").returncode == 0
    wait_until(lambda: lap.sh('echo x >"$1"', path, check=False).returncode == 0, 60, "fs:rw")
    assert desk.ctl("peers", "allow", "lap", "none").returncode == 0
    wait_until(lambda: lap.run("cat", path).returncode != 0, 60, "nothing granted")


main()
