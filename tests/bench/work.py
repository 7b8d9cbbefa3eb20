#!/usr/bin/python3
"""work.py WHAT PATH [N]: does one thing in a mounted directory and prints how many seconds it took.

    read FILE          one after the other, in pieces of 1 MiB
    write FILE MIB     new, in pieces of 1 MiB, with fsync
    create DIR N       N files of 4 KiB in a new directory
    open DIR           opens, reads and closes every file below, in the order of their names
    find DIR           find(1)
    status DIR         git status
"""
import os
import subprocess
import sys
import time

MIB = 1 << 20


def read(path):
    piece = bytearray(MIB)
    with open(path, "rb", buffering=0) as file:
        while file.readinto(piece):
            pass


def write(path, mib):
    piece = os.urandom(MIB)
    with open(path, "xb", buffering=0) as file:
        for _ in range(int(mib)):
            left = memoryview(piece)
            while left:
                left = left[file.write(left):]
        os.fsync(file.fileno())


def create(path, n):
    content = os.urandom(4096)
    os.mkdir(path)
    for i in range(int(n)):
        with open(f"{path}/f{i:05}", "xb", buffering=0) as file:
            assert file.write(content) == len(content)


def open_all(path):
    for where, dirs, files in os.walk(path):
        dirs.sort()
        for name in sorted(files):
            with open(os.path.join(where, name), "rb", buffering=0) as file:
                while file.read(65536):
                    pass


def find(path):
    subprocess.run(["find", path], check=True, stdout=subprocess.DEVNULL)


def status(path):
    # What the files' owner is over the mount does not matter here.
    done = subprocess.run(["git", "-c", "safe.directory=*", "-C", path, "status", "--porcelain"],
                          check=True, stdout=subprocess.PIPE)
    assert done.stdout == b"", f"git sees changes: {done.stdout[:200]}"


WORKS = {"read": read, "write": write, "create": create, "open": open_all, "find": find,
         "status": status}

began = time.monotonic()
WORKS[sys.argv[1]](*sys.argv[2:])
print(time.monotonic() - began)
