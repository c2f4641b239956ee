"""Measures scrapes by real clients: Prometheus and vmagent."""

import contextlib
import http.server
import json
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request

from contenders import COPYING
from exposition import campaign_families
from processes import LIMIT, Server, until
from scrape import scrape
from table import markdown, spread

CAMPAIGNS = 10_000
# a scrape, above all the first, can take a client over a second
INTERVAL = 3

CONFIG = """\
global: {{scrape_interval: {interval}s, scrape_timeout: {interval}s}}
scrape_configs:
  - job_name: measured
    static_configs: [{{targets: ['{target}']}}]
"""


def run(programs, options):
    campaigns = options.campaigns or CAMPAIGNS
    clients = {}
    for name in ("prometheus", "vmagent"):
        found = shutil.which(str(getattr(options, name) or name))
        if found:
            clients[name] = found
        else:
            print(f"Skipped {name}: not in PATH; --{name} FILE names it.\n")
    results = []
    with contextlib.ExitStack() as stack:
        with programs.provider(campaigns) as provider:
            exporter = stack.enter_context(programs.exporter(provider))
        found = scrape(exporter, "gzip")
        servers = [
            stack.enter_context(programs.nginx("nginx-copying", COPYING, found.raw)),
            exporter,
            stack.enter_context(programs.gauge_vec(campaign_families(found.body))),
        ]
        sink = stack.enter_context(remote_storage())
        last = 0
        for number in range(options.runs):
            began = time.monotonic()
            if options.time_left() < last:
                print(f"Made {number} of {options.runs} runs within the time limit.\n")
                break
            for client, program in clients.items():
                # one after the other, so that disturbances of the machine affect all of them
                for server in servers:
                    results.append(measure(programs, client, program, server, sink, options))
            last = time.monotonic() - began
            print(f"run {number + 1} done", file=sys.stderr)
    head = ["client", "server", "scrape, ms", "CPU of the server per scrape, ms", "CPU of the client, ms"]
    rows = [
        [
            client,
            server.name,
            *(
                spread(
                    1e3 * of[what]
                    for of in results
                    if (of["client"], of["server"]) == (client, server.name)
                )
                for what in ("scrape", "server_cpu", "client_cpu")
            ),
        ]
        for client in clients
        for server in servers
    ]
    versions = [f"{name}: {version(program)}" for name, program in clients.items()]
    print("\n".join(versions) + "\n\n" + markdown(head, rows))
    return {"results": results, "versions": versions}


def measure(programs, client, program, server, sink, options):
    """Lets a client scrape a server again and again."""
    folder = programs.folder / f"{client}-{time.monotonic_ns()}"
    folder.mkdir()
    config = folder / "config.yml"
    config.write_text(CONFIG.format(interval=INTERVAL, target=server.address))
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = "{}:{}".format(*free.getsockname())
    if client == "prometheus":
        arguments = ["--config.file", config, "--storage.tsdb.path", folder / "data"]
        arguments += ["--web.listen-address", address, "--log.level=warn"]
    else:
        arguments = [f"-promscrape.config={config}", f"-remoteWrite.tmpDataPath={folder / 'data'}"]
        arguments += [f"-remoteWrite.url={sink}", f"-httpListenAddr={address}"]
        # more than a scrape without compression, of which 16 MiB are allowed by default
        arguments += ["-promscrape.maxScrapeSize=1GB"]
    with Server(client, [program, *arguments], folder / "log", address) as running:
        until(f"{client} has scraped", lambda: running.check() and last_scrape(running), pause=0.2)
        # the first scrape creates the series
        seen = {last_scrape(running)[0]}
        durations = []
        before = (server.cpu(), running.cpu())
        end = time.monotonic() + max(options.duration, 4 * INTERVAL)
        while time.monotonic() < end:
            at, seconds = last_scrape(running)
            if at not in seen:
                seen.add(at)
                durations.append(seconds)
            time.sleep(INTERVAL / 10)
        server_cpu, client_cpu = server.cpu() - before[0], running.cpu() - before[1]
    shutil.rmtree(folder)
    durations.sort()
    return {
        "client": client,
        "server": server.name,
        "scrapes": len(durations),
        "scrape": durations[len(durations) // 2],
        "server_cpu": server_cpu / len(durations),
        "client_cpu": client_cpu / len(durations),
    }


def last_scrape(client):
    """Returns the time and duration of the last scrape; None before the first that succeeds."""
    try:
        with urllib.request.urlopen(f"http://{client.address}/api/v1/targets", timeout=LIMIT) as answer:
            targets = json.load(answer)["data"]["activeTargets"]
    except OSError:
        return None
    for target in targets:
        if target["health"] == "up" and not target["lastError"]:
            return target["lastScrape"], target["lastScrapeDuration"]
    return None


@contextlib.contextmanager
def remote_storage():
    """Accepts all that a client forwards."""

    class Sink(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sink) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield "http://{}:{}/write".format(*server.server_address)
        finally:
            server.shutdown()
            thread.join()


def version(program):
    for flag in ("--version", "-version"):
        done = subprocess.run([program, flag], capture_output=True, text=True, timeout=LIMIT)
        if done.returncode == 0:
            return (done.stdout + done.stderr).splitlines()[0].strip()
    return "unknown version"
