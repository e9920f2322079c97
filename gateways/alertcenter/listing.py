"""`alertcenter list`: the stored alerts as lines or JSON, also while the alert centre runs."""

from __future__ import annotations

import argparse
import re
import time
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from gateways.alertcenter.minute import Row
from gateways.alertcenter.store import ALERTS_FILE, AlertsUnreadable, read_alerts
from gateways.alertcenter.summary import time_text
from vxutils.entry import require_directory
from vxutils.exits import ExitCode, ProcessExit

ROWS_MAX: Final = 1_000

_AGE = re.compile(r"([0-9]{1,9})([smhd])", re.ASCII)
_UNIT_S: Final = (("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400))


def since_us(text: str, now_s: float) -> int:
    """A time in microseconds: an age (`90m`, `2h`, `7d`) or an ISO date, with or without a time.

    Raises: ValueError.
    """
    age = _AGE.fullmatch(text)
    if age is not None:
        return int((now_s - int(age[1]) * dict(_UNIT_S)[age[2]]) * 1_000_000)
    return int(datetime.fromisoformat(text).timestamp() * 1_000_000)


def add_list(commands: Any) -> argparse.ArgumentParser:
    """Adds the subcommand to a parser."""
    text = "Show the alerts of a data directory, oldest first."
    parser: argparse.ArgumentParser = commands.add_parser("list", help=text, description=text)
    parser.set_defaults(command=show)
    parser.add_argument(
        "--since", type=_since, default=0, metavar="TIME", help="90m, 2h, 7d, or 2024-05-01T12:00"
    )
    parser.add_argument("--limit", type=int, default=ROWS_MAX, metavar="ROWS", help="only the newest so many")
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    return parser


def show(options: argparse.Namespace) -> int:
    """Prints them. Raises: ProcessExit."""
    data: Path = options.data_dir
    require_directory(data)
    try:
        rows = read_alerts(data / ALERTS_FILE, options.since, max(0, options.limit))
    except AlertsUnreadable as error:
        raise ProcessExit(ExitCode.FAILURE, str(error)) from error
    for row in rows:
        print(_json(row) if options.json else _line(row))  # noqa: T201
    return ExitCode.OK


def _since(text: str) -> int:
    try:
        return since_us(text, time.time())
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"'{text}' is no age such as 2h and no ISO time") from None


def _line(row: Row) -> str:
    times = f" ({row.count} times)" if row.count > 1 else ""
    return f"{time_text(row.first_us)}  {row.host}: {row.text}{times}"


def _json(row: Row) -> str:
    return msgspec.json.encode(row).decode()
