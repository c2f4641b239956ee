"""Measures the memory of the exporter and the CPU time of its polls, with storage."""

import sys
import tempfile
import time

from polls import polls
from scrape import ENCODINGS, OPEN_METRICS, tail
from table import markdown

# the first poll differs from the others, since it replaces no data
POLLS = 5
CHANGING = (0, 0.01)


def run(programs, options):
    results = []
    for campaigns in [options.campaigns] if options.campaigns else [10_000, 100_000]:
        for changing in CHANGING:
            results.append(measure(programs, campaigns, changing))
            print(f"{campaigns} campaigns, {changing:.0%} changing: done", file=sys.stderr)
    head = ["campaigns", "change at each poll", "peak memory, MB", "memory in the end, MB"]
    head += ["CPU of a poll, ms", "polls"]
    rows = [
        [
            f"{of['campaigns']:,}",
            f"{of['changing']:.0%}",
            f"{of['peak'] / 1e6:.0f}",
            f"{of['resident'] / 1e6:.0f}",
            f"{of['cpu'] * 1000:.0f}",
            of["polls"],
        ]
        for of in results
    ]
    print(markdown(head, rows))
    return {"results": results}


def measure(programs, campaigns, changing):
    """Polls alone, and then while being scraped in all formats and encodings."""
    # a poll of 100,000 campaigns takes seconds
    interval = "1s" if campaigns <= 10_000 else "5s"
    with (
        tempfile.TemporaryDirectory(dir=programs.folder) as storage,
        programs.provider(campaigns, changing) as provider,
        programs.exporter(provider, interval, arguments=["--storage.path", storage]) as exporter,
    ):
        # asking for the number of polls is a scrape too
        before, cpu = polls(exporter), exporter.cpu()
        while (count := polls(exporter)) < before + POLLS:
            time.sleep(0.5)
        cpu = (exporter.cpu() - cpu) / (count - before)
        while (count := polls(exporter)) < before + 2 * POLLS:
            for accept in (None, OPEN_METRICS):
                for encoding in ENCODINGS:
                    tail(exporter, encoding, accept)
            time.sleep(0.2)
        return {
            "campaigns": campaigns,
            "changing": changing,
            "polls": count,
            "cpu": cpu,
            "peak": exporter.memory("VmHWM"),
            "resident": exporter.memory("VmRSS"),
        }
