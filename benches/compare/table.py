"""Numbers for people."""

import statistics


def number(value):
    """Three digits that count."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:#.3g}".rstrip(".")


def spread(values):
    """The median, and between which values it lies."""
    values = list(values)
    return f"{number(statistics.median(values))} ({number(min(values))} to {number(max(values))})"


def markdown(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines) + "\n"
