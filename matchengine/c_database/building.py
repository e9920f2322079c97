"""The state of an exchange of the C system, built from its log database: slice, then the operations after it.

    newest slice whose frozen balances are what its orders need --> engine
    operations after it, in order, without a gap --live rules-->   engine
    balance updates within the age, also those before the slice --> repeat memory

Whatever is doubtful is told in words; whatever would be a guess is refused. Reads the database, changes
nothing, and knows no journal. Source: protocol.md 4.3, 4.4, 4.6.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final

import msgspec

from matchengine.c_database.reading import (
    CDatabaseError,
    CSlice,
    LoggedOperation,
    SliceOrder,
    SliceUnusable,
    read_balances,
    read_operations,
    read_orders,
    read_slices,
)
from matchengine.core import snapshot
from matchengine.core.commands import CancelOrder, Command, PutLimit, PutMarket, UpdateBalance
from matchengine.core.engine import Engine
from matchengine.core.invariants import broken_laws
from matchengine.core.market import Market
from matchengine.core.order import ASK, BID, LIMIT
from matchengine.core.refusals import REPEAT_UPDATE, Refusal
from matchengine.core.rules import Rules
from vxutils.fixed import parse, parse_exact, power10, rescale
from vxutils.store.mysql.connection import Database

AVAILABLE: Final = 1
FROZEN: Final = 2
DAY_S: Final = 86_400

Tell = Callable[[str], None]
Balances = dict[str, dict[int, int]]  # asset -> user -> amount at prec_save

_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Loaded(msgspec.Struct):
    """The state after `operation_id`, whose time is `time_us`; `slice_time_s` of the slice it was built from,
    0 without one; `replayed` operations came after it."""

    engine: Engine
    operation_id: int
    time_us: int
    slice_time_s: int
    replayed: int


def build(log: Database, rules: Rules, now_us: int, tell: Tell) -> Loaded:
    """The state that the database holds, for these assets and markets.

    Raises: CDatabaseError in words; MysqlError.
    """
    loaded = _from_newest_slice(log, rules, tell)
    since_us = now_us - rules.repeat_age_s * 1_000_000
    _remember_updates(log, loaded, since_us, tell)
    for operation in read_operations(log, loaded.operation_id):
        _replay(loaded, operation, tell)
    broken = broken_laws(loaded.engine)
    if broken:
        raise CDatabaseError("the state does not add up: " + "; ".join(broken))
    return loaded


def catch_up(log: Database, loaded: Loaded, tell: Tell, after: Callable[[], None]) -> int:
    """Executes what the log has got since; how many operations. `after` is called after each of them.

    Raises: CDatabaseError in words; MysqlError.
    """
    day = _day_before(loaded.time_us)
    before = loaded.operation_id
    for operation in read_operations(log, before, day):
        _replay(loaded, operation, tell)
        after()
    return loaded.operation_id - before


# -- slices ------------------------------------------------------------------------------------


def _from_newest_slice(log: Database, rules: Rules, tell: Tell) -> Loaded:
    for one in read_slices(log):
        try:
            engine = _load_slice(log, one, rules, tell)
        except SliceUnusable as error:
            tell(f"the slice of {one.time_s} is left out: {error}")
            continue
        return Loaded(engine, one.operation_id, one.time_s * 1_000_000, one.time_s, 0)
    tell("there is no slice that can be used: everything is built from the operation log")
    return Loaded(snapshot.load([["rules", msgspec.to_builtins(rules)]]), 0, 0, 0, 0)


def _load_slice(log: Database, one: CSlice, rules: Rules, tell: Tell) -> Engine:
    """Raises: SliceUnusable, MysqlError."""
    scales = snapshot.load([["rules", msgspec.to_builtins(rules)]])
    orders: defaultdict[str, list[list[Any]]] = defaultdict(list)
    needed: defaultdict[str, defaultdict[int, int]] = defaultdict(lambda: defaultdict(int))
    unknown: set[str] = set()
    for row in read_orders(log, one.time_s):
        market = scales.markets.get(row.market)
        if market is None:
            unknown.add(f"orders of the market {row.market}")
            continue
        if not 0 < row.id <= one.order_id:
            raise SliceUnusable(f"order {row.id} is past its last order id {one.order_id}")
        fields = _order_fields(row, market)
        orders[market.name].append(fields)
        price, left = fields[5], fields[7]
        if row.side == ASK:
            needed[market.stock.name][row.user] += left * market.stock_factor
        else:
            needed[market.money.name][row.user] += price * left * market.money_factor
    available, frozen, decimals = _read_balances(log, one, scales, unknown)
    _demand_frozen(needed, frozen, decimals, scales)
    for what in sorted(unknown):
        tell(f"the slice of {one.time_s} has {what}, which the settings do not know: they are left out")
    items: list[list[Any]] = [
        ["rules", msgspec.to_builtins(rules)],
        ["counters", one.order_id, one.deal_id, 0],
    ]
    for name in scales.assets:
        supply = sum(available.get(name, {}).values()) + sum(needed.get(name, {}).values())
        items.append(["asset", name, supply, 0])
        items.append(["available", name, sorted(available.get(name, {}).items())])
        items.append(["frozen", name, sorted(needed.get(name, {}).items())])
    items += [["orders", name, fields] for name, fields in orders.items()]
    return snapshot.load(items)


def _order_fields(row: SliceOrder, market: Market) -> list[Any]:
    """The order as a slice of ours has it. Raises: SliceUnusable."""
    if row.kind != LIMIT or row.side not in (ASK, BID):
        raise SliceUnusable(f"order {row.id} is no resting limit order")
    stock, money, fee = market.stock_prec, market.money_prec, market.fee_prec
    amount, left = _exact(row, row.amount, stock), _exact(row, row.left, stock)
    price = _exact(row, row.price, money)
    if not 0 < left <= amount or price <= 0:
        raise SliceUnusable(f"order {row.id} has {row.left} left of {row.amount} at {row.price}")
    fee_scale = stock + fee if row.side == BID else stock + money + fee
    return [
        row.id,
        market.name,
        LIMIT,
        row.side,
        row.user,
        price,
        amount,
        left,
        _exact(row, row.taker_fee, fee),
        _exact(row, row.maker_fee, fee),
        None,  # a slice of the C system has no source
        _microseconds(row.created_s),
        _microseconds(row.updated_s),
        _exact(row, row.deal_stock, stock),
        rescale(*_number(row.deal_money), stock + money),
        rescale(*_number(row.deal_fee), fee_scale),
    ]


def _read_balances(
    log: Database, one: CSlice, scales: Engine, unknown: set[str]
) -> tuple[Balances, Balances, dict[str, int]]:
    """Available and frozen at `prec_save`, but frozen with the column's decimals; and those."""
    available: defaultdict[str, dict[int, int]] = defaultdict(dict)
    frozen: defaultdict[str, dict[int, int]] = defaultdict(dict)
    decimals: dict[str, int] = {}
    for row in read_balances(log, one.time_s):
        ledger = scales.assets.get(row.asset)
        if ledger is None:
            unknown.add(f"balances of the asset {row.asset}")
            continue
        value, scale = _number(row.balance)
        if value <= 0:
            continue
        decimals[row.asset] = len(row.balance.partition(".")[2])
        if row.kind == AVAILABLE:
            available[row.asset][row.user] = rescale(value, scale, ledger.prec_save)
        elif row.kind == FROZEN:
            frozen[row.asset][row.user] = rescale(value, scale, decimals[row.asset])
        else:
            raise SliceUnusable(f"balance {row.id} is of the unknown kind {row.kind}")
    return available, frozen, decimals


def _demand_frozen(
    needed: dict[str, defaultdict[int, int]], frozen: Balances, decimals: dict[str, int], scales: Engine
) -> None:
    """Each user's frozen balance must be what his orders need, as the column rounds it."""
    for asset in {*needed, *frozen}:
        prec_save = scales.assets[asset].prec_save
        scale = decimals.get(asset, prec_save)
        needs: dict[int, int] = needed.get(asset) or {}
        holds = frozen.get(asset, {})
        for user in {*needs, *holds}:
            wanted = _round_half_up(needs.get(user, 0), prec_save, scale)
            if wanted != holds.get(user, 0):
                raise SliceUnusable(
                    f"user {user} has {holds.get(user, 0)} of {asset} frozen (in units of 10^-{scale}), his "
                    f"orders need {wanted}: it is not whole"
                )


# -- the operation log -------------------------------------------------------------------------


def _remember_updates(log: Database, loaded: Loaded, since_us: int, tell: Tell) -> None:
    """Updates before the slice that must not be repeated yet; those after it remember themselves. What they
    did is in the slice, so one that can not be read is only told."""
    repeats = loaded.engine.repeats
    for operation in read_operations(log, 0, _day_before(since_us)):
        if operation.id > loaded.operation_id:
            break
        time_us = _microseconds(operation.time_s)
        if time_us < since_us:
            continue
        try:
            method, params = parsed_operation(operation)
            if method == "update_balance":
                user, asset, business, business_id = params[:4]
                repeat = (user, asset, business, business_id)
                repeats[repeat] = time_us
                repeats.move_to_end(repeat)
                loaded.time_us = max(loaded.time_us, time_us)
        except (CDatabaseError, ValueError, TypeError) as error:
            tell(
                f"operation {operation.id}, before the slice: if it was an update, it may come twice: {error}"
            )


def _replay(loaded: Loaded, operation: LoggedOperation, tell: Tell) -> None:
    """Raises: CDatabaseError."""
    expected = loaded.operation_id + 1
    if operation.id != expected:
        raise CDatabaseError(
            f"the operation log has a gap: {operation.table} goes on with {operation.id}, but {expected} is "
            "nowhere. Put the missing rows back"
        )
    loaded.operation_id = expected
    loaded.time_us = max(loaded.time_us, _microseconds(operation.time_s))
    method, params = parsed_operation(operation)
    engine = loaded.engine
    try:
        command = _command(engine, method, params, loaded.time_us)
    except (ValueError, TypeError, IndexError) as error:
        raise CDatabaseError(
            f"operation {operation.id} in {operation.table} can not be read: {error}"
        ) from error
    loaded.replayed += 1
    if command is None:
        tell(f"operation {operation.id} is about an asset or market that the settings do not know: left out")
        return
    if isinstance(command, UpdateBalance) and _drifts(engine, command, params[4]):
        tell(
            f"operation {operation.id} changed user {command.user}'s {command.asset} by {params[4]}, cut to "
            "the decimals that are shown; the C system, when it starts, takes all of them: its balance drifts"
        )
    result = engine.apply(command)
    if result is REPEAT_UPDATE and isinstance(command, UpdateBalance):
        tell(f"operation {operation.id} repeats an update, which the C system had forgotten: done as it did")
        del engine.repeats[command.user, command.asset, command.business, command.business_id]
        result = engine.apply(command)
    if isinstance(result, Refusal):
        raise CDatabaseError(
            f"operation {operation.id} in {operation.table} is refused now ({result.message}), but it was "
            "done once: the slice it is built on is wrong, or the rules are not those of that time"
        )


def _command(engine: Engine, method: str, params: list[Any], time_us: int) -> Command | None:
    """None for an unknown asset or market. Raises: ValueError, TypeError, IndexError."""
    if method == "update_balance":
        user, asset, business, business_id, text, _ = params
        ledger = engine.assets.get(asset)
        if ledger is None:
            return None
        change = rescale(_parse(text, ledger.prec_show), ledger.prec_show, ledger.prec_save)
        return UpdateBalance(time_us, user, asset, business, business_id, change, "")
    market = engine.markets.get(params[1])
    if method not in ("limit_order", "market_order", "cancel_order"):
        raise ValueError(f"the method {method!r} is unknown")
    if market is None:
        return None
    if method == "cancel_order":
        user, _, order_id = params
        return CancelOrder(time_us, user, market.name, order_id, "")
    if method == "limit_order":
        user, _, side, amount, price, taker_fee, maker_fee, *source = params
        return PutLimit(
            time_us,
            user,
            market.name,
            side,
            _parse(amount, market.stock_prec),
            _parse(price, market.money_prec),
            _parse(taker_fee, market.fee_prec),
            _parse(maker_fee, market.fee_prec),
            source[0] if source else "",
            "",
        )
    user, _, side, amount, taker_fee, *source = params
    amount, rate = _parse(amount, market.stock_prec), _parse(taker_fee, market.fee_prec)
    return PutMarket(time_us, user, market.name, side, amount, rate, source[0] if source else "", "")


def _drifts(engine: Engine, command: UpdateBalance, text: str) -> bool:
    """Whether a start of the C system executes this update with another amount. Source: protocol.md 2.6."""
    ledger = engine.assets[command.asset]
    return ledger.prec_show != ledger.prec_save and _parse(text, ledger.prec_save) != command.change


def parsed_operation(operation: LoggedOperation) -> tuple[str, list[Any]]:
    """Method and params. Raises: CDatabaseError."""
    try:
        if operation.detail is None:
            raise ValueError("it is NULL")
        detail = _decode(operation.detail)
        method, params = detail["method"], detail["params"]
        if type(method) is not str or type(params) is not list:
            raise ValueError("it has no method or no params")
        return method, params
    except (ValueError, KeyError, msgspec.DecodeError) as error:
        raise CDatabaseError(
            f"the detail of operation {operation.id} in {operation.table} is no operation: {error}"
        ) from error


# -- numbers -----------------------------------------------------------------------------------


def _parse(text: object, scale: int) -> int:
    value = parse(text, scale) if type(text) is str else None
    if value is None:
        raise ValueError(f"{text!r} is no number")
    return value


def _number(text: str) -> tuple[int, int]:
    """A column's decimal as integer and scale, without zeros at its end. Raises: SliceUnusable."""
    found = parse_exact(text.rstrip("0").rstrip(".") if "." in text else text)
    if found is None:
        raise SliceUnusable(f"{text} is no number of this system")
    return found


def _exact(row: SliceOrder, text: str, scale: int) -> int:
    """Raises: SliceUnusable when a digit would be lost."""
    value, has = _number(text)
    if has > scale:
        raise SliceUnusable(f"order {row.id} of {row.market} has {text}, the settings {scale} decimals")
    return rescale(value, has, scale)


def _round_half_up(value: int, scale: int, new_scale: int) -> int:
    """As a column does with a positive number."""
    if new_scale >= scale:
        return value * power10(new_scale - scale)
    unit = power10(scale - new_scale)
    return (value + unit // 2) // unit


def _microseconds(seconds: float) -> int:
    return round(seconds * 1_000_000)


def _day_before(time_us: int) -> str:
    """A day whose table, in any time zone, is older than what was logged from this time on."""
    return time.strftime("%Y%m%d", time.gmtime(max(0, time_us // 1_000_000 - 2 * DAY_S)))
