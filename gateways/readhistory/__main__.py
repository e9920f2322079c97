"""`python -m gateways.readhistory run CONFIG --data-dir DIR`: the process; operators use the `vx` command."""

from __future__ import annotations

import sys

from gateways.readhistory.main import NAME, run_worker
from gateways.readhistory.settings import load_settings
from vxutils import entry

DESCRIPTORS_BESIDE_CONNECTIONS = 512  # three files for each of 100 threads, log, monitor, the loop's own

READHISTORY = entry.Entry(
    name=NAME,
    load=load_settings,
    work=run_worker,
    descriptors=lambda settings: settings.svr.connections_max + DESCRIPTORS_BESIDE_CONNECTIONS,
    is_single=False,
)


def main(arguments: list[str] | None = None) -> int:
    """Runs one subcommand; the exit code."""
    parser = entry.Parser(prog=NAME, description="History of balances, orders and deals.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    entry.add_run(commands, READHISTORY, "Answer queries in the foreground.")
    return entry.main(NAME, parser, arguments)


if __name__ == "__main__":
    sys.exit(main())
