"""What clients are shown: results as JSON text, in one of two wire styles.

`viabtc` is byte-identical to the C system: its spacing, its printers, its 17-digit times. `plain` is
compact JSON with positional numbers. A view reads the state between two commands and keeps nothing
of it. Source: protocol.md 0.3 (JSON writing), 2.5 (printers), 2.7 (objects).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from matchengine.core.engine import Engine
from matchengine.core.ledger import AssetLedger
from matchengine.core.market import Market
from matchengine.core.order import ASK, BID, MARKET, Order
from vxutils import fixed

RATE_TEXTS_MAX = 1000  # printed fee rates kept; real exchanges use a handful

_ESCAPED = re.compile(r'["\\\x00-\x1f]')
_SHORT_ESCAPES = {"\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\"}


def quote(text: str) -> str:
    """`text` as a JSON string the way the C system writes it: UTF-8 as it is, `/` not escaped."""
    return f'"{_ESCAPED.sub(_escape, text)}"'


def _escape(match: re.Match[str]) -> str:
    character = match.group()
    return _SHORT_ESCAPES.get(character) or f"\\u{ord(character):04X}"


class Views:
    """Renders results of one engine in one wire style (`viabtc` or `plain`)."""

    def __init__(self, engine: Engine, style: str) -> None:
        assert style in ("viabtc", "plain")
        self.engine = engine
        self.decimal: Callable[[int, int], str] = fixed.stripped if style == "viabtc" else fixed.plain
        self._time = _time_viabtc if style == "viabtc" else _time_plain
        self._comma, self._colon = (", ", ": ") if style == "viabtc" else (",", ":")
        self._order_format = self._object(
            ("id", "%d"),
            ("market", "%s"),
            ("source", "%s"),
            ("type", "%d"),
            ("side", "%d"),
            ("user", "%d"),
            ("ctime", "%s"),
            ("mtime", "%s"),
            ("price", '"%s"'),
            ("amount", '"%s"'),
            ("taker_fee", '"%s"'),
            ("maker_fee", '"%s"'),
            ("left", '"%s"'),
            ("deal_stock", '"%s"'),
            ("deal_money", '"%s"'),
            ("deal_fee", '"%s"'),
        )
        self._no_source = f'"source"{self._colon}%s{self._comma}'
        self._balance_format = self._object(("available", '"%s"'), ("freeze", '"%s"'))
        self._rates: dict[tuple[int, int], str] = {}
        self._last_time = (0, self._time(0))
        self._template_order_anonymous = self._order_format.replace(self._no_source, "")
        self.success = self._object(("status", '"success"'))

    def _object(self, *members: tuple[str, str]) -> str:
        return "{" + self._comma.join(f'"{name}"{self._colon}{value}' for name, value in members) + "}"

    def _array(self, items: Iterable[str]) -> str:
        return f"[{self._comma.join(items)}]"

    def _rate(self, rate: int, scale: int) -> str:
        text = self._rates.get((rate, scale))
        if text is None:
            if len(self._rates) >= RATE_TEXTS_MAX:
                self._rates.clear()
            text = self._rates[rate, scale] = self.decimal(rate, scale)
        return text

    def _time_text(self, time_us: int) -> str:
        """Times repeat within a turn, so the last one is kept as text."""
        known_us, text = self._last_time
        if known_us != time_us:
            text = self._time(time_us)
            self._last_time = (time_us, text)
        return text

    # -- orders --------------------------------------------------------------------------------

    def order(self, order: Order) -> str:
        """The order object of protocol.md 2.7."""
        market = self.engine.markets[order.market]
        decimal = self.decimal
        stock_prec = market.stock_prec
        deal_prec = stock_prec + market.money_prec
        amount = decimal(order.amount, stock_prec)
        created = self._time_text(order.created_us)
        updated = created if order.updated_us == order.created_us else self._time(order.updated_us)
        if order.kind == MARKET:
            # The C system creates price and maker fee of a market order with no decimals at all.
            price = maker_fee = "0"
        else:
            price = decimal(order.price, market.money_prec)
            maker_fee = self._rate(order.maker_fee, market.fee_prec)
        if not order.deal_stock:
            # Untouched sums have no decimals yet, and nothing has been spent.
            left = amount
            deal_stock = deal_money = deal_fee = "0"
        else:
            spent_money = order.kind == MARKET and order.side == BID
            left = decimal(order.left, deal_prec if spent_money else stock_prec)
            deal_stock = decimal(order.deal_stock, stock_prec)
            deal_money = decimal(order.deal_money, deal_prec)
            fee_prec = (stock_prec if order.side == BID else deal_prec) + market.fee_prec
            deal_fee = decimal(order.deal_fee, fee_prec)
        head: tuple[object, ...] = (order.id, quote(order.market))
        template = self._order_format
        if order.source is None:
            template = self._template_order_anonymous
        else:
            head += (quote(order.source),)
        return template % (
            *head,
            order.kind,
            order.side,
            order.user,
            created,
            updated,
            price,
            amount,
            self._rate(order.taker_fee, market.fee_prec),
            maker_fee,
            left,
            deal_stock,
            deal_money,
            deal_fee,
        )

    def pending(self, market: Market, user: int, offset: int, limit: int) -> str:
        """203: one user's open orders in a market, newest first."""
        mine = market.users.get(user, {})
        chosen: list[str] = []
        if 0 <= offset < len(mine) and limit:
            newest_first = reversed(mine.values())
            for _ in range(offset):
                next(newest_first)
            chosen = [self.order(order) for order, _ in zip(newest_first, range(limit), strict=False)]
        return self._object(
            ("limit", str(limit)),
            ("offset", str(offset)),
            ("total", str(len(mine))),
            ("records", self._array(chosen)),
        )

    def book(self, market: Market, side: int, offset: int, limit: int) -> str:
        """205: orders of one side by price, then time."""
        book = market.asks if side == ASK else market.bids
        orders = book.orders(offset, limit) if 0 <= offset < book.count else ()
        return self._object(
            ("offset", str(offset)),
            ("limit", str(limit)),
            ("total", str(book.count)),
            ("orders", self._array(self.order(order) for order in orders)),
        )

    def depth(self, market: Market, limit: int, interval: int) -> str:
        """206: amounts per price, or per multiple of `interval` (at money_prec) if that is not 0."""
        decimal, stock_prec, money_prec = self.decimal, market.stock_prec, market.money_prec
        sides = []
        for book in (market.asks, market.bids):
            levels = book.merged_depth(limit, interval) if interval else book.depth(limit)
            sides.append(
                self._array(
                    f'["{decimal(price, money_prec)}"{self._comma}"{decimal(total, stock_prec)}"]'
                    for price, total in levels
                )
            )
        return self._object(("asks", sides[0]), ("bids", sides[1]))

    def order_detail(self, market: Market, order_id: int) -> str:
        """207: a resting order or null."""
        order = market.orders.get(order_id)
        return "null" if order is None else self.order(order)

    # -- balances, assets, markets -------------------------------------------------------------

    def balances(self, user: int, ledgers: Iterable[AssetLedger]) -> str:
        """101: a user's balances, cut to the decimals that are shown."""
        unique = {ledger.name: ledger for ledger in ledgers}
        return self._object(*((name, self._balance(user, ledger)) for name, ledger in unique.items()))

    def _balance(self, user: int, ledger: AssetLedger) -> str:
        shown = []
        for balance in (ledger.available.get(user), ledger.frozen.get(user)):
            if balance is None:
                shown.append("0")
            else:
                cut = fixed.rescale(balance, ledger.prec_save, ledger.prec_show)
                shown.append(self.decimal(cut, ledger.prec_show))
        return self._balance_format % tuple(shown)

    def asset_list(self) -> str:
        """104: the assets in the order of the rules."""
        return self._array(
            self._object(("name", quote(ledger.name)), ("prec", str(ledger.prec_show)))
            for ledger in self.engine.assets.values()
        )

    def asset_summary(self, ledgers: Iterable[AssetLedger]) -> str:
        """105: what all users together have. O(1) per asset."""
        return self._array(map(self._asset_status, ledgers))

    def _asset_status(self, ledger: AssetLedger) -> str:
        def amount(value: int) -> str:
            return f'"{self.decimal(value, ledger.prec_save) if value else "0"}"'

        return self._object(
            ("name", quote(ledger.name)),
            ("total_balance", amount(ledger.total)),
            ("available_count", str(len(ledger.available))),
            ("available_balance", amount(ledger.total - ledger.frozen_total)),
            ("freeze_count", str(len(ledger.frozen))),
            ("freeze_balance", amount(ledger.frozen_total)),
        )

    def market_list(self) -> str:
        """307: the markets in the order of the rules."""
        return self._array(map(self._market_rule, self.engine.markets.values()))

    def _market_rule(self, market: Market) -> str:
        minimum = self.decimal(market.min_coefficient, market.min_scale)
        return self._object(
            ("name", quote(market.name)),
            ("stock", quote(market.rule.stock)),
            ("money", quote(market.rule.money)),
            ("fee_prec", str(market.fee_prec)),
            ("stock_prec", str(market.stock_prec)),
            ("money_prec", str(market.money_prec)),
            ("min_amount", f'"{minimum}"'),
        )

    def market_summary(self, markets: Iterable[Market]) -> str:
        """308: open orders per side."""
        return self._array(map(self._market_status, markets))

    def _market_status(self, market: Market) -> str:
        def amount(total: int) -> str:
            return f'"{self.decimal(total, market.stock_prec) if total else "0"}"'

        return self._object(
            ("name", quote(market.name)),
            ("ask_count", str(market.asks.count)),
            ("ask_amount", amount(market.asks.total)),
            ("bid_count", str(market.bids.count)),
            ("bid_amount", amount(market.bids.total)),
        )


def _time_viabtc(time_us: int) -> str:
    """A double of seconds with 17 digits, always recognisable as a real. Source: protocol.md 0.3."""
    text = f"{time_us / 1_000_000:.17g}"
    return text if "." in text or "e" in text else text + ".0"


def _time_plain(time_us: int) -> str:
    """Seconds with exactly six decimals."""
    seconds, microseconds = divmod(time_us, 1_000_000)
    return f"{seconds}.{microseconds:06d}"
