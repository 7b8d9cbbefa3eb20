"""Steps about the MCP server: a part of work.py.

options: mcp, its command; execute, what loopsy_execute gets to run `true`.
"""
import json
import statistics
import subprocess
import time

from programs import children_cpu

INITIALIZE = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}
MB = 1e6


class Agents:
    def mcp_start(self):
        """From before the start of the program until its first answer is read."""
        self.used = 0
        end, times, before = self.end(), [], children_cpu()
        while len(times) < self.options["execs"] and time.monotonic() < end:
            began = time.monotonic()
            server = Server(self.options["mcp"])
            times.append(time.monotonic() - began)
            server.end()
        self.used = children_cpu() - before
        return len(times), {"mcp_start": statistics.median(times)}

    def mcp_execute(self):
        """Calls one after the other; then what the server takes of memory."""
        self.used = 0
        end, times, before = self.end(), [], children_cpu()
        server = Server(self.options["mcp"])
        server.ask("tools/list", {})
        while len(times) < self.options["execs"] and time.monotonic() < end:
            began = time.monotonic()
            result = server.ask("tools/call", {"name": "loopsy_execute", "arguments": self.options["execute"]})
            times.append(time.monotonic() - began)
            assert not result.get("isError"), result
        memory = server.memory()
        server.end()
        self.used = children_cpu() - before
        return len(times), {"mcp_execute": statistics.median(times), "mcp_memory": memory / MB}


class Server:
    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.n = 0
        self.ask("initialize", INITIALIZE)
        self.say({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def say(self, message):
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()

    def ask(self, method, params):
        self.n += 1
        self.say({"jsonrpc": "2.0", "id": self.n, "method": method, "params": params})
        answer = json.loads(self.process.stdout.readline())
        assert answer["id"] == self.n, answer
        return answer["result"]

    def memory(self):
        """Bytes that are resident."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS:"))

    def end(self):
        self.process.stdin.close()
        assert self.process.wait() == 0, f"{self.process.args} ended with {self.process.returncode}"
        self.process.stdout.close()
