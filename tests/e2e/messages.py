#!/usr/bin/python3
"""Messages between two machines: loopsyctl msg, daemons that come and go, and what must not be lost.
LOOPSY_MESSAGE_ROUNDS is how often a daemon is killed (4 otherwise), LOOPSY_MESSAGE_WRITERS how many
send meanwhile (4)."""
import json
import os
import random
import re

from harness import *
from lib.peers import BALLAST, small_ext4, small_tmpfs, two

ROUNDS = int(os.environ.get("LOOPSY_MESSAGE_ROUNDS", "4"))
WRITERS = int(os.environ.get("LOOPSY_MESSAGE_WRITERS", "4"))


def send(host, peer, body, *options):
    """Its id."""
    return host.ctl("msg", "send", peer, *options, body, check=True).stdout.strip()


def inbox(host, *options):
    return host.ctl_json("msg", "inbox", *options)


def bodies(host):
    return [message["body"] for message in inbox(host)]


def state(host, id):
    return host.ctl_json("msg", "status", id)["state"]


def audited(host):
    lines = host.sh('cat "$LOOPSY_HOME/state/audit.jsonl"').stdout.splitlines()
    return [(line.get("peer"), line["detail"]["op"]) for line in map(json.loads, lines)
            if line["what"] == "message"]


def until_state(host, id, wanted):
    wait_until(lambda: state(host, id) == wanted, 120, f"{id} to be {wanted}")


@test(each_user=True, timeout=300)
def one_is_sent_shown_answered_and_acknowledged(t):
    desk, lap = two(t)
    id = send(lap, "desk", "build is red\nsince noon", "--type", "request", "--wait", "delivered")
    assert re.fullmatch("[0-9a-z]{26}", id), id
    message, = inbox(desk)
    times = message.pop("ts")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", times), times
    assert message == {"id": id, "from": "lap", "to": "desk", "type": "request",
                       "body": "build is red\nsince noon", "read": False}, message
    assert "build is red" in desk.ctl("msg", "inbox", check=True).stdout
    assert desk.ctl("msg", "show", id, check=True).stdout.endswith("\n\nbuild is red\nsince noon")
    answer = send(desk, "lap", "fixed", "--type", "response", "--reply-to", id, "--wait", "delivered")
    assert lap.ctl_json("msg", "show", answer)["reply_to"] == id
    status = lap.ctl_json("msg", "status", id)
    assert set(status) == {"id", "to", "state", "queued_at", "delivered_at", "read_at"}, status
    assert status["to"] == "desk" and status["state"] == "delivered" and status["read_at"] is None, status
    desk.ctl("msg", "ack", id, check=True)
    assert inbox(desk) == []
    until_state(lap, id, "read")
    assert lap.ctl_json("msg", "status", id)["read_at"]
    assert [m["state"] for m in lap.ctl_json("msg", "outbox")] == ["read"]
    wait_until(lambda: audited(desk) == [("lap", "receive"), (None, "send"), (None, "acknowledge")], 60,
               "all of it in the audit log")


@test(timeout=300)
def waiting_ends_with_what_is_waited_for(t):
    desk, lap = two(t)
    waiting = desk.spawn("loopsyctl", "msg", "inbox", "--wait", "--json")
    sender = lap.spawn("loopsyctl", "msg", "send", "desk", "--wait", "read", "hello")
    id = sender.read_line(60).strip()
    message, = waiting.read_json(60)
    assert message["id"] == id
    assert waiting.wait(60) == 0
    desk.ctl("msg", "ack", id, check=True)
    assert sender.wait(60) == 0
    assert state(lap, id) == "read"


@test(timeout=300)
def a_mebibyte_of_standard_input_arrives_and_a_byte_more_does_not(t):
    desk, lap = two(t)
    text = ("äöü€" * 100000)[:1 << 18]
    body = text + "x" * ((1 << 20) - len(text.encode()))
    for path in (lap.home + "/body",):
        with open(path, "w", encoding="utf-8") as file:
            file.write(body)
    id = lap.sh('loopsyctl msg send desk --wait delivered - <"$1"', path).stdout.strip()
    assert desk.ctl_json("msg", "show", id)["body"] == body
    assert inbox(desk)[0]["body"] == body
    done = lap.run("sh", "-c", '(cat body; echo) | loopsyctl msg send desk -')
    assert done.returncode == 1 and "1 MiB" in done.stderr, done


@test(timeout=300)
def errors_are_told(t):
    desk, lap = two(t, conf="msg_max = 2")
    for words, status, text in ((["send", "nobody", "x"], 1, "no such peer"),
                                (["send", "desk", ""], 1, "not empty"),
                                (["send", "desk", "--type", "shout", "x"], 2, "--type"),
                                (["send", "desk", "--wait", "ever", "x"], 2, "--wait"),
                                (["show", "none"], 1, "no such message"),
                                (["status", "none"], 1, "no such message"),
                                (["ack", "none"], 1, "no such message"),
                                (["inbox", "--peer", "nobody"], 1, "no such peer")):
        done = lap.ctl("msg", *words)
        assert done.returncode == status and text in done.stderr, (words, done)
    done = lap.run("sh", "-c", r"printf '\377' | loopsyctl msg send desk -")
    assert done.returncode == 1 and "UTF-8" in done.stderr, done
    send(lap, "desk", "1"), send(lap, "desk", "2")
    done = lap.ctl("msg", "send", "desk", "3")
    assert done.returncode == 1 and "full" in done.stderr, done
    desk.ctl("peers", "allow", "lap", "fs:rw", check=True)
    wait_until(lambda: "does not take messages" in lap.ctl("msg", "send", "desk", "4").stderr, 60, "EACCES")


@test(each_user=True, timeout=600)
def messages_for_a_machine_that_is_away_arrive_over_restarts_of_both(t):
    desk, lap = two(t)
    desk_port, lap_port = str(desk.port()), str(lap.port())
    desk.stop()
    ids = [send(lap, "desk", str(i)) for i in range(3)]
    assert [state(lap, id) for id in ids] == ["queued"] * 3
    lap.stop()
    lap.start("--port", lap_port)
    assert [state(lap, id) for id in ids] == ["queued"] * 3
    desk.start("--port", desk_port)
    for id in ids:
        until_state(lap, id, "delivered")
    assert bodies(desk) == ["0", "1", "2"]
    lap.stop()
    desk.ctl("msg", "ack", ids[0], ids[2], check=True)
    desk.stop()
    desk.start("--port", desk_port)
    assert bodies(desk) == ["1"]
    lap.start("--port", lap_port)
    until_state(lap, ids[0], "read"), until_state(lap, ids[2], "read")
    assert state(lap, ids[1]) == "delivered"


@test(timeout=300)
def one_that_is_not_delivered_in_time_expires(t):
    desk, lap = two(t)
    port = str(desk.port())
    desk.stop()
    waiting = lap.spawn("loopsyctl", "msg", "send", "desk", "--ttl", "1", "--wait", "delivered", "late")
    id = waiting.read_line(60).strip()
    assert waiting.wait(60) == 1
    assert state(lap, id) == "expired"
    later = send(lap, "desk", "in time")
    desk.start("--port", port)
    until_state(lap, later, "delivered")
    assert bodies(desk) == ["in time"]
    assert state(lap, id) == "expired"


@test(timeout=300)
def a_broadcast_reaches_every_peer(t):
    desk, lap = two(t)
    sent = lap.ctl_json("msg", "broadcast", "lunch")
    assert [message["to"] for message in sent] == ["desk"], sent
    until_state(lap, sent[0]["id"], "delivered")
    message, = inbox(desk)
    assert message["type"] == "broadcast" and message["body"] == "lunch", message


@test(timeout=300)
def many_are_acknowledged_at_once_all_or_none(t):
    desk, lap = two(t)
    lap.sh("for i in $(seq 40); do loopsyctl msg send desk $i || exit 1; done")
    ids = wait_until(lambda: len(found := [m["id"] for m in inbox(desk)]) == 40 and found, 120, "all of them")
    done = desk.ctl("msg", "ack", *ids, "0" * 26)
    assert done.returncode == 1 and len(inbox(desk)) == 40, done
    desk.ctl("msg", "ack", *ids, check=True)
    assert inbox(desk) == []
    until_state(lap, ids[-1], "read")


@test(timeout=300)
def unpairing_removes_the_messages_of_the_peer(t):
    desk, lap = two(t)
    send(lap, "desk", "there", "--wait", "delivered")
    send(desk, "lap", "here", "--wait", "delivered")
    lap.ctl("peers", "remove", "desk", check=True)
    assert inbox(lap) == [] and lap.ctl_json("msg", "outbox") == []
    assert bodies(desk) == ["there"]


def fill_disk(t, make_disk):
    desk, lap = t.loopback("desk", "lap")
    why = make_disk(lap, lap.loopsy_home)
    if why:
        skip(why)
    for host in (desk, lap):
        host.init()
        host.start("--port", "0")
    pair(desk, lap)
    desk_port = str(desk.port())
    desk.stop()
    lap.sh("head -c 200000 /dev/zero | tr '\\0' x >body")
    accepted = []
    for _ in range(100):
        done = lap.run("sh", "-c", "loopsyctl msg send desk - <body")
        if done.returncode:
            break
        accepted.append(done.stdout.strip())
    assert done.returncode == 1 and "full" in done.stderr, done
    assert accepted
    lap_port = str(lap.port())
    lap.kill9()
    lap.start("--port", lap_port)
    assert [m["id"] for m in lap.ctl_json("msg", "outbox")] == accepted
    # Where there is room again, all goes on.
    lap.sh('rm "$1"', f"{lap.loopsy_home}/{BALLAST}")
    desk.start("--port", desk_port)
    until_state(lap, accepted[-1], "delivered")
    assert [m["id"] for m in inbox(desk)] == accepted


@test(timeout=300)
def with_the_disk_full_it_is_said_and_what_was_accepted_is_there(t):
    fill_disk(t, small_tmpfs)


@test(timeout=300)
def with_a_file_system_full_it_is_said_and_what_was_accepted_is_there(t):
    fill_disk(t, small_ext4)


# Sends numbers, one after the other, until it is told to end; writes down which ones were accepted.
SENDER = r'''n=0
while [ ! -e "$1/end" ]; do
    n=$((n + 1))
    if id=$(loopsyctl msg send "$2" "$3-$n" 2>/dev/null); then echo "$n $id" >>"$1/sent-$3"; fi
done'''

# Acknowledges what has come, some at a time (all of them or none), and writes that down. What may be
# acknowledged, but nobody said so, is acknowledged again, and then it is not there.
READER = r'''while [ ! -e "$1/end" ]; do
    loopsyctl msg inbox --json 2>/dev/null |
        python3 -c 'import json, sys
for m in json.load(sys.stdin)[:200]: print(m["id"], m["body"])' >"$1/batch" 2>/dev/null
    [ -s "$1/batch" ] || continue
    cat "$1/batch" >>"$1/seen"
    ids=$(cut -d " " -f 1 "$1/batch")
    loopsyctl msg ack $ids 2>/dev/null && printf '%s\n' $ids >>"$1/acknowledged"
done'''


def lines(host, name):
    return host.sh('cat "$1" 2>/dev/null || true', f"{host.home}/{name}").stdout.splitlines()


def restart_killed(host, port):
    host.kill9()
    host.start("--port", port)


def check_database(host):
    """Its integrity, in a copy: the daemon has been stopped."""
    check = "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute('PRAGMA integrity_check').fetchone()[0])"
    done = host.run("python3", "-c", check, f"{host.loopsy_home}/state/loopsy.db", check=True)
    assert done.stdout.strip() == "ok", done


@test(timeout=900 + 60 * ROUNDS)
def nothing_accepted_is_lost_and_nothing_comes_twice_when_daemons_are_killed(t):
    desk, lap = two(t, conf="msg_max = 1000000\n")
    ports = {host: str(host.port()) for host in (desk, lap)}
    senders = [lap.spawn("bash", "-c", SENDER, "sh", lap.home, "desk", str(i)) for i in range(WRITERS)]
    reader = desk.spawn("bash", "-c", READER, "sh", desk.home)
    chance = random.Random(5)
    for round in range(ROUNDS):
        # At a moment that depends on how far they have come.
        more = len(lines(lap, "sent-0")) + chance.randrange(1, 12)
        wait_until(lambda: len(lines(lap, "sent-0")) >= more, 120, "more to be sent")
        host = chance.choice((desk, lap))
        restart_killed(host, ports[host])
    for host in (lap, desk):
        host.sh('touch "$1/end"', host.home)
    for program in (*senders, reader):
        program.wait(300)
    sent = {i: [line.split() for line in lines(lap, f"sent-{i}")] for i in range(WRITERS)}
    last = {i: rows[-1][1] for i, rows in sent.items()}
    for id in last.values():
        wait_until(lambda: state(lap, id) in ("delivered", "read"), 300, "the last to be delivered")
    seen, came = lines(desk, "seen"), {}
    for line in seen + [f"{m['id']} {m['body']}" for m in inbox(desk)]:
        id, body = line.split()
        came.setdefault(body, id)
        assert came[body] == id, f"{body} came twice"
    order = {i: [] for i in range(WRITERS)}
    for body in came:
        i, n = map(int, body.split("-"))
        order[i].append(n)
    for i in range(WRITERS):
        assert order[i] == sorted(order[i]), f"those of {i} came in another order: {order[i]}"
        lost = [n for n, id in sent[i] if came.get(f"{i}-{n}") != id]
        assert not lost, f"of {i} these were accepted and never came: {lost}"
    acknowledged = lines(desk, "acknowledged")
    assert not set(acknowledged) & {m["id"] for m in inbox(desk)}

    def not_read():
        return set(acknowledged) - {m["id"] for m in lap.ctl_json("msg", "outbox", timeout=300) if m["state"] == "read"}
    wait_until(lambda: not not_read(), 300, "all that was acknowledged to be read")
    for host in (desk, lap):
        host.stop()
        check_database(host)
    note(f"{sum(map(len, sent.values()))} messages, of {WRITERS} senders, {len(acknowledged)} acknowledged, {ROUNDS} kills")


main()
