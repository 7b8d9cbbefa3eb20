"""The measuring: rounds of works, each competitor in turn on a fresh mount."""
import dataclasses
import json
import os
import sys
import time

import competitors
import trees
from harness import wait_until
from network import Network
from processes import Sample, session_has_ended
from rows import FILES, RATE, ROWS, SECONDS, WORKS
from table import Capped, shown

HERE = os.path.dirname(os.path.abspath(__file__))


@dataclasses.dataclass
class Sizes:
    mib: int = 1024           # of the large file
    small: int = 5000         # files of 4 KiB
    repository: int = 4650    # files
    listing: int = 100000     # entries
    rate_seconds: float = 10  # after so long a step that has a rate stops
    random_seconds: float = 2
    execs: int = 200          # commands, one after the other
    keys: int = 1000          # likewise
    few_keys: int = 1000      # shared values
    many_keys: int = 100000   # likewise
    values_seconds: float = 2 # for each row of them, and of messages
    cap: float = 60           # after so long a step is given up
    changes_cap: float = 90   # and the waiting for changes


QUICK = Sizes(mib=256, small=2000, listing=20000, rate_seconds=4, random_seconds=1,
              values_seconds=1, cap=20)
SMOKE = Sizes(mib=4, small=60, repository=70, listing=300, rate_seconds=0.5, random_seconds=0.1,
              execs=3, keys=10, few_keys=10, many_keys=300, values_seconds=0.1, changes_cap=3)


class Bench:
    """One delay. names: who competes; chosen: names of rows."""

    def __init__(self, context, sizes, delay, names, builds, chosen):
        self.sizes, self.chosen = sizes, chosen
        self.n_places = 0 # made and put aside
        self.results = {} # (row, competitor): values, Capped among them
        self.cpu = {}     # (step, competitor): CPU seconds for each unit
        self.works = [work for work in WORKS if work.last_step(chosen)]
        self.network = Network(context, delay)
        self.desk, self.lap = self.network.desk, self.network.lap
        self.home = self.desk.home
        say("making files")
        kinds = {need for work in self.works for need in work.needs}
        trees.make(kinds, self.home, self.lap.directory, sizes)
        self.competitors, self.servers = competitors.make(self.network, names, builds)
        if "repository" in kinds:
            self.prepare_repositories()
        self.network.set_delay()

    def prepare_repositories(self):
        """Each has used its own before, so git knows the files as they look there."""
        mounting = [one for one in self.competitors if FILES in one.about and not one.rows]
        trees.make_repositories(self.desk, [one.name for one in mounting])
        for competitor in mounting:
            competitor.mount()
            self.lap.sh('git -c safe.directory="*" -C "$1" status --porcelain',
                        f"{competitor.root}/repository-{competitor.name}", timeout=600)
            competitor.unmount()

    def end(self):
        for one in self.competitors + self.servers:
            one.end()
        self.network.end()

    # ---- rounds ----

    def rounds(self, n):
        for i in range(n):
            for work in self.works:
                if work.rounds and i >= work.rounds:
                    continue
                for competitor in self.competitors[::-1 if i % 2 else 1]:
                    self.measure(work, competitor)

    def measure(self, work, competitor):
        if competitor.rows:
            if work.name in competitor.rows:
                amount, seconds, cpu = competitor.measure(work.name, self.sizes)
                for step in competitor.rows[work.name]:
                    self.record(competitor, step, amount, seconds, cpu)
        elif work.about in competitor.about and not self.is_hopeless(work, competitor):
            self.measure_mounted(work, competitor)

    def is_hopeless(self, work, competitor):
        """It took too long once, and would again."""
        return any(isinstance(value, Capped) for step in work.steps
                   for value in self.results.get((step, competitor.name), []))

    def record(self, competitor, step, amount, seconds, cpu=None):
        """seconds may be Capped, or {row: seconds}; amount None."""
        for row in ROWS:
            if row.step != step:
                continue
            value = seconds[row.name] if isinstance(seconds, dict) else seconds
            if row.of_cpu:
                if not amount:
                    continue
                value = cpu * row.unit / amount
            elif row.kind == RATE and not isinstance(seconds, Capped):
                value = amount / seconds / row.unit
            elif row.kind == SECONDS and not isinstance(seconds, Capped):
                value /= row.unit
            self.results.setdefault((row.name, competitor.name), []).append(value)
            if not row.of_cpu and cpu is not None:
                units = amount / (row.unit if row.kind == RATE else 1) if amount else 1
                self.cpu.setdefault((step, competitor.name), []).append(cpu / units)
            if row.name in self.chosen:
                say(f"{row.name} {competitor.name} {shown(value)}" +
                    ("" if row.of_cpu or cpu is None else f" (CPU {cpu:.2f} s)"))

    # ---- one work in one mount ----

    def measure_mounted(self, work, competitor):
        self.make_place()
        os.sync()
        before = Sample(self.boxes())
        if work.keys:
            competitor.load_values(getattr(self.sizes, work.keys))
        competitor.mount()
        try:
            process = self.start(work, competitor)
            try:
                sample = lambda: Sample(self.boxes(), process.pid, before.cpu)
                if work.name == "changes":
                    self.watch_changes(work, competitor, process)
                else:
                    self.take_steps(work, competitor, process, sample)
                if work.about == FILES:
                    self.results.setdefault(("memory", competitor.name), []).append(
                        sample().peak_memory() / 1e6)
            finally:
                process.kill()
                wait_until(lambda: session_has_ended(process.pid), timeout=300,
                           what=f"the end of {process.text}")
        finally:
            competitor.unmount()
            self.clear_place(competitor)

    def boxes(self):
        return [self.desk.box, self.lap.box]

    def start(self, work, competitor):
        options = {**dataclasses.asdict(self.sizes),
                   "repository": f"repository-{competitor.name}",
                   "tar": f"{self.lap.directory}/sources.tar",
                   **{name: f"{self.lap.build}/tests/bench/bin/{name}"
                      for name in ("random_read", "kv_rate", "message_rate")},
                   "big": f"{self.home}/big", **competitor.commands}
        steps = work.steps[:work.last_step(self.chosen)]
        return self.lap.spawn("/usr/bin/python3", f"{HERE}/work.py", work.name, competitor.root,
                              json.dumps(options), ",".join(steps))

    def take_steps(self, work, competitor, process, sample):
        for step in work.steps[:work.last_step(self.chosen)]:
            assert process.read_json()["step"] == step
            before = sample()
            process.write("go\n")
            try:
                line = process.read_line(self.sizes.cap)
            except AssertionError: # none came
                self.record(competitor, step, None, Capped(self.sizes.cap))
                return
            assert line, f"{process.text}: {process.error_text()}"
            result = json.loads(line)
            cpu = sample().cpu_since(before) + result.get("cpu", 0)
            self.record(competitor, step, result["amount"], result["seconds"], cpu)

    def watch_changes(self, work, competitor, process):
        assert process.read_json()["changes"]
        made = f"{self.home}/made"
        with open(f"{made}/content/file", "r+b", buffering=0) as file:
            file.write(b"new")
        with open(f"{made}/size/file", "ab", buffering=0) as file:
            file.write(b"new")
        os.unlink(f"{made}/gone/file")
        os.close(os.open(f"{made}/name/new", os.O_CREAT | os.O_WRONLY, 0o644))
        process.write(f"{time.monotonic()}\n")
        left, end = set(work.steps), time.monotonic() + self.sizes.changes_cap
        while left:
            try:
                seen = process.read_json(max(end - time.monotonic(), 0))
            except AssertionError:
                break
            left.remove(seen["step"])
            self.record(competitor, seen["step"], None, seen["seconds"])
        for step in left:
            self.record(competitor, step, None, Capped(self.sizes.changes_cap))

    def make_place(self):
        """Where a work may write, and finds what is about to change."""
        for name in ("name", "size", "gone", "content"):
            os.makedirs(f"{self.home}/made/{name}")
            with open(f"{self.home}/made/{name}/file", "wb") as file:
                file.write(b"old")

    def clear_place(self, competitor):
        """What was made is put aside, but for what is large: after many deletions ext4 is slow at
        making files for a minute, and the next competitor would pay for it."""
        if os.path.exists(f"{self.home}/made/written"):
            os.unlink(f"{self.home}/made/written")
        self.n_places += 1
        os.rename(f"{self.home}/made", f"{self.home}/made-{self.n_places}")
        lock = f"{self.home}/repository-{competitor.name}/.git/index.lock"
        if os.path.exists(lock): # of a git that was stopped
            os.unlink(lock)


def say(text):
    print(text, file=sys.stderr, flush=True)
