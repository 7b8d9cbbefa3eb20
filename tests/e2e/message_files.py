#!/usr/bin/python3
"""Messages as files: .loopsy/messages of this machine and of peers; and what `events` tells."""
import json
import os

from harness import *
from lib.peers import two


def box(host, *path, peer=None):
    """A place in messages/: of one peer, or of the machine itself."""
    top = host.peer_path(peer) if peer else host.mount
    return os.path.join(top, ".loopsy/messages", *path)


def inbox(host):
    return host.ctl_json("msg", "inbox")


def until_inbox(host, *bodies):
    """Waits until exactly these have come; their ids."""
    wait_until(lambda: [m["body"] for m in inbox(host)] == list(bodies), 120, f"{bodies} to arrive")
    return [m["id"] for m in inbox(host)]


def state(host, id):
    return host.ctl_json("msg", "status", id)["state"]


def file_state(host, id, peer):
    return json.loads(host.sh('cat "$1"', box(host, "outbox", id, peer=peer)).stdout)["state"]


@test(each_user=True, timeout=300)
def what_is_written_into_send_is_a_message(t):
    desk, lap = two(t)
    send = box(lap, "send", peer="desk")
    lap.sh(r'''set -e
echo hi >"$1"
printf 'two lines\nof text' >"$1"
{ echo a; /bin/echo b; echo c; } >"$1"
/bin/echo 'from a file' >body; cp body "$1"
cat <body | tee "$1" >/dev/null
: >"$1"
dash -c 'echo dash >"$0"' "$1"
busybox sh -c 'echo busybox >"$0"' "$1"
python3 -c 'import sys; open(sys.argv[1], "w").write("python")' "$1"
''', send)
    bodies = ["hi\n", "two lines\nof text", "a\nb\nc\n", "from a file\n", "from a file\n", "dash\n", "busybox\n",
              "python"]
    ids = until_inbox(desk, *bodies)
    assert [m["type"] for m in inbox(desk)] == ["chat"] * len(bodies)
    # The same as files: there, and here as what was sent.
    for host, path in ((desk, box(desk, "inbox", peer="lap")), (desk, box(desk, "inbox")),
                       (lap, box(lap, "outbox", peer="desk")), (lap, box(lap, "outbox"))):
        done = host.sh('cd "$1"; set -- $(ls -f | grep -v "^[.]"); echo "$@"; cat "$@"', path)
        names, *envelopes = done.stdout.splitlines()
        assert names.split() == ids, (path, done)
        assert [json.loads(line)["body"] for line in envelopes] == bodies, (path, done)
    assert desk.sh('cat "$1"/*', box(desk, "inbox")).stdout.count("\n") == len(bodies)
    # Of each, what the command shows.
    for m in inbox(desk):
        assert json.loads(desk.sh('cat "$1"', box(desk, "inbox", m["id"], peer="lap")).stdout) == m
    for m in lap.ctl_json("msg", "outbox"):
        assert json.loads(lap.sh('cat "$1"', box(lap, "outbox", m["id"], peer="desk")).stdout) == m


@test(timeout=300)
def one_without_a_peer_goes_to_all(t):
    desk, lap = two(t)
    lap.sh('echo lunch >"$1"', box(lap, "send"))
    until_inbox(desk, "lunch\n")
    assert inbox(desk)[0]["type"] == "broadcast"


@test(each_user=True, timeout=300)
def size_and_time_are_the_messages(t):
    desk, lap = two(t)
    body = 'q"\\\n\tä€' * 40000
    with open(lap.home + "/body", "w", encoding="utf-8") as file:
        file.write(body)
    lap.sh('echo short >"$1"; cp body "$1"', box(lap, "send", peer="desk"))
    until_inbox(desk, "short\n", body)
    for host, path in ((desk, box(desk, "inbox", peer="lap")), (lap, box(lap, "outbox"))):
        host.run("python3", "-c", r'''import json, os, stat, subprocess, sys, time
os.chdir(sys.argv[1])
listed = {line.split()[8]: line.split() for line in subprocess.run(["ls", "-l"], capture_output=True, text=True,
                                                                  check=True).stdout.splitlines()[1:]}
assert len(listed) == 2, listed
for name in os.listdir():
    st, data = os.stat(name), open(name, "rb").read()
    assert st.st_size == len(data) == int(listed[name][4]), (name, st, len(data), listed)
    assert stat.S_ISREG(st.st_mode) and st.st_mode & 0o77 == 0 and st.st_uid == os.getuid(), st
    assert time.time() - 300 < st.st_mtime <= time.time() + 1, st
    assert data.endswith(b"\n") and data.count(b"\n") == 1, data
    assert json.loads(data)["id"] == name
os.chdir("..")
subprocess.run(["cp", "-r", os.path.basename(sys.argv[1]), os.path.expanduser("~/copy")], check=True)
assert len(os.listdir(os.path.expanduser("~/copy"))) == 2
''', path, check=True)
    assert lap.sh('stat -c "%s %a" "$1"', box(lap, "send", peer="desk")).stdout == "0 200\n"


@test(timeout=300)
def what_is_no_message_is_refused_and_nothing_is_sent(t):
    desk, lap = two(t, conf="msg_max = 2\n")
    lap.run("python3", "-c", r'''import errno, os, sys
send = sys.argv[1]
def write(data, size=1 << 17):
    """The error of a write, or of close, or 0."""
    fd, error = os.open(send, os.O_WRONLY), 0
    try:
        while data: data = data[os.write(fd, data[:size]):]
    except OSError as e: error = e.errno
    try: os.close(fd)
    except OSError as e: error = error or e.errno
    return error
def opens(flags):
    try: os.close(os.open(send, flags))
    except OSError as e: return e.errno
    return 0
assert write(b"x" * ((1 << 20) + 1)) == errno.EFBIG
assert write(b"x" * ((1 << 20) + 1), 1 << 22) == errno.EFBIG
assert write(b"bad \xff") == errno.EILSEQ
assert write(b"torn \xe2\x82") == errno.EILSEQ
assert write(b"a\0b") == errno.EILSEQ
assert write("torn in two €".encode(), 13) == 0
assert opens(os.O_RDONLY) == opens(os.O_RDWR) == errno.EACCES
assert write(b"x" * (1 << 20)) == 0
assert write(b"one too many") == errno.ENOSPC
''', box(lap, "send", peer="desk"), check=True)
    until_inbox(desk, "torn in two €", "x" * (1 << 20))
    # Where a shell can see it, and in words.
    done = lap.sh(r'''cd "$1"; printf '\377' >send; echo $?; cat ../last-error''', box(lap, peer="desk"), check=False)
    assert done.stdout.startswith("1\n") and "UTF-8" in done.stdout, done
    done = lap.sh('cd "$1"; /bin/echo x >send; echo $?; cat ../last-error', box(lap, peer="desk"), check=False)
    assert done.stdout.startswith("1\n") and "full" in done.stdout, done
    assert len(lap.ctl_json("msg", "outbox")) == 2


@test(timeout=300)
def a_peer_without_permission_is_told_at_open(t):
    desk, lap = two(t)
    desk.ctl("peers", "allow", "lap", "fs:rw", check=True)
    path = box(lap, peer="desk")

    def refused():
        done = lap.sh('cd "$1"; echo x >send; echo $?; cat ../last-error', path, check=False)
        return "Permission denied" in done.stderr and "does not take messages" in done.stdout
    wait_until(refused, 60, "the permission to be gone")
    desk.ctl("peers", "allow", "lap", "fs:rw,msg", check=True)
    wait_until(lambda: lap.run("sh", "-c", 'echo y >"$0"', path + "/send").returncode == 0, 60, "it is back")
    wait_until(lambda: inbox(desk) and inbox(desk)[-1]["body"] == "y\n", 60, "what was sent then")


@test(each_user=True, timeout=300)
def a_writer_that_is_killed_before_it_closes_sends_nothing(t):
    desk, lap = two(t)
    send = box(lap, "send", peer="desk")
    lap.sh(r'''for how in KILL TERM INT; do
    if python3 -c 'import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
fd = os.open(sys.argv[1], os.O_WRONLY)
os.write(fd, b"half a message")
os.close(os.dup(fd)) # stores what there is so far
os.kill(os.getpid(), getattr(signal, "SIG" + sys.argv[2]))
while True: signal.pause()' "$1" $how
    then exit 1; fi
done
(echo half; kill -KILL $BASHPID) >"$1"
bash -c 'exec 3>"$1"; echo half >&3; kill -TERM $$; read -r forever' sh "$1"
# What others then add is no message either, and they are told.
(exec 3>"$1"; sh -c 'echo half >&3; kill -KILL $$'; /bin/echo more >&3 && exit 1; cat "$2/last-error"
 exit 0) | grep -q 'was killed' || exit 1
echo whole >"$1"''', send, lap.peer_path("desk", ".loopsy"))
    until_inbox(desk, "whole\n")
    assert len(lap.ctl_json("msg", "outbox")) == 1
    # Nothing is left for a later daemon to send either.
    port = str(lap.port())
    lap.kill9()
    lap.start("--port", port)
    lap.sh('echo last >"$1"', send)
    until_inbox(desk, "whole\n", "last\n")
    # One that ends by itself without closing has closed.
    lap.run("python3", "-c", 'import os, sys; os.write(os.open(sys.argv[1], os.O_WRONLY), b"failed"); os._exit(3)', send)
    until_inbox(desk, "whole\n", "last\n", "failed")


@test(timeout=600)
def many_writers_send_each_message_once_and_whole(t):
    desk, lap = two(t)
    n, each = (16, 25) if t.sanitizer == "none" else (8, 5)
    lap.sh(r'''for i in $(seq $2); do
    (for k in $(seq $3); do { echo $i-$k; echo $i-$k; } >"$1" || exit 1; done) & pids="$pids $!"
done
for pid in $pids; do wait $pid || exit 1; done''', box(lap, "send", peer="desk"), str(n), str(each), timeout=300)
    wait_until(lambda: len(inbox(desk)) == n * each, 120, "all of them")
    order = {}
    for message in inbox(desk):
        first, second = message["body"].splitlines()
        assert first == second, message
        writer, k = map(int, first.split("-"))
        order.setdefault(writer, []).append(k)
    assert order == {i: list(range(1, each + 1)) for i in range(1, n + 1)}, order


@test(each_user=True, timeout=600)
def removing_one_tells_its_sender_over_restarts_of_both(t):
    desk, lap = two(t)
    desk_port, lap_port = str(desk.port()), str(lap.port())
    lap.sh('echo now >"$1"', box(lap, "send", peer="desk"))
    first, = until_inbox(desk, "now\n")
    desk.stop()
    lap.sh('echo later >"$1"', box(lap, "send", peer="desk"))
    wait_until(lambda: len(lap.ctl_json("msg", "outbox")) == 2, 60, "both in the outbox")
    later = lap.ctl_json("msg", "outbox")[1]["id"]
    assert lap.sh('ls "$1"', box(lap, "outbox")).stdout.split() == [first, later]
    assert file_state(lap, later, "desk") == "queued"
    lap.stop()
    lap.start("--port", lap_port)
    assert file_state(lap, later, "desk") == "queued"
    desk.start("--port", desk_port)
    wait_until(lambda: file_state(lap, later, "desk") == "delivered", 120, "delivered")
    assert until_inbox(desk, "now\n", "later\n") == [first, later]
    lap.stop()
    desk.sh('rm "$1"', box(desk, "inbox", later, peer="lap"))
    done = desk.sh('cat "$1"; rm "$1"; ls "$2"', box(desk, "inbox", later, peer="lap"), box(desk, "inbox"), check=False)
    assert done.stderr.count("No such file") == 2 and done.stdout == first + "\n", done
    desk.stop()
    desk.start("--port", desk_port)
    assert desk.sh('ls "$1"', box(desk, "inbox")).stdout == first + "\n"
    lap.start("--port", lap_port)
    wait_until(lambda: file_state(lap, later, "desk") == "read", 120, "read")
    assert file_state(lap, first, None) == "delivered"
    # At a terminal rm does not ask; and mv takes it out.
    desk.sh('''script -qec "rm '$1'" /dev/null </dev/null >said; [ ! -s said ]''', box(desk, "inbox", first))
    wait_until(lambda: file_state(lap, first, "desk") == "read", 120, "read")
    desk.sh('echo kept >"$1"', box(desk, "send", peer="lap"))
    kept, = until_inbox(lap, "kept\n")
    lap.sh('mv "$1" taken; grep -q kept taken; [ -z "$(ls "$2")" ]', box(lap, "inbox", kept), box(lap, "inbox"))
    wait_until(lambda: file_state(desk, kept, "lap") == "read", 120, "read")


@test(timeout=300)
def nothing_else_can_be_done_with_a_message(t):
    desk, lap = two(t)
    lap.sh('echo x >"$1"', box(lap, "send", peer="desk"))
    id, = until_inbox(desk, "x\n")
    for host, path in ((desk, box(desk, "inbox", id)), (lap, box(lap, "outbox", id))):
        done = host.sh(r'''for what in 'echo y >"$1"' 'echo y >>"$1"' 'truncate -s 0 "$1"' 'touch "$1.x"' 'ln "$1" "$1.y"' \
    'mkdir "$1.z"' 'chmod 777 "$1"' 'cp "$1" "$1a"' 'mv "$1" "$1b"'; do
    (eval "$what") 2>/dev/null && echo "$what"
done; cat "$1"''', path, check=False)
        assert json.loads(done.stdout)["body"] == "x\n", done
    assert lap.run("rm", box(lap, "outbox", id)).returncode == 1
    assert len(inbox(desk)) == len(lap.ctl_json("msg", "outbox")) == 1


@test(timeout=600)
def ten_thousand_messages_are_listed(t):
    desk, lap = two(t)
    peer = desk.peer("lap")["id"]
    desk.stop()
    desk.run("python3", "-c", '''import os, sqlite3, sys
db = sqlite3.connect(os.environ["LOOPSY_HOME"] + "/state/loopsy.db")
db.execute("INSERT OR IGNORE INTO msg_peer (peer, out_epoch) VALUES (?, 1)", (sys.argv[1],))
db.executemany("INSERT INTO msg_in (id, peer, type, reply_to, sent_ns, received_ns, size, body)"
               " VALUES (?, ?, 0, '', 1, 1000000000000000000, 4, x'626f6479')",
               (("id%06d" % i, sys.argv[1]) for i in range(10000)))
db.commit()
''', peer, check=True)
    desk.start()
    for path in (box(desk, "inbox", peer="lap"), box(desk, "inbox")):
        done = desk.sh(r'''cd "$1"; ls | wc -l; ls -f | grep id | sort -c && echo sorted
grep -l '"body":"body"' id00999* | wc -l
ls -l id000* | awk '{print $1, $5}' | sort | uniq -c | awk '{print $1, $2}' ''', path, timeout=300)
        assert done.stdout == "10000\nsorted\n10\n1000 -rw-------\n", done
    desk.sh('cd "$1"; rm id00000*', box(desk, "inbox"))
    assert desk.sh('ls "$1" | wc -l', box(desk, "inbox", peer="lap")).stdout == "9990\n"


# --- events -----------------------------------------------------------------------------------------------------------

# Waits as scripts do: for the first line that has that. From open on nothing is missed.
WAIT = r'''exec 3<"$1"; echo waiting
while read -r line <&3; do case $line in *"$2"*) echo "$line"; exit 0;; esac; done'''


@test(each_user=True, timeout=300)
def a_script_waits_with_events(t):
    desk, lap = two(t)
    peers, own = desk.peer_path("lap", ".loopsy/events"), os.path.join(desk.mount, ".loopsy/events")
    waiting = [desk.spawn("bash", "-c", WAIT, "sh", path, '"event":"received"') for path in (peers, own)]
    lap_waits = lap.spawn("bash", "-c", WAIT, "sh", lap.peer_path("desk", ".loopsy/events"), '"event":"read"')
    values = lap.spawn("bash", "-c", WAIT, "sh", lap.peer_path("desk", ".loopsy/events"), '"key":"go"')
    local = desk.spawn("bash", "-c", WAIT, "sh", own, '"key":"go"')
    for program in (*waiting, lap_waits, values, local):
        assert program.read_line(60) == "waiting"
    lap.sh('echo hello >"$1"', box(lap, "send", peer="desk"))
    id = None
    for program in waiting:
        event = json.loads(program.read_line(60))
        assert program.wait(60) == 0
        id = event["message"]
        assert event["peer"] == "lap" and event["type"] == "chat", event
    assert until_inbox(desk, "hello\n") == [id]
    desk.sh('rm "$1"', box(desk, "inbox", id))
    event = json.loads(lap_waits.read_line(60))
    assert event["message"] == id and event["peer"] == "desk", event
    lap.sh('echo 1 >"$1"', lap.peer_path("desk", ".loopsy/kv/go"))
    for program, peer in ((values, "desk"), (local, "desk")):
        event = json.loads(program.read_line(60))
        assert event["peer"] == peer and event["event"] == "set" and event["size"] == 2, event


@test(timeout=600)
def events_tells_each_once_and_in_order(t):
    desk, lap = two(t)
    n = 150 if t.sanitizer == "none" else 40
    watching = desk.spawn("bash", "-c", 'exec 3<"$1"; echo waiting; exec cat <&3', "sh",
                          os.path.join(desk.mount, ".loopsy/events"))
    assert watching.read_line(60) == "waiting"
    lap.sh('for i in $(seq $3); do echo $i >"$1"; echo $i >"$2"; done', box(lap, "send", peer="desk"),
           lap.peer_path("desk", ".loopsy/kv/counter"), str(n), timeout=300)
    received, versions = [], []
    while len(received) < n or len(versions) < n:
        event = watching.read_json(120)
        if event["event"] == "received":
            received.append(event["message"])
        elif event["event"] == "set":
            versions.append(event["version"])
    assert received == [m["id"] for m in inbox(desk)]
    assert [m["body"] for m in inbox(desk)] == [f"{i}\n" for i in range(1, n + 1)]
    assert versions == sorted(set(versions)), versions
    # And nothing twice: what comes next is the next thing that happens.
    desk.sh('rm "$1"/*', box(desk, "inbox"))
    assert [watching.read_json(120)["event"] for _ in range(n)] == ["acknowledged"] * n


main()
