"""Serves gauges like typical Python exporters: with prometheus_client and its own HTTP server."""

import json
import sys

from prometheus_client import CollectorRegistry, Gauge, start_http_server

with open(sys.argv[1]) as file:
    families = json.load(file)
registry = CollectorRegistry()
for family in families:
    gauge = Gauge(family["name"], family["help"], family["labels"], registry=registry)
    for values, value in family["samples"]:
        (gauge.labels(*values) if values else gauge).set(float(value))
del families
server, thread = start_http_server(0, "127.0.0.1", registry)
# the driver waits for this line
print(f"address=127.0.0.1:{server.server_port}", flush=True)
thread.join()
