"""The subcommand `handover`: words in, sentences out; what is done is in `handing_over`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from matchengine import system
from matchengine.c_database.handing_over import HandOver, Wish, hand_over
from matchengine.main import directories
from matchengine.settings import MatchengineSettings, load_settings
from vxnet.clock import SystemClock
from vxutils.disk import Disk
from vxutils.exits import ExitCode, ProcessExit
from vxutils.process import DirectoryLock

WAIT_S: Final = 3_600.0
TEXT: Final = "Give the exchange back to the C system, whose databases it is in."

Command = Callable[[argparse.Namespace], int]
Add = Callable[[str, Command, str], argparse.ArgumentParser]


def add_handover(add: Add) -> None:
    """Adds the subcommand; `add` makes one that knows --data-dir."""
    sub = add("handover", _handover, TEXT)
    sub.add_argument("config", type=Path, metavar="CONFIG", help="the settings of the engine")
    sub.add_argument(
        "--accept-loss", action="store_true", help="go on although digits get lost, and list them all"
    )
    sub.add_argument(
        "--wait-s", type=float, default=WAIT_S, metavar="S", help="how long the stores may take to catch up"
    )


def _handover(options: argparse.Namespace) -> int:
    settings = load_settings(options.config, embedded=False).settings
    where = directories(settings, options.data_dir)
    disk = Disk()
    system.require_system(disk, where.data)

    def tell(text: str) -> None:
        print(f"handover: {text}", file=sys.stderr, flush=True)  # noqa: T201

    wish = Wish(config=options.config, accepts_loss=options.accept_loss, wait_s=options.wait_s)
    with ExitStack() as locks:
        try:
            locks.enter_context(DirectoryLock(where.data))
            if where.journal.parent != where.data and disk.is_directory(where.journal):
                locks.enter_context(DirectoryLock(where.journal))
        except ProcessExit as error:
            raise ProcessExit(
                error.code,
                f"{error.sentence}: the engine may still take orders. Stop it where it was started "
                "(Ctrl-C of `vx up`, `supervisorctl stop`, or TERM to that process), and the recorders too; "
                "then repeat this",
            ) from error
        try:
            done = hand_over(disk, SystemClock(), settings, where, wish, tell)
        except KeyboardInterrupt:
            raise ProcessExit(ExitCode.FAILURE, "broken off; it can be repeated") from None
    print("\n".join(lines_of(done, settings, options.config)))  # noqa: T201
    return ExitCode.OK


def lines_of(done: HandOver, settings: MatchengineSettings, config: Path) -> Iterator[str]:
    """What was done, what the C system will not know, and what the operator does next."""
    mark = done.mark
    at = datetime.fromtimestamp(mark.slice_time_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    yield (
        f"handed over at sequence {mark.sequence}: slice {mark.slice_time_s} ({at}), operation "
        f"{mark.operation_id}, orders to {mark.order_id}, deals to {mark.deal_id}"
    )
    if done.compared is not None:
        yield (
            f"read back and equal: {done.compared.orders} orders, {done.compared.balances} balances, all "
            "counters; nothing follows in the operation log"
        )
    for database in done.left_alone:
        yield f"{database} belongs to another system by now, and was left alone"
    if done.losses:
        yield "accepted losses:"
        yield from (f"  {loss}" for loss in done.losses)
    yield from _forgotten_lines(done)
    yield from _next_lines(settings, config)


def _forgotten_lines(done: HandOver) -> Iterator[str]:
    lost = done.forgotten
    yield "THE C SYSTEM DOES NOT KNOW:"
    yield (
        f"  {lost.updates_of_a_day} balance updates of the last 24 hours: WHOEVER REPEATS ONE OF THEM NOW, "
        "DOES IT TWICE. Let nobody retry deposits or withdrawals from before this moment"
    )
    yield f"  {lost.updates - lost.updates_of_a_day} older ones which are still remembered here"
    yield f"  {lost.keys} idempotency keys"
    yield f"  the source of {lost.sources} open orders; it will show none, and write (null)"
    if done.dead_letters:
        yield (
            f"  {done.dead_letters} rows of history or operation log that the columns had refused: see "
            "vx_dead_letter"
        )


def _next_lines(settings: MatchengineSettings, config: Path) -> Iterator[str]:
    yield "NEXT:"
    yield "  1. do not start our matchengine or recorder on this directory, or on a copy or a backup of it"
    if config.suffix == ".json":
        yield f"  2. the C matchengine may start now, with {config}, which names what is in force"
    else:
        yield "  2. the C matchengine may start now; its config.json must name exactly these:"
        yield f"     {_c_rules(settings)}"
    yield f"     and its time zone must be that of its day tables: TZ={settings.zone_name}"
    yield "  3. compare its `status`, `balance summary` and `market summary` with those of before"
    yield "  4. gateways, marketprice and readhistory go on, ours or those of the C system"
    yield (
        "  to come back: stop it as its checklist says (nothing pending), then "
        f"`vx adopt --config {config} --data-dir NEW`"
    )


def _c_rules(settings: MatchengineSettings) -> str:
    """`assets` and `markets` as a `config.json` names them. Source: protocol.md 3.1."""
    rules = settings.rules
    markets = [
        {
            "name": market.name,
            "fee_prec": market.fee_prec,
            "min_amount": market.min_amount,
            "stock": {"name": market.stock, "prec": market.stock_prec},
            "money": {"name": market.money, "prec": market.money_prec},
        }
        for market in rules.markets
    ]
    text = json.dumps({"assets": msgspec.to_builtins(rules.assets), "markets": markets}, ensure_ascii=False)
    return text[1:-1]
