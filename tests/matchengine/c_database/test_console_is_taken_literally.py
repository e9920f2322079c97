"""What the console of a C engine says is taken word for word; anything else stops, and is shown."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from matchengine.c_database.c_console import CConsole, ConsoleError, parse_status, refuses
from vxnet.address import Address

LITERAL = """order last ID: 27
deals last ID: 19
operlog last ID: 50
operlog pending: 1
history pending 2
message deals pending: 0
message orders pending: 3
message balances pending: 0
"""


@contextmanager
def console(answer: Callable[[bytes], list[bytes]]) -> Iterator[CConsole]:
    """A listener that answers each connection with these pieces once it has read two lines."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            with peer:
                said = b""
                while said.count(b"\n") < 2:
                    said += peer.recv(100)
                for piece in answer(said.splitlines()[0]):
                    peer.sendall(piece)

    threading.Thread(target=serve, daemon=True).start()
    try:
        port = listener.getsockname()[1]
        yield CConsole(Address(kind="tcp", host="127.0.0.1", port=port), timeout_s=2.0)
    finally:
        listener.shutdown(socket.SHUT_RDWR)  # ends the accept, without which it would go on listening
        listener.close()


def test_status_of_the_c_engine() -> None:
    status = parse_status(LITERAL)
    assert status.ids == (50, 27, 19)
    assert status.waiting == "operlog pending 1, history pending 2, message orders pending 3"
    assert not parse_status(LITERAL.replace("1\n", "0\n").replace("2\n", "0\n").replace("3\n", "0\n")).waiting


@pytest.mark.parametrize(
    "text",
    [
        "",
        "command not found\n",
        LITERAL + "epoch: 1\n",  # our own engine's console
        LITERAL.removesuffix("message balances pending: 0\n"),
        LITERAL.replace("history pending 2", "history pending: 2"),
        LITERAL.replace("operlog pending: 1", "operlog pending: -1"),
        LITERAL.replace("operlog pending: 1", "operlog pending: ?"),
        LITERAL.replace("operlog pending: 1", "operlog pending: \u0661"),
        LITERAL.replace("order last ID", "Order last ID"),
    ],
)
def test_anything_else_is_not_understood(text: str) -> None:
    with pytest.raises(ConsoleError, match="not understood"):
        parse_status(text)


def test_answers_come_byte_by_byte() -> None:
    whole = LITERAL.encode() + b"command not found\n"
    with console(lambda line: [whole[i : i + 1] for i in range(len(whole))]) as found:
        assert found.status().operation_id == 50


@pytest.mark.parametrize("said", [b"OK\ncommand not found\n", b"OKcommand not found"])
def test_a_slice_is_ordered(said: bytes) -> None:
    with console(lambda line: [said if line == b"makeslice" else b""]) as found:
        found.make_slice()


def test_a_slice_is_not_believed() -> None:
    with (
        console(lambda line: [b"a slice is being made already\ncommand not found\n"]) as found,
        pytest.raises(ConsoleError, match="'OK' was expected"),
    ):
        found.make_slice()


def test_a_console_that_closes_or_is_gone() -> None:
    with console(lambda line: [b"order last"]) as found, pytest.raises(ConsoleError, match="its end did not"):
        found.status()
    assert refuses(found.address)
    with pytest.raises(ConsoleError, match="can not be asked"):
        found.status()
