#!/usr/bin/python3
"""Symbolic links of a peer: inside its directory they lead to the same file, out of it to none."""
from harness import *


def two_with(t, desk_config="", lap_config="", prepare=":"):
    """Paired, with lines added to each loopsy.conf; PWD in them is desk's home. `prepare` is run in
    it before."""
    desk, lap = t.loopback("desk", "lap")
    desk.sh(prepare)
    for host, config in ((desk, desk_config), (lap, lap_config)):
        host.init()
        host.sh('printf "%s\\n" "$1" >>"$LOOPSY_HOME/config/loopsy.conf"',
                config.replace("PWD", desk.home))
        host.start("--port", "0")
    pair(desk, lap)
    return desk, lap, lap.peer_path("desk")


# What each link is shown as ("EACCES": refused), its size by stat and by a listing, and the content
# that is found through it.
SHOW = r'''import errno, json, os, sys
os.chdir(sys.argv[1])
def attempt(what):
    try: return what()
    except OSError as e: return errno.errorcode[e.errno]
result = {}
for name in sys.argv[2:]:
    parent, base = os.path.split(name)
    listed = {e.name: e.stat(follow_symlinks=False).st_size for e in os.scandir(parent or ".")}
    text = attempt(lambda: os.readlink(name))
    if text != "EACCES":
        assert os.lstat(name).st_size == listed[base] == len(text), (name, text, listed[base])
    result[name] = [text, attempt(lambda: open(name).read())]
print(json.dumps(result))
'''


def shown(host, path, *names):
    import json
    return json.loads(host.run("python3", "-c", SHOW, path, *names, check=True).stdout)


@test(each_user=True)
def links_inside_lead_to_the_same_file(t):
    desk, lap, path = two_with(t)
    desk.sh(r'''mkdir -p a/b; echo one >one; echo deep >a/b/deep
        ln -s "$PWD/one" top; ln -s "$PWD/one" a/middle; ln -s "$PWD//a/b/deep" a/b/low
        ln -s "$PWD/a/chain2" chain1; ln -s ../chain3 a/chain2; ln -s "$PWD/a/b/low" chain3
        ln -s "$PWD/a" dir; ln -s "$PWD" a/home; ln -s "$PWD/nowhere" dangling''')
    assert shown(lap, path, "top", "a/middle", "a/b/low", "chain1", "dangling") == {
        "top": ["one", "one\n"], "a/middle": ["../one", "one\n"], "a/b/low": ["../../a/b/deep", "deep\n"],
        "chain1": ["a/chain2", "deep\n"], "dangling": ["nowhere", "ENOENT"]}
    assert lap.sh('cat "$1/dir/b/deep" "$1/a/home/one" "$1/dir/home/dir/middle"', path).stdout == "deep\none\none\n"


@test(each_user=True)
def links_out_are_refused(t):
    desk, lap, path = two_with(t)
    desk.sh(r'''mkdir -p a/b; echo f >f; ln -s /etc/passwd abs; ln -s ../f up; ln -s ../../f a/too-deep
        ln -s ../f a/right; ln -s b/../../f a/later; ln -s "$PWD/../x" a/abs-up; ln -s abs chained
        ln -s "${PWD}x" sibling; ln -s /proc/self/root/etc/passwd magic; ln -s / root''')
    names = ["abs", "up", "a/too-deep", "a/later", "a/abs-up", "sibling", "magic", "root"]
    assert shown(lap, path, *names) == {name: ["EACCES", "EACCES"] for name in names}
    assert shown(lap, path, "chained", "a/right") == {"chained": ["abs", "EACCES"], "a/right": ["../f", "f\n"]}
    # a link is judged where it is: moved up by one directory, it would lead out
    lap.sh('mv "$1/a/right" "$1/wrong"', path)
    assert shown(lap, path, "wrong") == {"wrong": ["EACCES", "EACCES"]}
    # what is made here is stored as it was given
    lap.sh('ln -s /etc/hostname "$1/made"', path)
    assert desk.sh("readlink made").stdout == "/etc/hostname\n"


@test()
def links_lead_from_one_export_to_another(t):
    desk, lap, path = two_with(t, "[export docs]\npath = PWD/docs\n[export src]\npath = PWD/to-src",
                               prepare=r'''mkdir -p docs/d real-src/s other; ln -s real-src to-src; echo doc >docs/doc; echo src >real-src/src
        ln -s "$PWD/docs/doc" docs/own; ln -s "$PWD/to-src/src" docs/d/as-named
        ln -s "$PWD/real-src/src" docs/d/as-it-is; ln -s ../../src/src docs/d/relative
        ln -s "$PWD/docs/doc" real-src/s/back; ln -s "$PWD/other" docs/out; ln -s "$PWD/docs" real-src/s/dir''')
    assert shown(lap, path, "docs/own", "docs/d/as-named", "docs/d/as-it-is", "docs/d/relative",
                 "src/s/back", "docs/out") == {
        "docs/own": ["../docs/doc", "doc\n"], "docs/d/as-named": ["../../src/src", "src\n"],
        "docs/d/as-it-is": ["../../src/src", "src\n"], "docs/d/relative": ["../../src/src", "src\n"],
        "src/s/back": ["../../docs/doc", "doc\n"], "docs/out": ["EACCES", "EACCES"]}
    assert lap.sh('cat "$1/src/s/dir/d/as-named"', path).stdout == "src\n"


@test()
def the_first_link_after_a_restart_is_known(t):
    """The exports are asked for again with each session; a link that is read meanwhile waits."""
    desk, lap, path = two_with(t)
    desk.sh('echo f >f; ln -s "$PWD/f" link')
    for _ in range(5):
        lap.stop()
        lap.start("--port", "0")
        lap.wait_online("desk")
        assert lap.sh('readlink "$1/link"', path).stdout == "f\n"


@test()
def raw_shows_links_as_they_are(t):
    desk, lap, path = two_with(t, lap_config="symlinks = raw")
    desk.sh('echo f >f; ln -s "$PWD/f" abs; ln -s /etc/hostname out; ln -s ../../../x up')
    result = shown(lap, path, "abs", "out", "up")
    assert [result[name][0] for name in ("abs", "out", "up")] == \
        [desk.home + "/f", "/etc/hostname", "../../../x"], result
    # followed, they lead into lap itself
    assert result["out"][1] == lap.sh("cat /etc/hostname").stdout


main()
