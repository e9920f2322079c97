"""The operator's console: the commands of the C system (protocol.md 10.5), and a few of our own.

Text in columns, raw decimals, computed when asked. Own additions come after the lines that scripts for
the C system read. It changes nothing but the acceptance of a clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from matchengine.core.engine import Engine
from matchengine.core.ledger import AssetLedger
from matchengine.pipeline import Pipeline
from matchengine.position import Position
from matchengine.space import SpaceGate
from matchengine.timekeeper import Timekeeper
from vxutils import fixed
from vxutils.protocol.codes import SERVICE_UNAVAILABLE

LIST_LINES_MAX = 20_000  # of `balance list`; the console cuts at 1 MiB anyway


class Admin:
    """Console commands over the parts of one engine process."""

    def __init__(
        self,
        engine: Engine,
        position: Position,
        pipeline: Pipeline,
        gate: SpaceGate,
        timekeeper: Timekeeper,
        durable_sequence: Callable[[], int],
        make_slice: Callable[[], bool],
        epoch: int,
    ) -> None:
        self._engine = engine
        self._position = position
        self._pipeline = pipeline
        self._gate = gate
        self._timekeeper = timekeeper
        self._durable_sequence = durable_sequence
        self._make_slice = make_slice
        self._epoch = epoch

    def commands(self) -> dict[str, Callable[[list[str]], str]]:
        """The table for the console."""
        return {
            "status": self.status,
            "balance": self.balance,
            "market": self.market,
            "makeslice": self.makeslice,
            "clock": self.clock,
        }

    def status(self, words: list[str]) -> str:
        """Counters as in the C system, then our own facts."""
        counts, gate = self._pipeline.counts, self._gate
        refused = sum(
            count for (_, code), count in counts.refused.items() if code == SERVICE_UNAVAILABLE.code
        )
        lines = [
            f"order last ID: {self._engine.last_order_id}",
            f"deals last ID: {self._engine.last_deal_id}",
            f"operlog last ID: {self._position.operation_id}",
            "operlog pending: 0",
            "history pending 0",
            "message deals pending: 0",
            "message orders pending: 0",
            "message balances pending: 0",
            f"epoch: {self._epoch}",
            f"sequence: {self._position.sequence}",
            f"durable sequence: {self._durable_sequence()}",
            f"new orders: {'taken' if gate.is_open() else 'refused: ' + (gate.reason or 'journal is full')}",
            f"free bytes: {gate.free_bytes}",
            f"clock: {'held, `clock accept` to go on' if self._timekeeper.is_holding else 'accepted'}",
            f"requests: {counts.requests}",
            f"requests refused as unavailable: {refused}",
            f"turns: {sum(counts.turn_s.counts)}",
            f"longest turn us: {counts.longest_turn_us}",
        ]
        return "\n".join(lines)

    def balance(self, words: list[str]) -> str:
        """`balance list [asset]`, `balance get <user>`, `balance summary`"""
        if words[:1] == ["list"] and len(words) <= 2:
            ledgers = self._ledgers(words[1:])
            return self._balance_table(ledgers, None)
        if words[:1] == ["get"]:
            if len(words) != 2 or not words[1].isdecimal():
                return "usage: balance get user_id"
            return self._balance_table(self._engine.assets.values(), int(words[1]))
        if words == ["summary"]:
            return self._balance_summary()
        return "usage: balance list/get/summary"

    def market(self, words: list[str]) -> str:
        """`market summary`"""
        if words != ["summary"]:
            return "usage market summary"
        widths = (10, 10, 20, 10, 20)
        lines = [_columns(widths, "market", "ask count", "ask amount", "bid count", "bid amount")]
        for market in self._engine.markets.values():
            prec = market.stock_prec
            lines.append(
                _columns(
                    widths,
                    market.name,
                    str(market.asks.count),
                    fixed.raw(market.asks.total, prec) if market.asks.total else "0",
                    str(market.bids.count),
                    fixed.raw(market.bids.total, prec) if market.bids.total else "0",
                )
            )
        return "\n".join(lines)

    def makeslice(self, words: list[str]) -> str:
        """Starts a slice in a process of its own and answers at once."""
        return "OK" if self._make_slice() else "a slice is being made already"

    def clock(self, words: list[str]) -> str:
        """`clock accept` after the wall clock was set"""
        if words != ["accept"]:
            return "usage: clock accept"
        self._timekeeper.accept()
        return "OK"

    def _ledgers(self, names: list[str]) -> Iterable[AssetLedger]:
        if not names:
            return self._engine.assets.values()
        return [ledger for name, ledger in self._engine.assets.items() if name in names]

    def _balance_table(self, ledgers: Iterable[AssetLedger], user: int | None) -> str:
        lines = [_columns((10, 16, 10, 0), "user", "asset", "type", "amount")]
        for ledger in ledgers:
            for label, balances in (("available", ledger.available), ("freeze", ledger.frozen)):
                chosen = balances.items() if user is None else [(user, balances.get(user, 0))]
                for owner, amount in chosen:
                    if not amount:
                        continue
                    if len(lines) > LIST_LINES_MAX:
                        return "\n".join([*lines, f"only {LIST_LINES_MAX} balances are listed"])
                    text = fixed.raw(amount, ledger.prec_save)
                    lines.append(_columns((10, 16, 10, 0), str(owner), ledger.name, label, text))
        return "\n".join(lines)

    def _balance_summary(self) -> str:
        widths = (16, 30, 10, 30, 10, 30)
        lines = [_columns(widths, "asset", "total", "avail count", "available", "freeze count", "freeze")]
        for ledger in self._engine.assets.values():
            prec = ledger.prec_save
            lines.append(
                _columns(
                    widths,
                    ledger.name,
                    fixed.raw(ledger.total, prec) if ledger.total else "0",
                    str(len(ledger.available)),
                    fixed.raw(ledger.total - ledger.frozen_total, prec)
                    if ledger.total != ledger.frozen_total
                    else "0",
                    str(len(ledger.frozen)),
                    fixed.raw(ledger.frozen_total, prec) if ledger.frozen_total else "0",
                )
            )
        return "\n".join(lines)


def _columns(widths: tuple[int, ...], *texts: str) -> str:
    return " ".join(text.ljust(width) for text, width in zip(texts, widths, strict=True)).rstrip()
