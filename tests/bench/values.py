"""Steps about values and messages: a part of work.py.

options: kv_rate and message_rate, the programs; ctl and desk_ctl, the control sockets of the two
machines; peer, what the first calls the second. The values are desk's, and lap asks for them.
"""
import functools
import subprocess

from rows import KV


class Values:
    def kv(self, way, what, clients, keys):
        where = ["ctl", self.options["ctl"], self.options["peer"]] if way == "ctl" else \
            ["files", self.path(".loopsy", "kv")]
        done = subprocess.run([self.options["kv_rate"], *where, what, str(clients),
                               str(self.options["values_seconds"]), str(self.options[keys])],
                              check=True, stdout=subprocess.PIPE)
        n, seconds = done.stdout.split()
        return int(n), float(seconds)

    def message(self):
        done = subprocess.run([self.options["message_rate"], self.options["ctl"],
                               self.options["peer"], self.options["desk_ctl"],
                               str(self.options["values_seconds"])],
                              check=True, stdout=subprocess.PIPE)
        n, _, delivered, read = done.stdout.split()
        return int(n), {"message_delivered": float(delivered), "message_read": float(read)}


for name, arguments in KV.items():
    setattr(Values, name, functools.partialmethod(Values.kv, *arguments))
