"""The dispatcher gives each connection to the least loaded worker with room, over real sockets."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateways.common.dispatcher import Dispatcher
from gateways.common.handover import MESSAGE_SIZE_BYTES_MAX, REPORT_COMMAND, Report, handover_address
from gateways.common.worker_link import WorkerLink
from vxnet.client import Client, ClientSettings
from vxnet.loop import EventLoop, new_event_loop
from vxnet.session import Session
from vxutils.rpc.packet import KIND_REQUEST, encode_packet

DEADLINE_S = 5.0


@pytest.fixture
def loop() -> Iterator[EventLoop]:
    loop = new_event_loop()
    yield loop
    loop.close()


def run_until(loop: EventLoop, condition: Callable[[], bool]) -> None:
    deadline = loop.time() + DEADLINE_S

    def look() -> None:
        if condition() or loop.time() > deadline:
            loop.stop()
        else:
            loop.call_later(0.002, look)

    loop.call_soon(look)
    loop.run_forever()
    assert condition()


class FakeWorker:
    """A worker that keeps the connections it gets and says about itself what the test says."""

    def __init__(self, loop: EventLoop, directory: Path, index: int, room: int = 100) -> None:
        self.index = index
        self.room = room
        self.connections = 0
        self.leaving = False
        self.got: list[int] = []
        self.link = WorkerLink(loop, handover_address(directory, "test"), self._report, self._adopt)
        self.link.start()

    def _report(self, adopted: int) -> Report:
        return Report(
            worker=self.index,
            pid=os.getpid(),
            connections=self.connections,
            adopted=adopted,
            room=self.room,
            leaving=self.leaving,
            backends={},
            samples=[],
            latency_counts=[],
            latency_total_s=0.0,
        )

    def _adopt(self, sock: socket.socket, listener: int) -> None:
        self.got.append(listener)
        sock.close()


@pytest.fixture
def dispatcher(loop: EventLoop, tmp_path: Path) -> Iterator[Dispatcher]:
    made = Dispatcher(loop, handover_address(tmp_path, "test"), lambda count: None)
    made.start()
    yield made
    made.stop()


def hand_over(dispatcher: Dispatcher, count: int, listener: int = 0) -> int:
    """How many of so many connections were taken."""
    taken = 0
    for _ in range(count):
        ours, theirs = socket.socketpair()
        taken += dispatcher.hand_over(theirs, listener)
        ours.close()
        theirs.close()
    return taken


def test_nobody_is_there(dispatcher: Dispatcher) -> None:
    assert hand_over(dispatcher, 1) == 0


def test_connections_are_spread_evenly(loop: EventLoop, dispatcher: Dispatcher, tmp_path: Path) -> None:
    workers = [FakeWorker(loop, tmp_path, index) for index in range(3)]
    run_until(loop, lambda: len(dispatcher.seats) == 3)
    assert hand_over(dispatcher, 9, listener=2) == 9
    run_until(loop, lambda: sum(len(worker.got) for worker in workers) == 9)
    assert [worker.got for worker in workers] == [[2, 2, 2]] * 3


def test_the_least_loaded_gets_the_next(loop: EventLoop, dispatcher: Dispatcher, tmp_path: Path) -> None:
    busy, idle = FakeWorker(loop, tmp_path, 0), FakeWorker(loop, tmp_path, 1)
    busy.connections = 5
    run_until(loop, lambda: len(dispatcher.seats) == 2)
    busy.link.report_now()
    run_until(loop, lambda: dispatcher.seats[0].report.connections == 5)
    assert hand_over(dispatcher, 5) == 5
    run_until(loop, lambda: len(idle.got) == 5)
    assert not busy.got


def test_a_worker_without_room_gets_none(loop: EventLoop, dispatcher: Dispatcher, tmp_path: Path) -> None:
    small, large = FakeWorker(loop, tmp_path, 0, room=1), FakeWorker(loop, tmp_path, 1, room=2)
    run_until(loop, lambda: len(dispatcher.seats) == 2)
    assert hand_over(dispatcher, 5) == 3
    run_until(loop, lambda: len(small.got) == 1 and len(large.got) == 2)


def test_a_worker_that_hangs_is_passed_over(loop: EventLoop, dispatcher: Dispatcher, tmp_path: Path) -> None:
    """It is connected and never reads: its queue fills, then the other one gets everything."""
    hanging = FakeWorker(loop, tmp_path, 0, room=100_000)
    run_until(loop, lambda: len(dispatcher.seats) == 1)
    assert hanging.link._client.session is not None
    hanging.link._client.session.pause_reading()
    taken = hand_over(dispatcher, 2_000)
    assert 0 < taken < 2_000
    other = FakeWorker(loop, tmp_path, 1)
    run_until(loop, lambda: len(dispatcher.seats) == 2)
    assert hand_over(dispatcher, 10) == 10
    run_until(loop, lambda: len(other.got) == 10)


def test_a_successor_takes_the_seat(loop: EventLoop, dispatcher: Dispatcher, tmp_path: Path) -> None:
    FakeWorker(loop, tmp_path, 0)
    run_until(loop, lambda: dispatcher.arrivals.get(0) == 1)
    second = FakeWorker(loop, tmp_path, 0)
    run_until(loop, lambda: dispatcher.arrivals.get(0) == 2)
    second.link.stop()
    assert len(dispatcher.seats) == 1


def test_a_worker_that_leaves_has_no_seat(loop: EventLoop, dispatcher: Dispatcher, tmp_path: Path) -> None:
    worker = FakeWorker(loop, tmp_path, 0)
    run_until(loop, lambda: len(dispatcher.seats) == 1)
    worker.link.stop()
    run_until(loop, lambda: not dispatcher.seats)
    assert hand_over(dispatcher, 1) == 0


def test_a_worker_that_wants_to_leave_gets_none(
    loop: EventLoop, dispatcher: Dispatcher, tmp_path: Path
) -> None:
    """It says so, and keeps its connection to be told nothing more."""
    worker = FakeWorker(loop, tmp_path, 0)
    run_until(loop, lambda: len(dispatcher.seats) == 1)
    worker.leaving = True
    worker.link.report_now()
    run_until(loop, lambda: not dispatcher.seats)
    worker.link.report_now()
    assert hand_over(dispatcher, 1) == 0 and worker.link.is_connected


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (encode_packet(REPORT_COMMAND, KIND_REQUEST, 0, 0, b"no report"), "closed by peer"),
        (encode_packet(101, KIND_REQUEST, 0, 0, b"[]"), "closed by peer"),
    ],
)
def test_whoever_does_not_report_is_closed(
    loop: EventLoop, dispatcher: Dispatcher, tmp_path: Path, packet: bytes, reason: str
) -> None:
    closed: list[str] = []

    class Stranger:
        def connected(self, session: Session) -> None:
            session.send(packet)

        def received(self, session: Session, data: bytes) -> int:
            return len(data)

        def closed(self, session: Session | None, reason: str) -> None:
            closed.append(reason)

    address = handover_address(tmp_path, "test")
    client = Client(loop, [address], Stranger(), ClientSettings(max_pkg_size=MESSAGE_SIZE_BYTES_MAX))
    client.start()
    run_until(loop, lambda: bool(closed))
    client.stop()
    assert closed[0] == reason and not dispatcher.seats
