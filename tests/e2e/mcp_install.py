#!/usr/bin/python3
"""loopsy in the configurations of agents: mcp install, status, remove, and what doctor says of it. The
configurations are as those of real users: large, with comments, of all kinds of layout."""
import json
import os
import re
import tomllib

from harness import *

CLAUDE = '''{
  "numStartups": 118,
  "installMethod": "native",
  "tipsHistory": {
    "new-user-warmup": 3
  },
  "projects": {
    "/home/u/app": {
      "allowedTools": [],
      "history": [
        {
          "display": "what is \\ud83d, and \\u0000?",
          "pastedContents": {}
        }
      ],
      "mcpServers": {},
      "hasTrustDialogAccepted": true
    }
  },
  "oauthAccount": {
    "accountUuid": "6f2d",
    "organizationRole": "admin"
  },
  "mcpServers": {
    "github": {
      "type": "stdio",
      "command": "npx",
      "args": [
        "-y",
        "@modelcontextprotocol/server-github"
      ],
      "env": {
        "GITHUB_TOKEN": "x"
      }
    }
  },
  "cachedChangelog": "# Changelog\\n\\n- \\"quoted\\" // not a comment\\n",
  "bypassPermissionsModeAccepted": true
}'''

CODEX = '''# ~/.codex/config.toml
model = "gpt-5-codex"            # the default
model_reasoning_effort = "high"
approval_policy = 'on-request'
notify = [
  "python3",   # a script of mine
  "/home/u/notify.py",
]

[mcp_servers.docs]
command = "npx"
args = ["-y", "some-docs-server"]
env = { "API_KEY" = "value" }

[mcp_servers.remote]
url = "https://example.com/mcp"

[projects."/home/u/app"]
trust_level = "trusted"

[tui]
notifications = true
prompt = """
[mcp_servers.loopsy]
is in a string only"""
'''

GEMINI = '''// Settings of mine
{
\t"ui": {"theme": "GitHub", "hideBanner": true},
\t/* "mcpServers": {"old": {}}, */
\t"security": {
\t\t"auth": {
\t\t\t"selectedType": "oauth-personal" // not the key
\t\t}
\t}
}
'''

OPENCODE = '''\ufeff{\r
  "$schema": "https://opencode.ai/config.json",\r
  // "theme": "dark",\r
  "model": "anthropic/claude-sonnet-4-5",\r
  "mcp": {\r
    "everything": {\r
      "type": "local",\r
      "command": ["npx", "-y", "@modelcontextprotocol/server-everything"],\r
      "enabled": false, // too many tools\r
    },\r
  },\r
}\r
'''

FILES = {"claude": (".claude.json", CLAUDE), "codex": (".codex/config.toml", CODEX),
         "gemini": (".gemini/settings.json", GEMINI),
         "opencode": (".config/opencode/opencode.jsonc", OPENCODE)}


def machine(t):
    host = t.loopback("lap")
    host.init()
    return host


def path_of(host, agent):
    return os.path.join(host.home, FILES[agent][0])


def write(host, path, text, mode="640"):
    """Bytes as they are, as the host's user."""
    host.sh('mkdir -p "$(dirname "$1")" && cat >"$1" && chmod "$2" "$1"', path, mode, input=text)


def read(path):
    with open(path, "rb") as file:
        return file.read().decode()


def load_json(text):
    """Without comments and trailing commas, which these texts have outside of strings only."""
    text = re.sub(r'("(?:[^"\\]|\\.)*")|//[^\n]*|/\*.*?\*/', lambda m: m[1] or "", text.lstrip("\ufeff"), flags=re.S)
    return json.loads(re.sub(r'("(?:[^"\\]|\\.)*")|,(\s*[}\]])', lambda m: m[1] or m[2], text, flags=re.S))


def words_of(agent, text):
    """The command line that the agent would run, and all the rest of its configuration."""
    if agent == "codex":
        config = tomllib.loads(text)
        entry = config["mcp_servers"].pop("loopsy")
        return [entry["command"], *entry["args"]], config
    config = load_json(text)
    servers = config["mcp" if agent == "opencode" else "mcpServers"]
    entry = servers.pop("loopsy")
    if agent == "opencode":
        assert entry["type"] == "local" and entry["enabled"] is True, entry
        return entry["command"], config
    assert entry.get("type", "stdio") == "stdio", entry
    return [entry["command"], *entry["args"]], config


def state(host, agent):
    return next(entry for entry in host.ctl_json("mcp", "status") if entry["agent"] == agent)


def files_below(host):
    return set(host.sh("find . -path ./l -prune -o -print").stdout.splitlines())


@test(each_user=True)
def each_agent_gets_it_and_gives_it_back_to_the_byte(t):
    host = machine(t)
    for agent, (_, text) in FILES.items():
        write(host, path_of(host, agent), text)
    done = host.ctl("mcp", "install", "--all", check=True).stdout
    for agent, (name, text) in FILES.items():
        now = read(path_of(host, agent))
        words, rest = words_of(agent, now)
        assert os.path.basename(words[0]) == "loopsyctl" and words[1:4] == ["mcp", "--home", host.loopsy_home], words
        assert words[4] == "--key-file" and len(words) == 6, words
        assert host.sh('stat -c %a "$1"', words[5]).stdout == "600\n"
        assert host.sh('stat -c "%a %u" "$1"', path_of(host, agent)).stdout == f"640 {host.user}\n"
        before = tomllib.loads(text) if agent == "codex" else load_json(text)
        assert {k: v for k, v in rest.items() if v} == {k: v for k, v in before.items() if v}, (rest, before)
        # Nothing but additions.
        rows = iter(now.splitlines(keepends=True))
        for line in text.splitlines(keepends=True):
            assert any(row.replace(",", "").strip() == line.replace(",", "").strip() for row in rows), (agent, line, now)
        assert read(path_of(host, agent) + ".loopsy-backup") == text
        assert name in done, done
        assert state(host, agent)["state"] == "registered" and state(host, agent)["key"] == "ok"
        # Once more: nothing is to be done.
        assert "already" in host.ctl("mcp", "install", agent, check=True).stdout
        assert read(path_of(host, agent)) == now
    host.ctl("mcp", "remove", "--all", check=True)
    for agent, (_, text) in FILES.items():
        assert read(path_of(host, agent)) == text, (agent, read(path_of(host, agent)))
        assert state(host, agent)["state"] == "not registered"
        assert not host.run("test", "-e", f"{host.loopsy_home}/config/agents/{agent}.key").returncode == 0


@test
def an_entry_that_is_there_is_brought_up_to_date_and_comes_back(t):
    host = machine(t)
    entries = {
        "claude": CLAUDE.replace('"github": {', '"loopsy": {"command":"node","args":["/opt/loopsy/mcp.js"],'
                                 '"env":{"LOOPSY_API_KEY":"abc","A":"b"},"timeout":9},\n    "github": {'),
        "codex": CODEX.replace("[projects", "[mcp_servers.loopsy] # the old one\ncommand='node'\nargs = [ # x\n 'y' ]\n"
                               "startup_timeout_sec = 20\n\n[projects"),
        "gemini": GEMINI.replace('"security"', '"mcpServers": { "loopsy": {"url": "http://localhost:1/sse"} },\n\t"security"'),
        "opencode": OPENCODE.replace('"everything": {', '"loopsy": {"type": "local", "command": ["loopsy"], '
                                     '"enabled": false,},\r\n    "everything": {'),
    }
    for agent, text in entries.items():
        write(host, path_of(host, agent), text)
        assert state(host, agent)["state"] == "differs"
    assert host.ctl("mcp", "install", check=True).stdout.count("updated") == 4
    for agent in entries:
        words, rest = words_of(agent, read(path_of(host, agent)))
        assert words[1] == "mcp" and state(host, agent)["state"] == "registered", words
    claude = json.loads(read(path_of(host, "claude")))["mcpServers"]["loopsy"]
    assert claude["env"] == {"A": "b"} and claude["timeout"] == 9, claude
    assert tomllib.loads(read(path_of(host, "codex")))["mcp_servers"]["loopsy"]["startup_timeout_sec"] == 20
    host.ctl("mcp", "remove", *entries, check=True)
    for agent, text in entries.items():
        assert read(path_of(host, agent)) == text, (agent, read(path_of(host, agent)))


@test
def what_the_agent_writes_meanwhile_stays(t):
    host = machine(t)
    write(host, path_of(host, "claude"), "{}\n")
    write(host, path_of(host, "codex"), "model = 'x'")
    host.ctl("mcp", "install", "claude", "codex", check=True)
    config = json.loads(read(path_of(host, "claude")))
    config["mcpServers"]["other"] = {"command": "x"}
    write(host, path_of(host, "claude"), json.dumps(config, indent=2))
    host.sh('printf "\\n[mcp_servers.loopsy.tools.loopsy_execute]\\napproval_mode = \\"approve\\"\\n\\n[tui]\\na = 1\\n" >>"$1"',
            path_of(host, "codex"))
    host.ctl("mcp", "remove", "claude", "codex", check=True)
    assert read(path_of(host, "claude")) == json.dumps({"mcpServers": {"other": {"command": "x"}}}, indent=2)
    assert tomllib.loads(read(path_of(host, "codex"))) == {"model": "x", "tui": {"a": 1}}
    # The first backup is kept, whatever comes later.
    host.ctl("mcp", "install", "claude", check=True)
    assert read(path_of(host, "claude") + ".loopsy-backup") == "{}\n"


@test
def without_a_configuration_one_is_made_and_removed_with_its_directories(t):
    host = machine(t)
    before = files_below(host)
    done = host.ctl("mcp", "install")
    assert done.returncode == 1 and "there is none of claude" in done.stderr, done
    host.ctl("mcp", "install", *FILES, check=True)
    for agent in FILES:
        file = state(host, agent)["file"]
        assert words_of(agent, read(file))[0][1] == "mcp"
        assert host.sh('stat -c %a "$1"', file).stdout == "600\n"
    assert state(host, "opencode")["file"].endswith("/opencode/opencode.json")
    host.ctl("mcp", "remove", *FILES, check=True)
    assert files_below(host) == before, files_below(host) - before


@test
def what_does_not_parse_is_left_alone(t):
    host = machine(t)
    wrong = {"claude": ('{\n  "a": 1\n  "b": 2\n}\n', 3), "codex": ("a = 1\n[mcp_servers\n", 2),
             "gemini": ('{"mcpServers": [\n]}', 1), "opencode": ('{\n"mcp": {}, "mcp": {}\n}', 2)}
    for agent, (text, line) in wrong.items():
        write(host, path_of(host, agent), text)
        done = host.ctl("mcp", "install", agent)
        assert done.returncode == 1 and f"{path_of(host, agent)}:{line}: " in done.stderr, done
        assert read(path_of(host, agent)) == text
        assert done.stderr.count("\n") == 1, done
    assert not host.run("test", "-e", path_of(host, "claude") + ".loopsy-backup").returncode == 0
    assert host.sh('ls "$1"', f"{host.loopsy_home}/config/agents").stdout == ""
    doctor = host.ctl("doctor").stdout
    assert f"correct {path_of(host, 'codex')}" in doctor, doctor
    assert state(host, "claude")["state"] == "unreadable" and ":3: " in state(host, "claude")["problem"]
    done = host.ctl("mcp", "install", "emacs")
    assert done.returncode == 2, done


@test
def where_its_key_cannot_be_written_nothing_is_registered(t):
    host = machine(t)
    write(host, path_of(host, "claude"), CLAUDE)
    host.sh('mkdir -p "$1"', f"{host.loopsy_home}/config/agents/claude.key")
    done = host.ctl("mcp", "install", "claude")
    assert done.returncode == 1 and "cannot write the key file: Is a directory\n" in done.stderr, done
    assert read(path_of(host, "claude")) == CLAUDE


@test(each_user=True)
def links_are_followed_and_owners_kept(t):
    host = machine(t)
    write(host, f"{host.home}/dotfiles/settings.json", GEMINI, "600")
    host.sh('mkdir .gemini && ln -s ../dotfiles/settings.json .gemini/settings.json')
    host.ctl("mcp", "install", "gemini", check=True)
    assert host.sh("readlink .gemini/settings.json").stdout == "../dotfiles/settings.json\n"
    assert "loopsyctl" in read(f"{host.home}/dotfiles/settings.json")
    assert host.sh("ls -A dotfiles").stdout == "settings.json\n"
    assert host.sh("ls -A .gemini").stdout.split() == ["settings.json", "settings.json.loopsy-backup"]
    host.ctl("mcp", "remove", "gemini", check=True)
    assert read(f"{host.home}/dotfiles/settings.json") == GEMINI


@test
def doctor_says_how_it_is_and_what_to_do(t):
    host = machine(t)
    host.start("--port", "0")
    for agent in ("claude", "gemini"):
        write(host, path_of(host, agent), FILES[agent][1])
    checks = {check["name"]: check for check in host.ctl_json("doctor")["checks"]}
    assert checks["Claude Code"]["status"] == "ok" and "mcp install claude" in checks["Claude Code"]["detail"]
    assert "Codex CLI" not in checks, checks
    host.ctl("mcp", "install", check=True)
    host.sh('chmod 644 "$1" && sed -i s/loopsyctl/loopsyctl-of-old/ "$2"', f"{host.loopsy_home}/config/agents/claude.key",
            path_of(host, "gemini"))
    checks = {check["name"]: check for check in host.ctl_json("doctor")["checks"]}
    assert checks["Claude Code"]["status"] == "warning" and "others" in checks["Claude Code"]["detail"], checks
    assert checks["Gemini CLI"]["status"] == "warning" and checks["Gemini CLI"]["fix"] == "loopsyctl mcp install gemini"
    host.ctl("mcp", "install", check=True)
    checks = {check["name"]: check for check in host.ctl_json("doctor")["checks"]}
    assert checks["Claude Code"]["status"] == checks["Gemini CLI"]["status"] == "ok", checks


main()
