"""What is measured: a table of works (one fresh mount each) with their steps, and of rows."""

RATE, SECONDS, LESS = "rate", "seconds", "less" # the more the better; the less the better, twice
# What a work is about; each has a table.
FILES, PROGRAMS, VALUES, AGENTS = "files", "programs", "values", "agents"


class Work:
    """What work.py does in one mount, step after step. Each step has the name of its row."""

    def __init__(self, name, steps, needs, rounds=None, about=FILES, keys=None):
        self.name, self.steps, self.needs, self.about = name, steps, needs, about
        self.keys = keys # which size says how many shared values there are
        self.rounds = rounds # None: as many as the run has

    def last_step(self, chosen):
        """How many of its steps the chosen rows need."""
        wanted = {row.step for row in ROWS if row.name in chosen}
        return max((i for i, step in enumerate(self.steps, 1) if step in wanted), default=0)


class Row:
    """unit: by what the amount of a step, or its time, is divided. step: whose row it is, if that
    has another name. cpu: it is the CPU seconds of that step for each unit instead."""

    def __init__(self, name, text, kind, unit=1, step=None, cpu=False, about=FILES):
        self.name, self.text, self.kind, self.unit, self.about = name, text, kind, unit, about
        self.of_cpu = cpu
        self.step = step or name


def kv_steps(keys):
    """{name: (way, what, clients, keys)}"""
    return {f"kv_{what}_{way}_{clients}_{keys.partition('_')[0]}": (way, what, clients, keys)
            for way in ("ctl", "file") for what in ("set", "get") for clients in (1, 16)}


def kv_text(way, what, clients, keys):
    how = {"ctl": "`kv {}`", "file": "`kv/` {}"}[way].format(what)
    return f"{how}, {clients} client{'s' * (clients > 1)}, {{{keys}:,}} keys, per s"


KV_FEW, KV_MANY = kv_steps("few_keys"), kv_steps("many_keys")
KV = {**KV_FEW, **KV_MANY}

WORKS = [
    Work("read", ["read_cold", "read_warm"], ["big"]),
    Work("write", ["write"], []),
    Work("random", ["random_1", "random_32"], ["big"]),
    Work("create", ["create"], []),
    Work("untar", ["untar", "rm"], ["tar"]),
    Work("find", ["find_cold", "find_warm"], ["repository"]),
    Work("status", ["status_cold", "status_warm"], ["repository"]),
    Work("grep", ["grep_cold", "grep_warm"], ["repository"]),
    Work("open", ["open_cold", "open_warm"], ["small"]),
    Work("list", ["list"], ["listing"]),
    Work("list_long", ["list_long"], ["listing"]),
    Work("changes", ["change_name", "change_size", "change_gone", "change_content"], [],
         rounds=1),
    Work("programs", ["exec", "stdout"], ["big"], about=PROGRAMS),
    Work("terminal", ["echo", "echo_busy"], ["big"], about=PROGRAMS),
    Work("kv_few", list(KV_FEW), [], about=VALUES, keys="few_keys"),
    Work("kv_many", list(KV_MANY), [], about=VALUES, keys="many_keys"),
    Work("messages", ["message"], [], about=VALUES),
    Work("agents", ["mcp_start", "mcp_execute"], [], about=AGENTS),
]

MB, GIB, MS = 1e6, 1 << 30, 1e-3

ROWS = [
    Row("read_cold", "sequential read, cold, MB/s", RATE, MB),
    Row("read_warm", "sequential read, warm, MB/s", RATE, MB),
    Row("write", "sequential write with fsync, MB/s", RATE, MB),
    Row("random_1", "random 4 KiB read, 1 in flight, per s", RATE),
    Row("random_32", "random 4 KiB read, 32 in flight, per s", RATE),
    Row("create", "create files of 4 KiB, per s", RATE),
    Row("untar", "untar, files per s", RATE),
    Row("rm", "`rm -rf`, files per s", RATE),
    Row("find_cold", "`find` of {repository:,} files, cold, s", SECONDS),
    Row("find_warm", "`find`, warm, s", SECONDS),
    Row("status_cold", "`git status` of {repository:,} files, cold, s", SECONDS),
    Row("status_warm", "`git status`, warm, s", SECONDS),
    Row("grep_cold", "`grep -r` in {repository:,} files, cold, s", SECONDS),
    Row("grep_warm", "`grep -r`, warm, s", SECONDS),
    Row("open_cold", "open, read, close files of 4 KiB, cold, per s", RATE),
    Row("open_warm", "open, read, close, warm, per s", RATE),
    Row("list", "`ls -f` of {listing:,} entries, cold, s", SECONDS),
    Row("list_long", "`ls -l` of {listing:,} entries, cold, s", SECONDS),
    Row("change_name", "until a new name of the peer's is seen, s", SECONDS),
    Row("change_size", "until a new size is seen, s", SECONDS),
    Row("change_gone", "until a deletion is seen, s", SECONDS),
    Row("change_content", "until new content of an open file is seen, s", SECONDS),
    Row("cpu_read", "CPU seconds per GiB read, both sides", LESS, GIB, "read_cold", cpu=True),
    Row("cpu_write", "CPU seconds per GiB written, both sides", LESS, GIB, "write", cpu=True),
    Row("memory", "memory, both sides, at most, MB", LESS, MB),
    Row("exec", "`true`, whole process, ms", SECONDS, MS, about=PROGRAMS),
    Row("stdout", "what a program writes, MB/s", RATE, MB, about=PROGRAMS),
    Row("echo", "echo in a terminal, ms", SECONDS, MS, about=PROGRAMS),
    Row("echo_99", "99 of 100 within, ms", SECONDS, MS, "echo", about=PROGRAMS),
    Row("echo_busy", "echo beside a copy, ms", SECONDS, MS, about=PROGRAMS),
    Row("echo_busy_99", "99 of 100 within, ms", SECONDS, MS, "echo_busy", about=PROGRAMS),
    Row("cpu_stdout", "CPU seconds per GiB written, both sides", LESS, GIB, "stdout", cpu=True,
        about=PROGRAMS),
    *(Row(name, kv_text(*arguments), RATE, about=VALUES) for name, arguments in KV.items()),
    Row("message_delivered", "a message, until it is known to be delivered, ms", SECONDS, MS,
        "message", about=VALUES),
    Row("message_read", "until it is known to be read, ms", SECONDS, MS, "message", about=VALUES),
    Row("mcp_start", "from its start to its first answer, ms", SECONDS, MS, about=AGENTS),
    Row("mcp_execute", "`loopsy_execute` of `true`, ms", SECONDS, MS, about=AGENTS),
    Row("mcp_memory", "resident memory of the server, MB", LESS, step="mcp_execute", about=AGENTS),
]
