"""The engine's door in front of a database: what its columns can not hold is refused with error 1.

    parameters --operation--> command --fits?--> command | refusal

The columns of the C system hold 30 characters of a name and 8 decimals of an amount; what does not fit would
be cut, rounded or thrown out by the database later, after it was answered with success. Asked only where the
history goes to such a database. `limits` are those of the columns in force, read at the start; while the
database does not answer then, those of the C system, which are never wider.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

import msgspec

from matchengine.core.commands import Command, PutLimit, PutMarket, UpdateBalance
from matchengine.core.engine import Engine
from matchengine.core.refusals import Refusal
from matchengine.recorder import texts
from vxutils.protocol.codes import INVALID_ARGUMENT
from vxutils.store.mysql.connection import Database
from vxutils.store.mysql.errors import MysqlError
from vxutils.store.mysql.limits import (
    C_LIMITS,
    Limits,
    Unfit,
    order_problem,
    read_limits,
    surely_fits,
    text_problem,
    update_problem,
)
from vxutils.store.mysql.settings import MysqlSettings

READ_TIMEOUT_S: Final = 5.0
"""A start does not wait longer for a database than this."""

Params = list[Any]
Operation = Callable[[Params, int, str], Command | Refusal]

_log = logging.getLogger("vx.matchengine.columns")


class ColumnDoor:
    """Judges commands by the limits of the columns and the totals of `engine`. Changes nothing."""

    def __init__(self, engine: Engine, limits: Limits) -> None:
        self._engine = engine
        self._limits = limits

    def guard(self, operation: Operation) -> Operation:
        """The operation, with a refusal in place of a command that does not fit."""

        def guarded(params: Params, time_us: int, key: str) -> Command | Refusal:
            made = operation(params, time_us, key)
            if isinstance(made, Refusal):
                return made
            unfit = self.unfit(made, params)
            return made if unfit is None else _refusal(unfit)

        return guarded

    def unfit(self, command: Command, params: Params) -> Unfit | None:
        """What of a command does not fit; None if all of it does. `params`: those of the client."""
        if isinstance(command, PutLimit | PutMarket):
            return self._unfit_order(command)
        if isinstance(command, UpdateBalance):
            return self._unfit_update(command, params)
        return None

    def _unfit_order(self, order: PutLimit | PutMarket) -> Unfit | None:
        market = self._engine.markets[order.market]
        fee_prec = market.fee_prec
        rates = [("taker_fee", (order.taker_fee, fee_prec))]
        price = 0
        if isinstance(order, PutLimit):
            rates.append(("maker_fee", (order.maker_fee, fee_prec)))
            price = order.price
        source = order.source
        if not source.isascii():
            unfit = text_problem(self._limits, source)
            if unfit is not None:
                return Unfit("source", unfit.rule)
        amount = (order.amount, market.stock_prec)
        return order_problem(self._limits, order.market, source, amount, (price, market.money_prec), rates)

    def _unfit_update(self, update: UpdateBalance, params: Params) -> Unfit | None:
        limits = self._limits
        ledger = self._engine.assets[update.asset]
        scale = ledger.prec_save
        total_after = (ledger.total + update.change, scale)
        unfit = update_problem(limits, update.asset, update.business, (update.change, scale), total_after)
        if unfit is not None:
            return unfit
        if surely_fits(limits, msgspec.json.encode(params)):
            return None
        detail = {**params[5], "id": update.business_id}
        printed = texts.dump([*params[:5], detail], sort_keys=True)
        operation = f'{{"method": "update_balance", "params": {printed}}}'
        return text_problem(limits, operation, texts.dump(detail))


def open_door(engine: Engine, log: MysqlSettings, history: MysqlSettings) -> ColumnDoor:
    """The door for these databases. Waits for each READ_TIMEOUT_S at most."""
    databases = [
        Database(msgspec.structs.replace(one, timeout_s=min(one.timeout_s, READ_TIMEOUT_S)))
        for one in (log, history)
    ]
    try:
        limits = read_limits(*databases)
    except MysqlError as error:
        _log.warning("the columns are taken for those of the C system: %s", error)
        limits = C_LIMITS
    finally:
        for database in databases:
            database.close()
    return ColumnDoor(engine, limits)


def _refusal(unfit: Unfit) -> Refusal:
    code = INVALID_ARGUMENT
    return Refusal(code.code, code.message, "does_not_fit_the_database", unfit.parameter, unfit.rule)
