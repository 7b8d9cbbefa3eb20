"""Clients of others that use `loopsyctl mcp`, and the schemas that they carry."""
import json
import os
import subprocess

from harness import skip
from lib import mcp_modules
from lib.mcp import MODERN, NEWEST_LEGACY, Failed
from lib.process import Process

# (SDK, mode, what they agree on): see tests/mcp/client.mjs
CLIENTS = [("1", "-", NEWEST_LEGACY), ("2", "legacy", NEWEST_LEGACY), ("2", "auto", MODERN), ("2", MODERN, MODERN)]


def modules(t):
    """The folder of our programs with the packages beside them."""
    try:
        return mcp_modules.prepare(t)
    except mcp_modules.Unreachable as why:
        skip(str(why))


class Client(Process):
    """client.mjs on a host, connected to a server there."""

    def __init__(self, t, host, sdk, mode, command=("loopsyctl", "mcp"), env=None):
        words = ["node", f"{modules(t)}/client.mjs", sdk, mode, *command]
        super().__init__(host.command(words), host.environment(**(env or {})))
        self.number, self.answers, self.notifications, self.progress = 0, {}, [], {}
        self.about = self.read_json()
        assert "version" in self.about, (self.about, self.error_text())

    def start(self, what, params=None, **options):
        self.number += 1
        given = {"params": params} if params is not None else {}
        self.write(json.dumps({"id": self.number, "do": what, "options": options, **given}) + "\n")
        return self.number

    def take(self, timeout):
        line = self.read_json(timeout)
        if "notification" in line:
            self.notifications.append(line)
        elif "token" in line:
            self.progress.setdefault(line["token"], []).append(line["progress"])
        else:
            self.answers[line["id"]] = line

    def answer(self, number, timeout=120):
        while number not in self.answers:
            self.take(timeout)
        line = self.answers.pop(number)
        if "error" in line:
            raise Failed({"code": line["error"].get("code"), **line["error"]})
        return line["result"]

    def do(self, what, params=None, seconds=120, **options):
        return self.answer(self.start(what, params, **options), seconds)

    def call(self, tool, arguments, seconds=120, **options):
        result = self.do("callTool", {"name": tool, "arguments": arguments}, seconds, **options)
        assert not result.get("isError"), (tool, arguments, result)
        return result["structuredContent"]

    def is_told(self, uri, timeout=120):
        """Of a change of a resource."""
        while not any(line["params"]["uri"] == uri for line in self.notifications):
            self.take(timeout)
        self.notifications.clear()


def inspect(t, host, *words, env=None):
    """What the inspector's command line prints, as JSON."""
    folder = modules(t)
    given = {name: value for name, value in host.environment(**(env or {})).items()
             if name.startswith(("LOOPSY", "PATH")) or name.endswith("_OPTIONS")}
    options = [word for name, value in given.items() for word in ("-e", f"{name}={value}")]
    done = host.run("node", f"{folder}/node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js",
                    "--cli", *options, "loopsyctl", "mcp", *words)
    assert done.returncode == 0, done
    return json.loads(done.stdout)


def validate(t, transcript):
    """What was recorded fits the schemas of the versions; how many messages that were."""
    folder = modules(t)
    file = os.path.join(t.directory, "transcript")
    with open(file, "w", encoding="utf-8") as lines:
        lines.writelines(json.dumps(one) + "\n" for one in transcript)
    done = subprocess.run(["node", f"{folder}/validate.mjs", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr
    return len(transcript)
