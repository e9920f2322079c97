"""Hand-made deals, as texts, and the history file that the recorder would write of them.

A deal is a line `TIME MARKET PRICE AMOUNT SIDE`; TIME is a local time of some zone or seconds, SIDE is the
taker's. Ids count from 1 and are the journal sequence too: one deal per record.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, tzinfo
from pathlib import Path

import msgspec

from marketprice.core.calendar import Calendar
from marketprice.core.market import Markets
from marketprice.messages import decode_deal
from marketprice.texts import Texts, real
from vxutils.store.embedded.schema import HISTORY_FILE, HistoryBatch, HistoryPosition
from vxutils.store.embedded.writer import HistoryWriter, open_history

SYSTEM_ID = bytes(range(16))
SIDES = {"sell": 1, "buy": 2}
ASK, BID, MAKER, TAKER = 1, 2, 1, 2


class Trade(msgspec.Struct, frozen=True):
    """One deal before it is a message."""

    time_us: int
    market: str
    price: str
    amount: str
    side: int
    id: int

    @property
    def payload(self) -> str:
        """The message of the topic `deals`."""
        time = real(self.time_us / 1_000_000)
        orders_and_users = "11, 12, 1, 2"
        deal = f'"{self.price}", "{self.amount}", "0", "0", {self.side}, {self.id}'
        return f'[{time}, "{self.market}", {orders_and_users}, {deal}, "STOCK", "MONEY"]'


def seconds(text: str, zone: tzinfo = UTC) -> int:
    """`2026-03-29T02:30` in a zone (`...!`: the later one of two), `...Z`, or seconds since 1970."""
    if text.isdigit():
        return int(text)
    if text.endswith("Z"):
        zone, text = UTC, text[:-1]
    local = datetime.fromisoformat(text.rstrip("!")).replace(tzinfo=zone, fold=int(text.endswith("!")))
    return int(local.timestamp())


def trades(lines: str, zone: tzinfo = UTC, first_id: int = 1) -> list[Trade]:
    """One trade per line."""
    made = []
    for number, line in enumerate(filter(None, map(str.strip, lines.splitlines())), start=first_id):
        time, market, price, amount, side = line.split()
        made.append(Trade(seconds(time, zone) * 1_000_000, market, price, amount, SIDES[side], number))
    return made


def markets_of(made: Iterable[Trade], zone: tzinfo = UTC) -> Markets:
    """The state after these trades; the first one is message 0."""
    markets = Markets(Calendar(zone))
    for offset, trade in enumerate(made):
        markets.apply(decode_deal(trade.payload, offset))
    return markets


def contents(markets: Markets, style: str = "viabtc") -> dict[str, object]:
    """Everything in a state as texts, to be compared."""
    texts = Texts(style)
    return {
        name: {
            "last": texts.last(market),
            "candles": {
                (period, start): texts.candle(series.by_start[start])
                for period, series in market.series.items()
                for start in series.starts
            },
            "deals": [(deal.offset, texts.deal(deal)) for deal in market.recent.newest_first],
        }
        for name, market in sorted(markets.by_name.items())
        if market.last
    }


def open_writer(directory: Path) -> HistoryWriter:
    """The recorder's end of the history of a data directory."""
    return open_history(directory / HISTORY_FILE, SYSTEM_ID)


def write(writer: HistoryWriter, made: Sequence[Trade]) -> None:
    """Appends trades as the recorder does: two rows and one message for each, in one transaction."""
    if not made:
        return
    rows: list[Sequence[object]] = []
    for trade in made:
        for side in (ASK, BID):
            role = TAKER if side == trade.side else MAKER
            numbers = (trade.price, trade.amount, "0", "0", "0")
            ids = (trade.id, 10 + side, 13 - side)
            rows.append((trade.id, trade.time_us, side, *ids, side, role, trade.market, *numbers))
    last = made[-1]
    writer.append(
        HistoryBatch(
            writer.position.sequence,
            HistoryPosition(last.id, 1, last.time_us, bytes(8)),
            deals=rows,
            messages=[("deals", trade.id, 0, trade.payload) for trade in made],
        )
    )
