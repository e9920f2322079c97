"""The commands of the raw RPC: the table every process dispatches on. Data only.

`name` is the word used over HTTP, websocket and by the `vx call` command; the heartbeat has none there,
its name serves logs only.

Source: protocol.md 2.1.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec


class Service(enum.Enum):
    """Who answers a command."""

    ALL = "all"
    MATCHENGINE = "matchengine"
    MARKETPRICE = "marketprice"
    READHISTORY = "readhistory"


class Command(msgspec.Struct, frozen=True):
    """One command: `mutating` ones change the state of the engine and are journaled."""

    id: int
    name: str
    title: str
    served_by: Service
    mutating: bool = False


HEARTBEAT: Final = 0
BALANCE_QUERY: Final = 101
BALANCE_UPDATE: Final = 102
BALANCE_HISTORY: Final = 103
ASSET_LIST: Final = 104
ASSET_SUMMARY: Final = 105
ORDER_PUT_LIMIT: Final = 201
ORDER_PUT_MARKET: Final = 202
ORDER_PENDING: Final = 203
ORDER_CANCEL: Final = 204
ORDER_BOOK: Final = 205
ORDER_DEPTH: Final = 206
ORDER_PENDING_DETAIL: Final = 207
ORDER_FINISHED: Final = 208
ORDER_DEALS: Final = 209
ORDER_FINISHED_DETAIL: Final = 210
MARKET_STATUS: Final = 301
MARKET_KLINE: Final = 302
MARKET_DEALS: Final = 303
MARKET_LAST: Final = 304
MARKET_STATUS_TODAY: Final = 305
MARKET_USER_DEALS: Final = 306
MARKET_LIST: Final = 307
MARKET_SUMMARY: Final = 308

_ENGINE = Service.MATCHENGINE
_PRICE = Service.MARKETPRICE
_HISTORY = Service.READHISTORY

COMMANDS: Final = (
    Command(HEARTBEAT, "heartbeat", "heartbeat", Service.ALL),
    Command(BALANCE_QUERY, "balance.query", "balance query", _ENGINE),
    Command(BALANCE_UPDATE, "balance.update", "balance update", _ENGINE, mutating=True),
    Command(BALANCE_HISTORY, "balance.history", "balance history", _HISTORY),
    Command(ASSET_LIST, "asset.list", "asset list", _ENGINE),
    Command(ASSET_SUMMARY, "asset.summary", "asset summary", _ENGINE),
    Command(ORDER_PUT_LIMIT, "order.put_limit", "put limit order", _ENGINE, mutating=True),
    Command(ORDER_PUT_MARKET, "order.put_market", "put market order", _ENGINE, mutating=True),
    Command(ORDER_PENDING, "order.pending", "pending orders of a user", _ENGINE),
    Command(ORDER_CANCEL, "order.cancel", "cancel order", _ENGINE, mutating=True),
    Command(ORDER_BOOK, "order.book", "order book", _ENGINE),
    Command(ORDER_DEPTH, "order.depth", "depth", _ENGINE),
    Command(ORDER_PENDING_DETAIL, "order.pending_detail", "pending order detail", _ENGINE),
    Command(ORDER_FINISHED, "order.finished", "finished orders", _HISTORY),
    Command(ORDER_DEALS, "order.deals", "deals of an order", _HISTORY),
    Command(ORDER_FINISHED_DETAIL, "order.finished_detail", "finished order detail", _HISTORY),
    Command(MARKET_STATUS, "market.status", "market status", _PRICE),
    Command(MARKET_KLINE, "market.kline", "candles", _PRICE),
    Command(MARKET_DEALS, "market.deals", "market deals", _PRICE),
    Command(MARKET_LAST, "market.last", "last price", _PRICE),
    Command(MARKET_STATUS_TODAY, "market.status_today", "status today", _PRICE),
    Command(MARKET_USER_DEALS, "market.user_deals", "deals of a user in a market", _HISTORY),
    Command(MARKET_LIST, "market.list", "market list", _ENGINE),
    Command(MARKET_SUMMARY, "market.summary", "market summary", _ENGINE),
)

BY_ID: Final[Mapping[int, Command]] = MappingProxyType({command.id: command for command in COMMANDS})
BY_NAME: Final[Mapping[str, Command]] = MappingProxyType({command.name: command for command in COMMANDS})
