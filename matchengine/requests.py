"""The thirteen commands: parameters to engine commands, and to results of queries.

Two tables dispatch: `operations` makes the command that the sequencer will stamp and the engine
apply; `queries` reads the state and gives the result text. Both answer a refusal for parameters that
deserve error 1. Nothing in here changes state. Source: protocol.md 2.7, in its order of checks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from matchengine import problems
from matchengine.columns import ColumnDoor
from matchengine.core.commands import CancelOrder, Command, PutLimit, PutMarket, UpdateBalance
from matchengine.core.engine import Engine
from matchengine.core.ledger import AssetLedger
from matchengine.core.market import Market
from matchengine.core.order import ASK, BID
from matchengine.core.refusals import Refusal
from matchengine.core.views import Views
from vxutils.fixed import parse, power10, rescale
from vxutils.rpc.bodies import INTEGER_MAX, INTEGER_MIN, refuse_wide_integers

USER_MAX = 2**32 - 1
LIST_LIMIT_MAX = 101  # orders or levels per reply
SOURCE_BYTES_MAX = 30
BUSINESS_CHARACTERS_MAX = 30
DETAIL_BYTES_MAX = 4096  # of compact JSON
RATE_TEXTS_MAX = 1000  # parsed fee texts kept; clients use a handful

Params = list[Any]


class Requests:
    """Checks parameters against the rules in force and the limits of this system, and of the columns behind
    `door` if there are any."""

    def __init__(self, engine: Engine, views: Views, door: ColumnDoor | None = None) -> None:
        self.engine = engine
        self.views = views
        self._rates: dict[tuple[str, int], int | None] = {}
        self.operations: dict[int, Callable[[Params, int, str], Command | Refusal]] = {
            102: self.balance_update,
            201: self.put_limit,
            202: self.put_market,
            204: self.cancel,
        }
        if door is not None:
            self.operations = {
                command: door.guard(operation) for command, operation in self.operations.items()
            }
        self.queries: dict[int, Callable[[Params], str | Refusal]] = {
            101: self.balance_query,
            104: lambda params: self.views.asset_list(),
            105: self.asset_summary,
            203: self.pending,
            205: self.book,
            206: self.depth,
            207: self.pending_detail,
            307: lambda params: self.views.market_list(),
            308: self.market_summary,
        }

    # -- operations ----------------------------------------------------------------------------

    def balance_update(self, params: Params, time_us: int, key: str) -> Command | Refusal:
        """102 `[user_id, asset, business, business_id, change, detail]`"""
        if len(params) != 6:
            return problems.wrong_count("user_id, asset, business, business_id, change, detail")
        user, name, business, business_id, change_text, detail = params
        if type(user) is not int or not 0 <= user <= USER_MAX:
            return problems.USER_ID
        ledger = self.engine.assets.get(name) if type(name) is str else None
        if ledger is None:
            return problems.UNKNOWN_ASSET
        if type(business) is not str or len(business) > BUSINESS_CHARACTERS_MAX:
            return problems.BUSINESS
        if type(business_id) is not int or not INTEGER_MIN <= business_id <= INTEGER_MAX:
            return problems.BUSINESS_ID
        change = parse(change_text, ledger.prec_show) if type(change_text) is str else None
        if change is None:
            return problems.CHANGE
        if type(detail) is not dict:
            return problems.DETAIL
        if detail:
            if len(msgspec.json.encode(detail)) > DETAIL_BYTES_MAX:
                return problems.DETAIL
            refuse_wide_integers(detail)
        change = rescale(change, ledger.prec_show, ledger.prec_save)
        return UpdateBalance(time_us, user, name, business, business_id, change, key)

    def put_limit(self, params: Params, time_us: int, key: str) -> Command | Refusal:
        """201 `[user_id, market, side, amount, price, taker_fee, maker_fee, source]`"""
        if len(params) != 8:
            return problems.wrong_count("user_id, market, side, amount, price, taker_fee, maker_fee, source")
        user, name, side, amount_text, price_text, taker_text, maker_text, source = params
        if type(user) is not int or not 0 <= user <= USER_MAX:
            return problems.USER_ID
        market = self.engine.markets.get(name) if type(name) is str else None
        if market is None:
            return problems.UNKNOWN_MARKET
        if type(side) is not int or (side != ASK and side != BID):
            return problems.SIDE
        amount = parse(amount_text, market.stock_prec) if type(amount_text) is str else None
        if amount is None or amount <= 0:
            return problems.AMOUNT
        price = parse(price_text, market.money_prec) if type(price_text) is str else None
        if price is None or price <= 0:
            return problems.PRICE
        fee_prec = market.fee_prec
        taker_fee = self._rate(taker_text, fee_prec)
        if taker_fee is None:
            return problems.TAKER_FEE
        maker_fee = taker_fee if maker_text == taker_text else self._rate(maker_text, fee_prec)
        if maker_fee is None:
            return problems.MAKER_FEE
        if not _good_source(source):
            return problems.SOURCE
        return PutLimit(time_us, user, name, side, amount, price, taker_fee, maker_fee, source, key)

    def put_market(self, params: Params, time_us: int, key: str) -> Command | Refusal:
        """202 `[user_id, market, side, amount, taker_fee, source]`"""
        if len(params) != 6:
            return problems.wrong_count("user_id, market, side, amount, taker_fee, source")
        user, name, side, amount_text, taker_text, source = params
        if type(user) is not int or not 0 <= user <= USER_MAX:
            return problems.USER_ID
        market = self._market(name)
        if market is None:
            return problems.UNKNOWN_MARKET
        if type(side) is not int or (side != ASK and side != BID):
            return problems.SIDE
        amount = parse(amount_text, market.stock_prec) if type(amount_text) is str else None
        if amount is None or amount <= 0:
            return problems.AMOUNT
        taker_fee = self._rate(taker_text, market.fee_prec)
        if taker_fee is None:
            return problems.TAKER_FEE
        if not _good_source(source):
            return problems.SOURCE
        return PutMarket(time_us, user, name, side, amount, taker_fee, source, key)

    def cancel(self, params: Params, time_us: int, key: str) -> Command | Refusal:
        """204 `[user_id, market, order_id]`"""
        if len(params) != 3:
            return problems.wrong_count("user_id, market, order_id")
        user, name, order_id = params
        if type(user) is not int or not 0 <= user <= USER_MAX:
            return problems.USER_ID
        if self._market(name) is None:
            return problems.UNKNOWN_MARKET
        if not _good_order_id(order_id):
            return problems.ORDER_ID
        return CancelOrder(time_us, user, name, order_id, key)

    def _rate(self, text: object, scale: int) -> int | None:
        """A fee rate, 0 <= rate < 1, at `scale` decimals."""
        if type(text) is not str:
            return None
        try:
            return self._rates[text, scale]
        except KeyError:
            pass
        rate = parse(text, scale)
        if rate is not None and not 0 <= rate < power10(scale):
            rate = None
        if len(self._rates) >= RATE_TEXTS_MAX:
            self._rates.clear()
        self._rates[text, scale] = rate
        return rate

    # -- queries -------------------------------------------------------------------------------

    def balance_query(self, params: Params) -> str | Refusal:
        """101 `[user_id, asset...]`"""
        if not params:
            return problems.wrong_count("user_id, asset...")
        if type(params[0]) is not int or not 1 <= params[0] <= USER_MAX:
            return problems.QUERIED_USER_ID
        ledgers = self._ledgers(params[1:])
        return problems.UNKNOWN_ASSET if ledgers is None else self.views.balances(params[0], ledgers)

    def asset_summary(self, params: Params) -> str | Refusal:
        """105 `[asset...]`"""
        ledgers = self._ledgers(params)
        return problems.UNKNOWN_ASSET if ledgers is None else self.views.asset_summary(ledgers)

    def market_summary(self, params: Params) -> str | Refusal:
        """308 `[market...]`"""
        markets = []
        for name in params:
            market = self._market(name)
            if market is None:
                return problems.UNKNOWN_MARKET
            markets.append(market)
        return self.views.market_summary(markets or self.engine.markets.values())

    def pending(self, params: Params) -> str | Refusal:
        """203 `[user_id, market, offset, limit]`"""
        if len(params) != 4:
            return problems.wrong_count("user_id, market, offset, limit")
        user, name, offset, limit = params
        if type(user) is not int or not 0 <= user <= USER_MAX:
            return problems.USER_ID
        market = self._market(name)
        if market is None:
            return problems.UNKNOWN_MARKET
        wrong = _wrong_page(offset, limit)
        return wrong if wrong is not None else self.views.pending(market, user, offset, limit)

    def book(self, params: Params) -> str | Refusal:
        """205 `[market, side, offset, limit]`"""
        if len(params) != 4:
            return problems.wrong_count("market, side, offset, limit")
        name, side, offset, limit = params
        market = self._market(name)
        if market is None:
            return problems.UNKNOWN_MARKET
        if type(side) is not int or (side != ASK and side != BID):
            return problems.SIDE
        wrong = _wrong_page(offset, limit)
        return wrong if wrong is not None else self.views.book(market, side, offset, limit)

    def depth(self, params: Params) -> str | Refusal:
        """206 `[market, limit, interval]`"""
        if len(params) != 3:
            return problems.wrong_count("market, limit, interval")
        name, limit, interval_text = params
        market = self._market(name)
        if market is None:
            return problems.UNKNOWN_MARKET
        if not _good_limit(limit):
            return problems.LIMIT
        interval = parse(interval_text, market.money_prec) if type(interval_text) is str else None
        if interval is None or interval < 0:
            return problems.INTERVAL
        return self.views.depth(market, limit, interval)

    def pending_detail(self, params: Params) -> str | Refusal:
        """207 `[market, order_id]`"""
        if len(params) != 2:
            return problems.wrong_count("market, order_id")
        market = self._market(params[0])
        if market is None:
            return problems.UNKNOWN_MARKET
        if not _good_order_id(params[1]):
            return problems.ORDER_ID
        return self.views.order_detail(market, params[1])

    def _market(self, name: object) -> Market | None:
        return self.engine.markets.get(name) if type(name) is str else None

    def _ledgers(self, names: Params) -> list[AssetLedger] | None:
        """The named assets, all of them if none is named, None if one is unknown."""
        assets = self.engine.assets
        if not names:
            return list(assets.values())
        ledgers = []
        for name in names:
            ledger = assets.get(name) if type(name) is str else None
            if ledger is None:
                return None
            ledgers.append(ledger)
        return ledgers


def _good_source(source: object) -> bool:
    if type(source) is not str:
        return False
    return len(source) <= SOURCE_BYTES_MAX and (source.isascii() or len(source.encode()) <= SOURCE_BYTES_MAX)


def _good_order_id(order_id: object) -> bool:
    return type(order_id) is int and 1 <= order_id <= INTEGER_MAX


def _wrong_page(offset: object, limit: object) -> Refusal | None:
    """Any signed 64-bit offset is fine; a negative one shows nothing, as in the C system."""
    if type(offset) is not int or not INTEGER_MIN <= offset <= INTEGER_MAX:
        return problems.OFFSET
    return None if _good_limit(limit) else problems.LIMIT


def _good_limit(limit: object) -> bool:
    return type(limit) is int and 0 <= limit <= LIST_LIMIT_MAX
