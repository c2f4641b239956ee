"""Parses the text format, independent of order and number format."""

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
    """Returns all samples of campaigns and accounts, sorted."""
    lines = text.decode().splitlines()
    samples = (
        (name, sorted(labels), value)
        for name, labels, value in map(_sample, filter(_is_campaign, lines))
    )
    return sorted(samples)


def _is_campaign(line):
    # the exporter's own metrics (`campaign_exporter_`) change with each scrape
    return line.startswith("campaign_") and not line.startswith("campaign_exporter_")


def campaign_families(text):
    """Returns the same as families of gauges, as input for the other servers."""
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
            # as text, since JSON parsers may round numbers
            family["samples"].append(([text for _, text in labels], repr(value)))
    return list(families.values())
