"""Starts the measured programs, and the provider that the exporter polls."""

import gzip
import json
import os
import pathlib
import pwd
import socket
import subprocess
import sys

from processes import LIMIT, Server, until
from scrape import scrape

HERE = pathlib.Path(__file__).parent
PROMETHEUS_CLIENT = "prometheus_client==0.26.0"
# longer than any run, so that the exporter polls only once
ONCE = "12h"

# One worker per core, like the exporter and hyper. Connections are never closed.
NGINX = """\
daemon off;
user {user};
worker_processes auto;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off;
  {sending}
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen {address};
    root {folder}/files;
    default_type "text/plain; version=0.0.4";
    gzip_static on;
  }}
}}
"""

# How nginx sends a file. The first is recommended, but on loopback it only moves a copy to the client.
SENDFILE = "sendfile on; tcp_nopush on;"
COPYING = "sendfile off; output_buffers 4 1m;"


class Programs:
    """Starts programs, with their files in a common directory."""

    def __init__(self, folder, built):
        self.folder = pathlib.Path(folder)
        self.built = pathlib.Path(built)

    def provider(self, campaigns, changing=0):
        self.token.write_text("token")
        command = [self.built / "provider", "--campaigns", campaigns, "--changing", changing]
        command += ["--token-file", self.token]
        return Server("provider", command, self.folder / "provider.log")

    def configure(self, provider, poll_interval, accounts=1):
        """Writes a configuration whose accounts all read every campaign of the provider at each poll."""
        # the provider prints the keys of an account
        _, _, line = provider.log.read_text().partition("account=")
        keys = json.loads(line.partition("\n")[0])
        keys["base_url"] = f"http://{provider.address}"
        self.config.write_text(
            json.dumps(
                {
                    "global": {
                        "poll_interval": poll_interval,
                        "stale_after": ONCE,
                        # all campaigns are recent, so each poll is a full one
                        "recent": "30d",
                        "max_campaigns": 1_000_000,
                        "requests_per_second": 1_000,
                        "requests_per_day": 1_000_000_000,
                    },
                    "accounts": [
                        {"name": f"shoes-{number}", **keys} for number in range(accounts)
                    ],
                }
            )
        )

    @property
    def token(self):
        return self.folder / "token"

    @property
    def config(self):
        return self.folder / "campaign_exporter.yml"

    def exporter(self, provider, poll_interval=ONCE, accounts=1, storage=None):
        """Starts the exporter and waits until it serves the campaigns of its first poll."""
        self.configure(provider, poll_interval, accounts)
        arguments = ["--config.file", self.config, "--web.listen-address", "127.0.0.1:0"]
        if storage:
            arguments += ["--storage.path", storage]
        server = Server(
            "campaign_exporter",
            [self.built / "campaign_exporter", *arguments],
            self.folder / "campaign_exporter.log",
        )
        try:
            until("campaigns are served", lambda: _shows_campaigns(server), pause=0.5)
        except BaseException:
            server.stop()
            raise
        return server

    def nginx(self, name, sending, raw_gzip):
        """Starts nginx with the exact bytes sent by the exporter, compressed and uncompressed."""
        folder = self.folder / name
        files = folder / "files"
        files.mkdir(parents=True)
        (files / "metrics.gz").write_bytes(raw_gzip)
        (files / "metrics").write_bytes(gzip.decompress(raw_gzip))
        # the workers need read access
        self.folder.chmod(0o755)
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = "{}:{}".format(*free.getsockname())
        config = folder / "nginx.conf"
        user = pwd.getpwuid(os.getuid()).pw_name
        config.write_text(NGINX.format(folder=folder, address=address, user=user, sending=sending))
        command = ["nginx", "-e", folder / "error.log", "-c", config]
        server = Server(name, command, folder / "log", address)
        try:
            until("nginx listens", lambda: server.check() and _accepts(address))
        except BaseException:
            server.stop()
            raise
        return server

    def gauge_vec(self, families):
        command = [self.built / "gauge_vec", self._gauges(families)]
        return Server("GaugeVec", command, self.folder / "gauge_vec.log")

    def prometheus_client(self, families):
        interpreter = python(self.folder, PROMETHEUS_CLIENT)
        command = [interpreter, "-B", HERE / "prometheus_client_server.py"]
        command += [self._gauges(families)]
        return Server("prometheus_client", command, self.folder / "prometheus_client.log")

    def _gauges(self, families):
        file = self.folder / "gauges.json"
        file.write_text(json.dumps(families))
        return file


def python(folder, package):
    """Returns a Python interpreter with a package installed."""
    interpreter = folder / "venv/bin/python"
    for command in (
        [sys.executable, "-m", "venv", folder / "venv"],
        [interpreter, "-m", "pip", "install", "--quiet", package],
    ):
        subprocess.run(command, check=True, stdout=sys.stderr, timeout=LIMIT)
    return interpreter


def _shows_campaigns(exporter):
    return exporter.check() and b"\ncampaign_deliveries{" in scrape(exporter, "gzip").body


def _accepts(address):
    host, port = address.split(":")
    try:
        with socket.create_connection((host, int(port)), 1):
            return True
    except OSError:
        return False
