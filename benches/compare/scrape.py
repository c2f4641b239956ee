"""Single scrapes and load."""

import dataclasses
import gzip
import http.client
import json
import pathlib
import resource
import subprocess
import time

# longer than the slowest response on a slow machine
TIMEOUT = 120
OPEN_METRICS = "application/openmetrics-text;version=1.0.0"
ENCODINGS = ("identity", "gzip")
CHUNK = 1 << 20


@dataclasses.dataclass(frozen=True)
class Scrape:
    raw: bytes
    body: bytes
    seconds: float
    keeps_alive: bool


def scrape(server, encoding, accept=None):
    """Scrapes once and decodes the response, which must be successful and encoded as requested."""
    began = time.monotonic()
    connection, response = _ask(server, encoding, accept)
    raw = response.read()
    seconds = time.monotonic() - began
    keeps_alive = not response.will_close
    connection.close()
    body = gzip.decompress(raw) if encoding == "gzip" else raw
    return Scrape(raw, body, seconds, keeps_alive)


def tail(server, encoding, accept=None):
    """Returns the undecoded end of a scrape, without keeping the whole body."""
    connection, response = _ask(server, encoding, accept)
    last, chunk = b"", b""
    while more := response.read(CHUNK):
        last, chunk = chunk, more
    connection.close()
    return last + chunk


def _ask(server, encoding, accept):
    connection = http.client.HTTPConnection(server.address, timeout=TIMEOUT)
    headers = {"Accept-Encoding": encoding}
    if accept:
        headers["Accept"] = accept
    connection.request("GET", server.path, headers=headers)
    response = connection.getresponse()
    got = response.getheader("Content-Encoding", "identity")
    if response.status != 200 or got != encoding:
        raise RuntimeError(f"{server.name}: status {response.status}, {got} instead of {encoding}")
    return connection, response


@dataclasses.dataclass(frozen=True)
class Load:
    """Results of many scrapes. Times are in seconds."""

    requests: int
    seconds: float
    bytes: int
    median: float
    p99: float
    client_cpu: float


def load(server, encoding, connections, seconds, pace=None):
    """Scrapes for some time, sequentially on each persistent connection, with an optional pause of
    `pace` milliseconds before each scrape."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{round(seconds)}s", f"--timeout={TIMEOUT}s"]
    command += ["--latency", "-s", pathlib.Path(__file__).with_name("wrk.lua")]
    if encoding == "gzip":
        command += ["-H", "Accept-Encoding: gzip"]
    command += [server.url]
    if pace:
        command += ["--", str(pace)]
    client_cpu = _client_cpu()
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + TIMEOUT)
    client_cpu = _client_cpu() - client_cpu
    server.check()
    if done.returncode != 0:
        raise RuntimeError(f"wrk: {done.stdout}{done.stderr}")
    told = json.loads(done.stdout.splitlines()[-1])
    if any(told["errors"].values()) or not told["requests"]:
        raise RuntimeError(f"{server.name}, {encoding}, {connections} connections: {told}")
    return Load(
        requests=told["requests"],
        seconds=told["duration"] / 1e6,
        bytes=told["bytes"],
        median=told["median"] / 1e6,
        p99=told["p99"] / 1e6,
        client_cpu=client_cpu,
    )


def _client_cpu():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
