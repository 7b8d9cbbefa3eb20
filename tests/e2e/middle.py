#!/usr/bin/python3
"""Somebody sits between two machines that pair, and speaks TLS with both."""
from harness import *


def attack(t, how):
    """Two hosts with daemons, and a mitm that lap calls in place of desk: (desk, lap, their pair
    commands, the mitm)."""
    desk, lap = t.loopback("desk", "lap")
    for host in (desk, lap):
        host.init()
        host.start("--port", "0")
    on_desk = desk.spawn(f"{desk.build}/ctl/loopsyctl", "pair", "--json")
    port = answer(desk, on_desk, "waiting", 60)["port"]
    mitm = lap.spawn(t.program(lap, "mitm"), how, port, "lap", "desk")
    word, mitm_port = mitm.read_line().split()
    assert word == "port", word
    on_lap = lap.spawn(f"{lap.build}/ctl/loopsyctl", "pair", "--json", f"127.0.0.1:{mitm_port}")
    return desk, lap, on_desk, on_lap, mitm


def until_the_end(command):
    """The events up to the last one, which must be a failure."""
    events = []
    while not events or events[-1]["event"] not in ("failed", "paired"):
        events.append(command.read_json())
    assert events[-1]["event"] == "failed", events
    assert command.wait() == 1
    return events


def nobody_is_paired(*hosts):
    for host in hosts:
        peers = host.ctl_json("peers")
        assert peers == [], f"{host.name} has {peers}"


def mitm_ended(mitm):
    """What it printed until both of its connections were over."""
    lines = []
    while line := mitm.read_line():
        lines.append(line)
    assert mitm.wait() == 0, mitm.error_text()
    return lines


@test
def a_relay_is_noticed_before_the_caller_sees_a_code(t):
    desk, lap, on_desk, on_lap, mitm = attack(t, "relay")
    events = until_the_end(on_lap)
    assert "code" not in [event["event"] for event in events], events
    assert "not the one committed to" in events[-1]["error"], events
    # desk, which is called, has shown its code by then: it is for nobody.
    until_the_end(on_desk)
    mitm_ended(mitm)
    nobody_is_paired(desk, lap)


@test
def who_pairs_with_both_cannot_make_their_codes_equal(t):
    desk, lap, on_desk, on_lap, mitm = attack(t, "pair")
    code_on_desk = answer(desk, on_desk, "code", 60)["code"]
    code_on_lap = answer(lap, on_lap, "code", 60)["code"]
    assert code_on_desk != code_on_lap # but for once in a million times

    # Each user types what the other's screen shows.
    on_desk.write(code_on_lap + "\n")
    on_lap.write(code_on_desk + "\n")
    for command in (on_desk, on_lap):
        assert "codes differ" in until_the_end(command)[-1]["error"]

    said = mitm_ended(mitm)
    assert f"code called {code_on_desk}" in said, said
    assert f"code caller {code_on_lap}" in said, said
    nobody_is_paired(desk, lap)
    # They are still able to pair with each other.
    pair(desk, lap)


@test
def one_no_on_each_side_ends_it(t):
    desk, lap, on_desk, on_lap, mitm = attack(t, "pair")
    answer(desk, on_desk, "code", 60)
    answer(lap, on_lap, "code", 60)
    for command in (on_desk, on_lap):
        command.write("no\n")
        until_the_end(command)
    mitm_ended(mitm)
    nobody_is_paired(desk, lap)


main()
