#!/usr/bin/python3
"""Terminals on peers: what they show, also when they are attached to again, and what is left of ours.

loopsyctl runs in a pane of a tmux, whose capture is what a person would see; the same program in a
pane beside it, run locally, is what it must look like.
"""
from harness import *


class Pane:
    """A terminal of rows x cols on a host, with a shell in it."""

    def __init__(self, host, name, rows=24, cols=80):
        self.host, self.socket = host, f"{host.home}/tmux-{name}"
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", cols, "-y", rows, "env",
                  "PS1=here$ ", "bash", "--norc", "--noprofile")
        self.tmux("set", "-g", "status", "off")
        self.resize(rows, cols)
        self.wait_for("here$")

    def tmux(self, *words):
        return self.host.run("tmux", "-S", self.socket, *words, check=True,
                             env={"LC_ALL": "C.UTF-8", "TERM": "xterm-256color"}).stdout

    def resize(self, rows, cols):
        self.tmux("resize-window", "-x", cols, "-y", rows)

    def type(self, text):
        self.tmux("send-keys", "-l", "--", text)

    def keys(self, *names):
        self.tmux("send-keys", *names)

    def line(self, text):
        self.type(text)
        self.keys("Enter")

    def text(self):
        return self.tmux("capture-pane", "-p")

    def screen(self):
        """Cells with their attributes; where the cursor is, and whether it is seen."""
        return self.tmux("capture-pane", "-p", "-e") + self.tmux(
            "display-message", "-p", "#{cursor_y},#{cursor_x} #{cursor_flag} #{alternate_on}")

    def wait_for(self, text):
        wait_until(lambda: text in self.text(), what=f"'{text}' on the screen {self.socket}")

    def wait_for_same(self, other):
        """Until both show the same: either may be about to draw still."""
        try:
            wait_until(lambda: self.screen() == other.screen(), what="the same screen")
        except AssertionError:
            raise AssertionError(f"{self.socket}:\n{self.screen()}\n{other.socket}:\n"
                                 f"{other.screen()}") from None

    def settings(self, name):
        """Those of the terminal line, as stty tells them."""
        self.line(f"clear; stty -g > {name}.new; mv {name}.new {name}")
        return wait_until(lambda: self.host.sh(f"cat {name}", check=False).stdout, what="stty")


def two_hosts(t):
    desk, lap = t.loopback("desk", "lap")
    for host in (desk, lap):
        host.init()
        host.start("--port", "0")
    pair(desk, lap)
    desk.sh("""echo 'PS1="there$ "' > .bash_profile; cp .bash_profile .profile
            seq -f 'line %g of a file that is looked at' 500 > file""")
    lap.sh("seq -f 'line %g of a file that is looked at' 500 > file")
    return desk, lap


def open_shell(pane, *options):
    pane.line(" ".join(["clear; loopsyctl shell desk", *options]))
    pane.wait_for("there$")


def leave(pane):
    """Detaches; only at the beginning of a line that is possible."""
    pane.keys("Enter")
    pane.type("~d")
    pane.wait_for("detached from")


@test(timeout=300)
def a_terminal_shows_the_same_when_attached_to_again(t):
    desk, lap = two_hosts(t)
    there, here = Pane(lap, "there"), Pane(lap, "here")
    open_shell(there)
    for program, word, quit in (("vim -u NONE -N file", "line 1 of", ":q!"),
                                ("less file", "line 1 of", "q")):
        for pane in (there, here):
            pane.line(f"clear; {program}")
            pane.wait_for(word)
            pane.keys("NPage", "Enter") # the next page, a line down
        there.wait_for_same(here)
        there.type("~d")
        there.wait_for("detached from")
        there.line("loopsyctl shell desk")
        there.wait_for_same(here)
        for pane in (there, here):
            pane.resize(50, 200)
        there.wait_for_same(here)
        for pane in (there, here):
            pane.line(quit)
            pane.wait_for("$")
            pane.resize(24, 80)


@test(timeout=300)
def a_terminal_in_a_terminal_is_the_same_too(t):
    desk, lap = two_hosts(t)
    there, here = Pane(lap, "there"), Pane(lap, "here")
    open_shell(there)
    for pane in (there, here):
        pane.line("clear; env -u TMUX tmux -S ~/inner -f /dev/null new -s inner env 'PS1=in$ ' bash --norc --noprofile")
        pane.wait_for("in$")
        # What it shows of the machine and the time is not the same.
        pane.line("tmux set -g status-right end \\; set -g automatic-rename off \\; rename-window w; clear")
        pane.keys("C-b", "%")
        pane.line("PS1='in$ '; clear; seq -f 'line %g' 40; printf '\\033[7mreverse\\033[0m\\n'")
        pane.wait_for("reverse")
    there.wait_for_same(here)
    there.type("~d") # the last key was Enter, or none came since
    there.wait_for("detached from")
    there.line("loopsyctl shell desk")
    there.wait_for_same(here)
    for pane in (there, here):
        pane.resize(50, 200)
    there.wait_for_same(here)
    there.type("~d")
    there.wait_for("detached from")
    there.line("loopsyctl shell desk")
    there.wait_for_same(here)
    for pane in (there, here):
        pane.line("tmux kill-server")
        pane.wait_for("exited]")


@test(timeout=300)
def what_never_stands_still_is_shown_as_to_who_stayed(t):
    desk, lap = two_hosts(t)
    leaves, stays = Pane(lap, "leaves"), Pane(lap, "stays")
    open_shell(leaves, "--name", "top")
    leaves.line("clear; exec htop -d 20") # a shell would notice that it is stopped
    leaves.wait_for("F10Quit")
    stays.line("clear; loopsyctl shell desk --name top")
    stays.wait_for("F10Quit")
    for rows, cols in ((24, 80), (50, 200)):
        stays.resize(rows, cols)
        wait_until(lambda: desk.sh('stty size <"/dev/$(ps -o tty= -p $(pgrep -x htop))"').stdout == f"{rows} {cols}\n",
                   what=f"a terminal of {rows} x {cols}")
        wait_until(lambda: "F10Quit" in stays.text().split("\n")[rows - 1], what="its last line")
        desk.sh("kill -STOP $(pgrep -x htop)")
        leaves.type("~d") # the first key since it is there
        leaves.wait_for("detached from")
        leaves.resize(rows, cols)
        leaves.line("clear; loopsyctl shell desk --name top")
        leaves.wait_for_same(stays)
        desk.sh("kill -CONT $(pgrep -x htop)")
    leaves.type("q")
    for pane in (leaves, stays):
        pane.wait_for("here$")


@test(timeout=300)
def a_client_that_is_stopped_gives_the_terminal_back_for_so_long(t):
    desk, lap = two_hosts(t)
    there, here = Pane(lap, "there"), Pane(lap, "here")
    before = there.settings("before")
    open_shell(there)
    for pane in (there, here):
        pane.line("clear; vim -u NONE -N file")
        pane.wait_for("line 1 of")
    lap.sh("kill -TSTP $(pgrep -x loopsyctl)")
    there.wait_for("Stopped")
    there.wait_for("here$")
    assert there.settings("stopped") == before
    there.line("fg")
    there.wait_for_same(here)
    for pane in (there, here):
        pane.type("ixyz") # the keys go there again
    there.wait_for("xyzline 1")
    there.wait_for_same(here)


@test(timeout=300)
def a_link_that_is_lost_is_said_and_what_it_hid_comes_back(t):
    desk, lap = t.lan("desk", "lap", avahi=False)
    for host in (desk, lap):
        host.init()
        host.start("--lan")
    pair(desk, lap, target=desk.address)
    desk.sh("echo 'PS1=\"there$ \"' > .bash_profile")
    pane = Pane(lap, "there")
    open_shell(pane)
    pane.line("clear; seq -f 'line %g' 22")
    pane.wait_for("line 22")
    before = pane.screen()
    assert "answer" not in before
    t.cut(lap)
    pane.wait_for("desk does not answer; ~. to leave")
    pane.type("echo ty''ped")
    t.mend(lap)
    pane.wait_for("echo ty''ped")
    pane.keys("Enter")
    pane.wait_for("there$ echo ty''ped\ntyped\nthere$")
    assert "answer" not in pane.text()
    # Without a link, it can be left.
    t.cut(lap)
    pane.wait_for("desk does not answer; ~. to leave")
    pane.keys("Enter")
    pane.type("~.")
    pane.wait_for("which may run on")
    t.mend(lap)
    lap.wait_online("desk")


@test(timeout=300)
def a_shell_without_a_name_is_where_one_stands(t):
    desk, lap = two_hosts(t)
    desk.sh("mkdir -p some/where")
    pane = Pane(lap, "there")
    pane.line("clear; loopsyctl shell")
    pane.wait_for("not in the mount")
    pane.line(f"cd {lap.peer_path('desk', 'some', 'where')}; clear; loopsyctl shell")
    pane.wait_for("there$")
    pane.line("clear; pwd | tail -c 12")
    pane.wait_for("some/where\n")


@test(timeout=300)
def git_has_a_terminal_for_its_pager_and_its_editor(t):
    desk, lap = two_hosts(t)
    desk.sh("""mkdir tree && cd tree && git init -q . && git config user.name a && git config user.email a@b &&
            git config core.editor 'vim -u NONE -N' && git config core.pager less && cp ../file . && git add file""")
    pane = Pane(lap, "git")
    pane.line(f"cd {lap.peer_path('desk', 'tree')}; clear; loopsyctl git commit")
    pane.wait_for("Changes to be committed")
    pane.type("ifrom afar")
    pane.keys("Escape")
    pane.line(":wq")
    pane.wait_for("1 file changed")
    assert desk.sh("git -C tree log --format=%s").stdout == "from afar\n"
    pane.line("clear; loopsyctl git show")
    pane.wait_for("from afar")
    pane.keys("G")
    pane.wait_for("line 500 of")
    pane.type("q")
    pane.wait_for("here$")
    # Elsewhere than at a terminal nothing is asked.
    assert lap.sh('cd "$1" && loopsyctl git log --format=%s', lap.peer_path("desk", "tree")).stdout == "from afar\n"


@test(timeout=300)
def a_terminal_is_left_as_it_was_found(t):
    desk, lap = two_hosts(t)
    pane = Pane(lap, "there")
    before = pane.settings("before")

    def expect_left(why):
        pane.wait_for(why)
        pane.wait_for("here$")
        modes = "#{alternate_on} #{mouse_any_flag} #{cursor_flag} #{keypad_flag}"
        wait_until(lambda: pane.tmux("display-message", "-p", modes) == "0 0 1 0\n",
                   what="a terminal without modes")
        assert pane.settings("after") == before
        lap.sh("rm after")

    for number, way in enumerate(("~d", "TERM", "daemon")):
        open_shell(pane, "--name", f"t{number}")
        pane.line("clear; printf '\\033[?1049h\\033[?1002h\\033[?25l\\033=begun\\n'")
        pane.wait_for("begun")
        if way == "~d":
            pane.type("~d")
            expect_left("detached from")
        elif way == "TERM":
            lap.sh("kill -TERM $(pgrep -x loopsyctl)")
            expect_left("here$")
        else:
            lap.kill9()
            expect_left("loopsyd here has ended")


@test(timeout=300)
def escapes_help_end_and_pass_tildes(t):
    desk, lap = two_hosts(t)
    pane = Pane(lap, "there")
    open_shell(pane)
    pane.type("~?")
    pane.wait_for("end the terminal and what runs in it")
    pane.line("clear; echo a~. b''c")
    pane.wait_for("a~. bc")
    pane.line("~~ c")
    pane.wait_for("$ ~ c")
    pane.keys("Enter")
    pane.type("~.")
    pane.wait_for("here$")
    wait_until(lambda: not desk.run("pgrep", "-f", "^-bash", check=False).stdout,
               what="the end of the shell on desk")


@test(timeout=300)
def several_clients_see_the_same_in_the_size_of_who_types(t):
    desk, lap = two_hosts(t)
    one, other = Pane(lap, "one"), Pane(lap, "other", 30, 100)
    open_shell(one)
    one.line("clear; echo fir''st")
    one.wait_for("first")
    other.line("clear; loopsyctl shell desk")
    other.wait_for("first")
    other.line("clear; stty size")
    for pane in (one, other):
        pane.wait_for("30 100")
    one.line("clear; stty size")
    for pane in (one, other):
        pane.wait_for("24 80")


@test(timeout=300)
def a_terminal_that_gets_the_size_of_who_typed_is_drawn_anew(t):
    desk, lap = two_hosts(t)
    one, other = Pane(lap, "one"), Pane(lap, "other", 30, 100)
    open_shell(one)
    other.line("clear; loopsyctl shell desk")
    other.wait_for("there$")
    # What has no place on the smaller one.
    other.line("clear; printf '\\033[30;1Hbot''tom\\033[2;90Hri''ght\\033[3;1H'; cat")
    for pane in (one, other):
        pane.wait_for("bottom")
    assert one.screen() != other.screen()
    one.resize(30, 100) # as the other is: the program hears of nothing
    one.wait_for_same(other)


@test(timeout=300)
def a_terminal_outlives_its_client_that_is_killed(t):
    desk, lap = two_hosts(t)
    there, here = Pane(lap, "there"), Pane(lap, "here")
    open_shell(there)
    for pane in (there, here):
        pane.line("clear; vim -u NONE -N file")
        pane.wait_for("line 1 of")
    there.wait_for_same(here)
    lap.sh("kill -KILL $(pgrep -x loopsyctl)")
    there.wait_for("Killed")
    there.line("")
    there.wait_for("here$")
    there.line("loopsyctl shell desk")
    there.wait_for_same(here)
    for pane in (there, here):
        pane.type("ixyz")
    there.wait_for("xyzline 1")
    there.wait_for_same(here)


main()
