"""The network of a run: the serving host, desk; the mounting one, lap; and, for a delay, the road
between them, a host with our delay proxy. Then desk and lap reach each other only through it."""
import signal

PORTS = {"loopsy": 19532, "before": 19533, "ssh": 2222, "tls": 2223, "node": 19534}


class Network:
    def __init__(self, context, delay):
        """delay: milliseconds of a round trip; until set_delay it is not there yet."""
        self.context, self.delay = context, delay
        self.desk, self.lap = context.lan("desk", "lap", avahi=False)
        self.address = self.desk.address # where lap finds desk's ports
        self.proxy = self.road = None
        if delay:
            self.road = context.lan("road", avahi=False)
            self.address = self.road.address
            context.isolate(self.desk, self.lap)
            self._start_proxy(0)

    def _start_proxy(self, delay):
        relays = [f"{self.road.address}:{port}={self.desk.address}:{port}"
                  for port in PORTS.values()]
        self.proxy = self.road.spawn(f"{self.road.build}/tests/bench/bin/delay_proxy",
                                     round(delay * 1000 / 2), *relays)
        assert self.proxy.read_line() == "ready", self.proxy.error_text()

    def set_delay(self):
        """From now on. Connections that are there end."""
        if self.delay:
            self.end()
            self._start_proxy(self.delay)

    def end(self):
        if self.proxy:
            self.proxy.signal(signal.SIGTERM)
            self.proxy.wait()
            self.proxy = None
