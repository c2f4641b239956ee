"""Formats numbers and tables."""

import statistics


def number(value):
    """Formats a number with three significant digits."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:#.3g}".rstrip(".")


def spread(values):
    """Formats the median with minimum and maximum."""
    values = list(values)
    return f"{number(statistics.median(values))} ({number(min(values))} to {number(max(values))})"


def markdown(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines) + "\n"
