"""Servers as processes: their addresses, what they cost, and their end."""

import os
import pathlib
import signal
import subprocess
import time

# how long anything may take that is waited for, on a machine that has much else to do
LIMIT = 120
PAUSE = 0.05
TICKS = os.sysconf("SC_CLK_TCK")


def until(what, condition, limit=LIMIT, pause=PAUSE):
    """Waits until a condition holds, and returns what it says."""
    end = time.monotonic() + limit
    while not (met := condition()):
        if time.monotonic() > end:
            raise TimeoutError(f"waited {limit} s in vain: {what}")
        time.sleep(pause)
    return met


class Server:
    """A running server and its workers. It ends with the driver, however that one ends."""

    def __init__(self, name, command, log, address=None, path="/metrics"):
        self.name = name
        self.path = path
        self.log = pathlib.Path(log)
        with self.log.open("wb") as log:
            self.child = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", "--", *map(str, command)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # so that Ctrl-C reaches it only through `stop`
                start_new_session=True,
                # no proxy, no RUST_LOG: nothing of the machine that measures
                env={"PATH": os.environ["PATH"]},
            )
        try:
            self.address = address or until(f"{name} listens", self._listens)
        except BaseException:
            self.stop()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def check(self):
        """Fails if it has ended."""
        if self.child.poll() is not None:
            raise RuntimeError(f"{self.name} has ended:\n{self.log.read_text()[-2000:]}")
        return True

    def _listens(self):
        self.check()
        _, found, rest = self.log.read_text().partition("address=")
        # half a line may be there
        return found and "\n" in rest and rest.split()[0].strip('"')

    @property
    def url(self):
        return f"http://{self.address}{self.path}"

    def reload(self):
        self.child.send_signal(signal.SIGHUP)

    def stop(self):
        """Lets it end in order, or else ends it and all its workers."""
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self.child.pid, signal.SIGKILL)
                self.child.wait()

    def _pids(self):
        """Its process and, of nginx, the workers."""
        children = pathlib.Path(f"/proc/{self.child.pid}/task/{self.child.pid}/children")
        return [self.child.pid, *map(int, children.read_text().split())]

    def cpu(self):
        """Seconds of all its threads so far, those that have ended included."""
        ticks = 0
        for pid in self._pids():
            stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
            # the name, in brackets, may have blanks
            fields = stat.rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / TICKS

    def memory(self, what):
        """Bytes: `VmHWM` is the most that was resident, `VmRSS` what is."""
        total = 0
        for pid in self._pids():
            status = pathlib.Path(f"/proc/{pid}/status").read_text()
            total += 1024 * int(status.partition(f"{what}:")[2].split()[0])
        return total

    def idle(self, quiet=0.3, limit=LIMIT):
        """Waits until it has had nothing to do for a while; returns its seconds of CPU."""
        since, last = time.monotonic(), self.cpu()

        def is_quiet():
            nonlocal since, last
            self.check()
            now = self.cpu()
            if now > last:
                since, last = time.monotonic(), now
            return time.monotonic() - since > quiet

        until(f"{self.name} has nothing to do", is_quiet, limit)
        return last
