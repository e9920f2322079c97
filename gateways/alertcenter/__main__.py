"""`python -m gateways.alertcenter run | list`: the process and its list; operators use the `vx` command."""

from __future__ import annotations

import sys

from gateways.alertcenter.listing import add_list
from gateways.alertcenter.main import NAME, run_worker
from gateways.alertcenter.settings import load_settings
from vxutils import entry

DESCRIPTORS_BESIDE_CONNECTIONS = 256  # store, outlets, log, monitor, the loop's own

ALERTCENTER = entry.Entry(
    name=NAME,
    load=load_settings,
    work=run_worker,
    descriptors=lambda settings: settings.svr.connections_max + DESCRIPTORS_BESIDE_CONNECTIONS,
    is_single=True,
)


def main(arguments: list[str] | None = None) -> int:
    """Runs one subcommand; the exit code."""
    parser = entry.Parser(prog=NAME, description="Collects fatal log lines and tells people.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    entry.add_run(commands, ALERTCENTER, "Take alerts in the foreground.")
    entry.add_data_directory(add_list(commands))
    return entry.main(NAME, parser, arguments)


if __name__ == "__main__":
    sys.exit(main())
