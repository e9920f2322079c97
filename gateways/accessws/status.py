"""What clients with user events are told of the system: that events lag, or do so no longer, or a seam.

    each PROBE_S: engine's sequence (a depth of no levels), recorder's sequence --> LagWatch
    behind for more than BEHIND_S      --> system.status [{"lagging": true, "behind_s": 2.4}], each REPEAT_S
    caught up again                    --> system.status [{"lagging": false, "behind_s": 0.0}]
    engine restarted, messages missed  --> system.status [{..., "refreshed": true}]

After a push with `refreshed` everything shown is pushed again; with `missed` beside it order events were
lost, and the orders have to be queried. Pushed in plain style only: the C system has no such push.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

import msgspec

from gateways.accessws.lag import LagWatch
from gateways.accessws.push_format import PushFormat
from gateways.accessws.sources import Answer, Asker
from gateways.accessws.topics import PRIVATE_KINDS, Registry
from vxutils.protocol.commands import MARKET_LIST, ORDER_DEPTH

BEHIND_S: Final = 2.0
REPEAT_S: Final = 10.0
PROBE_S: Final = 0.5


class _Market(msgspec.Struct, gc=False):
    name: str


_log = logging.getLogger("vx.accessws.status")

_decode_markets = msgspec.json.Decoder(list[_Market]).decode


class SystemStatus:
    """Watches and tells.

    `recorded` reads the sequence the recorder has come to, None if it can not be read now; there is none
    where only messages tell.
    """

    def __init__(
        self,
        push_format: PushFormat,
        registry: Registry,
        asker: Asker,
        recorded: Callable[[], int | None] | None,
        time: Callable[[], float],
    ) -> None:
        self.lag = LagWatch(by_messages=recorded is None)
        self._format = push_format
        self._registry = registry
        self._asker = asker
        self._recorded = recorded
        self._time = time
        self._market = ""
        self._is_asking = False
        self._is_lagging = False
        self._told_at = 0.0

    @property
    def behind_s(self) -> float:
        """How far user events are behind the engine now, in seconds."""
        return self.lag.behind_s(self._time())

    def probe(self) -> None:
        """Look at both ends, and tell what is to be told. Each PROBE_S."""
        if self._recorded is not None and self.lag.is_behind:
            recorded = self._recorded()
            if recorded is not None:
                self.lag.saw_recorder(recorded)
        if not self._format.is_plain or not self._has_listeners():
            return
        if not self._is_asking:
            self._ask()
        now = self._time()
        behind_s = self.lag.behind_s(now)
        if behind_s > BEHIND_S:
            if not self._is_lagging or now - self._told_at >= REPEAT_S:
                self._is_lagging = True
                self.tell()
        elif self._is_lagging and not behind_s:
            self._is_lagging = False
            self.tell()

    def saw_engine(self, sequence: int) -> None:
        """A sequence of the engine was seen in passing."""
        self.lag.saw_engine(sequence, self._time())

    def tell(self, *, refreshed: bool = False, missed: bool = False) -> None:
        """Push the status to all who have subscribed to user events."""
        if not self._format.is_plain:
            return
        self._told_at = self._time()
        members = [
            ("lagging", "true" if self._is_lagging else "false"),
            ("behind_s", f"{self.behind_s if self._is_lagging else 0:.1f}"),
        ]
        if refreshed:
            members.append(("refreshed", "true"))
        if missed:
            members.append(("missed", "true"))
        frame = self._format.push("system.status", self._format.array((self._format.object(*members),)))
        for client in self._registry.clients(PRIVATE_KINDS):
            client.outgoing.queue(frame)

    def _has_listeners(self) -> bool:
        return any(self._registry.topics[kind] for kind in PRIVATE_KINDS)

    def _ask(self) -> None:
        """The cheapest query whose answer tells the engine's sequence needs the name of a market."""
        self._is_asking = True
        if self._market:
            self._asker.ask(ORDER_DEPTH, msgspec.json.encode([self._market, 0, "0"]), self._take_sequence)
        else:
            self._asker.ask(MARKET_LIST, b"[]", self._take_markets)

    def _take_sequence(self, answer: Answer | None) -> None:
        self._is_asking = False
        if answer is not None and answer.code:
            self._market = ""  # it is no more
        elif answer is not None and answer.sequence:
            self.saw_engine(answer.sequence)

    def _take_markets(self, answer: Answer | None) -> None:
        self._is_asking = False
        if answer is None or answer.code:
            return
        try:
            markets = _decode_markets(answer.result)
        except msgspec.MsgspecError as error:
            _log.error("the list of markets can not be read: %s", error)
            return
        self._market = markets[0].name if markets else ""
