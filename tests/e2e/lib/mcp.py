"""`loopsyctl mcp`, spoken to in JSON-RPC: what it says is held to the rules line by line."""
import array
import fcntl
import itertools
import json
import os
import select
import termios
import time

from lib.process import Process

LEGACY = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
NEWEST_LEGACY, MODERN = LEGACY[-1], "2026-07-28"
META = "io.modelcontextprotocol/"
ENVELOPE = {META + "protocolVersion": MODERN, META + "clientInfo": {"name": "loopsy-tests", "version": "1"},
            META + "clientCapabilities": {}}
CACHED = {"server/discover", "tools/list", "prompts/list", "resources/list", "resources/templates/list",
          "resources/read"}
NOTIFICATIONS = {"notifications/progress", "notifications/resources/updated",
                 "notifications/resources/list_changed", "notifications/subscriptions/acknowledged"}
PARSE_ERROR, INVALID_REQUEST, NO_METHOD, INVALID_PARAMS = -32700, -32600, -32601, -32602
NOT_FOUND_LEGACY, UNSUPPORTED_VERSION = -32002, -32022


class Failed(Exception):
    """An error instead of a result."""

    def __init__(self, error):
        super().__init__(f"{error['code']}: {error['message']}")
        self.code, self.message, self.data = error["code"], error["message"], error.get("data")


class Mcp(Process):
    """A server on `host`, and requests in the era of `version`; None: no request names one."""

    def __init__(self, host, version=NEWEST_LEGACY, env=None, words=("loopsyctl", "mcp")):
        super().__init__(host.command(words), host.environment(**(env or {})))
        self.version = version
        self.agreed = NEWEST_LEGACY # by initialize
        self.numbers = itertools.count(1)
        self.asked = {}     # id: (version, method, tool, progress token)
        self.answers = {}   # id: message
        self.closed = set() # ids that were answered
        self.cancelled = set()
        self.nameless = []  # errors without an id
        self.notifications = []
        self.progress = {}  # token: what it was last
        self.transcript = []
        self.partial = b""
        if version in LEGACY:
            self.initialize(version)

    # ---- to the server ----

    def send(self, message):
        self.write(json.dumps(message, ensure_ascii=False, separators=(",", ":")) + "\n")

    def note_request(self, message):
        params = message.get("params") if isinstance(message.get("params"), dict) else {}
        meta = params.get("_meta") if isinstance(params.get("_meta"), dict) else {}
        version = MODERN if META + "protocolVersion" in meta or message["method"] == "server/discover" else self.agreed
        name = params.get("name") if message["method"] == "tools/call" else None
        self.closed.discard(message["id"])
        self.asked[message["id"]] = (version, message["method"], name, meta.get("progressToken"))

    def shape(self, method, params=None, id=None, version=None, meta=None):
        """A request, as a client of that version makes it."""
        version = version or self.version
        params = dict(params or {})
        meta = {**(ENVELOPE if version == MODERN else {}), **(meta or {})}
        if meta:
            params["_meta"] = meta
        message = {"jsonrpc": "2.0", "id": next(self.numbers) if id is None else id, "method": method}
        return {**message, "params": params} if params else message

    def request(self, method, params=None, **how):
        """Sends one; its id."""
        message = self.shape(method, params, **how)
        self.note_request(message)
        self.send(message)
        return message["id"]

    def notify(self, method, params=None):
        self.send({"jsonrpc": "2.0", "method": method, **({"params": params} if params else {})})

    def cancel(self, id):
        self.cancelled.add(id)
        self.notify("notifications/cancelled", {"requestId": id, "reason": "enough"})

    # ---- from the server ----

    def read_message(self, timeout=120):
        """The next line, checked; None at the end."""
        line = self.read_raw(timeout)
        if line is None:
            return None
        message = json.loads(line.decode("utf-8"))
        for one in message if isinstance(message, list) else [message]:
            self.take(one)
        if isinstance(message, list):
            assert self.agreed == "2025-03-26" and message, f"a batch: {line[:500]}"
        return message

    def read_raw(self, timeout=120):
        end = time.monotonic() + timeout
        while b"\n" not in self.partial:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                raise AssertionError(f"{self.text}: no line within {timeout} s; so far: {self.partial[:500]!r}; "
                                     f"notifications: {self.notifications[-5:]}; {self.error_text()}")
            data = os.read(self.process.stdout.fileno(), 1 << 20)
            if not data:
                assert not self.partial, f"half a line at the end: {self.partial[:500]!r}"
                return None
            self.partial += data
        line, _, self.partial = self.partial.partition(b"\n")
        assert line and b"\r" not in line, f"a line with more than JSON: {line[:500]!r}"
        return line

    def take(self, message):
        assert isinstance(message, dict) and message.get("jsonrpc") == "2.0", message
        if "method" in message:
            self.take_notification(message)
        elif "id" in message:
            self.take_answer(message)
        else:
            assert set(message) == {"jsonrpc", "error"}, message
            self.nameless.append(message["error"])
            self.record(self.agreed, None, None, message)

    def record(self, version, method, tool, message):
        self.transcript.append({"version": version, "method": method, "tool": tool, "message": message})

    def take_answer(self, message):
        id = message["id"]
        assert set(message) in ({"jsonrpc", "id", "result"}, {"jsonrpc", "id", "error"}), message
        assert id in self.asked, f"nobody asked {id!r}: {message}"
        version, method, tool, _ = self.asked[id]
        assert id not in self.closed, f"answered twice: {message}"
        assert id not in self.cancelled, f"answered though it was cancelled: {message}"
        if method == "initialize" and "result" in message:
            version = self.agreed = message["result"]["protocolVersion"]
        self.record(version, method, tool, message)
        if "result" in message:
            check_era(version, method, message["result"])
        self.closed.add(id)
        self.answers[id] = message

    def take_notification(self, message):
        assert set(message) <= {"jsonrpc", "method", "params"} and message["method"] in NOTIFICATIONS, message
        params = message.get("params", {})
        stream = params.get("_meta", {}).get(META + "subscriptionId")
        version = MODERN if stream is not None else self.agreed
        if message["method"] == "notifications/progress":
            version = self.take_progress(params)
        elif stream is not None:
            assert stream in self.asked and self.asked[stream][1] == "subscriptions/listen", message
            assert stream not in self.closed, message
        self.record(version, message["method"], None, message)
        self.notifications.append(message)

    def take_progress(self, params):
        token = params["progressToken"]
        known = [id for id, (_, _, _, asked) in self.asked.items()
                 if asked == token and type(asked) is type(token) and id not in self.closed]
        assert known, f"progress of nothing: {params}"
        assert params["progress"] > self.progress.get(token, float("-inf")), f"progress goes back: {params}"
        self.progress[token] = params["progress"]
        return self.asked[known[0]][0]

    def answer(self, id, timeout=120):
        """The answer to a request: a result, or Failed is raised."""
        end = time.monotonic() + timeout
        while id not in self.answers:
            assert self.read_message(max(end - time.monotonic(), 0.01)) is not None, \
                f"the server ended: {self.error_text()}"
        message = self.answers.pop(id)
        if "error" in message:
            raise Failed(message["error"])
        return message["result"]

    def ask(self, method, params=None, timeout=120, **how):
        return self.answer(self.request(method, params, **how), timeout)

    def notification(self, matches, timeout=120):
        """The first notification for which matches(message), taken out."""
        end = time.monotonic() + timeout
        while True:
            for message in self.notifications:
                if matches(message):
                    self.notifications.remove(message)
                    return message
            assert self.read_message(max(end - time.monotonic(), 0.01)) is not None, self.error_text()

    def refuses_without_id(self, code, timeout=120):
        """An error comes that names no request; its text."""
        while not self.nameless:
            assert self.read_message(timeout) is not None, self.error_text()
        error = self.nameless.pop(0)
        assert error["code"] in (code if isinstance(code, tuple) else (code,)), error
        return error["message"]

    def refuses(self, code, method, params=None, **how):
        """A request is answered by an error of that code; the Failed."""
        try:
            result = self.ask(method, params, **how)
        except Failed as error:
            assert error.code == code, f"{method} {params}: {error}, not {code}"
            return error
        raise AssertionError(f"{method} {params} is answered: {result}")

    # ---- what clients do ----

    def initialize(self, version):
        result = self.ask("initialize", {"protocolVersion": version, "capabilities": {},
                                         "clientInfo": {"name": "loopsy-tests", "version": "1"}}, version=version
                          if version != MODERN else NEWEST_LEGACY)
        self.notify("notifications/initialized")
        return result

    def start_call(self, tool, arguments, **how):
        return self.request("tools/call", {"name": tool, "arguments": arguments}, **how)

    def call(self, tool, timeout=120, **arguments):
        """A tool's result, as structured content; it must not be an error."""
        result = self.answer(self.start_call(tool, arguments), timeout)
        assert not result.get("isError"), (tool, arguments, result)
        return result["structuredContent"]

    def call_fails(self, tool, **arguments):
        """The text of a result that is an error."""
        result = self.answer(self.start_call(tool, arguments))
        assert result.get("isError") is True, (tool, arguments, result)
        return text_of(result)

    def is_well(self):
        """It still answers."""
        version = self.version or MODERN
        tools = self.ask("tools/list", version=version)["tools"]
        assert any(tool["name"] == "loopsy_list_peers" for tool in tools), tools

    def unread_input(self):
        """Bytes that it has not taken from its input."""
        count = array.array("i", [0])
        fcntl.ioctl(self.process.stdin.fileno(), termios.FIONREAD, count)
        return count[0]

    def finish_raw(self, status=0):
        """End of input, after what no rule can be held to."""
        assert self.end() == status, f"{self.process.returncode}; {self.error_text()}"
        while (line := self.read_raw()) is not None:
            json.loads(line.decode("utf-8"))

    def finish(self, status=0):
        """End of input: it exits, and has sent no half line."""
        assert self.end() == status, f"{self.process.returncode}; {self.error_text()}"
        while self.read_message() is not None:
            pass


def text_of(result):
    return "\n".join(part["text"] for part in result["content"] if part["type"] == "text")


def check_era(version, method, result):
    modern = version == MODERN
    assert (result.get("resultType") == "complete") if modern else "resultType" not in result, (version, result)
    for key in ("ttlMs", "cacheScope"):
        assert (key in result) == (modern and method in CACHED), (version, method, key, str(result)[:500])
    if modern:
        assert result["_meta"][META + "serverInfo"]["name"] == "loopsy", str(result)[:500]
