"""The listener process of a gateway, from start to stop: accepts connections and gives each to a worker.

    start: monitor, addresses, seat for workers -> ready -> first worker comes -> accept
    stop:  accept nothing more -> close

It reads no request. While no worker is here, connections wait in the kernel for `WORKER_WAIT_S`; after that
they are refused. Killed, it costs nobody a connection that was handed over.

Source: protocol.md 8.1.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from gateways.common.acceptor import Acceptor
from gateways.common.dispatcher import Dispatcher
from gateways.common.errors import NO_WORKER, PEER_REFUSED, GatewayError
from gateways.common.handover import handover_address
from gateways.common.overview import Overview, Shown, Turned
from vxnet.address import parse_address
from vxnet.clock import OncePer
from vxnet.errors import AddressError
from vxnet.farewell import Farewells
from vxnet.loop import new_event_loop
from vxutils.exits import ExitCode, ProcessExit
from vxutils.log import Log
from vxutils.monitor import Monitor
from vxutils.process import install_signals

WORKER_WAIT_S: Final = 2.0
"""A worker that was killed is back within a second."""

QUEUE_WAIT_S: Final = 0.002
"""Until the next try when the queues to the workers are full; one of them takes thousands in a second."""

REFUSAL_LOG_PERIOD_S: Final = 1.0


class Entrance(msgspec.Struct, frozen=True):
    """One listener of the settings: its addresses, and whether a peer with this literal address (empty for a
    unix socket) may be served. `is_tls`: who is refused finds the end of the connection and no answer, which
    he could not read."""

    bind: Sequence[str]
    admits_peer: Callable[[str], bool]
    is_tls: bool = False


class ListenerPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What is particular to one gateway. `refusal`: the bytes for a connection that nobody serves, empty for
    a plain end. `monitor`: where to answer about health, None for nowhere."""

    shown: Shown
    entrances: Sequence[Entrance]
    refusal: Callable[[GatewayError], bytes]
    monitor: str | None


class Listener:
    """The listener of a gateway; `run` returns its exit code."""

    def __init__(
        self, plan: ListenerPlan, run_directory: Path, log: Log | None, announce: Callable[[str], None]
    ) -> None:
        """Raises: ProcessExit for too long a path."""
        self._plan = plan
        self._name = plan.shown.name
        self._log = log
        self._logger = logging.getLogger(f"vx.{self._name}")
        self._announce = announce
        self._loop = new_event_loop()
        self._turned = Turned()
        self._dispatcher = Dispatcher(
            self._loop, handover_address(run_directory, self._name), self._workers_changed
        )
        self._acceptor = Acceptor(
            self._loop,
            [[parse_address(text) for text in entrance.bind] for entrance in plan.entrances],
            self._accepted,
        )
        self._overview = Overview(plan.shown, self._dispatcher, self._turned)
        self._monitor = self._new_monitor()
        self._farewells = Farewells(self._loop)
        self._wait: asyncio.TimerHandle | None = None
        self._parked: list[tuple[socket.socket, str, int]] = []
        self._refusal_log = OncePer(REFUSAL_LOG_PERIOD_S)

    def run(self) -> int:
        """Listen until told to stop. Raises: ProcessExit when an address can not be bound."""
        try:
            self._dispatcher.start()  # first: it tells whether another listener works here
            self._acceptor.start()
            if self._monitor is not None:
                self._monitor.start()
        except AddressError as error:
            self._close()
            raise ProcessExit(ExitCode.ADDRESS_TAKEN, str(error)) from None
        install_signals(
            self._loop,
            self._stop,
            self._log.level_up if self._log else None,
            self._log.level_down if self._log else None,
        )
        self._workers_changed(0)
        places = [str(address) for address in self._acceptor.bound]
        if self._monitor is not None:
            places.append(f"monitor {self._monitor.bound}")
        line = f"{self._name} listener ready: {' '.join(places)}"
        self._logger.info("%s", line)
        self._announce(line)
        try:
            self._loop.run_forever()
        finally:
            self._close()
        return ExitCode.OK

    def _new_monitor(self) -> Monitor | None:
        if self._plan.monitor is None:
            return None
        address = parse_address(self._plan.monitor)
        return Monitor(self._loop, address, self._overview.health, self._overview.metrics)

    def _close(self) -> None:
        self._cancel_wait()
        for sock, _, _ in self._parked:
            sock.close()
        self._acceptor.stop()
        self._farewells.stop()
        self._dispatcher.stop()
        if self._monitor is not None:
            self._monitor.stop()

    def _stop(self, signal_name: str) -> None:
        self._logger.info("stopping: %s", signal_name)
        self._loop.stop()

    def _workers_changed(self, count: int) -> None:
        self._cancel_wait()
        if count:
            self._acceptor.resume()
            self._serve_parked()
        else:
            self._acceptor.pause()
            self._wait = self._loop.call_later(WORKER_WAIT_S, self._waited_enough)

    def _waited_enough(self) -> None:
        self._wait = None
        self._acceptor.resume()
        self._serve_parked()

    def _cancel_wait(self) -> None:
        if self._wait is not None:
            self._wait.cancel()
            self._wait = None

    def _accepted(self, sock: socket.socket, host: str, index: int) -> None:
        self._turned.accepted += 1
        if self._plan.entrances[index].admits_peer(host):
            self._give(sock, host, index)
            return
        self._turned.peers_refused += 1
        self._refuse(sock, host, index, PEER_REFUSED)

    def _give(self, sock: socket.socket, host: str, index: int) -> None:
        if self._dispatcher.hand_over(sock, index):
            sock.close()
        elif self._wait is not None:
            # Handing this one over showed that the last worker is dead. It waits like those behind it, which
            # are not even accepted: so there is never more than one.
            self._parked.append((sock, host, index))
        elif self._dispatcher.is_lagging:
            # A burst faster than the workers take it: the rest of it waits in the kernel, nobody is refused.
            self._parked.append((sock, host, index))
            self._acceptor.pause()
            self._wait = self._loop.call_later(QUEUE_WAIT_S, self._waited_enough)
        else:
            self._turned.without_worker += 1
            self._refuse(sock, host, index, NO_WORKER)

    def _serve_parked(self) -> None:
        # Oldest first: the acceptor only calls back from the loop.
        parked, self._parked = self._parked, []
        for sock, host, index in parked:
            self._give(sock, host, index)

    def _refuse(self, sock: socket.socket, host: str, index: int, error: GatewayError) -> None:
        if self._refusal_log.allows(self._loop.time()):
            self._logger.warning("peer: %s: refused: %s", host or "unix", error.error.reason)
        answer = b"" if self._plan.entrances[index].is_tls else self._plan.refusal(error)
        self._farewells.end(sock, answer)
