#!/usr/bin/python3
"""The harness itself: hosts are apart, and nothing outlives its test."""
import json
import os
import signal
import subprocess
import sys
import uuid

from harness import *

HERE = os.path.dirname(os.path.abspath(__file__))
RUN = os.path.join(os.path.dirname(HERE), "run")


def running(mark):
    """Whether a process with that argument is left anywhere."""
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            try:
                with open(f"/proc/{entry}/cmdline", "rb") as file:
                    if mark.encode() in file.read().split(b"\0"):
                        return True
            except OSError:
                pass
    return False


class Samples:
    """lib/sample_tests.py, run as a test file is."""

    def __init__(self, t):
        self.mark = str(uuid.uuid4().int)[:15] # seconds, for sleep
        self.temporary = os.path.join(t.directory, "tmp")
        self.ready = os.path.join(t.directory, "ready")
        os.mkdir(self.temporary)

    def start(self, *arguments):
        return subprocess.Popen([sys.executable, HERE + "/lib/sample_tests.py", *arguments],
                                stdout=subprocess.PIPE, text=True, env={
                                    **os.environ, "LOOPSY_TEST_MARK": self.mark,
                                    "LOOPSY_TEST_READY": self.ready, "TMPDIR": self.temporary})

    def run(self, *arguments):
        process = self.start(*arguments)
        out, _ = process.communicate(timeout=90)
        return process.returncode, out

    def check_nothing_left(self):
        wait_until(lambda: not running(self.mark), what="the end of what a test left")
        with open("/proc/self/mounts", encoding="utf-8") as mounts:
            assert self.mark not in mounts.read()
        assert os.listdir(self.temporary) == [], os.listdir(self.temporary)


@test
def what_a_test_leaves_is_gone(t):
    samples = Samples(t)
    for name, status in (("passes", 0), ("fails", 1), ("exits", 1)):
        code, out = samples.run(f"sample_tests/{name}")
        assert code == status, (code, out)
        assert os.path.exists(samples.ready), out
        os.remove(samples.ready)
        samples.check_nothing_left()


@test
def results_are_tap_with_reasons(t):
    samples = Samples(t)
    code, out = samples.run("sample_tests/passes")
    assert (code, out.splitlines()[:2]) == (0, ["TAP version 13", "1..1"]), out
    assert "\nok 1 - sample_tests/passes" in out and "note: seen" in out, out
    code, out = samples.run("sample_tests/fails")
    assert code == 1 and "\nnot ok 1 - sample_tests/fails" in out, out
    assert "AssertionError: as told" in out and "a line of its log" in out, out
    code, out = samples.run("sample_tests/skips")
    assert code == 0 and "ok 1 - sample_tests/skips # SKIP no reason" in out, out
    code, out = samples.run("sample_tests/exits")
    assert code == 1 and "its process ended with 5" in out, out


@test
def a_test_past_its_deadline_fails_and_is_cleaned_up(t):
    samples = Samples(t)
    code, out = samples.run("*/hangs")
    assert code == 1 and "not ok 1 - sample_tests/hangs" in out and "not done within 2 s" in out, out
    samples.check_nothing_left()


@test
def an_interrupted_run_is_cleaned_up(t):
    for number in (signal.SIGTERM, signal.SIGINT):
        samples = Samples(t)
        process = samples.start("hangs_longer")
        wait_until(lambda: os.path.exists(samples.ready), what="the test")
        assert running(samples.mark)
        process.send_signal(number)
        process.communicate(timeout=90)
        assert process.returncode != 0
        samples.check_nothing_left()
        os.rmdir(samples.temporary)
        os.remove(samples.ready)


@test
def a_killed_run_leaves_no_processes(t):
    if os.geteuid() != 0:
        skip("needs root: only what runs in a sandbox ends with a run that is killed")
    samples = Samples(t)
    process = samples.start("hangs_longer")
    wait_until(lambda: os.path.exists(samples.ready), what="the test")
    process.kill()
    process.communicate(timeout=90)
    wait_until(lambda: not running(samples.mark), what="the end of what the test left")


@test
def a_test_for_each_user_runs_as_both(t):
    code, out = Samples(t).run("as_both")
    assert code == 0, out
    if os.geteuid() != 0:
        assert f"note: uid {os.geteuid()}" in out, out
        skip("needs root, to become another user")
    assert "ok 1 - sample_tests/as_both as root" in out, out
    assert "ok 2 - sample_tests/as_both as a user" in out, out
    assert "uid 0" in out and "uid 4711" in out, out


@test
def what_a_sanitizer_finds_fails_the_test(t):
    if t.sanitizer == "none":
        skip("this build has no sanitizer")
    samples = Samples(t)
    code, out = samples.run("behaves")
    assert code == 0, out
    for name, word in ((("reads_too_far", "heap-buffer-overflow"), ("counts_too_far", "overflow"),
                        ("loses_memory", "detected memory leaks")) if t.sanitizer == "address"
                       else (("races", "data race"),)):
        code, out = samples.run(name)
        assert code == 1 and "sanitizers reported: desk: report.misbehave" in out and word in out, \
            (name, out)


@test(each_user=True)
def a_host_is_its_users(t):
    desk = t.lan("desk", avahi=False)
    assert desk.sh("id -u").stdout == f"{t.user}\n"
    assert desk.sh("pwd; echo $HOME").stdout == f"{desk.home}\n" * 2
    desk.sh("id -un; echo hello >file; test -O file; exec 3<>/dev/fuse; command -v fusermount3")
    assert desk.run("sh", "-c", "exit 7").returncode == 7
    assert desk.run("cat", input="a\nb\n", directory="/").stdout == "a\nb\n"


@test
def a_program_past_its_time_is_killed_as_a_whole(t):
    desk = t.lan("desk", avahi=False)
    mark = str(uuid.uuid4().int)[:15]
    try:
        desk.sh('sleep "$1" & sleep "$1"', mark, timeout=1)
    except subprocess.TimeoutExpired:
        pass
    else:
        assert False, "it was not killed"
    wait_until(lambda: not running(mark), what="the end of its processes")


@test
def a_signal_reaches_the_program_and_its_end_is_seen(t):
    desk = t.lan("desk", avahi=False)
    stubborn = desk.spawn("bash", "-c", "trap 'echo caught; exit 3' INT; echo ready; "
                          "while :; do sleep 0.05; done")
    assert stubborn.read_line() == "ready"
    stubborn.signal(signal.SIGINT)
    assert stubborn.read_line() == "caught"
    assert stubborn.wait() == 3
    simple = desk.spawn("cat")
    simple.write("x\n")
    assert simple.read_line() == "x"
    simple.signal(signal.SIGKILL)
    assert simple.wait() != 0


@test
def hosts_meet_on_their_network_only(t):
    desk, lap = t.lan("desk", "lap", avahi=False)
    one, other = t.loopback("one", "other")
    serve = ("/usr/bin/python3", "-u", "-c",
             "import socket; s = socket.create_server((\"\", 0)); print(s.getsockname()[1]);"
             "[c.sendall(b\"hi\") for c in iter(lambda: s.accept()[0], None)]")
    ask = ("import socket, sys; "
           "print(socket.create_connection((sys.argv[1], int(sys.argv[2])), 5).recv(9).decode())")
    ports = {host: host.spawn(*serve).read_line() for host in (desk, one)}

    def reach(source, host):
        return source.run("/usr/bin/python3", "-c", ask, host.address, ports[host])

    assert reach(lap, desk).stdout == "hi\n"
    assert reach(other, one).stdout == "hi\n"
    assert reach(other, desk).returncode != 0
    assert reach(lap, one).returncode != 0
    t.cut(lap)
    assert reach(lap, desk).returncode != 0
    t.mend(lap)
    wait_until(lambda: reach(lap, desk).stdout == "hi\n", what="the mended link")


# ---- tests/run ----

def counted(t, *programs):
    """What tests/run says of these (protocol, shell script) as programs of a build."""
    build = os.path.join(t.directory, "build")
    os.makedirs(build + "/meson-info", exist_ok=True)
    entries = [{"name": f"p{i}", "suite": ["loopsy"], "cmd": ["sh", "-c", script],
                "protocol": protocol, "timeout": 30} for i, (protocol, script)
               in enumerate(programs)]
    with open(build + "/meson-info/intro-tests.json", "w", encoding="utf-8") as file:
        json.dump(entries, file)
    done = run([RUN, build, "--suite", "unit"])
    return done.returncode, done.stdout.splitlines()[-1], done.stdout


@test
def run_counts_passed_failed_and_skipped(t):
    status, last, out = counted(
        t, ("tap", "echo 1..3; echo 'ok 1 - a'; echo 'ok - b # SKIP why'; echo 'ok 3 - c'"),
        ("exitcode", "exit 0"), ("exitcode", "exit 77"))
    assert (status, last) == (0, "3 passed, 0 failed, 2 skipped"), out
    status, last, out = counted(
        t, ("tap", "echo 1..2; echo 'not ok - a # SKIP no'; echo '# because'; echo 'ok 2'; exit 1"),
        ("exitcode", "echo words; exit 3"))
    assert (status, last) == (1, "1 passed, 2 failed, 0 skipped"), out
    assert "because" in out and "words" in out and "exit status 3" in out, out


@test
def run_counts_a_program_that_dies_as_failed(t):
    for script, why in (("exit 0", "no plan"), ("echo 1..2; echo 'ok 1 - a'", "2 planned"),
                        ("echo 'ok 1 - a'", "no plan"), ("echo 1..1; echo 'ok 1'; exit 2", "status 2"),
                        ("echo 1..1; echo 'ok 1'; exit 1", "without a failed test"),
                        ("echo 1..1; echo 'ok 1'; kill -SEGV $$", "signal 11")):
        status, last, out = counted(t, ("tap", script))
        assert status == 1 and ", 1 failed, " in last and why in out, (script, out)


@test
def run_without_tests_is_a_failure(t):
    status, last, out = counted(t)
    assert (status, last) == (1, "0 passed, 0 failed, 0 skipped"), out


main()
