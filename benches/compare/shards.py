"""Measures exporters that share a million campaigns: one shard after the other, each with a Prometheus of
its own, and smaller numbers of campaigns for comparison."""

import json
import sys
import urllib.request

from contenders import ONCE
from polls import polls
from processes import LIMIT, until
from rules import api, evaluated, prometheus, value
from scrape import scrape
from table import markdown, number

# shards, accounts of all shards, campaigns of each account
SIZES = ((1, 1, 1_000), (1, 1, 10_000), (1, 10, 10_000), (10, 100, 10_000))
# an evaluation for 100,000 campaigns takes longer than the usual 15 s
INTERVAL = 60
# the first evaluations see only a part of the data
SETTLED = 3
# two evaluations more than that, on a slow machine
EVALUATED = 20 * INTERVAL


def run(programs, options):
    results = []
    for shards, accounts, campaigns in SIZES:
        # one address for all shards of a size: they distribute the accounts by it
        with programs.provider(campaigns) as provider:
            for shard in range(min(shards, options.shards)):
                results.append(measure(programs, provider, shard, shards, accounts, campaigns))
                print(f"{results[-1]}", file=sys.stderr)
    head = ["shard", "accounts", "campaigns", "series", "requests of a full poll", "CPU of a full poll, s"]
    head += ["memory, MB", "scrape, MB", "with gzip, MB", "longest scrape of a target, s"]
    head += ["evaluation, s", "memory of Prometheus, MB"]
    rows = [
        [
            f"{of['shard']} of {of['shards']}",
            of["accounts"],
            f"{of['campaigns']:,}",
            f"{of['series']:,}",
            of["requests"],
            number(of["cpu"]),
            number(of["resident"] / 1e6),
            number(of["bytes"] / 1e6),
            number(of["compressed"] / 1e6),
            number(of["scrape"]),
            number(of["evaluation"]),
            number(of["memory"] / 1e6),
        ]
        for of in results
    ]
    print(markdown(head, rows))
    return {"results": results}


def measure(programs, provider, shard, shards, accounts, campaigns):
    arguments = [f"--shard={shard}/{shards}"]
    with programs.exporter(provider, ONCE, accounts, arguments) as exporter:
        # one target for each account, and one for the exporter itself
        own = len(targets(exporter)) - 1
        until("all accounts are polled", lambda: polls(exporter) >= own, pause=0.5)
        cpu = exporter.idle()
        whole = scrape(exporter, "gzip")
        found = {
            "shard": shard,
            "shards": shards,
            "accounts": own,
            "campaigns": own * campaigns,
            "requests": requests(whole.body),
            "cpu": cpu,
            "bytes": len(whole.body),
            "compressed": len(whole.raw),
        }
        discovered = f"honor_labels: true\n    http_sd_configs: [{{url: 'http://{exporter.address}/sd'}}]"
        with prometheus(programs, discovered, INTERVAL) as server:
            until("rules are evaluated", lambda: evaluated(server) >= SETTLED, EVALUATED, pause=1)
            groups = api(server, "rules")["groups"]
            return {
                **found,
                "series": int(value(server, "prometheus_tsdb_head_series")),
                "scrape": value(server, "max(scrape_duration_seconds{job='campaign_exporter'})"),
                "evaluation": sum(group["evaluationTime"] for group in groups),
                "memory": server.memory("VmRSS"),
                "resident": exporter.memory("VmRSS"),
            }


def targets(exporter):
    with urllib.request.urlopen(f"http://{exporter.address}/sd", timeout=LIMIT) as answer:
        return json.load(answer)


def requests(body):
    """Returns the requests to the provider so far."""
    lines = [line for line in body.splitlines() if line.startswith(b"campaign_exporter_api_requests_total{")]
    return sum(int(line.rpartition(b" ")[2]) for line in lines)
