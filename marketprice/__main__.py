"""`python -m marketprice run CONFIG --data-dir DIR`, and `rebuild`; operators use the `vx` command."""

from __future__ import annotations

import argparse
import sqlite3
import sys
from pathlib import Path
from typing import Final

from marketprice.core.calendar import Calendar
from marketprice.main import NAME, deals_in_database, run_worker
from marketprice.rebuild import NoHistory, rebuild, rebuild_redis
from marketprice.redis_persistence import RedisStore
from marketprice.settings import load_settings
from vxnet.clock import SystemClock
from vxutils import entry
from vxutils.exits import ExitCode, ProcessExit
from vxutils.log import configure
from vxutils.process import DirectoryLock
from vxutils.store.redis.errors import RedisError
from vxutils.zone import open_zone

DESCRIPTORS_BESIDE_CONNECTIONS: Final = 64  # two stores, log, monitor, the loop's own
DEFAULT_SETTINGS: Final = Path(__file__).with_name("default.toml")

MARKETPRICE = entry.Entry(
    name=NAME,
    load=load_settings,
    work=run_worker,
    descriptors=lambda settings: settings.svr.connections_max + DESCRIPTORS_BESIDE_CONNECTIONS,
    is_single=True,
)


def main(arguments: list[str] | None = None) -> int:
    """Runs one subcommand; the exit code."""
    parser = entry.Parser(prog=NAME, description="Prices, candles and deals of all markets.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    entry.add_run(commands, MARKETPRICE, "Follow the deals and answer queries in the foreground.")
    text = "Make all candles again from the history, while marketprice is stopped."
    again = commands.add_parser("rebuild", help=text, description=text)
    again.set_defaults(command=_rebuild)
    again.add_argument(
        "--embedded", action="store_true", help="work on the data directory although the file names a Redis"
    )
    again.add_argument(
        "config",
        type=Path,
        nargs="?",
        default=DEFAULT_SETTINGS,
        metavar="CONFIG",
        help="settings with time_zone and what is kept; the defaults if left out",
    )
    entry.add_data_directory(again)
    return entry.main(NAME, parser, arguments)


def _rebuild(options: argparse.Namespace) -> int:
    settings = load_settings(options.config, options.embedded).settings
    entry.require_directory(options.data_dir)
    lock = options.data_dir / entry.RUN_DIRECTORY / NAME
    lock.mkdir(mode=entry.DIRECTORY_MODE, parents=True, exist_ok=True)
    configure(settings.log)
    zone = settings.zone_name
    calendar, clock = Calendar(open_zone(zone)), SystemClock()
    database = deals_in_database(settings)
    with DirectoryLock(lock):
        try:
            if settings.redis.name:
                store = RedisStore(settings.redis, zone, clock)
                _, position = rebuild_redis(
                    store, options.data_dir, calendar, settings.retention, clock, database
                )
            else:
                position = rebuild(options.data_dir, calendar, zone, settings.retention, clock, database)
        except (NoHistory, sqlite3.Error, RedisError) as error:
            raise ProcessExit(ExitCode.JOURNAL_DAMAGED, f"nothing was changed: {error}") from error
    print(f"candles made again up to message {position.offset}, days of {zone}")  # noqa: T201
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(main())
