"""How long a scrape takes while the exporter polls, and while it does not."""

import dataclasses
import sys
import time

from contenders import ONCE
from polls import polls
from processes import until
from scrape import ENCODINGS, load
from table import markdown, spread

CHANGING = 0.01
# Milliseconds between two scrapes: enough of them for a 99th percentile, and few enough to leave the
# machine to the poll.
PACE = 10
# the least: the next poll begins when the last one has ended
BACK_TO_BACK = "1s"
# polls that a measurement under polls has to see
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
            # the same process, so that nothing but its polls is different
            for interval in (BACK_TO_BACK, ONCE):
                change(programs, provider, exporter, interval)
                for encoding in ENCODINGS:
                    runs[-1].append(measure(exporter, encoding, interval, options))
            last = time.monotonic() - began
            print(f"run {len(runs)} took {last:.0f} s", file=sys.stderr)
    print(f"{campaigns:,} campaigns, of which {CHANGING:.0%} change at each poll\n")
    print(table(runs))
    return {"campaigns": campaigns, "runs": runs}


def change(programs, provider, exporter, interval):
    """Makes it poll at another interval, and waits until it does."""
    programs.configure(provider, interval)
    before = polls(exporter)
    exporter.reload()
    # a changed account is polled at once
    until("it polls", lambda: polls(exporter) > before, pause=0.5)
    if interval == ONCE:
        # what it has read is not published yet
        exporter.idle(quiet=2)


def measure(exporter, encoding, interval, options):
    # long enough for a few polls
    seconds = max(options.duration, 15)
    before = polls(exporter)
    loaded = load(exporter, encoding, 1, seconds, PACE)
    count = polls(exporter) - before
    if (count == 0) != (interval == ONCE) or 0 < count < POLLS:
        raise RuntimeError(f"{count} polls, with one each {interval}")
    return {
        "encoding": encoding,
        "interval": interval,
        "polls": count,
        **dataclasses.asdict(loaded),
    }


def table(runs):
    head = ["encoding", "", "idle, ms", "while it polls, ms", "ratio"]
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
