#!/usr/bin/python3
"""What must hold of the tree itself, as TAP: who includes whom, what the READMEs list, the manual."""
import os
import re
import shutil
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# proto <- fs <- daemon, and proto <- ctl
MAY_INCLUDE = {
    "proto": {"proto"},
    "fs": {"fs", "proto"},
    "daemon": {"daemon", "fs", "proto"},
    "ctl": {"ctl", "proto"},
}
# The serving side never calls the mount side, and the other way round: they meet on the wire.
NEVER = [("daemon/serve/", "fs/"), ("fs/", "daemon/"), ("proto/", "uv.h"), ("fs/", "uv.h")]
# Folders whose README lists each of their .c and .h files.
LISTED = ["proto", "fs", "daemon", "daemon/net", "daemon/serve", "daemon/pair", "daemon/control",
          "daemon/discovery", "daemon/jobs", "daemon/keys", "daemon/kv", "daemon/msg", "daemon/watch", "ctl",
          "ctl/mcp"]

results = []


def report(name, problems):
    results.append(not problems)
    print(f"{'not ok' if problems else 'ok'} {len(results)} - docs/{name}")
    for problem in problems:
        print(f"# {problem}")


def sources(*folders):
    for folder in folders:
        for where, dirs, files in os.walk(os.path.join(TOP, folder)):
            dirs.sort()
            for file in sorted(files):
                if file.endswith((".c", ".h")):
                    yield os.path.relpath(os.path.join(where, file), TOP)


def includes(path):
    with open(os.path.join(TOP, path), encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            match = re.match(r'\s*#\s*include\s+(["<])([^">]+)[">]', line)
            if match:
                yield number, match[1] == '"', match[2]


def check_includes():
    problems = []
    for path in sources(*MAY_INCLUDE):
        room = path.split("/")[0]
        for number, ours, header in includes(path):
            if ours and header.split("/")[0] not in MAY_INCLUDE[room]:
                problems.append(f"{path}:{number}: {room} may not include {header}")
            if ours and not os.path.exists(os.path.join(TOP, header)):
                problems.append(f"{path}:{number}: {header} is not a path from the top")
            for start, target in NEVER:
                if path.startswith(start) and header.startswith(target):
                    problems.append(f"{path}:{number}: {start} never includes {header}")
    return problems


def check_names():
    problems, seen = [], {}
    for path in sources(*MAY_INCLUDE):
        base = os.path.basename(path)
        if base in seen and base != "main.c":
            problems.append(f"{path}: {seen[base]} has the same name")
        seen[base] = path
    return problems


def check_readmes():
    problems = []
    for folder in LISTED:
        readme = os.path.join(TOP, folder, "README.md")
        if not os.path.exists(readme):
            problems.append(f"{folder}/README.md is missing")
            continue
        with open(readme, encoding="utf-8") as file:
            text = file.read()
        for file in sorted(os.listdir(os.path.join(TOP, folder))):
            stem = file[:-2]
            if file.endswith((".c", ".h")) and not re.search(rf"\b{re.escape(stem)}\b", text):
                problems.append(f"{folder}/README.md says nothing of {file}")
    return problems


def check_manual():
    if not shutil.which("mandoc"):
        return ["mandoc is not installed"]
    problems = []
    for page in sorted(os.listdir(os.path.join(TOP, "man"))):
        if not re.search(r"\.[1-8]$", page):
            continue
        run = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", os.path.join(TOP, "man", page)],
                             capture_output=True, text=True)
        problems += run.stdout.splitlines()
    return problems


def check_protocol_table():
    program = os.path.join(os.environ.get("LOOPSY_BUILD_DIR", ""), "tests/manual/protocol_manual")
    if not os.path.exists(program):
        return [f"{program} is not there: set LOOPSY_BUILD_DIR"]
    run = subprocess.run([program, os.path.join(TOP, "man/loopsy-protocol.7")],
                         capture_output=True, text=True)
    return [] if run.returncode == 0 else run.stderr.splitlines() or ["differs"]


report("dependencies_point_one_way", check_includes())
report("file_names_are_unique", check_names())
report("each_readme_lists_its_files", check_readmes())
report("manual_pages_are_lint_clean", check_manual())
report("the_protocol_manual_has_the_table_of_operations", check_protocol_table())
print(f"1..{len(results)}")
sys.exit(0 if all(results) else 1)
