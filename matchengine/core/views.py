"""What clients are shown: results as JSON text, in one of two wire styles.

`viabtc` is byte-identical to the C system: its spacing, its printers, its 17-digit times. `plain` is
compact JSON with positional numbers. A view reads the state between two commands and keeps nothing
of it. Source: protocol.md 0.3 (JSON writing), 2.5 (printers), 2.7 (objects).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from matchengine.core.engine import Engine
from matchengine.core.ledger import AssetLedger
from matchengine.core.market import Market
from matchengine.core.order import ASK, BID, MARKET, Order
from vxutils import fixed
from vxutils.json_text import quote
from vxutils.protocol.book import sides_text

TEXTS_KEPT_MAX = 1000  # printed fee rates and sources kept; real exchanges use a handful


class Views:
    """Renders results of one engine in one wire style (`viabtc` or `plain`)."""

    def __init__(self, engine: Engine, style: str) -> None:
        assert style in ("viabtc", "plain")
        self.engine = engine
        self._style = style
        self.decimal: Callable[[int, int], str] = fixed.stripped if style == "viabtc" else fixed.plain
        self._time = _time_viabtc if style == "viabtc" else _time_plain
        self._comma, self._colon = (", ", ": ") if style == "viabtc" else (",", ":")
        self._balance_format = self._object(("available", '"%s"'), ("freeze", '"%s"'))
        self.success = self._object(("status", '"success"'))
        self._rules = engine.rules
        self._shapes: dict[str, _OrderShape] = {}
        self._sources: dict[str | None, str] = {}
        self._last_time_us, self._last_time = 0, self._time(0)

    def _object(self, *members: tuple[str, str]) -> str:
        return "{" + self._comma.join(f'"{name}"{self._colon}{value}' for name, value in members) + "}"

    def _array(self, items: Iterable[str]) -> str:
        return f"[{self._comma.join(items)}]"

    # -- orders --------------------------------------------------------------------------------

    def order(self, order: Order) -> str:
        """The order object of protocol.md 2.7. Cost 2-3 us: it is part of every reply to an order."""
        if self._rules is not self.engine.rules:
            self._shapes.clear()
            self._rules = self.engine.rules
        shape = self._shapes.get(order.market) or self._make_shape(order.market)
        decimal = self.decimal
        stock_prec = shape.stock_prec
        amount = decimal(order.amount, stock_prec)
        created_us = order.created_us
        if created_us == self._last_time_us:  # times repeat within a turn
            created = self._last_time
        else:
            created = self._last_time = self._time(created_us)
            self._last_time_us = created_us
        updated = created if order.updated_us == created_us else self._time(order.updated_us)
        rates = shape.rates
        taker_fee = rates.get(order.taker_fee) or self._print_rate(shape, order.taker_fee)
        if order.kind == MARKET:
            # The C system creates price and maker fee of a market order with no decimals at all.
            price = maker_fee = "0"
        else:
            price = decimal(order.price, shape.money_prec)
            maker_fee = rates.get(order.maker_fee) or self._print_rate(shape, order.maker_fee)
        if not order.deal_stock:
            # Untouched sums have no decimals yet, and nothing has been spent.
            left = amount
            deal_stock = deal_money = deal_fee = "0"
        else:
            buying = order.side == BID
            spent_money = buying and order.kind == MARKET
            left = decimal(order.left, shape.deal_prec if spent_money else stock_prec)
            deal_stock = decimal(order.deal_stock, stock_prec)
            deal_money = decimal(order.deal_money, shape.deal_prec)
            deal_fee = decimal(order.deal_fee, shape.bid_fee_prec if buying else shape.ask_fee_prec)
        return shape.template % (
            order.id,
            self._sources.get(order.source) or self._print_source(order.source),
            order.kind,
            order.side,
            order.user,
            created,
            updated,
            price,
            amount,
            taker_fee,
            maker_fee,
            left,
            deal_stock,
            deal_money,
            deal_fee,
        )

    def _make_shape(self, name: str) -> _OrderShape:
        market = self.engine.markets[name]
        template = self._object(
            ("id", "%s"),
            ("market", quote(name).replace("%", "%%") + "%s"),  # the source member, or nothing
            ("type", "%s"),
            ("side", "%s"),
            ("user", "%s"),
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
        shape = self._shapes[name] = _OrderShape(market, template)
        return shape

    def _print_rate(self, shape: _OrderShape, rate: int) -> str:
        if len(shape.rates) >= TEXTS_KEPT_MAX:
            shape.rates.clear()
        text = shape.rates[rate] = self.decimal(rate, shape.fee_prec)
        return text

    def _print_source(self, source: str | None) -> str:
        if source is None:
            return ""
        if len(self._sources) >= TEXTS_KEPT_MAX:
            self._sources.clear()
        text = self._sources[source] = f'{self._comma}"source"{self._colon}{quote(source)}'
        return text

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
        if interval:
            asks = market.asks.merged_depth(limit, interval)
            bids = market.bids.merged_depth(limit, interval)
        else:
            asks, bids = market.asks.depth(limit), market.bids.depth(limit)
        return sides_text(asks, bids, market.money_prec, market.stock_prec, self._style)

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


class _OrderShape:
    """What all orders of one market have in common when they are printed."""

    __slots__ = (
        "ask_fee_prec",
        "bid_fee_prec",
        "deal_prec",
        "fee_prec",
        "money_prec",
        "rates",
        "stock_prec",
        "template",
    )

    def __init__(self, market: Market, template: str) -> None:
        self.template = template
        self.stock_prec = market.stock_prec
        self.money_prec = market.money_prec
        self.fee_prec = market.fee_prec
        self.deal_prec = market.stock_prec + market.money_prec
        self.bid_fee_prec = market.stock_prec + market.fee_prec
        self.ask_fee_prec = self.deal_prec + market.fee_prec
        self.rates: dict[int, str] = {}


def _time_viabtc(time_us: int) -> str:
    """A double of seconds with 17 digits, always recognisable as a real. Source: protocol.md 0.3."""
    text = f"{time_us / 1_000_000:.17g}"
    return text if "." in text or "e" in text else text + ".0"


def _time_plain(time_us: int) -> str:
    """Seconds with exactly six decimals."""
    seconds, microseconds = divmod(time_us, 1_000_000)
    return f"{seconds}.{microseconds:06d}"
