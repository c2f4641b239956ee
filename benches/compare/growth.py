"""Measures how the cost of scrapes and polls grows with campaigns, accounts, and concurrent scrapes."""

import sys

from contenders import ONCE
from polls import polls
from processes import until
from scrape import ENCODINGS, load, scrape
from table import markdown, number

CAMPAIGNS = (100, 1_000, 10_000, 100_000)
ACCOUNTS = (1, 10, 100, 1_000)
CONNECTIONS = (1, 2, 4, 8, 16, 32)
# fixed values while the other parameters vary
MIDDLE = 10_000


def run(programs, options):
    middle = options.campaigns or MIDDLE
    points = [measure(programs, "campaigns", size, size, 1, [1], options) for size in CAMPAIGNS]
    points += [
        measure(programs, "accounts", count, middle, count, [1], options) for count in ACCOUNTS
    ]
    points += [measure(programs, "connections", None, middle, 1, CONNECTIONS, options)]
    results = [result for point in points for result in point]
    head = [
        "campaigns",
        "accounts",
        "connections",
        "encoding",
        "MB",
        "scrapes/s",
        "median, ms",
        "CPU per scrape, ms",
        "CPU of the first poll, s",
        "resident, MB",
    ]
    rows = [
        [
            f"{of['campaigns']:,}",
            f"{of['accounts']:,}",
            of["connections"],
            of["encoding"],
            number(of["bytes"] / 1e6),
            number(of["rate"]),
            number(of["median"] * 1e3),
            number(of["cpu"] * 1e3),
            number(of["poll"]),
            number(of["resident"] / 1e6),
        ]
        for of in results
    ]
    print(markdown(head, rows))
    return {"results": results}


def measure(programs, varied, at, campaigns, accounts, connections, options):
    """Loads an exporter that has polled once, in both encodings."""
    of_each = max(1, campaigns // accounts)
    with (
        programs.provider(of_each) as provider,
        programs.exporter(provider, ONCE, accounts) as exporter,
    ):
        until("all accounts are polled", lambda: polls(exporter) >= accounts, pause=0.5)
        poll = exporter.idle()
        results = []
        for encoding in ENCODINGS:
            size = len(scrape(exporter, encoding).raw)
            for count in connections:
                before = exporter.idle()
                loaded = load(exporter, encoding, count, options.duration)
                results.append(
                    {
                        "varied": varied,
                        "at": at or count,
                        "campaigns": of_each * accounts,
                        "accounts": accounts,
                        "connections": count,
                        "encoding": encoding,
                        "bytes": size,
                        "rate": loaded.requests / loaded.seconds,
                        "median": loaded.median,
                        "cpu": (exporter.idle() - before) / loaded.requests,
                        "poll": poll,
                        "resident": exporter.memory("VmRSS"),
                    }
                )
                print(f"{results[-1]}", file=sys.stderr)
    return results
