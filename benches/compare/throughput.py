"""Compares all contenders."""

import contextlib
import dataclasses
import sys
import time

from contenders import COPYING, SENDFILE
from exposition import campaign_families, campaign_samples
from scrape import ENCODINGS, load, scrape
from table import markdown, spread

CONNECTIONS = (1, 4)
# concurrent scrapes take longer than sequential ones, by at most this factor
CROWDED = 1.5
# contenders that take longer than this many seconds per scrape take part in SLOW_RUNS runs only
SLOW = 1
SLOW_RUNS = 2


def run(programs, options):
    with contextlib.ExitStack() as stack:
        servers, what = start(programs, options.campaigns or 10_000, stack)
        print(what)
        alone = {
            (server.name, encoding): scrape(server, encoding)
            for server in servers
            for encoding in ENCODINGS
        }
        # start no run that may exceed the limit, assuming it takes as long as the last one
        runs, last = [], 0
        while len(runs) < options.runs and options.time_left() > last:
            began = time.monotonic()
            runs.append({})
            for encoding in ENCODINGS:
                for connections in CONNECTIONS:
                    # consecutively, so that disturbances of the machine affect all of them
                    for server in servers:
                        one = alone[server.name, encoding]
                        if one.seconds > SLOW and len(runs) > SLOW_RUNS:
                            continue
                        seconds = max(options.duration, CROWDED * connections * one.seconds)
                        variant = server.name, encoding, connections
                        runs[-1][variant] = measure(server, encoding, connections, seconds, one)
            last = time.monotonic() - began
            print(f"run {len(runs)} took {last:.0f} s", file=sys.stderr)
        if len(runs) < options.runs:
            print(f"Made {len(runs)} of {options.runs} runs within the time limit.\n")
        print(table(runs))
        sizes = [size(server) for server in servers]
        head = ["", "identity, MB", "gzip, MB", "peak memory, MB", "connections"]
        rows = [
            [
                of["name"],
                f"{of['identity'] / 1e6:.1f}",
                f"{of['gzip'] / 1e6:.2f}",
                f"{of['peak_memory'] / 1e6:.0f}",
                "kept" if of["keeps_alive"] else "one per scrape",
            ]
            for of in sizes
        ]
        print(markdown(head, rows))
        return {"what": what, "runs": [list(run.values()) for run in runs], "sizes": sizes}


def start(programs, campaigns, stack):
    """Starts all contenders, and checks that they serve the same samples."""
    with programs.provider(campaigns) as provider:
        exporter = stack.enter_context(programs.exporter(provider))
    found = scrape(exporter, "gzip")
    families = campaign_families(found.body)
    servers = [
        stack.enter_context(programs.nginx("nginx", SENDFILE, found.raw)),
        stack.enter_context(programs.nginx("nginx-copying", COPYING, found.raw)),
        exporter,
        stack.enter_context(programs.gauge_vec(families)),
        stack.enter_context(programs.prometheus_client(families)),
    ]
    samples = campaign_samples(found.body)
    if sum(name == "campaign_deliveries" for name, _, _ in samples) != campaigns:
        raise RuntimeError(f"the exporter does not serve {campaigns} campaigns")
    for server in servers:
        for encoding in ENCODINGS:
            shown = campaign_samples(scrape(server, encoding).body)
            if shown != samples:
                others = [pair for pair in zip(shown, samples, strict=False) if pair[0] != pair[1]]
                raise RuntimeError(
                    f"{server.name} serves different samples, {encoding}: {len(shown)}, {others[:1]}"
                )
    return servers, (
        f"{campaigns:,} campaigns with {len(samples):,} series; the exporter's response has "
        f"{len(found.body):,} bytes, {len(found.raw):,} with gzip.\n"
    )


def measure(server, encoding, connections, seconds, one):
    """Loads a server whose responses should match the scrape `one`."""
    before = server.idle()
    loaded = load(server, encoding, connections, seconds)
    cpu = server.idle() - before
    # at the end, the server is still answering one scrape per connection
    begun = loaded.requests + connections
    per_scrape = cpu / begun
    # tolerates 5 % for headers and changing numbers
    if not 0.95 * loaded.requests < loaded.bytes / len(one.raw) < 1.05 * begun:
        raise RuntimeError(f"{server.name}, {encoding}: unexpected response length: {loaded}")
    return {
        "name": server.name,
        "encoding": encoding,
        "connections": connections,
        "cpu_per_scrape": per_scrape,
        **dataclasses.asdict(loaded),
    }


def size(server):
    answers = {encoding: scrape(server, encoding) for encoding in ENCODINGS}
    return {
        "name": server.name,
        **{encoding: len(answer.raw) for encoding, answer in answers.items()},
        "peak_memory": server.memory("VmHWM"),
        "keeps_alive": all(answer.keeps_alive for answer in answers.values()),
    }


def table(runs):
    """Returns a table of medians. Ratios are computed within a run, so that disturbances affect both sides."""
    head = ["", "encoding", "connections", "scrapes/s", "÷ nginx", "MB/s", "median, ms", "p99, ms"]
    head += ["CPU per scrape, ms", "÷ GaugeVec", "client busy", "runs"]
    rows = []
    # the first run contains all variants
    for name, encoding, connections in runs[0]:
        with_it = [run for run in runs if (name, encoding, connections) in run]
        results = [run[name, encoding, connections] for run in with_it]
        nginx = [run["nginx", encoding, connections] for run in with_it]
        gauge_vec = [run["GaugeVec", encoding, connections] for run in with_it]
        rows.append(
            [
                name,
                encoding,
                connections,
                spread(map(rate, results)),
                spread(rate(a) / rate(b) for a, b in zip(results, nginx, strict=True)),
                spread(result["bytes"] / result["seconds"] / 1e6 for result in results),
                spread(result["median"] * 1e3 for result in results),
                spread(result["p99"] * 1e3 for result in results),
                spread(result["cpu_per_scrape"] * 1e3 for result in results),
                spread(
                    a["cpu_per_scrape"] / b["cpu_per_scrape"]
                    for a, b in zip(results, gauge_vec, strict=True)
                ),
                spread(result["client_cpu"] / result["seconds"] for result in results),
                len(results),
            ]
        )
    return markdown(head, rows)


def rate(result):
    return result["requests"] / result["seconds"]
