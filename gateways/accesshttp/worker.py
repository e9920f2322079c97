"""One worker process, from start to stop: connections from the listener in, requests to the backends out.

    start: tokens, certificates -> backends -> fronts -> link to the listener -> ready
    stop:  no more connections -> what has begun is answered (bounded) -> everything closed

It binds nothing; see `listener`. Killed, it loses its own connections and nothing else.

Source: protocol.md 8.1.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

from gateways.accesshttp.front import Front
from gateways.accesshttp.numbers import Numbers
from gateways.accesshttp.settings import AccesshttpSettings
from gateways.common.access import Access
from gateways.common.backends import Backends
from gateways.common.certificates import Certificates
from gateways.common.handover import Report, handover_address
from gateways.common.market_snapshots import MarketSnapshots
from gateways.common.snapshot_answers import SnapshotAnswers
from gateways.common.startup import RUN_DIRECTORY
from gateways.common.worker_link import WorkerLink
from vxnet.clock import SystemClock
from vxnet.loop import new_event_loop
from vxnet.timer import Timer
from vxutils.exits import ExitCode
from vxutils.http import HttpLimits, HttpServer
from vxutils.http.client_address import address_rule, parse_networks
from vxutils.log import Log
from vxutils.process import install_signals

DRAIN_POLL_S: Final = 0.01
DRAIN_MARGIN_S: Final = 1.0
"""Beyond the timeout of a backend: time for the answers to leave."""
LAST_BYTES_S: Final = 0.2
"""How long clients may take to close once everything is answered; then we do."""

_log = logging.getLogger("vx.accesshttp")


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
        self._settings = settings
        self._index = index
        self._log = log
        self._announce = announce
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
        address = handover_address(data_directory / RUN_DIRECTORY, "accesshttp")
        self._link = WorkerLink(self._loop, address, self._report, self._adopt)
        self._drain_timer = Timer(self._loop, DRAIN_POLL_S, self._look_at_drain, repeat=True)
        self._is_draining = False
        self._drain_until = 0.0
        self._answered_at: float | None = None

    def run(self) -> int:
        """Serve until told to stop."""
        self._backends.start()
        for server in self._servers:
            server.start()
        self._link.start()
        install_signals(
            self._loop,
            self._stop,
            self._log.level_up if self._log else None,
            self._log.level_down if self._log else None,
            self._certificates.reload if self._certificates.are_used else None,
        )
        line = f"accesshttp worker {self._index} ready"
        _log.info("%s", line)
        self._announce(line)
        try:
            self._loop.run_forever()
        finally:
            self._drain_timer.stop()
            self._link.stop()  # first: nobody new while we close
            for server in self._servers:
                server.stop()
            self._backends.stop()
            self._snapshots.close()
        return ExitCode.OK

    def _adopt(self, sock: socket.socket, listener: int) -> None:
        if listener < len(self._servers):
            self._servers[listener].adopt(sock)
        else:
            sock.close()  # the listener runs on other settings than we do
            _log.error("a connection of listener %d came, but there are %d", listener, len(self._servers))

    def _report(self, adopted: int) -> Report:
        connections = sum(len(server.sessions) for server in self._servers)
        return Report(
            worker=self._index,
            pid=os.getpid(),
            connections=connections,
            adopted=adopted,
            room=max(0, self._settings.http.connections_max - connections),
            leaving=self._is_draining,
            backends={one.name: one.is_connected for one in self._backends if one.is_used},
            samples=self._numbers.samples(self._servers, self._backends) + self._answers.samples(),
            latency_counts=self._numbers.latency.counts,
            latency_total_s=self._numbers.latency.total,
        )

    # Stopping.

    def _stop(self, signal_name: str) -> None:
        _log.info("stopping: %s", signal_name)
        self._is_draining = True
        self._drain_until = self._loop.time() + self._settings.timeout_s + DRAIN_MARGIN_S
        self._link.report_now()  # the listener gives to others, or waits for the next worker
        for server in self._servers:
            server.drain()
        self._drain_timer.start()

    def _look_at_drain(self) -> None:
        now = self._loop.time()
        sessions = [session for server in self._servers for session in server.sessions.values()]
        busy = any(front.in_work for front in self._fronts)
        unsent = any(session.pending_output for session in sessions)
        if now < self._drain_until and sessions:
            if busy or unsent:
                return
            if self._answered_at is None:
                self._answered_at = now
            if now < self._answered_at + LAST_BYTES_S:
                return
        if busy or unsent:
            _log.warning("stopped with %d connections not served to the end", len(sessions))
        self._loop.stop()


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
