"""Questions to a running C engine over raw RPC: only those that change nothing, and not too many in a second.

An answer is checked for its shape and becomes the values that `subjects` compares. Any engine that speaks the
same protocol can be asked. It owns one connection. Source: protocol.md 2.7.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from matchengine.c_database.subjects import (
    NEWEST_ORDERS,
    Answer,
    AssetSums,
    MarketSums,
    OpenOrder,
    Subject,
    UserBalances,
    UserOrders,
)
from vxnet.address import Address
from vxutils.client.blocking import Client
from vxutils.client.errors import ExchangeError

PAGE_ORDERS: Final = 101
TIMEOUT_S: Final = 5.0
RETRIES: Final = 5
_ORDER_VALUES: Final = (
    "type",
    "side",
    "user",
    "price",
    "amount",
    "taker_fee",
    "maker_fee",
    "left",
    "deal_stock",
    "deal_money",
    "deal_fee",
)


class CEngineError(Exception):
    """The engine does not answer, or answers what can not be understood. The text is a sentence."""


class ListedAsset(msgspec.Struct, frozen=True):
    name: str
    prec: int


class ListedMarket(msgspec.Struct, frozen=True):
    name: str
    stock: str
    money: str
    fee_prec: int
    stock_prec: int
    money_prec: int
    min_amount: str


class _Balance(msgspec.Struct):
    available: str
    freeze: str


class _AssetSums(msgspec.Struct):
    name: str
    total_balance: str
    available_count: int
    available_balance: str
    freeze_count: int
    freeze_balance: str


class _MarketSums(msgspec.Struct):
    name: str
    ask_count: int
    ask_amount: str
    bid_count: int
    bid_amount: str


class _Order(msgspec.Struct):
    id: int
    market: str
    type: int
    side: int
    user: int
    price: str
    amount: str
    taker_fee: str
    maker_fee: str
    left: str
    deal_stock: str
    deal_money: str
    deal_fee: str


class _Book(msgspec.Struct):
    total: int
    orders: list[_Order]


class _Pending(msgspec.Struct):
    total: int
    records: list[_Order]


class CEngine:
    """Asks the engine at `address`, a stream socket, at most `queries_per_s` times a second.

    Every method raises a CEngineError. A context manager.
    """

    def __init__(
        self,
        address: Address,
        queries_per_s: float,
        timeout_s: float = TIMEOUT_S,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.address = address
        self._client = Client(str(address), timeout_s=timeout_s, retries=RETRIES)
        self._pause_s = 1 / queries_per_s
        self._monotonic, self._sleep = monotonic, sleep
        self._free_at = 0.0
        self.queries = 0

    def __enter__(self) -> CEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def assets(self) -> list[ListedAsset]:
        found: list[ListedAsset] = self._ask("asset.list", list[ListedAsset])
        return found

    def markets(self) -> list[ListedMarket]:
        found: list[ListedMarket] = self._ask("market.list", list[ListedMarket])
        return found

    def asset_sums(self) -> list[tuple[Subject, Answer]]:
        found = self._ask("asset.summary", list[_AssetSums])
        return [(AssetSums(one.name), _texts(one, _AssetSums.__struct_fields__[1:])) for one in found]

    def market_sums(self) -> list[tuple[Subject, Answer]]:
        found = self._ask("market.summary", list[_MarketSums])
        return [(MarketSums(one.name), _texts(one, _MarketSums.__struct_fields__[1:])) for one in found]

    def book(self, market: str, side: int) -> Iterator[tuple[OpenOrder, Answer]]:
        """The open orders of a side, page by page. In a market that lives, orders move between two pages:
        some come twice, some not at all."""
        offset = 0
        while True:
            page = self._ask("order.book", _Book, market, side, offset, PAGE_ORDERS)
            for order in page.orders:
                yield OpenOrder(market, order.id), _texts(order, _ORDER_VALUES)
            offset += PAGE_ORDERS
            if offset >= page.total:
                return

    def ask(self, subject: Subject) -> Answer:
        """The answer to any subject but the counters, which only the console knows."""
        match subject:
            case UserBalances(user):
                balances = self._ask("balance.query", dict[str, _Balance], user)
                return {
                    f"{asset} {kind}": getattr(balance, kind)
                    for asset, balance in balances.items()
                    for kind in ("available", "freeze")
                }
            case UserOrders(user, market):
                mine = self._ask("order.pending", _Pending, user, market, 0, NEWEST_ORDERS)
                return {"total": str(mine.total), "newest": " ".join(str(order.id) for order in mine.records)}
            case OpenOrder(market, number):
                order = self._ask("order.pending_detail", _Order | None, market, number)
                return {} if order is None else _texts(order, _ORDER_VALUES)
            case AssetSums(asset):
                (sums,) = self._ask("asset.summary", list[_AssetSums], asset)
                return _texts(sums, _AssetSums.__struct_fields__[1:])
            case MarketSums(market):
                (amounts,) = self._ask("market.summary", list[_MarketSums], market)
                return _texts(amounts, _MarketSums.__struct_fields__[1:])
        raise AssertionError(f"{subject} is not asked here")

    def _ask(self, method: str, kind: Any, *parameters: str | int) -> Any:
        now = self._monotonic()
        if now < self._free_at:
            self._sleep(self._free_at - now)
        self._free_at = max(now, self._free_at) + self._pause_s
        self.queries += 1
        try:
            return msgspec.convert(self._client.call(method, *parameters), kind)
        except ExchangeError as error:
            raise CEngineError(f"{self.address} answered {method}: {error}") from error
        except msgspec.ValidationError as error:
            raise CEngineError(f"what {self.address} answered {method} is not understood: {error}") from error


def _texts(one: msgspec.Struct, names: tuple[str, ...]) -> Answer:
    return {name: str(getattr(one, name)) for name in names}
