"""The life of a worker process of a gateway, whatever it serves: start, connections in, reports out, stop.

    start: its parts in order -> servers -> link to the listener -> signals -> ready
    stop:  no more connections -> servers say goodbye -> all done, or the time is over -> the reverse

It owns neither parts nor servers: the worker of each gateway makes them, and says when it is done.

Source: protocol.md 8.1.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from gateways.common.backends import Backends
from gateways.common.certificates import Certificates
from gateways.common.handover import Report, Sample, handover_address
from gateways.common.startup import RUN_DIRECTORY
from gateways.common.worker_link import WorkerLink
from vxnet.timer import Timer
from vxutils.exits import ExitCode
from vxutils.log import Log
from vxutils.metrics import Buckets
from vxutils.process import install_signals

DRAIN_POLL_S: Final = 0.01


class Part(Protocol):
    """What a worker consists of."""

    def start(self) -> None: ...
    def stop(self) -> None: ...


class Server(Part, Protocol):
    """Serves the connections of one listener of the settings."""

    @property
    def sessions(self) -> Any: ...

    def adopt(self, sock: socket.socket) -> object: ...
    def drain(self) -> None: ...


class State(msgspec.Struct, frozen=True):
    """What a worker says about itself, beside what all workers say."""

    backends: Backends
    samples: list[Sample]
    latency: Buckets


class LifePlan(msgspec.Struct, frozen=True, kw_only=True):
    """What is particular to one worker.

    `connections_max`: of all its servers together. `drain_s`: how long a stop may take. `is_done(now)`, asked
    again and again while it stops, with the loop's time: whether nobody is waiting for anything any more.
    """

    name: str
    index: int
    data_directory: Path
    connections_max: int
    drain_s: float
    is_done: Callable[[float], bool]
    state: Callable[[], State]


class WorkerLife:
    """The life of one worker, on its loop."""

    def __init__(
        self,
        plan: LifePlan,
        loop: asyncio.AbstractEventLoop,
        servers: Sequence[Server],
        certificates: Certificates,
        log: Log | None,
        announce: Callable[[str], None],
    ) -> None:
        """Raises: ProcessExit for too long a path."""
        self._plan = plan
        self._loop = loop
        self._servers = servers
        self._certificates = certificates
        self._log = log
        self._logger = logging.getLogger(f"vx.{plan.name}")
        self._announce = announce
        address = handover_address(plan.data_directory / RUN_DIRECTORY, plan.name)
        self._link = WorkerLink(loop, address, self._report, self._adopt)
        self._drain_timer = Timer(loop, DRAIN_POLL_S, self._look_at_drain, repeat=True)
        self._is_draining = False
        self._drain_until = 0.0

    @property
    def connections(self) -> int:
        return sum(len(server.sessions) for server in self._servers)

    def run(self, parts: Sequence[Part]) -> int:
        """Serve until told to stop; the exit code."""
        with ExitStack() as held:
            # The link is stopped first: nobody new while we close.
            for part in (*parts, *self._servers, self._link):
                part.start()
                held.callback(part.stop)
            install_signals(
                self._loop,
                self._stop,
                self._log.level_up if self._log else None,
                self._log.level_down if self._log else None,
                self._certificates.reload if self._certificates.are_used else None,
            )
            line = f"{self._plan.name} worker {self._plan.index} ready"
            self._logger.info("%s", line)
            self._announce(line)
            held.callback(self._drain_timer.stop)
            self._loop.run_forever()
        return ExitCode.OK

    def _adopt(self, sock: socket.socket, listener: int) -> None:
        if listener < len(self._servers):
            self._servers[listener].adopt(sock)
            return
        sock.close()  # the listener runs on other settings than we do
        self._logger.error("a connection of listener %d came, but there are %d", listener, len(self._servers))

    def _report(self, adopted: int) -> Report:
        state = self._plan.state()
        connections = self.connections
        return Report(
            worker=self._plan.index,
            pid=os.getpid(),
            connections=connections,
            adopted=adopted,
            room=max(0, self._plan.connections_max - connections),
            leaving=self._is_draining,
            backends={one.name: one.is_connected for one in state.backends if one.is_used},
            samples=state.samples,
            latency_counts=state.latency.counts,
            latency_total_s=state.latency.total,
        )

    def _stop(self, signal_name: str) -> None:
        self._logger.info("stopping: %s", signal_name)
        self._is_draining = True
        self._drain_until = self._loop.time() + self._plan.drain_s
        self._link.report_now()  # the listener gives to others, or waits for the next worker
        for server in self._servers:
            server.drain()
        self._drain_timer.start()

    def _look_at_drain(self) -> None:
        now = self._loop.time()
        is_done = self._plan.is_done(now)
        if not is_done and now < self._drain_until:
            return
        if not is_done:
            self._logger.warning("stopped with %d connections not served to the end", self.connections)
        self._loop.stop()
