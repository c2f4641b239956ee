"""Reads how many polls an exporter has made."""

import re

from scrape import tail

POLLS = re.compile(rb'\ncampaign_exporter_polls_total\{[^}]*result="success"\} (\d+)')


def polls(exporter):
    """Returns the number of successful polls of all accounts; the exporter's own metrics come last."""
    return sum(int(found[1]) for found in POLLS.finditer(tail(exporter, "identity")))
