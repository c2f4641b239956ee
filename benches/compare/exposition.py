"""Reads the text format: what a server says, whatever its order and its way to write numbers."""

import re

SAMPLE = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
ESCAPES = {r"\\": "\\", r"\"": '"', r"\n": "\n"}


def _value(text):
    return re.sub(r'\\[\\"n]', lambda found: ESCAPES[found[0]], text) if "\\" in text else text


def _sample(line):
    name, labels, value = SAMPLE.fullmatch(line).groups()
    return (
        name,
        [(label, _value(text)) for label, text in LABEL.findall(labels or "")],
        float(value),
    )


def campaign_samples(text):
    """All samples of campaigns and accounts, sorted."""
    lines = text.decode().splitlines()
    samples = (
        (name, sorted(labels), value)
        for name, labels, value in map(_sample, filter(_is_campaign, lines))
    )
    return sorted(samples)


def _is_campaign(line):
    # `campaign_exporter_` are the exporter's own, which move with each scrape
    return line.startswith("campaign_") and not line.startswith("campaign_exporter_")


def campaign_families(text):
    """The same as families of gauges, for those who have to make them of something."""
    helps, families = {}, {}
    for line in text.decode().splitlines():
        if line.startswith("# HELP "):
            name, _, told = line.removeprefix("# HELP ").partition(" ")
            helps[name] = _value(told)
        elif _is_campaign(line):
            name, labels, value = _sample(line)
            family = families.setdefault(
                name,
                {
                    "name": name,
                    "help": helps[name],
                    "labels": [label for label, _ in labels],
                    "samples": [],
                },
            )
            # as text: readers of JSON may round
            family["samples"].append(([text for _, text in labels], repr(value)))
    return list(families.values())
