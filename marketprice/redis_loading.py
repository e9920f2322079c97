"""The state as a Redis holds it, read at start; also one that the C system has left.

A candle that can not be read is left out, as there, and logged; a deal or a last price that can not be read
refuses the start.

Source: protocol.md 6.2, 6.4; 12.3 number 48 (an offset of 0 that means none).
"""

from __future__ import annotations

import logging
from typing import Any, Final

import msgspec

from marketprice.core import number
from marketprice.core.calendar import Calendar
from marketprice.core.candle import PERIODS, CandleSeries
from marketprice.core.market import Market, Markets
from marketprice.persistence import Position, StoreRefused
from marketprice.redis_batch import (
    OFFSET_KEY,
    OURS_KEY,
    Mark,
    Ours,
    candles_key,
    deals_key,
    keys_of,
    last_key,
)
from marketprice.texts import parse_candle, parse_deal
from vxutils.store.redis.connection import Connection

SCAN_COUNT: Final = 1_000

_decode_ours = msgspec.json.Decoder(Ours).decode
_log = logging.getLogger("vx.marketprice.redis")


class Found(msgspec.Struct, frozen=True):
    """What was read. `outdated`: by key, the candles that are kept no longer, which are not in `markets`.
    `generation`: of the process that wrote last, 0 if none says."""

    markets: Markets
    position: Position
    mark: Mark
    outdated: dict[str, list[int]]
    generation: int


def read_mark(session: Connection) -> tuple[Mark, Ours | None]:
    """Which batch is the last one there. Raises: RedisError, StoreRefused."""
    offset, text = session.ask_all([("GET", OFFSET_KEY), ("GET", OURS_KEY)])
    ours = None
    if text is not None:
        try:
            ours = _decode_ours(text)
        except msgspec.MsgspecError:
            raise StoreRefused(f"{OURS_KEY} holds {text[:100]!r}, which we did not write") from None
    return Mark(offset or "", ours.batch if ours is not None else ""), ours


def read_state(session: Connection, calendar: Calendar, limits: dict[str, int], zone: str) -> Found:
    """Everything, without candles before `limits` (start per period).

    Raises: RedisError; StoreRefused when the days are of another time zone, or a text can not be read.
    """
    mark, ours = read_mark(session)
    if ours is not None and ours.time_zone != zone:
        raise StoreRefused(
            f"has days of the time zone {ours.time_zone}, the settings say {zone}; set time_zone, or rebuild "
            "it: vx candles rebuild"
        )
    markets = Markets(calendar)
    outdated: dict[str, list[int]] = {}
    for name in _names(session):
        market = markets.know(name)
        *candles, deals, last = session.ask_all(keys_of(name))
        for period, pairs in zip(PERIODS, candles, strict=True):
            key = candles_key(name, period)
            found = _read_candles(key, pairs, market.series[period], limits.get(period, 0))
            if found:
                outdated[key] = found
        _read_deals(market, deals)
        _read_last(market, last)
    generation = ours.generation if ours is not None else 0
    return Found(markets, _position(mark, ours, markets), mark, outdated, generation)


def _names(session: Connection) -> list[str]:
    start, end = last_key("\0").split("\0")
    names: set[str] = set()
    cursor: Any = "0"
    while True:
        cursor, keys = session.ask("SCAN", cursor, "MATCH", f"{start}*{end}", "COUNT", SCAN_COUNT)
        names.update(key[len(start) : -len(end)] for key in keys)
        if cursor == "0":
            return sorted(names)


def _read_candles(key: str, pairs: list[str], series: CandleSeries, limit: int) -> list[int]:
    """Into `series`; the starts that are before `limit`."""
    fields = dict(zip(pairs[::2], pairs[1::2], strict=True))
    starts = sorted(int(field) for field in fields if field.isascii() and field.isdigit())
    unreadable = len(fields) - len(starts)
    for start in starts:
        if start < limit:
            continue
        candle = parse_candle(fields[str(start)]) if str(start) in fields else None
        if candle is None:
            unreadable += 1
            continue
        series.put(start, candle)
    if unreadable:
        _log.error("%s: %d candles can not be read, and are left out", key, unreadable)
    return [start for start in starts if start < limit]


def _read_deals(market: Market, texts: list[str]) -> None:
    for text in reversed(texts):
        deal = parse_deal(text, 0, market.name)
        if deal is None:
            raise StoreRefused(f"{deals_key(market.name)}: {text[:200]!r} is no deal")
        deal.offset = deal.id  # the number of its message is not kept there
        market.recent.add(deal)


def _read_last(market: Market, text: str | None) -> None:
    parsed = number.parse(text or "")
    if parsed is None:
        raise StoreRefused(f"{last_key(market.name)}: {text!r} is no price")
    market.last, market.last_scale = parsed


def _position(mark: Mark, ours: Ours | None, markets: Markets) -> Position:
    if not mark.offset:
        return Position()
    if not (mark.offset.isascii() and mark.offset.isdigit()):
        raise StoreRefused(f"{OFFSET_KEY}: {mark.offset!r} is no number of a message")
    offset = int(mark.offset)
    if ours is not None and ours.offset == offset:
        return Position(offset, ours.sequence, bytes.fromhex(ours.digest))
    if offset == 0 and not any(market.recent.newest_first for market in markets.by_name.values()):
        return Position()  # the C system writes it when there was no message yet
    return Position(offset)
