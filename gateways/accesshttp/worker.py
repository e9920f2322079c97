"""One worker process, from start to stop: connections from the listener in, requests to the backends out.

    start: tokens, certificates -> backends -> fronts -> link to the listener -> ready
    stop:  no more connections -> what has begun is answered (bounded) -> everything closed

It binds nothing; see `listener`. Killed, it loses its own connections and nothing else. How it lives is in
`gateways.common.worker_life`.

Source: protocol.md 8.1.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from gateways.accesshttp.front import Front
from gateways.accesshttp.numbers import Numbers
from gateways.accesshttp.settings import AccesshttpSettings
from gateways.common.access import Access
from gateways.common.backends import Backends
from gateways.common.certificates import Certificates
from gateways.common.market_snapshots import MarketSnapshots
from gateways.common.snapshot_answers import SnapshotAnswers
from gateways.common.worker_life import LifePlan, State, WorkerLife
from vxnet.clock import SystemClock
from vxnet.loop import new_event_loop
from vxutils.http import HttpLimits, HttpServer
from vxutils.http.client_address import address_rule, parse_networks
from vxutils.log import Log

DRAIN_MARGIN_S: Final = 1.0
"""Beyond the timeout of a backend: time for the answers to leave."""
LAST_BYTES_S: Final = 0.2
"""How long clients may take to close once everything is answered; then we do."""


class Worker:
    """Worker `index` of the gateway; `run` returns its exit code."""

    def __init__(
        self,
        settings: AccesshttpSettings,
        data_directory: Path,
        index: int,
        log: Log | None,
        announce: Callable[[str], None],
    ) -> None:
        """Raises: SettingsError when a token file or certificate can not be used, ProcessExit for too long a
        path."""
        self._numbers = Numbers()
        self._loop = new_event_loop()
        self._backends = Backends(self._loop, settings.backends, settings.timeout_s)
        self._snapshots = MarketSnapshots(data_directory, settings.wire_style, SystemClock())
        self._answers = SnapshotAnswers(self._snapshots, settings.snapshot_source)
        c_style = settings.wire_style == "viabtc"
        self._fronts = [
            Front(
                Access(listener),
                address_rule(parse_networks(listener.trusted_proxies), c_style),
                self._backends,
                self._answers,
                self._numbers,
                settings.wire_style,
            )
            for listener in settings.listener
        ]
        limits = http_limits(settings)
        self._certificates = Certificates(settings.listener)
        self._servers = [
            HttpServer(self._loop, [], front, limits, c_style=c_style, tls=self._certificates.of(index))
            for index, front in enumerate(self._fronts)
        ]
        plan = LifePlan(
            name="accesshttp",
            index=index,
            data_directory=data_directory,
            connections_max=settings.http.connections_max,
            drain_s=settings.timeout_s + DRAIN_MARGIN_S,
            is_done=self._is_done,
            state=self._state,
        )
        self._life = WorkerLife(plan, self._loop, self._servers, self._certificates, log, announce)
        self._answered_at: float | None = None

    def run(self) -> int:
        """Serve until told to stop."""
        try:
            return self._life.run([self._backends])
        finally:
            self._snapshots.close()

    def _state(self) -> State:
        samples = self._numbers.samples(self._servers, self._backends) + self._answers.samples()
        return State(self._backends, samples, self._numbers.latency)

    def _is_done(self, now: float) -> bool:
        sessions = [session for server in self._servers for session in server.sessions.values()]
        if not sessions:
            return True
        if any(front.in_work for front in self._fronts) or any(
            session.pending_output for session in sessions
        ):
            return False
        if self._answered_at is None:
            self._answered_at = now
        return now >= self._answered_at + LAST_BYTES_S


def http_limits(settings: AccesshttpSettings) -> HttpLimits:
    """The bounds of one HTTP server as the settings have them."""
    http = settings.http
    return HttpLimits(
        head_bytes_max=http.head_size_bytes_max,
        body_bytes_max=http.body_size_bytes_max,
        head_timeout_s=http.head_timeout_s,
        body_timeout_s=http.body_timeout_s,
        keep_alive_s=http.keep_alive_s,
        pipeline_max=http.pipeline_max,
        output_bytes_max=http.unsent_size_bytes_max,
        connections_max=http.connections_max,
        read_mem=http.read_mem,
        write_mem=http.write_mem,
    )
