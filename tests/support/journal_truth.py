"""What a journal proves: every record executed once more, from the client's own bytes.

`JournalTruth(data)` reads the whole journal of a directory that is not in use and builds each command anew
from the parameters in its record; it must be the journaled command. The reply that its execution gives is
what the client must have been told. On the way: sequences, operation ids and order ids without gap or
repetition, and the laws of the state at the end.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import msgspec

from matchengine import system
from matchengine.core.commands import KIND_OF, Command
from matchengine.core.engine import Engine
from matchengine.core.invariants import broken_laws
from matchengine.core.order import Order
from matchengine.core.views import Views
from matchengine.journal.reader import scan
from matchengine.journal.record import Record, decode_records
from matchengine.requests import Requests
from tests.support.crash_client import CANCEL, PUT_LIMIT, PUT_MARKET, UPDATE, CrashClient, Request
from vxutils.disk import Disk

COMMANDS = {1: UPDATE, 2: PUT_LIMIT, 3: PUT_MARKET, 4: CANCEL}


class JournalTruth:
    """`results` maps each journaled request to the result that belongs to it."""

    def __init__(self, data: Path, journal: Path | None = None) -> None:
        self.engine = Engine()
        self.views = Views(self.engine, "plain")
        self.results: dict[Request, Any] = {}
        self.epochs: list[int] = []
        self._requests = Requests(self.engine, self.views)
        self._sequence = self._operation_id = self._order_id = 0
        identity = system.read_system(Disk(), data)
        for frame in scan(Disk(), journal or data / "journal", identity.id_bytes):
            self.epochs.append(frame.epoch)
            for record in decode_records(frame.payload):
                self._execute(record)
        assert broken_laws(self.engine) == []

    def _execute(self, record: Record) -> None:
        assert record.sequence == self._sequence + 1, "a sequence is missing or was used twice"
        self._sequence += 1
        command: Command = record.command
        number = COMMANDS.get(KIND_OF[type(command)])
        if number is None:
            assert record.operation_id == 0
            self.engine.apply(command)
            return
        assert record.operation_id == self._operation_id + 1, "an operation id is missing or was used twice"
        self._operation_id += 1
        params = json.loads(record.params)
        made = self._requests.operations[number](params, command.time_us, command.key)
        assert made == command, "the record holds another command than its parameters say"
        result = self.engine.apply(command)
        assert self.engine.outcome, "a refusal is not journaled"
        if number in (PUT_LIMIT, PUT_MARKET):
            order_id = cast(Order, result).id
            assert order_id == self._order_id + 1, "an order id is missing or was used twice"
            self._order_id += 1
        request = Request(number, record.params)
        assert request not in self.results, f"executed twice: {request}"
        text = self.views.success if result is None else self.views.order(cast(Order, result))
        self.results[request] = msgspec.json.decode(text)

    def answer(self, request: Request) -> Any:
        """What the state at the end of the journal answers to a query."""
        text = self._requests.queries[request.command](request.params)
        assert isinstance(text, str), request
        return msgspec.json.decode(text)

    def check(self, client: CrashClient) -> None:
        """Everything acknowledged is there as it was answered; nothing refused is there."""
        assert client.acknowledged, "the client was answered nothing"
        for request, reply in client.acknowledged:
            if reply["error"] is None:
                assert request in self.results, f"acknowledged and lost: {request} {reply}"
                assert self.results[request] == reply["result"], f"another outcome: {request}"
            else:
                assert request not in self.results, f"refused and done: {request} {reply}"
        known = {request for request, _ in client.acknowledged} | set(client.in_flight)
        assert self.results.keys() <= known, "somebody else's request is in the journal"
