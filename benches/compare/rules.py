"""Measures what Prometheus needs for the exporter's campaigns: the evaluation of the rules, and memory."""

import json
import pathlib
import re
import socket
import time
import urllib.parse
import urllib.request

from processes import LIMIT, Server, until
from table import markdown, spread

RULES = pathlib.Path(__file__).parents[2] / "alerts"
CAMPAIGNS = (1_000, 10_000, 100_000)
INTERVAL = 15
# results of rules that others use, and data of more than one scrape
SETTLED = 4

CONFIG = """\
global: {{scrape_interval: {interval}s, scrape_timeout: {interval}s, evaluation_interval: {interval}s}}
rule_files: [{folder}/rules/*.yml]
scrape_configs:
  - job_name: campaign_exporter
    {targets}
  - job_name: prometheus
    static_configs: [{{targets: ['{own}']}}]
"""


def run(programs, options):
    sizes = [options.campaigns] if options.campaigns else CAMPAIGNS
    results = [measure(programs, campaigns, options) for campaigns in sizes]
    head = ["campaigns", "series", "scrape, s", "evaluation, ms", "slowest rules, ms", "memory, MB"]
    rows = [
        [
            f"{of['campaigns']:,}",
            f"{of['series']:,}",
            f"{of['scrape']:.2f}",
            spread(1e3 * seconds for seconds in of["evaluations"]),
            ", ".join(f"{name} {1e3 * seconds:.0f}" for name, seconds in of["slowest"]),
            f"{of['memory'] / 1e6:.0f}",
        ]
        for of in results
    ]
    print(markdown(head, rows))
    return {"results": results}


def measure(programs, campaigns, options):
    with programs.provider(campaigns) as provider, programs.exporter(provider) as exporter:
        targets = f"static_configs: [{{targets: ['{exporter.address}']}}]"
        with prometheus(programs, targets) as server:
            until("rules are evaluated", lambda: evaluated(server) >= SETTLED, pause=1)
            evaluations = []
            while len(evaluations) < options.runs:
                before = evaluated(server)
                until("rules are evaluated again", lambda: evaluated(server) > before, pause=1)
                groups = api(server, "rules")["groups"]
                evaluations.append(sum(group["evaluationTime"] for group in groups))
            rules = [rule for group in groups for rule in group["rules"]]
            rules.sort(key=lambda rule: -rule["evaluationTime"])
            return {
                "campaigns": campaigns,
                "series": int(value(server, "prometheus_tsdb_head_series")),
                "scrape": value(server, "max(scrape_duration_seconds)"),
                "evaluations": evaluations,
                "slowest": [(rule["name"], rule["evaluationTime"]) for rule in rules[:3]],
                "memory": server.memory("VmRSS"),
            }


def prometheus(programs, targets, interval=INTERVAL):
    """Starts Prometheus with the rules, each evaluated as often as the others."""
    folder = programs.folder / f"prometheus-{time.monotonic_ns()}"
    (folder / "rules").mkdir(parents=True)
    for file in RULES.glob("*.yml"):
        text = re.sub(r"(?m)^    interval: .*\n", "", file.read_text())
        (folder / "rules" / file.name).write_text(text)
    config = folder / "prometheus.yml"
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = "{}:{}".format(*free.getsockname())
    config.write_text(
        CONFIG.format(interval=interval, folder=folder, targets=targets, own=address)
    )
    command = ["prometheus", "--config.file", config, "--storage.tsdb.path", folder / "data"]
    command += ["--web.listen-address", address, "--log.level=warn"]
    server = Server("prometheus", command, folder / "log", address)
    try:
        until("Prometheus is ready", lambda: server.check() and ready(server), pause=0.5)
    except BaseException:
        server.stop()
        raise
    return server


def evaluated(server):
    """Returns how often the group that is evaluated last was."""
    return value(server, "min(prometheus_rule_group_iterations_total)")


def value(server, query):
    """Returns the result of a query, 0 if there is none."""
    result = api(server, f"query?query={urllib.parse.quote(query)}")["result"]
    return float(result[0]["value"][1]) if result else 0


def api(server, path):
    with urllib.request.urlopen(f"http://{server.address}/api/v1/{path}", timeout=LIMIT) as answer:
        return json.load(answer)["data"]


def ready(server):
    try:
        urllib.request.urlopen(f"http://{server.address}/-/ready", timeout=LIMIT).close()
    except OSError:
        return False
    return True
