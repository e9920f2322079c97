"""The door of the alert centre: lines in, rows to the store, lines to the outlets.

    line -> Minutes (rows) --every FLUSH_S--> store (thread), kept until it is safe
         -> Delivery per outlet
         -> the list in Redis, or from it: `shared_list`

It owns the rows that are not stored yet, and the thread that stores them. Neither a full disk nor a dead
outlet keeps it from receiving.

Source: protocol.md 10.1; 12.7 numbers 93 to 95 (faults of the C system that are not here).
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from gateways.alertcenter.delivery import Delivery
from gateways.alertcenter.lines import Alert, LineError, parse_text, read_datagram, split_alerts
from gateways.alertcenter.minute import Minutes, Row
from gateways.alertcenter.outlets import Outlet
from gateways.alertcenter.settings import AlertcenterSettings
from gateways.alertcenter.shared_list import KEY, PushEnd, TakeEnd
from gateways.alertcenter.store import AlertStore, open_or_set_aside
from vxnet.address import format_peer, parse_address
from vxnet.clock import Clock, OncePer
from vxnet.datagram import Endpoint, Sender
from vxnet.errors import PeerError
from vxnet.job import JobDropped, JobPool
from vxnet.server import BaseHandler, Server, ServerLimits
from vxnet.session import Session
from vxnet.timer import Timer
from vxutils.log_line import VIP, describe

FLUSH_S: Final = 0.2
RETRY_S: Final = 1.0
"""Between two attempts to store what could not be stored."""

PRUNE_S: Final = 3_600.0
UNTOLD_ROWS_MAX: Final = 1_000
"""Rows read at start for an outlet that was not told of them."""

_TROUBLE_LOG_PERIOD_S: Final = 60.0
_DAY_US: Final = 86_400_000_000

_log = logging.getLogger("vx.alertcenter")


class Batch(msgspec.Struct):
    """What is to be stored at once; `prune` = (older than, rows kept)."""

    rows: list[Row]
    told: dict[str, int]
    prune: tuple[int, int] | None


class AlertService(BaseHandler):
    """Receives on all addresses between `start` and `stop`."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        settings: AlertcenterSettings,
        path: Path,
        outlets: Sequence[Outlet],
        clock: Clock,
        own_host: str,
    ) -> None:
        """Opens the store. Raises: AlertsUnreadable, sqlite3.Error."""
        self.lines = 0
        self.trouble: str | None = None
        """Why alerts could not be stored the last time; None when they could."""
        self.deliveries = [Delivery(loop, one, settings.interval_s, self._note_told) for one in outlets]
        self._loop = loop
        self._settings = settings
        self._path = path
        self._clock = clock
        self._own_host = own_host
        self._told: dict[str, int] = {}
        self._is_storing = False
        self._store_at_s = 0.0
        self._prune_at_s = 0.0
        self._trouble_log = OncePer(_TROUBLE_LOG_PERIOD_S)
        svr = settings.svr
        # Nothing is ever sent, so a packet's worth of output is bound enough.
        limits = ServerLimits(
            max_pkg_size=svr.max_pkg_size,
            buf_limit=1,
            read_mem=svr.read_mem,
            connections_max=svr.connections_max,
        )
        self.server = Server(loop, [parse_address(text) for text in svr.bind], self, limits)
        self._pool: JobPool[AlertStore, Batch, None] = JobPool(
            loop, 1, lambda: AlertStore(path), self._store, self._stored, AlertStore.close, 2, "alerts"
        )
        self.pushed: PushEnd | None = None
        self.taken: TakeEnd | None = None
        redis = settings.redis
        if redis.name and redis.end == "push":
            self.pushed = PushEnd(loop, redis)
        elif redis.name:
            self.taken = TakeEnd(loop, redis, self._receive_taken, lambda: not self.unsafe)
        self._flush_timer = Timer(loop, FLUSH_S, self._tick, repeat=True)
        store, notice = open_or_set_aside(path, clock.wall_us())
        try:
            self._minutes = Minutes(store.next_id())
            self._tell_what_was_not_told(store)
        finally:
            store.close()
        if notice is not None:
            _log.error("%s", notice)
            self.receive(Alert(own_host, f"[fatal]alertcenter: {notice}"))

    @property
    def unsafe(self) -> int:
        """Rows not stored yet."""
        return self._minutes.unsafe

    def start(self) -> None:
        """Raises: AddressError naming the address; sqlite3.Error."""
        self._pool.start()
        for delivery in self.deliveries:
            delivery.start()
        for end in filter(None, (self.pushed, self.taken)):
            end.start()
        self.server.start()
        self._flush_timer.start()

    def stop(self, deadline_s: float) -> None:
        """Stores what is left and ends the threads, each within `deadline_s`."""
        self._flush_timer.stop()
        self.server.stop()
        for delivery in self.deliveries:
            delivery.stop(deadline_s)
        for end in filter(None, (self.pushed, self.taken)):
            end.stop(deadline_s)
        self._submit()
        self._pool.stop(drain=True, deadline_s=deadline_s)
        if self.taken is not None:
            self.taken.settle()
        if self.unsafe:
            _log.error("%d rows of alerts could not be stored", self.unsafe)

    def receive(self, alert: Alert) -> None:
        """Takes one line."""
        now_us = self._clock.wall_us()
        self.lines += 1
        if self._minutes.add(alert, now_us):
            _log.info("alert: %s: %s", alert.host, alert.text)
        for delivery in self.deliveries:
            delivery.add(alert, 1, now_us, now_us)
        if self.pushed is not None:
            self.pushed.add(f"{alert.host}: {alert.text}")

    def _receive_taken(self, line: str) -> None:
        self.receive(parse_text(line, KEY))

    # What the server below calls.

    def received(self, session: Session, data: bytes) -> int:
        try:
            alerts, consumed = split_alerts(data, _host_of(session.peer))
        except LineError as error:
            self._receive_all(error.alerts)
            raise PeerError(str(error)) from None
        self._receive_all(alerts)
        return consumed

    def received_datagram(self, endpoint: Endpoint, data: bytes, sender: Sender) -> None:
        peer = format_peer(endpoint.address.family, sender) if sender else "unknown"
        try:
            alerts = read_datagram(data, _host_of(peer))
        except LineError as error:
            self._receive_all(error.alerts)
            raise PeerError(str(error)) from None
        self._receive_all(alerts)

    def _receive_all(self, alerts: list[Alert]) -> None:
        for alert in alerts:
            self.receive(alert)

    # Storing and telling.

    def _tick(self) -> None:
        for delivery in self.deliveries:
            delivery.tick()
        if not self._is_storing and self._loop.time() >= self._store_at_s:
            self._submit()

    def _submit(self) -> None:
        prune = None
        if self._loop.time() >= self._prune_at_s:
            store = self._settings.store
            prune = (self._clock.wall_us() - store.keep_days * _DAY_US, store.rows_max)
            self._prune_at_s = self._loop.time() + PRUNE_S
        if not self.unsafe and not self._told and prune is None:
            return
        batch = Batch(self._minutes.take(), self._told, prune)
        self._told = {}
        self._is_storing = True
        if not self._pool.submit(batch):
            self._stored(batch, JobDropped("the pool has stopped"))

    def _store(self, store: AlertStore, batch: Batch) -> None:
        if batch.rows or batch.told:
            store.save(batch.rows, batch.told)
        if batch.prune is not None:
            store.prune(*batch.prune)

    def _stored(self, batch: Batch, outcome: Exception | None) -> None:
        self._is_storing = False
        if outcome is None:
            if self.trouble is not None:
                _log.info("alerts can be stored again")
            self.trouble = None
            return
        self._minutes.put_back(batch.rows)
        self._told = batch.told | self._told
        if isinstance(outcome, JobDropped):
            return
        self._store_at_s = self._loop.time() + RETRY_S
        self.trouble = str(outcome) if isinstance(outcome, sqlite3.Error) else repr(outcome)
        if self._trouble_log.allows(self._loop.time()):
            _log.error(
                "%s: alerts can not be stored: %s; %d rows wait", self._path, self.trouble, self.unsafe
            )

    def _note_told(self, name: str, time_us: int) -> None:
        self._told[name] = time_us

    def _tell_what_was_not_told(self, store: AlertStore) -> None:
        """Lines stored before a stop that came before their message; of a new outlet only what is new."""
        told = store.told()
        for delivery in self.deliveries:
            if delivery.name not in told:
                self._told[delivery.name] = self._clock.wall_us()
                continue
            for row in store.since(told[delivery.name], UNTOLD_ROWS_MAX):
                delivery.add(Alert(row.host, row.text), row.count, row.first_us, row.last_us)


class OwnFatalLines(logging.Handler):
    """The alert centre's own fatal lines are alerts like all others."""

    def __init__(self, service: AlertService, own_host: str) -> None:
        super().__init__(logging.CRITICAL)
        self._service = service
        self._own_host = own_host

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno < VIP:
            self._service.receive(Alert(self._own_host, describe(record)))


def _host_of(peer: str) -> str:
    """`10.0.0.1:5123` without its port, which says nothing."""
    host, colon, port = peer.rpartition(":")
    return host if colon and port.isdigit() else peer
