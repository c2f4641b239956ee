"""Plots the results of `growth`: one chart per varied parameter, with both encodings."""

import json
import pathlib
import sys

import matplotlib

matplotlib.use("svg")
# deterministic output, with text as text
matplotlib.rcParams.update({"svg.hashsalt": "growth", "svg.fonttype": "none", "font.size": 9})
from matplotlib import pyplot, ticker

TITLES = {
    "campaigns": ("campaigns, one account", "campaigns"),
    "accounts": ("10,000 campaigns in so many accounts", "accounts"),
    "connections": ("10,000 campaigns, scrapes at the same time", "connections"),
}
COLORS = {"identity": "#1f77b4", "gzip": "#d95f02"}

file = pathlib.Path(sys.argv[1])
results = json.loads(file.read_text())["results"]
figure, rows = pyplot.subplots(2, 3, figsize=(11, 6), sharex="col", sharey="row", layout="constrained")
for column, (varied, (title, label)) in enumerate(TITLES.items()):
    for row, (quantity, name) in enumerate(
        [("median", "median scrape, ms"), ("cpu", "CPU per scrape, ms")]
    ):
        axes = rows[row][column]
        for encoding, color in COLORS.items():
            points = [
                of for of in results if of["varied"] == varied and of["encoding"] == encoding
            ]
            axes.plot(
                [of["at"] for of in points],
                [of[quantity] * 1e3 for of in points],
                marker="o",
                color=color,
                label=encoding,
            )
        axes.set(xscale="log", yscale="log")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(ticker.StrMethodFormatter("{x:,g}"))
            axis.set_minor_locator(ticker.NullLocator())
        axes.grid(visible=True, which="major", alpha=0.3)
        if row == 0:
            axes.set_title(title, fontsize=9)
        else:
            axes.set_xlabel(label)
        if column == 0:
            axes.set_ylabel(name)
rows[0][0].legend()
figure.savefig(file.with_suffix(".svg"), metadata={"Date": None})
