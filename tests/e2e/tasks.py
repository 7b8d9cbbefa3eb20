#!/usr/bin/python3
"""Tasks between agents: loopsyctl task. LOOPSY_TASK_CLAIMERS is how many claim at once (12 otherwise)."""
import json
import os
import re

from harness import *
from lib.peers import three, two

CLAIMERS = int(os.environ.get("LOOPSY_TASK_CLAIMERS", "12"))


def create(host, peer, description):
    id = host.ctl("task", "create", peer, description, check=True).stdout.strip()
    assert re.fullmatch("[0-9a-z]{13}", id), id
    return id


def tasks(host, *options):
    return host.ctl_json("task", "list", *options)


@test(timeout=300)
def a_task_is_given_claimed_done_and_seen_by_who_gave_it(t):
    desk, lap = two(t)
    id = create(lap, "desk", "run the tests\nof branch x")
    task, = tasks(desk)
    assert task == {"id": id, "from": "lap", "assignee": "desk", "description": "run the tests\nof branch x",
                    "status": "pending", "result": None}, task
    assert json.loads(desk.ctl("kv", "get", f"task:{id}", check=True).stdout) == task, "a value as documented"
    assert tasks(lap) == [] and tasks(lap, "--peer", "desk") == [task]
    assert desk.ctl("task", "claim", "--as", "worker-1", check=True).stdout == f"{id}\nrun the tests\nof branch x\n"
    running, = tasks(desk, "--status", "running")
    assert running == {**task, "status": "running", "claimed_by": "worker-1"}, running
    again = desk.ctl("task", "claim", id)
    assert again.returncode == 1 and "the task is running" in again.stderr, again
    none = desk.ctl("task", "claim")
    assert none.returncode == 1 and "no task is pending" in none.stderr, none
    waiting = lap.spawn("loopsyctl", "task", "wait", "--peer", "desk", id)
    desk.ctl("task", "done", id, "all pass", check=True)
    assert waiting.read_line() == "all pass" and waiting.wait() == 0
    done, = tasks(lap, "--peer", "desk", "--status", "done")
    assert done["result"] == "all pass", done
    assert 0 < desk.ctl_json("kv", "get", f"task:{id}")["ttl_s"] <= 7 * 24 * 3600, "it is forgotten after a week"
    late = desk.ctl("task", "fail", id, "no")
    assert late.returncode == 1 and "the task is done" in late.stderr, late


@test(timeout=300)
def a_failed_task_fails_who_waits_and_may_be_of_this_machine(t):
    desk, lap = two(t)
    id = create(lap, ".", "try")
    assert tasks(lap)[0]["assignee"] == "lap"
    early = lap.ctl("task", "done", id)
    assert early.returncode == 1 and "the task is pending" in early.stderr, early
    lap.ctl("task", "claim", id, check=True)
    text = "x" * 60000
    lap.run("sh", "-c", f"loopsyctl task fail {id} -", input=text, check=True)
    waited = lap.ctl("task", "wait", id)
    assert waited.returncode == 1 and waited.stdout == text + "\n", waited.returncode
    assert lap.ctl("task", "wait", "--json", id).returncode == 1


@test(timeout=300)
def of_many_claimers_exactly_one_gets_each_task(t):
    desk, lap, pad = three(t)
    pair(pad, lap)
    ids = [create(lap, "desk", f"task {number}") for number in range(CLAIMERS // 2)]
    # On three machines, each for itself: those of the same task at the same time.
    claims = [[host.spawn("loopsyctl", "task", "claim", *where, "--json", "--as", f"{host.name}-{number}", id)
               for number in range(CLAIMERS // 3) for host, where in ((desk, []), (lap, ["--peer", "desk"]),
                                                                      (pad, ["--peer", "desk"]))]
              for id in ids[:2]]
    for id, claimers in zip(ids, claims):
        won = [json.loads(claimer.read_line()) for claimer in claimers if claimer.wait() == 0]
        assert len(won) == 1 and won[0]["id"] == id, won
        assert [task["claimed_by"] for task in tasks(desk) if task["id"] == id] == [won[0]["claimed_by"]]
        assert all("the task is running" in claimer.error_text() for claimer in claimers if claimer.wait() != 0)
    # Whatever is pending: each of them once.
    claimers = [host.spawn("loopsyctl", "task", "claim", *where, "--json") for _ in range(CLAIMERS // 3)
                for host, where in ((desk, []), (lap, ["--peer", "desk"]), (pad, ["--peer", "desk"]))]
    won = [json.loads(claimer.read_line())["id"] for claimer in claimers if claimer.wait() == 0]
    assert sorted(won) == sorted(ids[2:]), (won, ids)
    assert tasks(desk, "--status", "pending") == []


@test(timeout=300)
def waiting_goes_on_when_the_machine_was_away(t):
    desk, lap = two(t)
    id = create(desk, "lap", "survive")
    waiting = desk.spawn("loopsyctl", "task", "wait", "--peer", "lap", "--json", id)
    lap.ctl("task", "claim", check=True)
    lap.stop()
    wait_until(lambda: desk.peer("lap")["state"] != "online", 120, "lap to be away")
    lap.start() # and it dials desk, whose address it knows
    lap.ctl("task", "done", id, "back", check=True)
    assert waiting.read_json()["result"] == "back" and waiting.wait() == 0


@test(timeout=300)
def what_is_no_task_and_what_cannot_be_is_told(t):
    desk, lap = two(t)
    id = create(lap, "desk", "real")
    desk.ctl("kv", "set", "task:strange", "[1, 2]", check=True)
    desk.ctl("kv", "set", "task:other", json.dumps({"id": "x", "from": "a", "assignee": "b", "description": "c",
                                                    "status": "pending", "result": None}), check=True)
    desk.ctl("kv", "set", "task:a/b", "x", check=True)
    assert [task["id"] for task in tasks(desk)] == [id]
    for words, text in ((["claim", "strange"], "is no task"), (["claim", "other"], "is no task"),
                        (["claim", "a/b"], "is no id"), (["done", "none"], "there is no task"),
                        (["wait", "none"], "there is no task"), (["create", "nobody", "x"], "no peer is called"),
                        (["create", "desk", ""], "empty"), (["list", "--peer", "nobody"], "no peer is called")):
        done = desk.ctl("task", *words) if words[0] != "create" else lap.ctl("task", *words)
        assert done.returncode == 1 and text in done.stderr, (words, done)
    assert desk.ctl("task", "list", "--all", "--peer", "lap").returncode == 2
    assert [task["id"] for task in tasks(lap, "--all")] == [id]
    desk.ctl("task", "claim", check=True)
    assert lap.ctl("task", "list", "--all", check=True).stdout.split()[:2] == [id, "running"]


main()
