"""Server processes: their addresses, resource usage, and shutdown."""

import os
import pathlib
import signal
import subprocess
import time

# timeout for any wait, even on a busy machine
LIMIT = 120
PAUSE = 0.05
TICKS = os.sysconf("SC_CLK_TCK")


def until(what, condition, limit=LIMIT, pause=PAUSE):
    """Waits until `condition` returns a true value, and returns it."""
    end = time.monotonic() + limit
    while not (met := condition()):
        if time.monotonic() > end:
            raise TimeoutError(f"timed out after {limit} s: {what}")
        time.sleep(pause)
    return met


class Server:
    """A running server and its workers. It exits with the driver, even if that is killed."""

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
                # so that Ctrl-C does not reach it, only `stop` does
                start_new_session=True,
                # no proxy, no RUST_LOG: independent of the environment
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
        """Raises an exception if the server has exited."""
        if self.child.poll() is not None:
            raise RuntimeError(f"{self.name} exited:\n{self.log.read_text()[-2000:]}")
        return True

    def _listens(self):
        self.check()
        _, found, rest = self.log.read_text().partition("address=")
        # the line may be incomplete
        return found and "\n" in rest and rest.split()[0].strip('"')

    @property
    def url(self):
        return f"http://{self.address}{self.path}"

    def reload(self):
        self.child.send_signal(signal.SIGHUP)

    def stop(self):
        """Terminates the server; if that fails, kills it with all its workers."""
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self.child.pid, signal.SIGKILL)
                self.child.wait()

    def _pids(self):
        """Returns the PIDs of the server and of nginx's workers."""
        children = pathlib.Path(f"/proc/{self.child.pid}/task/{self.child.pid}/children")
        return [self.child.pid, *map(int, children.read_text().split())]

    def cpu(self):
        """Returns the CPU seconds of all threads so far, including exited ones."""
        ticks = 0
        for pid in self._pids():
            stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
            # the name, in parentheses, may contain spaces
            fields = stat.rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / TICKS

    def memory(self, what):
        """Returns resident memory in bytes: peak (`VmHWM`) or current (`VmRSS`)."""
        total = 0
        for pid in self._pids():
            status = pathlib.Path(f"/proc/{pid}/status").read_text()
            total += 1024 * int(status.partition(f"{what}:")[2].split()[0])
        return total

    def idle(self, quiet=0.3, limit=LIMIT):
        """Waits until the server has been idle for a while, and returns its CPU seconds."""
        since, last = time.monotonic(), self.cpu()

        def is_quiet():
            nonlocal since, last
            self.check()
            now = self.cpu()
            if now > last:
                since, last = time.monotonic(), now
            return time.monotonic() - since > quiet

        until(f"{self.name} is idle", is_quiet, limit)
        return last
