"""Compares the exporter with other ways to serve its exposition. Started by `run`."""

import argparse
import json
import os
import pathlib
import platform
import signal
import subprocess
import sys
import time

import clients
import growth
import memory
import rules
import shards
import throughput
import under_poll
from contenders import Programs, python

MODES = {
    "throughput": throughput.run,
    "memory": memory.run,
    "under-poll": under_poll.run,
    "growth": growth.run,
    "rules": rules.run,
    "clients": clients.run,
    "shards": shards.run,
}
# modes whose results are plotted, and the scripts that do
PLOTS = {"growth": "plot.py", "shards": "plot_shards.py"}
PLOT = "matplotlib==3.11.2"
# seconds to finish the current measurement after the limit is reached
GRACE = 40


def arguments():
    parser = argparse.ArgumentParser(prog="benches/compare/run", description=__doc__)
    parser.add_argument("mode", nargs="?", default="throughput", choices=MODES)
    parser.add_argument(
        "--campaigns",
        type=int,
        metavar="N",
        help="number of campaigns; default 10000, under-poll 100000, memory both, rules also 1000",
    )
    parser.add_argument("--runs", type=int, default=5, metavar="K", help="number of runs, default 5")
    parser.add_argument(
        "--shards", type=int, default=10, metavar="K", help="measured shards of ten, default all"
    )
    parser.add_argument(
        "--duration",
        type=int,
        default=3,
        metavar="SECONDS",
        help="minimum duration of each measurement, default 3",
    )
    parser.add_argument(
        "--limit",
        type=int,
        default=560,
        metavar="SECONDS",
        help=f"start no run that would end later than this, and abort {GRACE} s later; default 560",
    )
    for client in ("prometheus", "vmagent"):
        parser.add_argument(
            f"--{client}", metavar="FILE", help=f"{client} for clients, default {client} in PATH"
        )
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="output file for the results")
    parser.add_argument("--folder", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--programs", required=True, type=pathlib.Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def end(number, _):
    """Exits like after any error, so that the servers are stopped."""
    sys.exit(f"stopped by {signal.Signals(number).name}")


def main():
    options = arguments()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, end)
    signal.alarm(options.limit + GRACE)
    over = time.monotonic() + options.limit
    options.time_left = lambda: over - time.monotonic()
    programs = Programs(options.folder, options.programs)
    results = MODES[options.mode](programs, options)
    results["machine"] = {"cores": os.cpu_count(), "system": platform.platform()}
    file = options.json or options.programs.parent / f"compare-{options.mode}.json"
    file.write_text(json.dumps(results, indent=1))
    print(f"Raw results: {file}")
    if script := PLOTS.get(options.mode):
        plot(programs, script, file)


def plot(programs, script, json_file):
    """Plots the results next to the JSON file."""
    command = [python(programs.folder, PLOT), "-B", pathlib.Path(__file__).with_name(script), json_file]
    subprocess.run(command, check=True, stdout=sys.stderr, timeout=60)
    print(f"Plot: {json_file.with_suffix('.svg')}")


main()
