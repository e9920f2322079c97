"""The engine: all balances and books, and the one function that changes them.

`apply` is total and deterministic: the same commands in the same order give the same state, the
same ids and the same outcomes, whether they come from a client or from a journal. It has no clock,
no randomness and no I/O; time comes inside the command. It does not check parameters: commands
are made by `requests`, which knows the wire, or read back from a journal.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import msgspec

from matchengine.core import rule_change
from matchengine.core.commands import (
    CancelOrder,
    ChangeRules,
    Command,
    JumpIds,
    Mark,
    PutLimit,
    PutMarket,
    ShiftAge,
    UpdateBalance,
)
from matchengine.core.events import FINISH, PUT, BalanceChanged, Event, OrderDone, OrderEvent
from matchengine.core.ledger import AssetLedger
from matchengine.core.market import Market
from matchengine.core.matching import execute
from matchengine.core.order import ASK, LIMIT, MARKET, Order
from matchengine.core.refusals import (
    AMOUNT_TOO_SMALL,
    KEY_REUSED,
    KEYS_FULL,
    NO_ENOUGH_TRADER,
    ORDER_BALANCE_NOT_ENOUGH,
    ORDER_NOT_FOUND,
    REPEAT_UPDATE,
    UPDATE_BALANCE_NOT_ENOUGH,
    USER_NOT_MATCH,
    Refusal,
)
from matchengine.core.rules import Rules
from matchengine.core.trace import FOLD_VALUES, NO_TRACE, Trace
from vxutils.fixed import power10

FORGET_MAX = 64  # expired repeats forgotten per command, so that no command pays for all of them

Result = Order | Refusal | None
RepeatKey = tuple[int, str, str, int]  # user, asset, business, business id


class Remembered:
    """The first outcome of a command with an idempotency key."""

    __slots__ = ("fingerprint", "order", "time_us")

    def __init__(self, time_us: int, fingerprint: bytes, order: Order | None) -> None:
        self.time_us = time_us
        self.fingerprint = fingerprint
        self.order = order


class Engine:
    """State of the exchange. One owner calls `apply`; readers look between two calls.

    `outcome` holds the integers that pin what the last `apply` did (ids, fills, amounts). It is
    empty exactly when nothing changed: a refusal, or the repeat of a remembered key.

    `events` is None, or a list to which `apply` appends what happened; whoever set it takes it empty again.
    State and outcomes do not depend on it.
    """

    def __init__(self) -> None:
        self.rules = Rules(assets=(), markets=(), repeat_age_s=0, key_age_s=0, keys_max=0)
        self.assets: dict[str, AssetLedger] = {}
        self.markets: dict[str, Market] = {}
        self.last_order_id = 0
        self.last_deal_id = 0
        self.age_offset_us = 0
        # Insertion order is order of time, and taking the oldest stays O(1) however many are gone.
        self.repeats: OrderedDict[RepeatKey, int] = OrderedDict()
        self.keys: OrderedDict[tuple[int, str], Remembered] = OrderedDict()
        self.outcome: list[int] = []
        self.events: list[Event] | None = None
        self.trace = Trace()
        self._written = self.trace.written
        self._appliers: dict[type[Command], Callable[[Any], Result]] = {
            UpdateBalance: self._update_balance,
            PutLimit: self._put_limit,
            PutMarket: self._put_market,
            CancelOrder: self._cancel_order,
            ChangeRules: self._change_rules,
            ShiftAge: self._shift_age,
            Mark: self._mark,
            JumpIds: self._jump_ids,
        }

    def apply(self, command: Command) -> Result:
        """Executes one command: an order as it stands afterwards, None for a plain success, or a
        refusal, which leaves everything unchanged. The order is the live object; look at once."""
        if self.outcome:
            self.outcome.clear()
        if len(self._written) > FOLD_VALUES:
            self.trace.fold()
        if command.key:
            return self._apply_keyed(command)
        return self._appliers[type(command)](command)

    def _apply_keyed(self, command: Command) -> Result:
        """As `apply`, at most once per user and key: a repeat gets the first outcome.

        A refusal is not remembered, so the command may be tried again under its key.
        """
        keys = self.keys
        age_us = command.time_us - self.age_offset_us
        key_age_us = self.rules.key_age_s * 1_000_000
        name = (command.user, command.key)  # type: ignore[union-attr]
        known = keys.get(name)
        if known is not None and age_us - known.time_us <= key_age_us:
            return known.order if known.fingerprint == self._fingerprint(command) else KEY_REUSED
        if len(keys) >= self.rules.keys_max and age_us - next(iter(keys.values())).time_us <= key_age_us:
            return KEYS_FULL
        result = self._appliers[type(command)](command)
        if type(result) is not Refusal:
            # Not before: a refusal is not journaled, so a replay could not forget what it made us forget.
            for _ in range(FORGET_MAX):
                if not keys or age_us - next(iter(keys.values())).time_us <= key_age_us:
                    break
                keys.popitem(last=False)
            order = result.detached_copy() if type(result) is Order else None
            keys[name] = Remembered(age_us, self._fingerprint(command), order)
            keys.move_to_end(name)
        return result

    def _fingerprint(self, command: Command) -> bytes:
        """8 bytes that tell whether two commands under one key ask for the same.

        Numbers count by their value: the repeat of a command is one also after a scale has widened.
        """
        fields = msgspec.structs.asdict(command)
        del fields["time_us"], fields["key"]
        for name, scale in self._scales(command):
            fields[name] = _by_value(fields[name], scale)
        text = f"{type(command).__name__} {sorted(fields.items())!r}"
        return hashlib.blake2b(text.encode(), digest_size=8).digest()

    def _scales(self, command: Command) -> tuple[tuple[str, int], ...]:
        """The numbers of a command, and how many decimals they have now."""
        if isinstance(command, UpdateBalance):
            return (("change", self.assets[command.asset].prec_save),)
        if isinstance(command, PutLimit):
            market = self.markets[command.market]
            fees = (("taker_fee", market.fee_prec), ("maker_fee", market.fee_prec))
            return (("amount", market.stock_prec), ("price", market.money_prec), *fees)
        if isinstance(command, PutMarket):
            market = self.markets[command.market]
            return (("amount", market.stock_prec), ("taker_fee", market.fee_prec))
        return ()

    # -- the four operations -------------------------------------------------------------------

    def _update_balance(self, command: UpdateBalance) -> Result:
        age_us = command.time_us - self.age_offset_us
        repeat_age_us = self.rules.repeat_age_s * 1_000_000
        repeats = self.repeats
        repeat = (command.user, command.asset, command.business, command.business_id)
        seen_us = repeats.get(repeat)
        if seen_us is not None and age_us - seen_us <= repeat_age_us:
            return REPEAT_UPDATE
        ledger = self.assets[command.asset]
        user, change = command.user, command.change
        if change >= 0:
            ledger.deposit(user, change)
        elif ledger.available.get(user, 0) >= -change:
            ledger.withdraw(user, -change)
        else:
            return UPDATE_BALANCE_NOT_ENOUGH
        repeats[repeat] = age_us
        if seen_us is not None:
            repeats.move_to_end(repeat)
        for _ in range(FORGET_MAX):
            if age_us - next(iter(repeats.values())) <= repeat_age_us:
                break
            repeats.popitem(last=False)
        self.outcome.append(ledger.available.get(user, 0))
        if self.events is not None:
            total = ledger.available.get(user, 0) + ledger.frozen.get(user, 0)
            self.events.append(BalanceChanged(user, ledger.name, change, ledger.prec_save, total))
        return None

    def _put_limit(self, command: PutLimit) -> Result:
        market = self.markets[command.market]
        user, amount, price = command.user, command.amount, command.price
        if command.side == ASK:
            if market.stock.available.get(user, 0) < amount * market.stock_factor:
                return ORDER_BALANCE_NOT_ENOUGH
        elif market.money.available.get(user, 0) < amount * price * market.money_factor:
            return ORDER_BALANCE_NOT_ENOUGH
        if amount < market.minimum:
            return AMOUNT_TOO_SMALL
        self.last_order_id = order_id = self.last_order_id + 1
        order = Order(
            order_id,
            market.name,
            LIMIT,
            command.side,
            user,
            price,
            amount,
            amount,
            command.taker_fee,
            command.maker_fee,
            command.source,
            command.time_us,
            command.time_us,
        )
        outcome = self.outcome
        outcome.append(order_id)
        self.last_deal_id = execute(market, order, command.time_us, outcome, self.last_deal_id, self.events)
        outcome.append(order.left)
        events = self.events
        if order.left:
            if events is not None:
                events.append(OrderEvent(PUT, order.detached_copy()))
            market.place(order)
        elif events is not None:
            events += (OrderDone(order), OrderEvent(FINISH, order))
        return order

    def _put_market(self, command: PutMarket) -> Result:
        market = self.markets[command.market]
        user, amount = command.user, command.amount
        if command.side == ASK:
            if market.stock.available.get(user, 0) < amount * market.stock_factor:
                return ORDER_BALANCE_NOT_ENOUGH
            if market.bids.best() is None:
                return NO_ENOUGH_TRADER
            if amount < market.minimum:
                return AMOUNT_TOO_SMALL
            left = amount
        else:
            money = market.money
            available = money.available.get(user, 0)
            if available * power10(market.stock_prec) < amount * power10(money.prec_save):
                return ORDER_BALANCE_NOT_ENOUGH
            best = market.asks.best()
            if best is None:
                return NO_ENOUGH_TRADER
            if market.below_minimum_money(amount, best.price):
                return AMOUNT_TOO_SMALL
            left = amount * power10(market.money_prec)
        self.last_order_id = order_id = self.last_order_id + 1
        order = Order(
            order_id,
            market.name,
            MARKET,
            command.side,
            user,
            0,
            amount,
            left,
            command.taker_fee,
            0,
            command.source,
            command.time_us,
            command.time_us,
        )
        outcome = self.outcome
        outcome.append(order_id)
        self.last_deal_id = execute(market, order, command.time_us, outcome, self.last_deal_id, self.events)
        outcome.append(order.left)
        if self.events is not None:
            self.events += (OrderDone(order), OrderEvent(FINISH, order))
        return order

    def _cancel_order(self, command: CancelOrder) -> Result:
        market = self.markets[command.market]
        order = market.orders.get(command.order_id)
        if order is None:
            return ORDER_NOT_FOUND
        if order.user != command.user:
            return USER_NOT_MATCH
        market.withdraw(order)
        self.outcome += (order.id, order.left)
        if self.events is not None:
            self.events += (OrderEvent(FINISH, order), OrderDone(order))
        return order

    # -- commands of the system itself ---------------------------------------------------------

    def _change_rules(self, command: ChangeRules) -> Result:
        rules = msgspec.convert(command.rules, Rules)
        assets, markets = rule_change.rebuild(self.assets, self.markets, rules)
        for name, remembered in list(self.keys.items()):
            order = remembered.order
            if order is None:
                continue
            if order.market in markets:
                before, after = self.markets[order.market], markets[order.market]
                remembered.order, _ = rule_change.convert_order(order, before, after)
            else:
                # Should a market of this name come again, its numbers will mean something else.
                del self.keys[name]
        self.install(rules, assets, markets)
        self.outcome.append(len(markets))
        return None

    def install(self, rules: Rules, assets: dict[str, AssetLedger], markets: dict[str, Market]) -> None:
        """Takes these ledgers and markets for its own: `apply` and the loading of a slice do."""
        self.rules, self.assets, self.markets = rules, assets, markets
        for ledger in assets.values():
            ledger.wrote = self._written.append

    def _shift_age(self, command: ShiftAge) -> Result:
        self.age_offset_us = command.offset_us
        self.outcome.append(command.offset_us)
        return None

    def _mark(self, command: Mark) -> Result:
        self._written += self._totals()
        value = self.trace.value
        self.outcome.append(NO_TRACE if value is None else value)
        self.trace.restart()
        return None

    def _totals(self) -> list[int]:
        """The counters and sums that change with what is written. O(assets + markets)."""
        totals = [
            self.last_order_id,
            self.last_deal_id,
            self.age_offset_us,
            len(self.repeats),
            len(self.keys),
        ]
        for ledger in self.assets.values():
            totals += (ledger.supply, ledger.fees, ledger.frozen_total)
            totals += (len(ledger.available), len(ledger.frozen))
        for market in self.markets.values():
            totals.append(len(market.orders))
            for side in (market.asks, market.bids):
                totals += (side.total, side.count, len(side.keys))
        return totals

    def _jump_ids(self, command: JumpIds) -> Result:
        self.last_order_id = max(self.last_order_id, command.order_id)
        self.last_deal_id = max(self.last_deal_id, command.deal_id)
        self.outcome += (self.last_order_id, self.last_deal_id)
        return None


def _by_value(number: int, scale: int) -> tuple[int, int]:
    """Digits without trailing zeros, and their decimals: the same for equal values at any scale."""
    if not number:
        return 0, 0
    while number % 10 == 0:
        number //= 10
        scale -= 1
    return number, scale
