"""Clients of others, from npm: installed once, beside the build; nothing of them is ours."""
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import time

TESTS = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SOURCES = os.path.join(TESTS, "mcp")
OLDEST_NODE = 20
SECONDS, LATER = 300, 600
UNREACHABLE = re.compile(r"ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ECONNREFUSED|ECONNRESET|ENETUNREACH|EHOSTUNREACH|"
                         r"ERR_SOCKET_TIMEOUT|ENOTCACHED|E50[0-9]|E40[1347]|network timeout|timed out")


class Unreachable(Exception):
    """Why the packages cannot be had here."""


def place(build):
    """Where they are, or are to be: the versions of each package-lock.json have a folder."""
    with open(os.path.join(SOURCES, "package-lock.json"), "rb") as file:
        key = hashlib.sha256(file.read()).hexdigest()[:16]
    top = os.environ.get("LOOPSY_MCP_CLIENTS") or os.path.join(build, "tests", "mcp-clients")
    return os.path.join(top, key)


def install(build):
    """Makes them be there; returns the folder with node_modules. Raises Unreachable."""
    check_node()
    folder = place(build)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(os.path.join(folder, "complete")):
            fetch(folder)
    return folder


def check_node():
    for program in ("node", "npm"):
        if not shutil.which(program):
            raise Unreachable(f"{program} is not installed")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    if int(re.match(r"v(\d+)", version)[1]) < OLDEST_NODE:
        raise Unreachable(f"node {version.strip()} is too old: {OLDEST_NODE} is needed")


def fetch(folder):
    refused = os.path.join(folder, "unreachable")
    if os.path.exists(refused) and time.time() - os.path.getmtime(refused) < LATER:
        with open(refused, encoding="utf-8") as file:
            raise Unreachable(file.read())
    for name in ("package.json", "package-lock.json"):
        shutil.copy(os.path.join(SOURCES, name), folder)
    # Not `ci`: it insists on an optional package that was never published.
    words = ["npm", "install", "--no-save", "--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund",
             "--prefer-offline", "--fetch-retries=1", "--fetch-timeout=30000"]
    try:
        done = subprocess.run(words, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=SECONDS, check=False)
        failure = done.returncode and done.stderr[-2000:]
    except subprocess.TimeoutExpired:
        failure = "npm timed out"
    if not failure:
        open(os.path.join(folder, "complete"), "w", encoding="utf-8").close()
        return
    if not UNREACHABLE.search(failure):
        raise AssertionError(f"{' '.join(words)} in {folder}:\n{failure}")
    why = "npm cannot be reached: " + UNREACHABLE.search(failure)[0]
    with open(refused, "w", encoding="utf-8") as file:
        file.write(why)
    raise Unreachable(why)


def prepare(t):
    """A folder of the test's own with our programs, from which they find the packages."""
    folder = os.path.join(t.directory, "mcp")
    if not os.path.exists(folder):
        modules = os.path.join(install(t.build), "node_modules")
        os.mkdir(folder)
        os.symlink(modules, os.path.join(folder, "node_modules"))
        for name in os.listdir(SOURCES):
            if name.endswith(".mjs"):
                shutil.copy(os.path.join(SOURCES, name), folder)
    return folder
