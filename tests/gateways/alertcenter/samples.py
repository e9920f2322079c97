"""Settings of the alert centre for tests, and what its store holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gateways.alertcenter.store import ALERTS_FILE, read_alerts
from tests.gateways.readhistory.running import Service

M = b"373d26968a5a2b698045"

TOML = """
interval_s = 0.1
[svr]
bind = ["tcp@127.0.0.1:0", "udp@127.0.0.1:0"]
connections_max = 3
[monitor]
address = "tcp@127.0.0.1:0"
"""

C_CONFIG: dict[str, Any] = {
    "log": {"path": "", "flag": "fatal,error,warn,info,notice"},
    "svr": {"bind": ["tcp@127.0.0.1:0", "udp@127.0.0.1:0"], "max_pkg_size": 10240},
    "redis": {"name": "mymaster", "addr": ["127.0.0.1:26379"]},
}


def service(directory: Path, more: str = "", *arguments: str) -> Service:
    return Service("alertcenter", directory, TOML + more, arguments)


def stored(center: Service) -> dict[tuple[str, str], int]:
    """Counts by host and text."""
    counts: dict[tuple[str, str], int] = {}
    for row in read_alerts(center.data / ALERTS_FILE, 0, 10_000):
        counts[row.host, row.text] = counts.get((row.host, row.text), 0) + row.count
    return counts
