"""What an exporter tells of its polls."""

import re

from scrape import tail

POLLS = re.compile(rb'\ncampaign_exporter_polls_total\{[^}]*result="success"\} (\d+)')


def polls(exporter):
    """How many polls went well, of all accounts; the exporter's own metrics come last."""
    return sum(int(found[1]) for found in POLLS.finditer(tail(exporter, "identity")))
