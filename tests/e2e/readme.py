#!/usr/bin/python3
"""The commands that README.md and the manual show do what is said there: read from them, and run as
they stand, by people at terminals, on two machines with nothing but their home directories."""
import os
import re

from harness import *
from lib.peers import two

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# A terminal: runs a command there, shows what it says, and types a line whenever one comes in.
TERMINAL = r'''import os, pty, select, sys
pid, tty = pty.fork()
if pid == 0:
    os.environ["TERM"] = "xterm"
    os.execvp("bash", ["bash", "-c", sys.argv[1]])
typed = 0
while True:
    for fd in select.select([tty, typed] if typed is not None else [tty], [], [])[0]:
        try: data = os.read(fd, 4096)
        except OSError: data = b""
        if fd == tty and not data:
            sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        if fd == typed and not data: typed = None
        else: os.write(1 if fd == tty else tty, data)
'''


def read(*path):
    with open(os.path.join(TOP, *path), encoding="utf-8") as file:
        return file.read()


def blocks(text):
    """The indented blocks, as lists of lines."""
    found = re.findall(r"(?:^(?:    .*)?\n)+", text, re.MULTILINE)
    return [block for block in ([line[4:] for line in part.strip("\n").splitlines()] for part in found)
            if any(block)]


def displays(page):
    """The commands of a manual page's displays."""
    page = read("man", page)
    text = "\n".join(re.findall(r"^\.Bd -literal.*\n([^.][\s\S]*?)^\.Ed", page, re.MULTILINE) +
                     re.findall(r"^\.Dl (.*)", page, re.MULTILINE))
    return [line for line in text.splitlines() if re.search(r"\bloopsy(ctl|d)\b", line)]


class Person:
    """Somebody at a host, with its home directory alone: no LOOPSY_HOME."""

    def __init__(self, host):
        self.host = host
        self.runtime = f"/run/user/{host.user}"
        host.sh('mkdir -p "$1" && chown "$2" "$1" && chmod 700 "$1"', self.runtime, host.user, root=True)

    def words(self, command):
        return ["env", "-u", "LOOPSY_HOME", f"XDG_RUNTIME_DIR={self.runtime}", *command]

    def does(self, line, **options):
        done = self.host.run(*self.words(["bash", "-c", line]), **options)
        assert done.returncode == 0, (line, done)
        return done.stdout

    def at_a_terminal(self, line):
        return Terminal(self.host.spawn(*self.words(["python3", "-uc", TERMINAL, line])))


class Terminal:
    def __init__(self, program):
        self.program, self.seen = program, ""

    def shows(self, pattern):
        """Waits until it has shown that; returns the match."""
        def found():
            self.seen += self.program.read_some()
            return re.search(pattern, self.seen)
        return wait_until(found, 60, f"{pattern!r}; seen: {self.seen}")

    def types(self, text):
        self.program.write(text)

    def ends(self):
        self.program.close_input()
        assert self.program.wait(60) == 0, self.seen + self.program.read_some()


def as_pattern(line, **names):
    """What a terminal shows, but for addresses, codes and what is left out."""
    line = re.sub(r"\d+\.\d+\.\d+\.\d+:\d+", "ADDRESS", line)
    line = re.escape(line).replace("ADDRESS", r"[0-9.]+:[0-9]+").replace(re.escape("…"), ".*")
    for old, new in names.items():
        line = re.sub(rf"\b{old}\b", new, line)
    return re.sub(r"\\ ", r"\\s+", line)


def pair_as_shown(one, other, dial, lines):
    """desk waits, lap dials; both see what the README shows, and say yes."""
    on_desk = one.at_a_terminal("loopsyctl pair")
    assert f"loopsyctl pair {one.host.address}:" in on_desk.shows(r"There, run one of:\s[\s\S]*Ctrl-C")[0]
    on_lap = other.at_a_terminal(dial)
    codes = []
    for terminal, name in ((on_desk, "lap"), (on_lap, "desk")):
        codes.append(terminal.shows(r"\b(\d{3} \d{3})\b")[1])
        for line in filter(None, lines[1:]):
            terminal.shows(as_pattern(line.strip(), desk=name))
    assert re.fullmatch(r"\d{3} \d{3}", lines[0].strip()), lines
    assert codes[0] == codes[1], codes
    for terminal in (on_desk, on_lap):
        terminal.types("yes\n")
    for terminal in (on_desk, on_lap):
        terminal.ends()


@test(each_user=True, timeout=600)
def a_minute_works_as_written(t):
    section = read("README.md").split("\n## ")[1]
    assert section.startswith("A minute\n"), section[:40]
    building, starting, *pairing, using, (running,) = blocks(section)
    pairing = [line for block in pairing for line in block]
    # What contrib/check does in its release stage; the rest are commands for the two machines.
    assert [line.split()[0] for line in building] == ["contrib/install-needs", "meson", "sudo"], building
    inline = re.findall(r"`(loopsyctl [^`]*)`", section)
    assert inline[:3] == ["loopsyctl pair", "loopsyctl pair ADDRESS", "loopsyctl peers discovered"], inline

    desk, lap = hosts = t.lan("desk", "lap")
    people = on_desk, on_lap = [Person(host) for host in hosts]
    for host, person in zip(hosts, people):
        # The README's machines are called what they are called.
        for line in starting:
            person.does(line + f" --name {host.name}" if line.endswith(" init") else line)
    wait_until(lambda: "desk" in on_lap.does(inline[2]), 60, "desk is discovered")
    pair_as_shown(on_desk, on_lap, inline[1].replace("ADDRESS", desk.address), pairing)
    wait_until(lambda: "online" in on_lap.does("loopsyctl peers"), 60, "desk is online")

    desk.sh("mkdir photos; echo one >photos/one.jpg; echo two >photos/two.jpg; echo note >notes.txt")
    listing, copying, editing = using
    # desk's own mount is there as an empty directory
    assert on_lap.does(listing).split() == ["loopsy", "notes.txt", "photos"]
    on_lap.does(copying)
    assert lap.sh("cat one.jpg two.jpg").stdout == "one\ntwo\n"
    assert editing.startswith("vim "), editing
    vim = on_lap.at_a_terminal(editing)
    vim.shows("note")
    vim.types("Anew \x1b:wq\r")
    vim.ends()
    assert desk.sh("cat notes.txt").stdout == "notenew \n"

    assert on_lap.does(running).startswith("Linux"), running
    status, doctor, allow, remove = inline[3:7]
    assert "desk" in on_lap.does(status)
    assert on_lap.host.run(*on_lap.words(["bash", "-c", doctor])).stdout
    on_desk.does(allow.replace(" desk ", " lap "))
    wait_until(lambda: lap.run("touch", lap.home + "/loopsy/desk/new").returncode != 0, 60, "only reading")
    assert on_lap.does("cat ~/loopsy/desk/notes.txt") == "notenew \n"
    on_desk.does(remove.replace(" desk", " lap"))
    wait_until(lambda: lap.run("cat", lap.home + "/loopsy/desk/notes.txt").returncode != 0, 60, "its end")
    for person in people:
        person.does("loopsyctl stop")


@test(timeout=600)
def examples_of_the_manual_work(t):
    init, start, wait, dial, read_only, addresses, *running, completions = displays("loopsyctl.1")
    print_config, = displays("loopsy.conf.5")
    assert displays("loopsyd.8") == []
    desk, lap = t.lan("desk", "lap", avahi=False)
    on_desk, on_lap = Person(desk), Person(lap)
    for host, person in ((desk, on_desk), (lap, on_lap)):
        person.does(f"{init} --name {host.name}")
        person.does(start)
    assert wait == "loopsyctl pair" and read_only == f"{wait} --allow fs:ro", (wait, read_only)
    waiting = on_desk.at_a_terminal(read_only)
    waiting.shows("Waiting")
    calling = on_lap.at_a_terminal(dial.replace("ADDRESS", desk.address))
    for terminal in (waiting, calling):
        terminal.shows(r"\[no\]: ")
        terminal.types("yes\n")
    waiting.ends(), calling.ends()
    wait_until(lambda: on_lap.does(addresses).strip(), 60, "an address of who is online")
    assert on_lap.does(addresses).startswith(desk.address + ":"), on_lap.does(addresses)
    desk.sh("echo f >f")
    assert on_lap.does("cat ~/loopsy/desk/f") == "f\n"
    assert lap.run("touch", lap.home + "/loopsy/desk/new").returncode != 0
    on_desk.does("loopsyctl peers allow lap fs:rw,exec")
    desk.sh("mkdir project; printf '#!/bin/sh\necho built\n' >project/build; chmod 755 project/build; "
            "echo needle >project/hay")
    lap.sh("mkdir notes; echo n >notes/n")
    watch, found = running.pop(5), running.pop()
    name, _, here, left, done = (on_lap.does(line) for line in running)
    assert name.strip() and desk.sh("cat notes/n").stdout == "n\n"
    assert (here, left, done) == ("built\n", "build\n", "built\n"), (here, left, done)
    assert on_lap.does(found) == f"{lap.home}/loopsy/desk/project/hay:1:needle\n"
    lap.sh("printf 'check:\n\t@echo checked\n' >Makefile")
    watching = on_lap.at_a_terminal(watch)
    watching.shows("watching on desk")
    desk.sh("echo more >>project/hay")
    watching.shows("checked")
    watching.types("\x03")
    assert watching.program.wait(60) == 130
    # The example of loopsy.conf(5) is a configuration, and what is printed is one too.
    example = re.search(r"^\.Bd -literal.*\n(name = [\s\S]*?)^\.Ed", read("man", "loopsy.conf.5"), re.MULTILINE)
    desk.sh('mkdir -p Music/private; echo la >Music/song; cat >.config/loopsy/loopsy.conf', input=example[1])
    printed = on_desk.does(print_config)
    assert "[export music]" in printed and re.search(r"^allow = fs:ro,msg$", printed, re.MULTILINE), printed
    on_desk.does("loopsyctl restart")
    wait_until(lambda: lap.run("ls", lap.home + "/loopsy/desk").stdout == "song\n", 60, "its one export")
    assert "loopsyctl" in on_lap.does(completions + "; complete -p loopsyctl")
    for person in (on_desk, on_lap):
        person.does("loopsyctl stop")


def transcripts(page):
    """Of a manual page's displays with commands: a script each, and what it must print."""
    for display in re.findall(r"^\.Bd -literal -offset indent\n(\$ [\s\S]*?)^\.Ed", read("man", page), re.MULTILINE):
        lines = display.replace("\\e", "\\").splitlines()
        yield "\n".join(line[2:] for line in lines if line.startswith("$ ")), \
            "".join(line + "\n" for line in lines if not line.startswith("$ "))


@test(timeout=300)
def examples_of_control_files_work(t):
    examples = list(transcripts("loopsy-control.7"))
    assert len(examples) > 10, examples
    desk, lap = two(t)
    for shell in ("bash", "dash"):
        desk.sh('echo "lunch?" >"$1"', desk.peer_path("lap", ".loopsy/messages/send"))
        wait_until(lambda: lap.ctl_json("msg", "inbox"), 60, "what desk sent")
        for script, expected in examples:
            done = lap.run(shell, "-c", f'cd "$0"\n{script}', lap.peer_path("desk", ".loopsy"))
            pattern = re.escape(expected).replace(re.escape("..."), ".*")
            assert re.fullmatch(pattern, done.stdout), (shell, script, done, expected)
        lap.sh('cd "$1/.loopsy"; for job in jobs/*; do rmdir "$job"; done; rmdir ../src', lap.peer_path("desk"))


main()
