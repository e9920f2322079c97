"""Requests through the real engine with events, and what the recorder derives from each: no process, no disk.

`Derivation` keeps every record it made, so that a test can replay them, and the rows and messages of all of
them in order. It numbers as the sequencer does: accepted commands only.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import msgspec

from matchengine.core.commands import ChangeRules, Command
from matchengine.core.engine import Engine
from matchengine.core.refusals import Refusal
from matchengine.core.rules import Rules
from matchengine.core.views import Views
from matchengine.journal.record import Record
from matchengine.recorder.derive import (
    BalanceRow,
    DealRow,
    Derived,
    Deriver,
    OperationRow,
    OrderRow,
)
from matchengine.requests import Requests
from vxutils.store.embedded.schema import Content


class Tables:
    """Everything derived so far, one list per table and topic."""

    def __init__(self) -> None:
        self.operations: list[OperationRow] = []
        self.balances: list[BalanceRow] = []
        self.orders: list[OrderRow] = []
        self.deals: list[DealRow] = []
        self.topics: dict[str, list[str]] = {"orders": [], "deals": [], "balances": []}

    def add(self, derived: Derived) -> None:
        if derived.operlog is not None:
            self.operations.append(derived.operlog)
        self.balances += derived.balance_rows
        self.orders += derived.order_rows
        self.deals += derived.deal_rows
        for topic, text in derived.messages:
            self.topics[topic].append(text)


class Derivation:
    """One engine that is asked, and whose accepted commands become records, rows and messages."""

    def __init__(self, rules: Rules) -> None:
        self.engine = Engine()
        self.engine.events = []
        self.requests = Requests(self.engine, Views(self.engine, "viabtc"))
        self.tables = Tables()
        self.derived: list[Derived] = []
        self.records: list[Record] = []
        self.events_seen: list[str] = []
        self.outcomes: list[list[int]] = []
        self._operation_id = 0
        self._deriver = Deriver(self.engine)
        self.apply(ChangeRules(0, msgspec.to_builtins(rules)), b"[]")

    def request(self, command: int, params: list[Any], time_us: int = 1, key: str = "") -> Refusal | None:
        """Sends one of the four mutating commands; tells the refusal, if it is refused."""
        made = self.requests.operations[command](params, time_us, key)
        return made if isinstance(made, Refusal) else self.apply(made, json.dumps(params).encode())

    def apply(self, command: Command, params: bytes) -> Refusal | None:
        result = self.engine.apply(command)
        if isinstance(result, Refusal) or not self.engine.outcome:
            assert self.engine.events == [], "nothing has happened"
            return result if isinstance(result, Refusal) else None
        is_operation = not isinstance(command, ChangeRules)
        self._operation_id += is_operation
        operation_id = self._operation_id if is_operation else 0
        record = Record(len(self.records) + 1, operation_id, 0, params, command)
        self.records.append(record)
        self.outcomes.append(self.engine.outcome.copy())
        self._derive(record)
        return None

    def _derive(self, record: Record) -> None:
        events = self.engine.events
        assert events is not None
        self.events_seen.append(repr(events))
        derived = self._deriver.derive(record, events)
        events.clear()
        self.derived.append(derived)
        self.tables.add(derived)


def replayed(
    records: Iterable[Record], *, with_events: bool, content: Content = "all"
) -> tuple[Engine, list[Derived], list[list[int]]]:
    """A new engine after these records, what it derived (nothing without events), and each outcome."""
    engine = Engine()
    deriver = Deriver(engine, content)
    engine.events = [] if with_events else None
    derived, outcomes = [], []
    for record in records:
        engine.apply(record.command)
        outcomes.append(engine.outcome.copy())
        if engine.events is not None:
            derived.append(deriver.derive(record, engine.events))
            engine.events.clear()
    return engine, derived, outcomes
