"""The loop: faults come out of `run_forever`, sockets with errors stay watched."""

from __future__ import annotations

import socket

import pytest

from tests.vxnet.net import open_descriptors, run_for, run_until
from vxnet.loop import PASS_SOCKETS_MAX, EventLoop, new_event_loop


def test_a_fault_in_a_callback_is_raised_and_the_loop_can_go_on(loop: EventLoop) -> None:
    def break_down() -> None:
        raise ZeroDivisionError("ours")

    loop.call_soon(break_down)
    with pytest.raises(ZeroDivisionError, match="ours"):
        loop.run_forever()
    run_for(loop, 0.001)


def test_a_fault_in_a_timer_or_reader_is_raised(loop: EventLoop) -> None:
    def break_down(text: str) -> None:
        raise RuntimeError(text)

    loop.call_later(0.001, break_down, "timer")
    with pytest.raises(RuntimeError, match="timer"):
        loop.run_forever()
    left, right = socket.socketpair()
    with left, right:
        loop.add_reader(left, break_down, "reader")
        right.send(b"x")
        with pytest.raises(RuntimeError, match="reader"):
            loop.run_forever()
        assert loop.remove_reader(left)


def test_reader_and_writer_come_and_go(loop: EventLoop) -> None:
    calls: list[str] = []
    left, right = socket.socketpair()
    with left, right:
        loop.add_reader(left.fileno(), calls.append, "read")
        run_for(loop, 0.01)
        assert calls == []
        loop.add_writer(left.fileno(), calls.append, "write")
        run_for(loop, 0.01)
        assert set(calls) == {"write"}
        assert loop.remove_writer(left.fileno())
        calls.clear()
        right.send(b"x")
        run_for(loop, 0.01)
        assert set(calls) == {"read"}
        assert len(calls) > 1, "readable until it is read"
        loop.add_reader(left.fileno(), calls.append, "other")
        calls.clear()
        run_for(loop, 0.01)
        assert set(calls) == {"other"}
        assert loop.remove_reader(left.fileno())
        assert not loop.remove_reader(left.fileno())
        calls.clear()
        run_for(loop, 0.01)
        assert calls == []


def test_an_error_on_a_socket_does_not_end_the_watch(loop: EventLoop) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as peer, socket.socket(type=socket.SOCK_DGRAM) as watched:
        peer.bind(("127.0.0.1", 0))
        port = peer.getsockname()[1]
        peer.close()
        watched.setblocking(False)
        watched.connect(("127.0.0.1", port))
        seen: list[object] = []

        def read() -> None:
            try:
                seen.append(watched.recv(100))
            except OSError as error:
                seen.append(type(error))

        loop.add_reader(watched.fileno(), read)
        watched.send(b"anybody?")
        run_until(loop, lambda: seen == [ConnectionRefusedError])
        with socket.socket(type=socket.SOCK_DGRAM) as revived:
            revived.bind(("127.0.0.1", port))
            revived.sendto(b"yes", watched.getsockname())
            run_until(loop, lambda: seen[-1] == b"yes")
        loop.remove_reader(watched.fileno())


def test_more_ready_sockets_than_one_pass_serves_all_have_their_turn(loop: EventLoop) -> None:
    pairs = [socket.socketpair() for _ in range(PASS_SOCKETS_MAX + 50)]
    served: set[int] = set()
    for left, right in pairs:
        loop.add_reader(left.fileno(), served.add, left.fileno())
        right.send(b"x")
    run_until(loop, lambda: len(served) == len(pairs))
    for left, right in pairs:
        loop.remove_reader(left.fileno())
        left.close()
        right.close()


def test_close_leaves_no_descriptor() -> None:
    first = new_event_loop()  # the first one of a process opens what uvloop keeps
    first.run_until_complete(_nothing())
    first.close()
    before = open_descriptors()
    for _ in range(3):
        loop = new_event_loop()
        run_for(loop, 0.001)
        loop.close()
        loop.close()
    assert open_descriptors() == before


async def _nothing() -> None:
    pass
