#!/usr/bin/python3
"""Programs on the other machine: loopsyctl exec and what belongs to it."""
import json
import os
import re
import signal

from harness import *
from lib.peers import configure, two

def ex(lap, *words, **options):
    return lap.run("loopsyctl", "exec", "desk", *words, **options)


def jobs(lap):
    return json.loads(lap.ctl("jobs", "desk", "--json").stdout)


def audit(desk):
    return [json.loads(line) for line in desk.sh('cat "$LOOPSY_HOME/state/audit.jsonl"').stdout.splitlines()]


def line_with(program, text):
    while text not in (line := program.read_line()):
        pass
    return line.strip()


def is_running(host, pattern):
    """Whether a process of that command line is there; the pattern must not match itself."""
    return host.run("pgrep", "-f", pattern).returncode == 0


@test(timeout=240)
def the_exit_status_is_the_commands(t):
    desk, lap = two(t)
    desk.sh("echo 'exit 3' >script; echo x >plain; chmod 755 script; chmod 644 plain")
    for words, status in ((["true"], 0), (["false"], 1), (["sh", "-c", "exit 42"], 42), (["./plain"], 126),
                          (["no-such-command"], 127), (["sh", "-c", "kill -9 $$"], 137),
                          (["sh", "-c", "kill -15 $$"], 143)):
        done = ex(lap, "--", *words)
        assert done.returncode == status, (words, done)
        assert bool(done.stderr) == (status in (126, 127)), (words, done)
    done = ex(lap, "--timeout", "1", "--", "sleep", "1000")
    assert done.returncode == 124, done
    assert not is_running(desk, "sleep 100[0]")
    done = lap.run("loopsyctl", "exec", "nobody", "--", "true")
    assert done.returncode == 125 and "nobody" in done.stderr and done.stderr.count("\n") == 1, done
    done = lap.run("loopsyctl", "exec", "--", "true")
    assert done.returncode == 125 and "not in the mount" in done.stderr, done
    # The earlier program's form, and options that are the command's.
    assert ex(lap, "sh", "-c", "exit 7").returncode == 7
    assert ex(lap, "echo", "-t", "--", "--help").stdout == "-t -- --help\n"
    assert ex(lap, "--", "printf", "%s|", "a b", "", "*", "é\n").stdout == "a b||*|é\n|"


@test(timeout=240)
def standard_streams_are_bytes_and_kept_apart(t):
    desk, lap = two(t)
    assert lap.sh("printf x | loopsyctl exec desk -- cat").stdout == "x"
    assert lap.sh("loopsyctl exec desk -- cat </dev/null").stdout == ""
    assert lap.sh("loopsyctl exec desk -- cat </dev/null | wc -c").stdout.strip() == "0"
    done = ex(lap, "--", "sh", "-c", "echo out; echo err >&2; echo more")
    assert (done.stdout, done.stderr) == ("out\nmore\n", "err\n"), done
    assert lap.sh("loopsyctl exec desk -- yes | head -1").stdout == "y\n"
    wait_until(lambda: not is_running(desk, "^yes"), 60, "yes ends with its reader")
    # Closed ones, and one that nobody reads to the end.
    assert lap.sh("loopsyctl exec desk -- echo hi <&-").stdout == "hi\n"
    assert lap.sh("head -c 1000000 /dev/zero | loopsyctl exec desk -- head -c 3 | wc -c").stdout.strip() == "3"
    everything = bytes(range(256)) * 1000
    done = ex(lap, "--", "cat", input=everything, text=False)
    assert done.stdout == everything


@test(timeout=900)
def large_data_goes_in_and_out_unchanged(t):
    desk, lap = two(t)
    mib = 1024 if t.sanitizer == "none" else 64
    done = lap.sh('head -c "$1M" /dev/urandom | tee >(sha256sum >in) | loopsyctl exec desk -- cat | sha256sum >out; '
                  'while [ ! -s in ]; do sleep 0.05; done; cat in out', str(mib), timeout=800)
    before, after = done.stdout.split("\n")[:2]
    assert before == after and len(before) > 64, done.stdout


@test(timeout=240)
def it_returns_when_the_command_ends(t):
    desk, lap = two(t)
    done = ex(lap, "--", "sh", "-c", "sleep 4321 & echo hi $!", timeout=60)
    hi, pid = done.stdout.split()
    assert done.returncode == 0 and hi == "hi", done
    desk.run("kill", pid, check=True)


@test(timeout=240)
def where_and_with_what_is_said_by_options_or_by_where_one_stands(t):
    desk, lap = two(t)
    desk.sh("mkdir -p project/src 'a b'; mkdir .ssh; echo FOUND >project/src/file")
    home = desk.home
    assert ex(lap, "--", "pwd").stdout == home + "\n"
    assert ex(lap, "-C", "project/src", "--", "pwd").stdout == home + "/project/src\n"
    assert ex(lap, "-C", home + "/a b", "--", "pwd").stdout == home + "/a b\n"
    assert ex(lap, "-e", "A=1 2", "--env", "B", "--", "sh", "-c", 'echo "$A$B"', env={"B": "3"}).stdout == "1 23\n"
    assert ex(lap, "--shell", "--", "echo $((1+1)) |", "cat").stdout == "2\n"
    there = lap.peer_path("desk", "project")
    assert lap.sh('cd "$1" && loopsyctl exec -- pwd', there).stdout == home + "/project\n"
    assert lap.sh('cd "$1" && loopsyctl exec -C src -- cat file', there).stdout == "FOUND\n"
    assert lap.sh('cd "$1/.." && loopsyctl exec pwd', there).stdout == home + "\n"
    assert lap.sh('loopsyctl exec -C "$1/src" cat file', there).stdout == "FOUND\n"
    for directory, text in (("nowhere", "no such directory"), (".ssh", "no such directory"),
                            ("project/src/file", "not a directory")):
        done = ex(lap, "-C", directory, "--", "true")
        assert done.returncode == 125 and text in done.stderr and done.stderr.count("\n") == 1, done


@test(timeout=300)
def ctrl_c_is_the_commands_and_a_second_one_leaves_it(t):
    desk, lap = two(t)
    program = lap.spawn("loopsyctl", "exec", "desk", "--", "sh", "-c", "echo up; sleep 1111")
    assert program.read_line() == "up"
    program.signal(signal.SIGINT)
    assert program.wait(60) == 128 + 2
    wait_until(lambda: not is_running(desk, "sleep 111[1]"), 60, "the whole group is interrupted")
    program = lap.spawn("loopsyctl", "exec", "desk", "--name", "deaf", "--", "sh", "-c",
                        "trap 'echo INT' INT; echo up; while :; do sleep 0.1; done")
    assert program.read_line() == "up"
    program.signal(signal.SIGINT)
    assert program.read_line() == "INT"
    program.signal(signal.SIGINT)
    assert program.wait(60) == 130
    assert "loopsyctl attach desk deaf" in program.error_text(), program.error_text()
    assert [(job["name"], job["state"]) for job in jobs(lap)][-1] == ("deaf", "running")
    assert lap.ctl("kill", "desk", "de", "KILL").returncode == 0
    assert lap.ctl("wait", "desk", "deaf").returncode == 137
    # What ends us ends it.
    program = lap.spawn("loopsyctl", "exec", "desk", "--", "sh", "-c", "echo up; exec sleep 2222")
    assert program.read_line() == "up"
    program.signal(signal.SIGTERM)
    assert program.wait(60) == 143
    wait_until(lambda: not is_running(desk, "sleep 222[2]"), 60, "it ends with its client")
    program = lap.spawn("loopsyctl", "exec", "desk", "--", "sh", "-c", "echo up; exec sleep 3333")
    assert program.read_line() == "up"
    program.signal(signal.SIGKILL)
    program.wait(60)
    wait_until(lambda: not is_running(desk, "sleep 333[3]"), 60, "it ends with its client that was killed")


# Runs a command at a terminal of 30 x 90; what it shows comes out, what goes in is typed.
TERMINAL = r'''import fcntl, os, pty, select, struct, sys, termios
pid, tty = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 90, 0, 0))
    os.environ["TERM"] = "xterm"
    os.execvp(sys.argv[1], sys.argv[1:])
while True:
    for fd in select.select([tty, 0], [], [])[0]:
        try: data = os.read(fd, 4096)
        except OSError: data = b""
        if fd == tty and not data:
            print("status", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True); sys.exit()
        os.write(1 if fd == tty else tty, data)
'''


@test(timeout=240)
def with_a_terminal_keys_go_there_as_they_are(t):
    desk, lap = two(t)
    program = lap.spawn("python3", "-uc", TERMINAL, "loopsyctl", "exec", "desk", "-t", "--", "bash", "-c",
                        "trap 'echo INT' INT; stty size; echo $TERM; read line; echo got $line; exit 4")
    assert program.read_line().strip() == "30 90"
    assert program.read_line().strip() == "xterm"
    program.write("\x03")
    line_with(program, "INT")
    program.write("typed\r")
    line_with(program, "got typed")
    assert line_with(program, "status").endswith("status 4")
    # What it had made of our terminal is taken back.
    program = lap.spawn("python3", "-uc", TERMINAL, "loopsyctl", "exec", "desk", "-t", "--", "printf",
                        r"\033[?1049h\033[?25lshown")
    line = line_with(program, "shown") # and what comes until the next line
    assert "\x1b[?1049l" in line and "\x1b[?25h" in line, line
    # A shell is given one unasked.
    program = lap.spawn("python3", "-uc", TERMINAL, "loopsyctl", "exec", "desk", "sh")
    program.write("tty; exit 6\n")
    line_with(program, "/dev/pts/")
    assert line_with(program, "status").endswith("status 6")


@test(timeout=300)
def jobs_are_left_listed_awaited_read_and_ended(t):
    desk, lap = two(t)
    done = ex(lap, "--detach", "--name", "build", "--", "sh", "-c", "echo one; while [ ! -e go ]; do sleep 0.1; done; "
              "echo two >&2; exit 5")
    assert done.returncode == 0 and done.stdout == "build\n", done
    job, = jobs(lap)
    assert set(job) == {"name", "peer", "cmd", "state", "exit", "signal", "tty", "started", "bytes_kept", "offset"}
    assert (job["name"], job["peer"], job["state"], job["exit"], job["signal"], job["tty"]) == \
        ("build", "desk", "running", None, None, False), job
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", job["started"]), job
    follower = lap.spawn("loopsyctl", "log", "desk", "build", "-f")
    assert follower.read_line() == "one"
    waiter = lap.spawn("loopsyctl", "wait", "desk", "bu")
    desk.sh("touch go")
    assert follower.read_line() == "two"
    assert follower.wait(60) == 0 and waiter.wait(60) == 5
    assert lap.ctl("log", "desk", "build").stdout == "one\ntwo\n"
    assert lap.ctl("log", "desk", "build", "--offset", "4").stdout == "two\n"
    job, = jobs(lap)
    assert (job["state"], job["exit"], job["bytes_kept"], job["offset"]) == ("exited", 5, 8, 0), job
    assert json.loads(lap.ctl("jobs", "--json").stdout) == [job]
    assert "exited 5" in lap.ctl("jobs").stdout
    assert lap.ctl("jobs", "desk", "--remove").returncode == 0
    assert jobs(lap) == []
    done = lap.ctl("wait", "desk", "build")
    assert done.returncode == 125 and "no job" in done.stderr, done
    # Those of others are not shown.
    lap_job = desk.run("loopsyctl", "exec", "lap", "--detach", "--", "sleep", "5555")
    assert lap_job.returncode == 0 and jobs(lap) == []
    assert desk.ctl("kill", "lap", lap_job.stdout.strip()).returncode == 0


@test(timeout=300)
def a_job_without_a_terminal_is_attached_to_with_all_it_wrote(t):
    desk, lap = two(t)
    done = ex(lap, "--detach", "--name", "plain", "--", "sh", "-c",
              "echo one; echo two >&2; while [ ! -e go ]; do sleep 0.1; done; echo three; exit 6")
    assert done.returncode == 0, done
    program = lap.spawn("sh", "-c", "loopsyctl attach desk plain 2>err; echo status $?")
    assert program.read_line() == "one"
    wait_until(lambda: lap.sh("cat err").stdout == "two\n", what="standard error, apart")
    # Who leaves it leaves it running.
    other = lap.spawn("loopsyctl", "attach", "desk", "plain")
    assert other.read_line() == "one"
    other.signal(signal.SIGINT)
    assert other.wait(60) == 128 + 2
    job, = jobs(lap)
    assert job["state"] == "running", job
    desk.sh("touch go")
    assert program.read_line() == "three"
    assert program.read_line() == "status 6"
    done = lap.ctl("attach", "desk", "plain")
    assert (done.returncode, done.stdout, done.stderr) == (6, "one\nthree\n", "two\n"), done
    done = lap.ctl("attach", "desk", "nobody")
    assert done.returncode == 125 and "no such job" in done.stderr and done.stderr.count("\n") == 1, done


@test(timeout=300)
def a_detached_job_outlives_its_client_and_that_ones_daemon(t):
    desk, lap = two(t)
    done = ex(lap, "--detach", "--name", "long", "--", "sh", "-c",
              "echo one; while [ ! -e two ]; do sleep 0.1; done; echo two; while [ ! -e go ]; do sleep 0.1; done; exit 7")
    assert done.returncode == 0, done

    def attach():
        program = lap.spawn("loopsyctl", "attach", "desk", "long")
        assert program.read_line() == "one"
        return program
    client = attach()
    client.signal(signal.SIGKILL)
    client.wait(60)
    desk.sh("touch two")
    client = attach()
    assert client.read_line() == "two"
    lap.kill9()
    assert client.wait(60) == 125
    assert "loopsyd here has ended" in client.error_text() and "loopsyctl start" in client.error_text()
    lap.unmount()
    lap.start()
    lap.wait_online("desk")
    assert jobs(lap)[0]["state"] == "running"
    client = attach()
    assert client.read_line() == "two"
    desk.sh("touch go")
    assert client.wait(60) == 7


@test(timeout=300)
def what_runs_here_is_seen_and_ended_here_whoever_started_it(t):
    desk, lap = two(t)
    assert ex(lap, "--detach", "--name", "build", "--", "sh", "-c", "echo theirs; exec sleep 6661").returncode == 0
    desk.sh('cd "$1"; mkdir build; echo "echo own; exec sleep 6662" >build/cmd', desk.mount + "/.loopsy/jobs")

    def here(host=desk):
        return sorted((job["peer"], job["name"], job["state"]) for job in json.loads(host.ctl("jobs", "--here", "--json").stdout))
    assert here() == [("desk", "build", "running"), ("lap", "build", "running")]
    assert here(lap) == []
    assert [job["name"] for job in jobs(lap)] == ["build"] # of those on desk, its own only
    done = desk.ctl("log", "--here", "build")
    assert done.returncode == 1 and "more than one job on this machine is called 'build'" in done.stderr, done
    for whose, line in (("lap", "theirs"), ("desk", "own")):
        follower = desk.spawn("loopsyctl", "log", "--here", f"{whose}/build", "-f")
        assert follower.read_line() == line
        attached = desk.spawn("loopsyctl", "attach", "--here", f"{whose}/build")
        assert attached.read_line() == line
        assert desk.ctl("kill", "--here", f"{whose}/build").returncode == 0
        assert (follower.wait(60), attached.wait(60)) == (0, 143)
        assert desk.ctl("wait", "--here", f"{whose}/build").returncode == 143
    assert lap.ctl("wait", "desk", "build").returncode == 143
    assert desk.ctl("jobs", "--here", "--remove").returncode == 0
    assert here() == [] and jobs(lap) == []
    for words in (["jobs", "--here", "lap"], ["log", "--here"], ["log", "desk"], ["kill", "--here", "a", "TERM", "more"]):
        assert desk.ctl(*words).returncode == 2, words
    done = desk.ctl("log", "--here", "none")
    assert done.returncode == 1 and "no job on this machine is called 'none'" in done.stderr, done


@test(timeout=300)
def a_start_that_desk_does_not_answer_is_given_up_and_does_not_stay(t):
    desk, lap = two(t, conf="io_timeout = 1s\njob_grace = 1s")
    desk.kill(desk.daemon_pid, signal.SIGSTOP)
    done = ex(lap, "--", "sh", "-c", "echo $$ >started; exec sleep 4442")
    assert done.returncode == 125 and "desk does not answer" in done.stderr and done.stderr.count("\n") == 1, done
    desk.kill(desk.daemon_pid, signal.SIGCONT)
    lap.wait_online("desk")
    # What was under way may have arrived; its client has gone.
    assert ex(lap, "--", "true").returncode == 0
    wait_until(lambda: not is_running(desk, "sleep 444[2]"), 60, "the end of what nobody waits for")


@test(timeout=300)
def find_grep_and_git_work_where_the_files_are(t):
    desk, lap = two(t)
    desk.sh("mkdir -p tree/sub; echo 'a needle' >tree/one; echo needle >tree/sub/two; echo hay >tree/three; "
            "cd tree && git init -q . && git -c user.name=a -c user.email=a@b add one && "
            "git -c user.name=a -c user.email=a@b commit -qm first")
    tree = lap.peer_path("desk", "tree")
    found = lap.ctl("find", tree, "-type", "f", "-not", "-path", "*/.git/*").stdout
    assert sorted(found.splitlines()) == [tree + "/one", tree + "/sub/two", tree + "/three"], found
    assert lap.sh('cd "$1" && loopsyctl find sub -name two', tree).stdout == "sub/two\n"
    assert lap.sh('cd "$1" && loopsyctl find . -name two -print0', tree).stdout == "./sub/two\0"
    for words in (["grep", "-r", "needle"], ["grep", "-r", "-e", "need[l]e"]):
        found = lap.ctl(*words, tree + "/one", tree + "/sub").stdout
        assert sorted(found.splitlines()) == [f"{tree}/one:a needle", f"{tree}/sub/two:needle"], found
    assert lap.sh('cd "$1" && loopsyctl grep -n needle one', tree).stdout == "1:a needle\n"
    assert lap.ctl("grep", "nothing", tree + "/one").returncode == 1
    done = lap.ctl("grep", "x", tree + "/absent")
    assert done.returncode == 2 and tree + "/absent" in done.stderr, done
    done = lap.ctl("grep", "-r", "x", lap.home)
    assert done.returncode == 125 and "not in the mount" in done.stderr, done
    assert lap.ctl("git", "-C", tree, "log", "--format=%s").stdout == "first\n"
    assert "sub/" in lap.sh('cd "$1" && loopsyctl git status --short', tree).stdout
    assert lap.ctl("git", "-C", tree, "no-such").returncode == 1


@test(timeout=300)
def grep_is_ripgrep_where_that_is_there(t):
    desk, lap = two(t)
    if desk.run("sh", "-c", "command -v rg").returncode != 0:
        skip("needs ripgrep")
    desk.sh("mkdir -p tree/.hidden tree/sub; cd tree; echo 'a needle' >one; echo needle >.hidden/two; "
            "echo a.needle >sub/three; printf 'x\\0needle\\n' >binary; echo sub >.gitignore; git init -q .; rm -r .git/hooks")
    tree = lap.peer_path("desk", "tree")

    def found(*words):
        done = lap.ctl("grep", *words, timeout=60)
        return done.returncode, sorted(done.stdout.splitlines())
    # Its own words about a binary file: what is done by grep says it otherwise.
    status, lines = found("-r", "needle", tree)
    texts = [f"{tree}/.hidden/two:needle", f"{tree}/one:a needle", f"{tree}/sub/three:a.needle"]
    assert status == 0 and [line for line in lines if "binary" not in line] == texts, lines
    about, = (line for line in lines if "binary" in line)
    assert about.startswith(f"{tree}/binary: binary file matches (found"), about
    # A pattern that means something else to ripgrep is not for it.
    status, lines = found("-r", "a.needl[e]", tree)
    assert status == 0 and lines == texts[1:], lines
    assert found("-rn", "needle", tree + "/one") == (0, ["1:a needle"])
    assert found("-rin", "NEEDLE", tree + "/one", tree + "/sub") == (0, [f"{tree}/one:1:a needle", f"{tree}/sub/three:1:a.needle"])
    assert found("-rl", "a needle", tree) == (0, [f"{tree}/one"])
    assert found("-rc", "needle", tree + "/one", tree + "/sub") == (0, [f"{tree}/one:1", f"{tree}/sub/three:1"])
    assert found("-r", "nothing like it", tree) == (1, [])


@test(timeout=300)
def what_is_refused_is_one_clear_line_and_audited(t):
    desk, lap = two(t, conf="exec_deny = shutdown reboot\nmax_jobs = 2")
    assert ex(lap, "--", "true").returncode == 0
    done = ex(lap, "--", "reboot")
    assert done.returncode == 125 and "denied" in done.stderr and done.stderr.count("\n") == 1, done
    for name in ("one", "two"):
        assert ex(lap, "--detach", "--name", name, "--", "sleep", "6666").returncode == 0
    done = ex(lap, "--", "true")
    assert done.returncode == 125 and "too many jobs" in done.stderr and done.stderr.count("\n") == 1, done
    done = ex(lap, "-C", "nowhere", "--", "true")
    assert done.returncode == 125 and done.stderr.count("\n") == 1, done
    for name in ("one", "two"):
        assert lap.ctl("kill", "desk", name).returncode == 0
        assert lap.ctl("wait", "desk", name).returncode == 143
    desk.ctl("peers", "allow", "lap", "fs:rw")
    done = ex(lap, "--", "true")
    assert done.returncode == 125 and "does not let" in done.stderr and done.stderr.count("\n") == 1, done
    lines = [line for line in audit(desk) if line.get("peer") == "lap"]
    failed = [line for line in lines if line.get("outcome", "ok") not in ("ok", "done")]
    assert len(failed) >= 4, lines


@test(timeout=300)
def a_stopped_daemon_is_said_with_what_to_do(t):
    desk, lap = two(t)
    program = lap.spawn("sh", "-c", "loopsyctl exec desk -- sh -c 'echo up; sleep 7777' 2>err")
    assert program.read_line() == "up"
    desk.stop()
    assert program.wait(120) == 125
    error = lap.sh("cat err").stdout
    assert "stopped" in error and "again" in error and error.count("\n") == 1, error
    done = ex(lap, "--", "true", timeout=120)
    assert done.returncode == 125 and "offline" in done.stderr, done


@test(timeout=300)
def jobs_of_a_daemon_that_has_ended_are_lost(t):
    desk, lap = two(t)
    port = desk.port() # which lap knows it by

    def states():
        return {job["name"]: job["state"] for job in jobs(lap)}

    def lost(*names):
        lap.wait_online("desk")
        wait_until(lambda: states() == dict.fromkeys(names, "lost"), what=f"{names} are lost, and no others")
    assert ex(lap, "--detach", "--name", "one", "--", "sleep", "8881").returncode == 0
    assert ex(lap, "--detach", "--name", "over", "--", "true").returncode == 0
    assert lap.ctl("wait", "desk", "over").returncode == 0
    foreground = lap.spawn("loopsyctl", "exec", "desk", "--name", "front", "--", "sh", "-c", "echo up; sleep 8882")
    assert foreground.read_line() == "up"
    desk.kill9()
    desk.start("--port", port)
    assert foreground.wait(120) == 125
    lost("one")
    job, = jobs(lap)
    assert (job["cmd"], job["exit"], job["signal"], job["bytes_kept"]) == ("sleep 8881", None, None, 0), job
    done = lap.ctl("wait", "desk", "one")
    assert done.returncode == 125 and "lost" in done.stderr, done
    done = lap.ctl("attach", "desk", "one")
    assert done.returncode == 125 and "stopped" in done.stderr and done.stderr.count("\n") == 1, done
    # One that ends because its daemon does is lost as well; what was lost once stays so.
    assert ex(lap, "--detach", "--name", "two", "--", "sleep", "8883").returncode == 0
    desk.stop()
    desk.start("--port", port)
    lost("one", "two")
    assert ex(lap, "--detach", "--name", "one", "--", "true").returncode == 0
    assert lap.ctl("wait", "desk", "one").returncode == 0
    assert lap.ctl("jobs", "desk", "--remove").returncode == 0
    assert states() == {}
    desk.stop()
    desk.start("--port", port)
    lost()


@test(timeout=900)
def nothing_is_lost_or_doubled_over_a_cut_link(t):
    desk, lap = t.lan("desk", "lap", avahi=False)
    for host in (desk, lap):
        host.init()
        host.start("--lan")
    pair(desk, lap, target=desk.address)
    # 20 MB/s of numbered lines, for as long as the link takes to break and to come back and more.
    desk.sh('cat >count', input='''import sys, time
n = int(sys.argv[1]); start = time.monotonic()
for i in range(0, n, 65536):
    sys.stdout.write("".join("%015d\\n" % j for j in range(i, i + 65536)))
    sys.stdout.flush()
    time.sleep(max(0, (i + 65536) * 16 / 20e6 - (time.monotonic() - start)))
sys.exit(9)
''')
    lines = 65536 * 320
    program = lap.spawn("bash", "-c", f"""loopsyctl exec desk -- python3 count {lines} | python3 -c '
import sys
expected = 0
for line in sys.stdin.buffer:
    if line != b"%015d\\n" % expected:
        print("at", expected, "came", line, flush=True); sys.exit(1)
    expected += 1
    if expected == 3000000: print("running", flush=True)
print("lines", expected, flush=True)'; echo status ${{PIPESTATUS[0]}}""")
    assert program.read_line(300) == "running"
    t.cut(lap)
    wait_until(lambda: lap.peer("desk")["state"] != "online", 60, "the link is lost")
    wait_until(lambda: lap.peer("desk")["state"] == "offline", 60, "desk counts as offline")
    t.mend(lap)
    assert program.read_line(600) == f"lines {lines}"
    assert program.read_line(60) == "status 9"


@test(timeout=900)
def many_leave_nothing_behind(t):
    desk, lap = two(t)
    rounds = int(os.environ.get("LOOPSY_EXECS", "300" if t.sanitizer == "none" else "50"))

    def state():
        def of(host):
            fds = host.sh('ls /proc/$1/fd | wc -l', str(host.daemon_pid), root=True).stdout
            return int(fds), int(host.sh("ps -e | wc -l").stdout)
        return of(desk), of(lap)
    many = 'for i in $(seq $1); do [ "$(echo $i | loopsyctl exec desk -- cat)" = $i ] || exit 1; done'
    lap.sh(many, "50", timeout=300)
    before = state()
    lap.sh(many, str(rounds), timeout=800)
    wait_until(lambda: all(a <= b for x, y in zip(state(), before) for a, b in zip(x, y)), 60,
               f"as before: {before}, is {state()}")


@test(timeout=600)
def many_at_once_all_finish(t):
    desk, lap = two(t, conf="max_jobs = 256")
    n = 200 if t.sanitizer == "none" else 40
    done = lap.sh('for i in $(seq $1); do loopsyctl exec desk -- sh -c "sleep 0.2; echo $i" & done; wait', str(n),
                  timeout=500)
    assert sorted(map(int, done.stdout.split())) == list(range(1, n + 1)), done


main()
