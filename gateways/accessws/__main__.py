"""`python -m gateways.accessws`: the roles of the websocket gateway.

Operators use the `vx` command, which calls this one.
"""

from __future__ import annotations

import sys

from gateways.accessws.main import GATEWAY
from gateways.accessws.settings import load_settings
from gateways.common import entry

_WORDS = entry.Words(
    description="Websocket gateway.",
    open_bind="let other machines reach a listener that has neither TLS nor networks, or the monitor",
    embedded="run on the embedded stores although the file names servers which this version can not use",
)


def main(arguments: list[str] | None = None) -> int:
    """Runs one role; the exit code."""
    return entry.main(GATEWAY, load_settings, _WORDS, arguments)


if __name__ == "__main__":
    sys.exit(main())
