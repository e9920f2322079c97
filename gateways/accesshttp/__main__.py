"""`python -m gateways.accesshttp`: the roles of the HTTP gateway.

Operators use the `vx` command, which calls this one.
"""

from __future__ import annotations

import sys
from pathlib import Path

from gateways.accesshttp.main import GATEWAY
from gateways.accesshttp.settings import AccesshttpSettings, load_settings
from gateways.common import entry
from vxutils.entry import LoadedSettings

_WORDS = entry.Words(
    description="HTTP gateway.",
    open_bind="let other machines reach a listener that has neither tokens nor networks, or the monitor",
    embedded="as for other processes; a gateway uses no store",
)


def main(arguments: list[str] | None = None) -> int:
    """Runs one role; the exit code."""
    return entry.main(GATEWAY, _load, _WORDS, arguments)


def _load(path: Path, allow_open_bind: bool, embedded: bool) -> LoadedSettings[AccesshttpSettings]:
    return load_settings(path, allow_open_bind)


if __name__ == "__main__":
    sys.exit(main())
