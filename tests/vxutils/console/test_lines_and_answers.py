"""The line console of protocol.md 10.5: words and answers as a table, then over real sockets."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vxnet.address import Address, parse_address
from vxnet.errors import AddressInUseError
from vxnet.loop import new_event_loop
from vxutils.console import ANSWER_CHARACTERS_MAX, LINE_BYTES_MAX, Console, answer

COMMANDS: dict[str, Callable[[list[str]], str]] = {
    "echo": lambda words: "|".join(words),
    "status": lambda words: "order last ID: 1\ndeals last ID: 2\n",
    "silent": lambda words: "",
    "big": lambda words: "0123456789\n" * 200_000,
    "wide": lambda words: "x" * 2_000_000,
}

LINES = [
    ("echo a b", "a|b\n"),
    ("  echo   a\tb \r", "a|b\n"),
    ("echo \"a b\" c'd e'", "a b|cd e\n"),
    ('echo ""', "\n"),
    ('echo \\"', '"\n'),
    ("status", "order last ID: 1\ndeals last ID: 2\n"),
    ("silent", "\n"),
    ("", ""),
    ("   \r", ""),
    ('echo "unbalanced', ""),
    ("echo 'unbalanced", ""),
    ("echo ends in \\", ""),
    ("nonsense", "command not found\n"),
    ("ECHO a", "command not found\n"),
    ('""', "command not found\n"),
    ("help", "big\necho\nhelp\nsilent\nstatus\nwide\n"),
]


@pytest.mark.parametrize(("line", "text"), LINES)
def test_each_line_has_its_answer(line: str, text: str) -> None:
    assert answer(COMMANDS, line) == text


def test_an_owner_may_bring_its_own_help() -> None:
    assert answer({"help": lambda words: "no help"}, "help") == "no help\n"


@pytest.mark.parametrize("command", ["big", "wide"])
def test_a_huge_answer_is_cut_and_says_so(command: str) -> None:
    text = answer(COMMANDS, command)
    assert ANSWER_CHARACTERS_MAX - 11 < len(text) < ANSWER_CHARACTERS_MAX + 100
    assert text.splitlines()[-1].startswith("(cut here: the answer has 2")
    assert text.splitlines()[-2] in ("0123456789", "x" * ANSWER_CHARACTERS_MAX)


class Served:
    """A console on a loop which turns while a blocking client in this thread waits for bytes."""

    def __init__(self, address: Address) -> None:
        self.loop = new_event_loop()
        self.console = Console(self.loop, address, COMMANDS)
        self.console.start()

    def connect(self) -> socket.socket:
        bound = self.console.bound
        client = socket.socket(bound.family, socket.SOCK_STREAM)
        client.connect(bound.sockaddr())
        client.setblocking(False)
        return client

    def turn(self, times: int = 20) -> None:
        for _ in range(times):
            self.loop.call_later(0.001, self.loop.stop)
            self.loop.run_forever()

    def read(self, client: socket.socket, size: int) -> bytes:
        """Reads until `size` bytes have come, the console has closed, or nothing comes any more."""
        data, idle = b"", 0
        while len(data) < size and idle < 200:
            self.turn(1)
            try:
                part = client.recv(1 << 20)
            except BlockingIOError:
                idle += 1
                continue
            except ConnectionResetError:
                break
            if not part:
                break
            data += part
        return data

    def is_closed(self, client: socket.socket) -> bool:
        self.turn()
        try:
            return client.recv(1) == b""
        except BlockingIOError:
            return False
        except ConnectionResetError:
            return True

    def stop(self) -> None:
        self.console.stop()
        self.turn(1)
        self.loop.close()


@pytest.fixture(params=["tcp", "unix"])
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Served]:
    text = "tcp@127.0.0.1:0" if request.param == "tcp" else f"unix@{tmp_path}/console"
    server = Served(parse_address(text))
    yield server
    server.stop()


def test_lines_are_answered_in_order_without_greeting(served: Served) -> None:
    with served.connect() as client:
        client.send(b"echo one\n\necho two\r\n'\nnonsense\n")
        expected = b"one\ntwo\ncommand not found\n"
        assert served.read(client, len(expected)) == expected
        assert not served.is_closed(client)


def test_a_command_may_come_byte_by_byte(served: Served) -> None:
    with served.connect() as client:
        for number in b'echo "a b" c\nhelp\n':
            client.send(bytes([number]))
            served.turn(1)
        assert served.read(client, 9).startswith(b"a b|c\nbig")


def test_bytes_that_are_no_text_are_a_wrong_command(served: Served) -> None:
    with served.connect() as client:
        client.send(b"\xff\xfe\x00\n")
        assert served.read(client, 18) == b"command not found\n"


@pytest.mark.parametrize("end", [b"\n", b""])
def test_a_line_beyond_the_limit_closes_the_session(served: Served, end: bytes) -> None:
    with served.connect() as longest, served.connect() as too_long:
        longest.send(b"echo " + b"x" * (LINE_BYTES_MAX - 6) + b"\n")
        assert served.read(longest, LINE_BYTES_MAX - 5) == b"x" * (LINE_BYTES_MAX - 6) + b"\n"
        too_long.send(b"echo " + b"x" * LINE_BYTES_MAX + end)
        assert served.is_closed(too_long)
        assert not served.is_closed(longest)


def test_who_asks_and_never_reads_is_cut_off(served: Served) -> None:
    with served.connect() as client:
        client.send(b"wide\n" * 200)
        received = served.read(client, 300_000_000)
        assert len(received) < 100 * ANSWER_CHARACTERS_MAX
        assert served.is_closed(client)


def test_others_are_served_meanwhile(served: Served) -> None:
    with served.connect() as first, served.connect() as second:
        first.send(b"echo half")
        second.send(b"echo whole\n")
        assert served.read(second, 6) == b"whole\n"
        first.send(b" more\n")
        assert served.read(first, 10) == b"half|more\n"


def test_a_taken_address_is_told() -> None:
    first = Served(parse_address("tcp@127.0.0.1:0"))
    loop = new_event_loop()
    with pytest.raises(AddressInUseError):
        Console(loop, first.console.bound, COMMANDS).start()
    loop.close()
    first.stop()
