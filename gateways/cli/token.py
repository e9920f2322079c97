"""`vx token`: the built-in accounts of a data directory, by hand. Running gateways follow within a second.

    vx token add 7 --expires 90d --label "bot"      a token for server.auth, shown once
    vx token add 7 --api-key                        an access id and a secret for server.sign, shown once
    vx token list
    vx token revoke 3f2a9c1d5e7b8a90

What is kept, and what a thief of it could do: docs/accounts.md.
"""

from __future__ import annotations

import argparse
import datetime
import re
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import msgspec

from gateways.common import credentials
from gateways.common.accounts import (
    USER_ID_MAX,
    Account,
    AccountStore,
    AccountsUnusable,
    Kind,
    accounts_path,
    make_accounts_file,
    new_id,
)
from vxutils.exits import ExitCode, ProcessExit

LABEL_CHARACTERS_MAX: Final = 100
DAYS_MAX: Final = 36_500
TEXT: Final = "Make, list and revoke the tokens and API keys with which users log in over websocket."
ADD_TEXT: Final = "Make a token or API key for a user. It is shown now and never again."

_UNITS_US: Final = {"s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
_AGE: Final = re.compile(r"([0-9]{1,9})([smhd])", re.ASCII)


def add_arguments(command: argparse.ArgumentParser, default_directory: str) -> None:
    """The actions of `vx token`; each leaves its function in `run`."""
    actions = command.add_subparsers(metavar="add|list|revoke", required=True, parser_class=type(command))

    def action(name: str, run: object, text: str) -> argparse.ArgumentParser:
        sub = actions.add_parser(name, help=text, description=text, allow_abbrev=False)
        sub.set_defaults(run=run)
        sub.add_argument(
            "--data-dir",
            type=Path,
            default=Path(default_directory),
            metavar="DIR",
            help=f"the data directory of the gateway (default: ./{default_directory})",
        )
        return sub

    sub = action("add", add, ADD_TEXT)
    sub.add_argument("user", type=_user, metavar="USER", help="the user's number")
    sub.add_argument("--api-key", action="store_true", help="an access id and a secret for server.sign")
    sub.add_argument("--read-only", action="store_true", help="mark it as one that may only look")
    sub.add_argument("--expires", metavar="WHEN", help="30d, 12h, or 2027-01-31T12:00Z (default: never)")
    sub.add_argument("--label", default="", metavar="TEXT", help="what it is for, shown by `list`")
    sub = action("list", list_accounts, "List them; secrets are not known any more.")
    sub.add_argument("--json", action="store_true", help="one JSON object per line")
    sub = action("revoke", revoke, "End one for good; whoever is logged in with it is logged out.")
    sub.add_argument("id", metavar="ID", help="from `vx token list`")


def add(options: argparse.Namespace) -> int:
    """`vx token add`. Raises: ProcessExit; OSError."""
    now_us = _now_us()
    label = options.label
    if len(label) > LABEL_CHARACTERS_MAX or not label.isprintable():
        raise ProcessExit(
            ExitCode.USAGE, f"--label: at most {LABEL_CHARACTERS_MAX} printable characters in one line"
        )
    expires_us = 0 if options.expires is None else parse_when(options.expires, now_us)
    _require_directory(options.data_dir)
    kind: Kind = "api_key" if options.api_key else "token"
    secret = credentials.new_secret()
    account = Account(
        id=new_id(),
        kind=kind,
        user_id=options.user,
        is_read_only=options.read_only,
        label=label,
        digest=credentials.digest(secret),
        created_us=now_us,
        expires_us=expires_us,
        revoked_us=0,
        revision=0,
    )
    path = accounts_path(options.data_dir)
    try:
        make_accounts_file(path)
        with closing(AccountStore(path)) as store:
            store.add(account)
    except AccountsUnusable as error:
        raise ProcessExit(ExitCode.FAILURE, str(error)) from None
    if kind == "token":
        _print(credentials.token_text(account.id, secret))
    else:
        _print(f"access id: {account.id}")
        _print(f"secret:    {secret.hex()}")
    print(f"id {account.id}; shown only now: keep it safe", file=sys.stderr)  # noqa: T201
    return ExitCode.OK


def list_accounts(options: argparse.Namespace) -> int:
    """`vx token list`. Raises: ProcessExit."""
    _require_directory(options.data_dir)
    path = accounts_path(options.data_dir)
    accounts: list[Account] = []
    if path.exists():
        try:
            with closing(AccountStore(path)) as store:
                accounts = store.changed_since(-1)
        except AccountsUnusable as error:
            raise ProcessExit(ExitCode.FAILURE, str(error)) from None
    accounts.sort(key=lambda one: (one.created_us, one.id))
    now_us = _now_us()
    if options.json:
        for account in accounts:
            _print(msgspec.json.encode(_facts(account, now_us)).decode())
    elif accounts:
        _print_table([_row(account, now_us) for account in accounts])
    else:
        print("no tokens; `vx token add USER` makes one", file=sys.stderr)  # noqa: T201
    return ExitCode.OK


def revoke(options: argparse.Namespace) -> int:
    """`vx token revoke`. Raises: ProcessExit."""
    _require_directory(options.data_dir)
    path = accounts_path(options.data_dir)
    account = None
    if path.exists():
        try:
            with closing(AccountStore(path)) as store:
                account = store.revoke(options.id, _now_us())
        except AccountsUnusable as error:
            raise ProcessExit(ExitCode.FAILURE, str(error)) from None
    if account is None:
        raise ProcessExit(ExitCode.FAILURE, f"there is no token or API key {options.id!r}")
    if account.revoked_us:
        _print(f"{account.id} was revoked already, {_time(account.revoked_us)}")
    else:
        _print(f"{account.id} of user {account.user_id} is revoked; gateways know within a second")
    return ExitCode.OK


def parse_when(text: str, now_us: int) -> int:
    """Microseconds since 1970: an age from now (`30d`), or a time (UTC unless it says otherwise).

    Raises: ProcessExit (USAGE) for what is neither, past, or too far away.
    """
    age = _AGE.fullmatch(text)
    if age:
        when_us = now_us + int(age[1]) * _UNITS_US[age[2]]
    else:
        try:
            when = datetime.datetime.fromisoformat(text)
        except ValueError:
            raise ProcessExit(
                ExitCode.USAGE, f"--expires: '{text}' is neither like 30d or 12h nor like 2027-01-31T12:00Z"
            ) from None
        if when.tzinfo is None:
            when = when.replace(tzinfo=datetime.UTC)
        when_us = int(when.timestamp() * 1_000_000)
    if not now_us < when_us <= now_us + DAYS_MAX * _UNITS_US["d"]:
        raise ProcessExit(ExitCode.USAGE, f"--expires: '{text}' is not within the next {DAYS_MAX} days")
    return when_us


def _user(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not 0 < int(text) <= USER_ID_MAX:
        raise argparse.ArgumentTypeError(f"'{text}' is no user, which is a number from 1 to {USER_ID_MAX}")
    return int(text)


def _require_directory(directory: Path) -> None:
    if not directory.is_dir():
        raise ProcessExit(ExitCode.USAGE, f"{directory} does not exist; name the data directory: --data-dir")


def _state(account: Account, now_us: int) -> str:
    if account.revoked_us:
        return "revoked"
    return "valid" if account.is_valid_at(now_us) else "expired"


def _facts(account: Account, now_us: int) -> dict[str, Any]:
    return {
        "id": account.id,
        "kind": account.kind,
        "user_id": account.user_id,
        "read_only": account.is_read_only,
        "state": _state(account, now_us),
        "created": _time(account.created_us),
        "expires": _time(account.expires_us) or None,
        "revoked": _time(account.revoked_us) or None,
        "label": account.label,
    }


def _row(account: Account, now_us: int) -> tuple[str, ...]:
    kind = "API key" if account.kind == "api_key" else "token"
    return (
        account.id,
        str(account.user_id),
        kind + (", read-only" if account.is_read_only else ""),
        _state(account, now_us),
        _time(account.created_us),
        _time(account.expires_us) or "never",
        account.label,
    )


def _print_table(rows: Sequence[tuple[str, ...]]) -> None:
    lines = [("id", "user", "kind", "state", "created", "expires", "label"), *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line in lines:
        _print("  ".join(word.ljust(width) for word, width in zip(line, widths, strict=True)).rstrip())


def _time(when_us: int) -> str:
    """UTC to the second; empty for 0."""
    if not when_us:
        return ""
    return datetime.datetime.fromtimestamp(when_us // 1_000_000, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _now_us() -> int:
    return time.time_ns() // 1_000


def _print(line: str) -> None:
    print(line)  # noqa: T201
