"""What an exporter tells of its polls."""

import re

from scrape import tail

POLLS = re.compile(rb'\ncampaign_exporter_polls_total\{[^}]*result="success"\} (\d+)')


def polls(exporter):
    """How many polls went well; the exporter's own metrics come last."""
    found = POLLS.search(tail(exporter, "identity"))
    return int(found[1]) if found else 0
