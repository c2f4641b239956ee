"""All contenders against each other."""

import contextlib
import dataclasses
import sys
import time

from exposition import campaign_families, campaign_samples
from scrape import ENCODINGS, load, scrape
from table import markdown, spread

CONNECTIONS = (1, 4)
# a round of all connections takes longer than one scrape after the other would: by how much at most
CROWDED = 1.7


def run(programs, options):
    with contextlib.ExitStack() as stack:
        servers, what = start(programs, options.campaigns or 10_000, stack)
        print(what)
        seconds = {
            (server.name, encoding, connections): max(
                options.duration,
                CROWDED * connections * max(scrape(server, encoding).seconds for _ in range(2)),
            )
            for encoding in ENCODINGS
            for connections in CONNECTIONS
            for server in servers
        }
        runs, longest = [], 0
        while len(runs) < options.runs and options.time_left() > longest:
            began = time.monotonic()
            runs.append([])
            for encoding in ENCODINGS:
                for connections in CONNECTIONS:
                    # one after the other, so that what disturbs the machine disturbs all of them
                    for server in servers:
                        variant = server.name, encoding, connections
                        runs[-1].append(measure(server, encoding, connections, seconds[variant]))
            longest = max(longest, time.monotonic() - began)
            print(f"run {len(runs)} took {time.monotonic() - began:.0f} s", file=sys.stderr)
        if len(runs) < options.runs:
            print(f"{len(runs)} of {options.runs} runs were made: there was time for no more.\n")
        print(table(runs))
        sizes = [size(server) for server in servers]
        head = ["", "identity, MB", "gzip, MB", "peak memory, MB", "connections"]
        rows = [
            [
                of["name"],
                f"{of['identity'] / 1e6:.1f}",
                f"{of['gzip'] / 1e6:.2f}",
                f"{of['peak_memory'] / 1e6:.0f}",
                "kept" if of["keeps_alive"] else "one a scrape",
            ]
            for of in sizes
        ]
        print(markdown(head, rows))
        return {"what": what, "runs": runs, "sizes": sizes}


def start(programs, campaigns, stack):
    """Starts all of them, and holds against each other what they say."""
    with programs.provider(campaigns) as provider:
        exporter = stack.enter_context(programs.exporter(provider))
    found = scrape(exporter, "gzip")
    families = campaign_families(found.body)
    servers = [
        stack.enter_context(programs.nginx(found.raw)),
        exporter,
        stack.enter_context(programs.gauge_vec(families)),
        stack.enter_context(programs.prometheus_client(families)),
    ]
    samples = campaign_samples(found.body)
    if sum(name == "campaign_deliveries" for name, _, _ in samples) != campaigns:
        raise RuntimeError(f"the exporter does not show {campaigns} campaigns")
    for server in servers:
        for encoding in ENCODINGS:
            shown = campaign_samples(scrape(server, encoding).body)
            if shown != samples:
                others = [pair for pair in zip(shown, samples, strict=False) if pair[0] != pair[1]]
                raise RuntimeError(
                    f"{server.name} shows other samples, {encoding}: {len(shown)}, {others[:1]}"
                )
    return servers, (
        f"{campaigns:,} campaigns with {len(samples):,} series; the exporter's answer has "
        f"{len(found.body):,} bytes, {len(found.raw):,} with gzip.\n"
    )


def measure(server, encoding, connections, seconds):
    before = server.idle()
    loaded = load(server, encoding, connections, seconds)
    cpu = server.idle() - before
    # when the time is over, each connection waits for an answer that the server still makes
    per_scrape = cpu / (loaded.requests + connections)
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
    """Medians over the runs. Ratios are those of a run, so that both halves were disturbed alike."""
    head = ["", "encoding", "connections", "scrapes/s", "÷ nginx", "MB/s", "median, ms", "p99, ms"]
    head += ["CPU a scrape, ms", "÷ GaugeVec", "client busy"]
    rows = []
    # each run has the same variants in the same order
    for results in zip(*runs, strict=True):
        first = results[0]
        nginx = [find(run, "nginx", first) for run in runs]
        gauge_vec = [find(run, "GaugeVec", first) for run in runs]
        rows.append(
            [
                first["name"],
                first["encoding"],
                first["connections"],
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
            ]
        )
    return markdown(head, rows)


def find(run, name, like):
    """The result of another contender under the same load."""
    same = ("encoding", "connections")
    return next(r for r in run if r["name"] == name and all(r[key] == like[key] for key in same))


def rate(result):
    return result["requests"] / result["seconds"]
