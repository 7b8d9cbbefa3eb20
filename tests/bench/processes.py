"""What the processes of the hosts use: CPU time and memory, read from /proc."""
import os

TICK = os.sysconf("SC_CLK_TCK")


class Sample:
    """All processes of some sandboxes at one moment: {pid: CPU seconds}. Left out are the sandboxes'
    own, those of a session (the program that does the work), and `others`."""

    def __init__(self, boxes, session=None, others=()):
        spaces = {pid_space(box.pid) for box in boxes}
        own = {box.pid for box in boxes} | set(others)
        self.cpu = {}
        for entry in os.listdir("/proc"):
            if not entry.isdigit() or int(entry) in own:
                continue
            try:
                if pid_space(entry) not in spaces:
                    continue
                with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as file:
                    fields = file.read().rpartition(")")[2].split()
            except OSError: # it has ended
                continue
            if int(fields[3]) != session:
                self.cpu[int(entry)] = (int(fields[11]) + int(fields[12])) / TICK

    def cpu_since(self, earlier):
        return sum(cpu - earlier.cpu.get(pid, 0) for pid, cpu in self.cpu.items())

    def peak_memory(self):
        """Bytes: the sum of the most that each had so far."""
        return sum(peak_memory(pid) for pid in self.cpu)


def pid_space(pid):
    return os.stat(f"/proc/{pid}/ns/pid").st_ino


def peak_memory(pid):
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
            return next((int(line.split()[1]) * 1024 for line in file
                         if line.startswith("VmHWM:")), 0)
    except OSError:
        return 0


def session_has_ended(session):
    """Whether no process of a session is left."""
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as file:
                    fields = file.read().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == session and fields[0] not in "ZX":
                return False
    return True
