"""Plots the results of `shards`: of several shards the sum or, of durations, the longest."""

import json
import pathlib
import sys

import matplotlib

matplotlib.use("svg")
# deterministic output, with text as text
matplotlib.rcParams.update({"svg.hashsalt": "shards", "svg.fonttype": "none", "font.size": 9})
from matplotlib import pyplot, ticker

# name, scale, how shards add up, results
CHARTS = (
    ("requests of a full poll", 1, sum, {"exporter": "requests"}),
    ("memory, MB", 1e-6, sum, {"exporter": "resident", "Prometheus": "memory"}),
    ("longest scrape of a target, s", 1, max, {"Prometheus": "scrape"}),
    ("evaluation of all rules, s", 1, max, {"Prometheus": "evaluation"}),
)
COLORS = {"exporter": "#1f77b4", "Prometheus": "#d95f02"}

file = pathlib.Path(sys.argv[1])
results = json.loads(file.read_text())["results"]
sizes = {}
for of in results:
    key = (of["shards"], of["campaigns"]) if of["shards"] == 1 else (of["shards"],)
    sizes.setdefault(key, []).append(of)
figure, all_axes = pyplot.subplots(1, len(CHARTS), figsize=(12, 3.2), layout="constrained")
for axes, (name, scale, total, quantities) in zip(all_axes, CHARTS):
    for of_what, quantity in quantities.items():
        at = [sum(of["campaigns"] for of in shards) for shards in sizes.values()]
        values = [scale * total(of[quantity] for of in shards) for shards in sizes.values()]
        axes.plot(at, values, marker="o", color=COLORS[of_what], label=of_what)
    axes.set(xscale="log", yscale="log", xlabel="campaigns")
    axes.set_title(name, fontsize=9)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(ticker.StrMethodFormatter("{x:,.9g}"))
        axis.set_minor_locator(ticker.NullLocator())
    axes.grid(visible=True, which="major", alpha=0.3)
    if len(quantities) > 1:
        axes.legend()
figure.savefig(file.with_suffix(".svg"), metadata={"Date": None})
