"""The exchange written the naive way: `Decimal`, plain lists and a full scan wherever one would do.

It is the oracle of the fast engine: the same thirteen commands, refusals and reply objects, written from
the same text (protocol 2.3 - 2.7 and 3.1 - 3.7), sharing neither code nor data structure with it. It does
not journal, does not encode a reply and does not care how long anything takes. One object owns all of its
state.

The deliberate differences from the recorded system are here too: no non-finite numbers, bounded texts and
values, ids that are never wrapped, no negative zero, precision 0 means integers, results never cut to 34
digits.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_DOWN, Context, Decimal, DivisionByZero, InvalidOperation, Overflow, localcontext
from typing import Any

SELL, BUY = 1, 2
LIMIT, MARKET = 1, 2
AVAILABLE, FREEZE = 1, 2

ZERO = Decimal(0)
EXACT = Context(prec=200, rounding=ROUND_DOWN, traps=[InvalidOperation, DivisionByZero, Overflow])
NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE]([+-]?[0-9]+))?")
TEXT_LENGTH_MAX = 64
EXPONENT_MAX = 60
VALUE_LIMIT = Decimal("1e30")
PAGE_MAX = 101
NAME_BYTES_MAX = 30
DETAIL_BYTES_MAX = 4096

Asset = dict[str, Any]
Reply = dict[str, Any]


class RefusalError(Exception):
    """The command is refused with this code and message; nothing has changed."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def require(holds: bool) -> None:
    if not holds:
        raise RefusalError(1, "invalid argument")


def whole(value: Any, low: int, high: int) -> int:
    """An integer token within [low, high]; a real, a boolean or a text is none."""
    require(type(value) is int and low <= value <= high)
    return int(value)


def short_text(value: Any) -> str:
    require(isinstance(value, str) and len(value.encode()) <= NAME_BYTES_MAX)
    return str(value)


def truncated(value: Decimal, decimals: int) -> Decimal:
    """Exactly so many decimals, cut toward zero, zero without a sign."""
    cut = value.quantize(Decimal((0, (1,), -decimals)))
    return cut if cut else cut.copy_abs()


def number(value: Any, decimals: int) -> Decimal:
    """Source: protocol 2.4, without its special values and with limits."""
    require(isinstance(value, str) and len(value) <= TEXT_LENGTH_MAX)
    match = NUMBER.fullmatch(value)
    require(match is not None)
    assert match is not None
    require(abs(int(match[1] or "0")) <= EXPONENT_MAX)
    parsed = Decimal(value)
    require(abs(parsed) < VALUE_LIMIT)
    return truncated(parsed, decimals)


def shown(value: Decimal) -> str:
    """The stripped printer. Source: protocol 2.5."""
    raw = str(value).lower()
    return raw.rstrip("0").rstrip(".") if "." in raw and "e" not in raw else raw


@dataclass
class Order:
    id: int
    market: str
    source: str
    type: int
    side: int
    user: int
    ctime: int
    mtime: int
    price: Decimal
    amount: Decimal
    taker_fee: Decimal
    maker_fee: Decimal
    left: Decimal
    deal_stock: Decimal = ZERO
    deal_money: Decimal = ZERO
    deal_fee: Decimal = ZERO

    def shown(self) -> Reply:
        return {
            key: shown(value) if isinstance(value, Decimal) else value for key, value in vars(self).items()
        }

    def fill(self, amount: Decimal, deal: Decimal, fee: Decimal, now_us: int) -> None:
        self.left -= deal if self.type == MARKET and self.side == BUY else amount
        self.deal_stock += amount
        self.deal_money += deal
        self.deal_fee += fee
        self.mtime = now_us


class Market:
    """Its rules and its resting orders, each side best first. Source: protocol 3.7."""

    def __init__(self, rules: dict[str, Any]) -> None:
        self.name: str = rules["name"]
        self.stock: str = rules["stock"]["name"]
        self.money: str = rules["money"]["name"]
        self.stock_prec: int = rules["stock"]["prec"]
        self.money_prec: int = rules["money"]["prec"]
        self.fee_prec: int = rules.get("fee_prec", 4)
        self.min_amount = Decimal(rules.get("min_amount", "0.01"))
        self.books: dict[int, list[Order]] = {SELL: [], BUY: []}

    def place(self, order: Order) -> None:
        book = self.books[order.side]
        book.append(order)
        book.sort(key=lambda resting: (resting.price if order.side == SELL else -resting.price, resting.id))

    def resting(self) -> list[Order]:
        return self.books[SELL] + self.books[BUY]

    def find(self, order_id: int) -> Order | None:
        return next((order for order in self.resting() if order.id == order_id), None)

    def depth(self, side: int, limit: int, interval: Decimal) -> list[list[str]]:
        groups: list[tuple[Decimal, Decimal]] = []
        for order in self.books[side]:
            price = order.price
            if interval:
                price = order.price // interval * interval
                if side == SELL and price < order.price:
                    price += interval
            if groups and groups[-1][0] == price:
                groups[-1] = (price, groups[-1][1] + order.left)
            else:
                groups.append((price, order.left))
        return [[shown(price), shown(amount)] for price, amount in groups[:limit]]


class NaiveExchange:
    """One exchange in memory.

    `assets` and `markets` have the shape of the C system's configuration; a balance.update is remembered for
    `repeat_age_s` seconds.
    """

    def __init__(
        self, assets: list[Asset], markets: list[dict[str, Any]], repeat_age_s: int = 86_400
    ) -> None:
        self._assets = {asset["name"]: {"prec_show": asset["prec_save"], **asset} for asset in assets}
        self._markets = {rules["name"]: Market(rules) for rules in markets}
        self._repeat_age_us = repeat_age_s * 1_000_000
        self._balances: dict[tuple[int, int, str], Decimal] = {}
        self._updates: dict[tuple[int, str, str, int], int] = {}
        self._last_order_id = 0
        self._commands: dict[int, Callable[[list[Any], int], Any]] = {
            101: self._balance_query,
            102: self._balance_update,
            104: self._asset_list,
            105: self._asset_summary,
            201: self._put_limit,
            202: self._put_market,
            203: self._pending,
            204: self._cancel,
            205: self._book,
            206: self._depth,
            207: self._pending_detail,
            307: self._market_list,
            308: self._market_summary,
        }

    def call(self, command: int, params: list[Any], now_us: int) -> Reply:
        """The reply without its id; the times of an order are integer microseconds."""
        with localcontext(EXACT):
            try:
                return {"error": None, "result": self._commands[command](params, now_us)}
            except RefusalError as refusal:
                return {"error": {"code": refusal.code, "message": refusal.message}, "result": None}

    # Parameters

    def _asset(self, name: Any) -> Asset:
        require(isinstance(name, str) and name in self._assets)
        return self._assets[name]

    def _market(self, name: Any) -> Market:
        require(isinstance(name, str) and name in self._markets)
        return self._markets[name]

    # Balances (protocol 2.6)

    def _balance(self, user: int, kind: int, asset: str) -> Decimal:
        return self._balances.get((user, kind, asset), ZERO)

    def _add(self, user: int, kind: int, asset: str, amount: Decimal) -> None:
        value = truncated(self._balance(user, kind, asset) + amount, self._assets[asset]["prec_save"])
        assert value >= 0
        self._balances[user, kind, asset] = value
        if not value:
            del self._balances[user, kind, asset]

    def _freeze(self, user: int, asset: str, amount: Decimal) -> None:
        self._add(user, FREEZE, asset, amount)
        self._add(user, AVAILABLE, asset, -amount)

    def _balance_query(self, params: list[Any], now_us: int) -> Any:
        require(len(params) >= 1)
        user = whole(params[0], 1, 2**32 - 1)
        result = {}
        for asset in [self._asset(name) for name in params[1:]] or self._assets.values():
            result[asset["name"]] = {
                word: shown(truncated(value, asset["prec_show"]) if value else ZERO)
                for word, kind in (("available", AVAILABLE), ("freeze", FREEZE))
                for value in [self._balance(user, kind, asset["name"])]
            }
        return result

    def _balance_update(self, params: list[Any], now_us: int) -> Any:
        require(len(params) == 6)
        user = whole(params[0], 0, 2**32 - 1)
        asset = self._asset(params[1])
        business = params[2]
        require(isinstance(business, str) and len(business) <= 30)
        business_id = whole(params[3], -(2**63), 2**63 - 1)
        change = number(params[4], asset["prec_show"])
        detail = params[5]
        require(isinstance(detail, dict))
        text = json.dumps(detail, ensure_ascii=False, separators=(",", ":"))
        require(len(text.encode()) <= DETAIL_BYTES_MAX)
        key = (user, asset["name"], business, business_id)
        if key in self._updates and now_us - self._updates[key] <= self._repeat_age_us:
            raise RefusalError(10, "repeat update")
        if self._balance(user, AVAILABLE, asset["name"]) + change < 0:
            raise RefusalError(11, "balance not enough")
        self._add(user, AVAILABLE, asset["name"], change)
        self._updates[key] = now_us
        return {"status": "success"}

    def _asset_list(self, params: list[Any], now_us: int) -> Any:
        return [{"name": asset["name"], "prec": asset["prec_show"]} for asset in self._assets.values()]

    def _asset_summary(self, params: list[Any], now_us: int) -> Any:
        result = []
        for asset in [self._asset(name) for name in params] or self._assets.values():
            held: dict[int, list[Decimal]] = {AVAILABLE: [], FREEZE: []}
            for (_, kind, name), value in self._balances.items():
                if name == asset["name"]:
                    held[kind].append(value)
            result.append(
                {
                    "name": asset["name"],
                    "total_balance": shown(sum(held[AVAILABLE] + held[FREEZE], ZERO)),
                    "available_count": len(held[AVAILABLE]),
                    "available_balance": shown(sum(held[AVAILABLE], ZERO)),
                    "freeze_count": len(held[FREEZE]),
                    "freeze_balance": shown(sum(held[FREEZE], ZERO)),
                }
            )
        return result

    # Orders (protocol 3.2 - 3.6)

    def _put_limit(self, params: list[Any], now_us: int) -> Any:
        require(len(params) == 8)
        user = whole(params[0], 0, 2**32 - 1)
        market = self._market(params[1])
        side = whole(params[2], SELL, BUY)
        amount = number(params[3], market.stock_prec)
        price = number(params[4], market.money_prec)
        taker_fee = number(params[5], market.fee_prec)
        maker_fee = number(params[6], market.fee_prec)
        require(amount > 0 and price > 0 and 0 <= taker_fee < 1 and 0 <= maker_fee < 1)
        source = short_text(params[7])
        asset, needed = (market.stock, amount) if side == SELL else (market.money, amount * price)
        if self._balance(user, AVAILABLE, asset) < needed:
            raise RefusalError(10, "balance not enough")
        if amount < market.min_amount:
            raise RefusalError(11, "amount too small")
        start = (self._next_order_id(), market.name, source, LIMIT, side, user, now_us, now_us)
        order = Order(*start, price, amount, taker_fee, maker_fee, left=amount)
        self._match(market, order, now_us)
        reply = order.shown()
        if order.left:
            market.place(order)
            self._freeze(user, *self._frozen(market, order))
        return reply

    def _put_market(self, params: list[Any], now_us: int) -> Any:
        require(len(params) == 6)
        user = whole(params[0], 0, 2**32 - 1)
        market = self._market(params[1])
        side = whole(params[2], SELL, BUY)
        amount = number(params[3], market.stock_prec)
        taker_fee = number(params[4], market.fee_prec)
        require(amount > 0 and 0 <= taker_fee < 1)
        source = short_text(params[5])
        if self._balance(user, AVAILABLE, market.stock if side == SELL else market.money) < amount:
            raise RefusalError(10, "balance not enough")
        opposite = market.books[SELL + BUY - side]
        if not opposite:
            raise RefusalError(12, "no enough trader")
        if amount < market.min_amount * (1 if side == SELL else opposite[0].price):
            raise RefusalError(11, "amount too small")
        start = (self._next_order_id(), market.name, source, MARKET, side, user, now_us, now_us)
        order = Order(*start, ZERO, amount, taker_fee, ZERO, left=amount)
        self._match(market, order, now_us)
        return order.shown()

    def _next_order_id(self) -> int:
        self._last_order_id += 1
        return self._last_order_id

    def _frozen(self, market: Market, order: Order) -> tuple[str, Decimal]:
        """The asset and the amount which a resting order holds."""
        return (market.stock, order.left) if order.side == SELL else (market.money, order.price * order.left)

    def _match(self, market: Market, taker: Order, now_us: int) -> None:
        for maker in list(market.books[SELL + BUY - taker.side]):
            if not taker.left:
                return
            if taker.type == LIMIT and (
                taker.price > maker.price if taker.side == SELL else taker.price < maker.price
            ):
                return
            amount = taker.left
            if taker.type == MARKET and taker.side == BUY:
                amount = truncated(taker.left / maker.price, market.stock_prec)
            amount = min(amount, maker.left)
            if not amount:
                return
            deal = maker.price * amount
            seller, buyer = (taker, maker) if taker.side == SELL else (maker, taker)
            ask_fee = deal * (seller.taker_fee if seller is taker else seller.maker_fee)
            bid_fee = amount * (buyer.taker_fee if buyer is taker else buyer.maker_fee)
            for order, kind in ((taker, AVAILABLE), (maker, FREEZE)):
                paid = (market.stock, amount) if order.side == SELL else (market.money, deal)
                received = (market.money, deal) if order.side == SELL else (market.stock, amount)
                fee = ask_fee if order.side == SELL else bid_fee
                order.fill(amount, deal, fee, now_us)
                self._add(order.user, kind, paid[0], -paid[1])
                self._add(order.user, AVAILABLE, *received)
                self._add(order.user, AVAILABLE, received[0], -fee)
            if not maker.left:
                market.books[maker.side].remove(maker)

    def _cancel(self, params: list[Any], now_us: int) -> Any:
        require(len(params) == 3)
        user = whole(params[0], 0, 2**32 - 1)
        market = self._market(params[1])
        order = market.find(whole(params[2], 1, 2**63 - 1))
        if order is None:
            raise RefusalError(10, "order not found")
        if order.user != user:
            raise RefusalError(11, "user not match")
        asset, amount = self._frozen(market, order)
        self._freeze(user, asset, -amount)
        market.books[order.side].remove(order)
        return order.shown()

    # Views (protocol 2.7)

    def _pending(self, params: list[Any], now_us: int) -> Any:
        require(len(params) == 4)
        user = whole(params[0], 0, 2**32 - 1)
        market = self._market(params[1])
        page = self._page(params[2], params[3])
        own = sorted((order for order in market.resting() if order.user == user), key=lambda order: -order.id)
        counts = {"limit": params[3], "offset": params[2], "total": len(own)}
        return {**counts, "records": [order.shown() for order in own[page]]}

    def _book(self, params: list[Any], now_us: int) -> Any:
        require(len(params) == 4)
        book = self._market(params[0]).books[whole(params[1], SELL, BUY)]
        page = self._page(params[2], params[3])
        counts = {"offset": params[2], "limit": params[3], "total": len(book)}
        return {**counts, "orders": [order.shown() for order in book[page]]}

    def _page(self, offset: Any, limit: Any) -> slice:
        """A negative offset is legal and gives an empty page."""
        first = whole(offset, -(2**63), 2**63 - 1)
        count = whole(limit, 0, PAGE_MAX)
        return slice(first, first + count) if first >= 0 else slice(0, 0)

    def _depth(self, params: list[Any], now_us: int) -> Any:
        require(len(params) == 3)
        market = self._market(params[0])
        limit = whole(params[1], 0, PAGE_MAX)
        interval = number(params[2], market.money_prec)
        require(interval >= 0)
        return {
            "asks": market.depth(SELL, limit, interval),
            "bids": market.depth(BUY, limit, interval),
        }

    def _pending_detail(self, params: list[Any], now_us: int) -> Any:
        require(len(params) == 2)
        order = self._market(params[0]).find(whole(params[1], 1, 2**63 - 1))
        return None if order is None else order.shown()

    def _market_list(self, params: list[Any], now_us: int) -> Any:
        words = ("name", "stock", "money", "fee_prec", "stock_prec", "money_prec")
        return [
            {**{word: getattr(market, word) for word in words}, "min_amount": shown(market.min_amount)}
            for market in self._markets.values()
        ]

    def _market_summary(self, params: list[Any], now_us: int) -> Any:
        result = []
        for market in [self._market(name) for name in params] or self._markets.values():
            row: dict[str, Any] = {"name": market.name}
            for word, book in (("ask", market.books[SELL]), ("bid", market.books[BUY])):
                row[f"{word}_count"] = len(book)
                row[f"{word}_amount"] = shown(sum((order.left for order in book), ZERO))
            result.append(row)
        return result
