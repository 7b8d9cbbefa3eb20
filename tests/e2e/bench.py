#!/usr/bin/python3
"""The benchmark (tests/bench) works: tiny sizes, and its figures are looked at by nobody."""
import json
import os
import shutil

from harness import *
from lib import mcp_modules

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def run_bench(t, *arguments):
    """The values of its --json: a list, a delay each."""
    if t.sanitizer != "none":
        skip("sanitizers are no way to measure")
    missing = [name for name in ("sshfs", "ssh", "git") if not shutil.which(name)]
    if missing or os.geteuid() != 0:
        skip(f"needs {' '.join(missing) or 'root, for namespaces'}")
    file = os.path.join(t.directory, "values.json")
    done = run([f"{TESTS}/bench/run", t.build, "--smoke", "--json", file, *arguments], timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    with open(file, encoding="utf-8") as values:
        return done.stdout, json.load(values)


def has_node(t):
    """Or the bench does without, and says so."""
    try:
        return bool(mcp_modules.install(t.build))
    except mcp_modules.Unreachable as why:
        note(f"without node: {why}")
        return False


@test(timeout=900)
def all_rows_are_measured_for_everyone(t):
    table, (values,) = run_bench(t, "--baseline", t.build, "--only",
                                 "loopsy,before,sshfs,tls,ssh,disk,node")
    for row, measured in values["values"].items():
        assert {"loopsy", "before"} <= set(measured), (row, measured)
        if row.startswith(("kv_", "message_")):
            assert ("disk" in measured) == ("_set_" in row), (row, measured)
        elif row.startswith("mcp_"):
            assert ("node" in measured) == has_node(t), (row, measured)
        else:
            assert ("sshfs" in measured) != ("ssh" in measured), (row, measured)
    assert {"tls", "loopsy"} <= set(values["values"]["read_cold"])
    assert table.count("\n| ") == len(values["values"]) + 8, table


@test(timeout=900)
def a_delay_is_between_the_two(t):
    _, values = run_bench(t, "--delay", "20", "--only", "loopsy,tls", "--rows", "random")
    for who, (per_second,) in values[0]["values"]["random_1"].items():
        assert per_second <= 50, f"{who} went there and back {per_second} times in a second"


main()
