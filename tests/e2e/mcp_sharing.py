#!/usr/bin/python3
"""What agents share through loopsyctl mcp: values, messages and tasks."""
import json
import os

from harness import *
from lib.mcp import Mcp, text_of
from lib.peers import three, two


def answered(server, tool, **arguments):
    """The whole result."""
    result = server.answer(server.start_call(tool, arguments))
    assert not result.get("isError"), (tool, arguments, result)
    return result


def size_of(result):
    return len(json.dumps(result, ensure_ascii=False).encode())


# ---- values ----

@test(timeout=300)
def a_value_is_set_got_listed_and_deleted_here_and_on_a_peer(t):
    desk, lap = two(t)
    server = Mcp(lap)
    for where, host, machine, base in (({}, lap, "this machine", lap.mount), ({"peer": "desk"}, desk, "desk",
                                                                              lap.mount + "/desk")):
        set = server.call("loopsy_context_set", key="plan/b", value="tests first\n", ttl=3600, **where)
        assert set["machine"] == machine and set["key"] == "plan/b", set
        assert host.ctl("kv", "get", "plan/b", check=True).stdout == "tests first\n"
        result = answered(server, "loopsy_context_get", key="plan/b", **where)
        got = result["structuredContent"]
        assert got["value"] == "tests first\n" and got["from"] == "lap" and got["version"] == set["version"], got
        assert 3500 < got["ttl_s"] <= 3600 and "truncated" not in got, got
        assert text_of(result) == "[data from lap]\ntests first\n", result
        assert got["path"] == f"{base}/.loopsy/kv/plan%2Fb", got
        assert lap.sh('cat "$1"', got["path"]).stdout == "tests first\n"
        listed = server.call("loopsy_context_list", prefix="plan/", **where)
        assert [entry["key"] for entry in listed["entries"]] == ["plan/b"] and not listed["more"], listed
        assert "loopsy_context_list" in server.call_fails("loopsy_context_get", key="none", **where)
        assert server.call("loopsy_context_delete", key="plan/b", **where)["version"] > set["version"]
        assert "no such key" in server.call_fails("loopsy_context_delete", key="plan/b", **where)
        assert server.call("loopsy_context_list", **where)["entries"] == []
    assert "loopsy_list_peers" in server.call_fails("loopsy_context_get", key="x", peer="nobody")
    desk.stop()
    wait_until(lambda: lap.peer("desk")["state"] == "offline", 120, "desk to be offline")
    assert "offline" in server.call_fails("loopsy_context_set", key="x", value="y", peer="desk")
    server.finish()


@test(timeout=300)
def of_several_writers_with_a_version_one_wins(t):
    desk, lap = two(t)
    servers = [Mcp(host) for host in (lap, lap, lap, lap)]
    first = servers[0].call("loopsy_context_set", key="turn", value="0", peer="desk", if_version=0)
    ids = [server.start_call("loopsy_context_set", {"key": "turn", "value": str(number), "peer": "desk",
                                                    "if_version": first["version"]})
           for number, server in enumerate(servers)]
    results = [server.answer(id) for server, id in zip(servers, ids)]
    won = [number for number, result in enumerate(results) if not result.get("isError")]
    assert len(won) == 1, results
    assert all("another version" in text_of(result) for result in results if result.get("isError")), results
    assert desk.ctl("kv", "get", "turn").stdout == str(won[0])
    for server in servers:
        server.finish()


@test(timeout=300)
def a_large_value_and_a_long_list_cost_little_and_are_there_in_the_mount(t):
    desk, lap = two(t)
    text = "".join(f"line {i} of äöü\n" for i in range(20000))
    desk.run("sh", "-c", "loopsyctl kv set large -", input=text, check=True)
    desk.sh("head -c 300000 /dev/urandom >r; loopsyctl kv set --file r random")
    server = Mcp(lap)
    result = answered(server, "loopsy_context_get", key="large", peer="desk")
    got = result["structuredContent"]
    assert size_of(result) < 12 * 1024, size_of(result)
    assert got["truncated"] and got["value"].startswith("line 0 of") and got["value"].endswith(text[-20:]), got
    assert got["path"] in got["value"] and got["size"] == len(text.encode()), got
    assert lap.sh('cat "$1"', got["path"]).stdout == text
    got = server.call("loopsy_context_get", key="random", peer="desk")
    assert "value" not in got and got["size"] == 300000, got
    assert got["sha256"] in desk.sh("sha256sum r").stdout
    desk.sh('for i in $(seq 250); do echo "value $i"; done | while read -r v; do loopsyctl kv set "key/$v" x; done')
    seen, after = [], {}
    while True:
        result = answered(server, "loopsy_context_list", prefix="key/", peer="desk", **after)
        assert size_of(result) < 14 * 1024, size_of(result)
        page = result["structuredContent"]
        seen += [entry["key"] for entry in page["entries"]]
        if not page["more"]:
            break
        after = {"after": page["entries"][-1]["key"]}
    assert sorted(seen) == sorted(f"key/value {i}" for i in range(1, 251))
    server.finish()


@test(timeout=300)
def a_broadcast_reaches_every_peer_and_says_which_it_did_not(t):
    desk, lap, pad = three(t)
    pair(lap, pad)
    server = Mcp(lap)
    sent = server.call("loopsy_broadcast_context", key="motd", value="hello")
    assert sent["n_ok"] == 3 and sent["n_failed"] == 0, sent
    assert {result["machine"] for result in sent["results"]} == {"this machine", "desk", "pad"}, sent
    for host in (desk, lap, pad):
        assert host.ctl("kv", "get", "motd").stdout == "hello"
    pad.stop()
    wait_until(lambda: lap.peer("pad")["state"] == "offline", 120, "pad to be offline")
    result = answered(server, "loopsy_broadcast_context", key="motd", value="again")
    sent = result["structuredContent"]
    assert sent["n_ok"] == 2 and sent["n_failed"] == 1, sent
    failed, = (result for result in sent["results"] if not result["ok"])
    assert failed["machine"] == "pad" and "offline" in failed["error"], failed
    assert "set on 2 of 3 machines\npad: " in text_of(result), result
    assert desk.ctl("kv", "get", "motd").stdout == "again"
    server.finish()


# ---- messages ----

@test(timeout=300)
def a_message_is_sent_read_acknowledged_and_checked(t):
    desk, lap = two(t)
    ours, theirs = Mcp(lap), Mcp(desk)
    sent, = ours.call("loopsy_send_message", peer="desk", body="build is red\nsince noon", type="request")["sent"]
    id = sent["message_id"]
    assert sent["peer"] == "desk", sent
    wait_until(lambda: theirs.call("loopsy_check_inbox")["messages"], 60, "the message")
    result = answered(theirs, "loopsy_check_inbox")
    message, = result["structuredContent"]["messages"]
    assert message["message_id"] == id and message["from"] == "lap" and message["type"] == "request", message
    assert message["body"] == "build is red\nsince noon" and "truncated" not in message, message
    assert f"{id}, request\n[data from lap]\nbuild is red" in text_of(result), result
    assert json.loads(desk.sh('cat "$1"', message["path"]).stdout)["body"] == message["body"]
    wait_until(lambda: ours.call("loopsy_check_ack", message_id=id)["state"] == "delivered", 60, "its receipt")
    answer, = theirs.call("loopsy_send_message", peer="lap", body="fixed", type="response", reply_to=id)["sent"]
    assert theirs.call("loopsy_ack_message", message_id=id) == {"message_id": id, "from": "lap"}
    assert "loopsy_check_inbox" in theirs.call_fails("loopsy_ack_message", message_id=id)
    wait_until(lambda: ours.call("loopsy_check_ack", message_id=id)["state"] == "read", 60, "its acknowledgement")
    assert set(ours.call("loopsy_check_ack", message_id=id)) == {"message_id", "to", "state", "queued_at",
                                                                 "delivered_at", "read_at"}
    wait_until(lambda: ours.call("loopsy_check_inbox", peer="desk")["messages"], 60, "the answer")
    assert ours.call("loopsy_check_inbox")["messages"][0]["reply_to"] == id
    for fails, words in (({"peer": "nobody", "body": "x"}, "nobody"), ({"body": "x"}, "give peer"),
                         ({"peer": "desk", "body": "x", "type": "broadcast"}, "leave peer out")):
        assert words in ours.call_fails("loopsy_send_message", **fails)
    assert "no such message" in ours.call_fails("loopsy_check_ack", message_id="none")
    ours.finish(), theirs.finish()


@test(timeout=300)
def an_inbox_of_many_and_large_messages_comes_in_small_pages(t):
    desk, lap = two(t)
    large = "".join(f"line {i} of äöü\n" for i in range(5000))
    desk.run("sh", "-c", "loopsyctl msg send lap -", input=large, check=True)
    desk.sh('seq 60 | while read -r i; do loopsyctl msg send lap "message $i" </dev/null; done')
    desk.sh("printf '%s' \"$(printf 'x%.0s' $(seq 3000))\" >three; for i in 1 2 3 4 5; do loopsyctl msg send lap - <three; done")
    wait_until(lambda: len(lap.ctl_json("msg", "inbox")) == 66, 120, "all")
    server = Mcp(lap)
    messages, after = [], {}
    while True:
        result = answered(server, "loopsy_check_inbox", **after)
        assert size_of(result) < 16 * 1024, size_of(result)
        page = result["structuredContent"]
        messages += page["messages"]
        if not page["more"]:
            break
        after = {"after": page["next_after"]}
    assert len(messages) == 66, len(messages)
    assert messages[0]["truncated"] and large.startswith(messages[0]["body"]) and len(messages[0]["body"]) > 3000
    assert json.loads(lap.sh('cat "$1"', messages[0]["path"]).stdout)["body"] == large
    assert [message["body"] for message in messages[1:61]] == [f"message {i}" for i in range(1, 61)]
    assert all(message["body"] == "x" * 3000 for message in messages[61:])
    server.finish()


@test(timeout=300)
def a_broadcast_is_a_message_to_each_peer(t):
    desk, lap, pad = three(t)
    pair(lap, pad)
    server = Mcp(lap)
    sent = server.call("loopsy_send_message", body="hello all", type="broadcast")["sent"]
    assert {one["peer"] for one in sent} == {"desk", "pad"} and len({one["message_id"] for one in sent}) == 2, sent
    for host in (desk, pad):
        wait_until(lambda: host.ctl_json("msg", "inbox"), 60, "the message")
        assert host.ctl_json("msg", "inbox")[0]["body"] == "hello all"
    server.finish()


# ---- tasks ----

@test(timeout=300)
def a_task_is_given_taken_by_one_agent_and_finished(t):
    desk, lap = two(t)
    ours, worker, other = Mcp(lap), Mcp(desk), Mcp(lap)
    made = ours.call("loopsy_task_create", peer="desk", description="run the tests\nof branch x")
    assert made["status"] == "pending", made
    listed, = worker.call("loopsy_task_list", status="pending")["tasks"]
    assert listed["id"] == made["id"] and listed["from"] == "lap", listed
    ids = [(server, server.start_call("loopsy_task_claim", {"id": made["id"], **where}))
           for server, where in ((worker, {}), (other, {"peer": "desk"}), (worker, {}), (other, {"peer": "desk"}))]
    results = [server.answer(id) for server, id in ids]
    won = [result for result in results if not result.get("isError")]
    assert len(won) == 1, results
    assert "[data from lap]\nrun the tests\nof branch x" in text_of(won[0]), won
    assert all("the task is running" in text_of(result) for result in results if result not in won), results
    assert "no task is pending" in worker.call_fails("loopsy_task_claim")
    finished = worker.call("loopsy_task_finish", id=made["id"], status="done", result="all pass")
    assert finished == {"id": made["id"], "status": "done"}, finished
    result = answered(ours, "loopsy_task_list", peer="desk")
    assert result["structuredContent"]["tasks"][0]["result"] == "all pass", result
    assert f"{made['id']} done: run the tests -> all pass" in text_of(result), result
    assert "the task is done" in worker.call_fails("loopsy_task_finish", id=made["id"], status="failed")
    assert "nobody" in ours.call_fails("loopsy_task_create", peer="nobody", description="x")
    for server in (ours, worker, other):
        server.finish()


@test(timeout=300)
def long_and_many_tasks_cost_little(t):
    desk, lap = two(t)
    server = Mcp(lap)
    text = "".join(f"step {i}: äöü\n" for i in range(3000))
    server.call("loopsy_task_create", peer="desk", description=text)
    for number in range(30):
        server.call("loopsy_task_create", peer="desk", description=f"task {number} " + "x" * 1000)
    result = answered(server, "loopsy_task_list", peer="desk")
    page = result["structuredContent"]
    assert size_of(result) < 16 * 1024 and len(page["tasks"]) == 20 and page["more"], size_of(result)
    result = answered(server, "loopsy_task_claim", peer="desk")
    task = result["structuredContent"]
    assert size_of(result) < 12 * 1024 and task["truncated"] and text.startswith(task["description"]), size_of(result)
    assert json.loads(lap.sh('cat "$1"', task["path"]).stdout)["description"] == text
    server.finish()


# ---- keys ----

@test(timeout=300)
def a_limited_key_limits_the_tools_and_its_end_is_told(t):
    desk, lap, pad = three(t)
    pair(lap, pad)
    key = lap.ctl("key", "generate", "--name", "agent", "--allow", "kv,msg", "--peers", "desk", check=True).stdout.strip()
    server = Mcp(lap, env={"LOOPSY_API_KEY": key})
    server.call("loopsy_context_set", key="a", value="b", peer="desk")
    assert "'agent' is not for pad" in server.call_fails("loopsy_context_set", key="a", value="b", peer="pad")
    assert "'agent' is not for this machine" in server.call_fails("loopsy_context_get", key="a")
    assert server.call("loopsy_broadcast_context", key="a", value="c")["n_ok"] == 1
    desk.ctl("msg", "send", "lap", "--wait", "delivered", "hi", check=True)
    other = pad.ctl("msg", "send", "lap", "--wait", "delivered", "hi", check=True).stdout.strip()
    assert "name one of desk" in server.call_fails("loopsy_check_inbox")
    message, = server.call("loopsy_check_inbox", peer="desk")["messages"]
    assert "no such message" in server.call_fails("loopsy_ack_message", message_id=other)
    server.call("loopsy_ack_message", message_id=message["message_id"])
    assert [peer["name"] for peer in server.call("loopsy_list_peers")["peers"]] == ["desk"]
    lap.ctl("key", "revoke", "agent", check=True)
    assert "key" in server.call_fails("loopsy_context_get", key="a", peer="desk")
    assert "key" in server.call_fails("loopsy_list_peers"), "also on a new connection"
    server.finish()


@test(timeout=300)
def a_key_that_may_only_read_keeps_files_as_they_are(t):
    desk, lap = two(t)
    desk.sh("echo here >file")
    lap.sh("echo mine >own")
    key = lap.ctl("key", "generate", "--name", "reader", "--allow", "fs:ro", "--peers", "desk", check=True).stdout.strip()
    server = Mcp(lap, env={"LOOPSY_API_KEY": key})
    names = json.dumps(server.call("loopsy_list_remote_files", peer="desk", path="."))
    assert "file" in names, names
    copied = server.call("loopsy_transfer_file", peer="desk", direction="pull", source_path="file",
                         dest_path=lap.home + "/copy")
    assert copied["bytes"] == 5 and lap.sh("cat copy").stdout == "here\n", copied
    why = server.call_fails("loopsy_transfer_file", peer="desk", direction="push", source_path=lap.home + "/own",
                            dest_path="file")
    assert "the API key 'reader' does not allow fs:rw" in why, why
    assert "does not allow exec" in server.call_fails("loopsy_execute", peer="desk", command="true")
    assert "does not allow msg" in server.call_fails("loopsy_check_inbox")
    assert "does not allow kv" in server.call_fails("loopsy_task_claim", peer="desk")
    assert desk.sh("cat file").stdout == "here\n"
    log = [json.loads(line) for line in lap.ctl("logs", "-n", "1000", "--json", check=True).stdout.splitlines()]
    assert {line["what"] for line in log if line["outcome"] == "denied"} >= {"ctl_may", "job_start", "msg_list", "kv_list"}
    server.finish()


main()
