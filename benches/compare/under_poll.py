"""Measures the latency of scrapes while the exporter polls and while it is idle."""

import dataclasses
import sys
import time

from contenders import ONCE
from polls import polls
from processes import until
from scrape import ENCODINGS, load
from table import markdown, spread

CHANGING = 0.01
# Milliseconds between scrapes: short enough for a 99th percentile, long enough to leave the CPU to the
# poll.
PACE = 10
# the minimum: a poll starts when the previous one ends
BACK_TO_BACK = "1s"
# minimum number of polls during a measurement
POLLS = 2


def run(programs, options):
    campaigns = options.campaigns or 100_000
    runs, last = [], 0
    with (
        programs.provider(campaigns, CHANGING) as provider,
        programs.exporter(provider) as exporter,
    ):
        while len(runs) < options.runs and options.time_left() > last:
            began = time.monotonic()
            runs.append([])
            # the same process, so that only its polls differ
            for interval in (BACK_TO_BACK, ONCE):
                change(programs, provider, exporter, interval)
                for encoding in ENCODINGS:
                    runs[-1].append(measure(exporter, encoding, interval, options))
            last = time.monotonic() - began
            print(f"run {len(runs)} took {last:.0f} s", file=sys.stderr)
    print(f"{campaigns:,} campaigns, of which {CHANGING:.0%} change with each poll\n")
    print(table(runs))
    return {"campaigns": campaigns, "runs": runs}


def change(programs, provider, exporter, interval):
    """Changes the poll interval, and waits for a poll."""
    programs.configure(provider, interval)
    before = polls(exporter)
    exporter.reload()
    # a changed account is polled immediately
    until("it polls", lambda: polls(exporter) > before, pause=0.5)
    if interval == ONCE:
        # the poll is not published yet
        exporter.idle(quiet=2)


def measure(exporter, encoding, interval, options):
    # long enough for a few polls
    seconds = max(options.duration, 15)
    before = polls(exporter)
    loaded = load(exporter, encoding, 1, seconds, PACE)
    count = polls(exporter) - before
    if (count == 0) != (interval == ONCE) or 0 < count < POLLS:
        raise RuntimeError(f"{count} polls at an interval of {interval}")
    return {
        "encoding": encoding,
        "interval": interval,
        "polls": count,
        **dataclasses.asdict(loaded),
    }


def table(runs):
    head = ["encoding", "", "idle, ms", "polling, ms", "ratio"]
    rows = []
    for encoding in ENCODINGS:
        for what in ("median", "p99"):
            idle, polling = (
                [
                    result[what] * 1e3
                    for run in runs
                    for result in run
                    if result["encoding"] == encoding and result["interval"] == interval
                ]
                for interval in (ONCE, BACK_TO_BACK)
            )
            ratios = [b / a for a, b in zip(idle, polling, strict=True)]
            rows.append([encoding, what, spread(idle), spread(polling), spread(ratios)])
    return markdown(head, rows)
