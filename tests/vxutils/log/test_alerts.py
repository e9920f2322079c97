"""FATAL lines become datagrams of protocol.md 10.1, received here on a real socket."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator

import pytest

from vxnet.errors import AddressError
from vxutils.alert import ALERT_MAGIC, AlertHandler
from vxutils.log_line import VIP


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def centre() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        yield receiver


def logger_to(centre: socket.socket, clock: Clock | None = None, separator: str = ":") -> logging.Logger:
    address = f"127.0.0.1{separator}{centre.getsockname()[1]}"
    logger = logging.Logger("vx.test")
    logger.addHandler(AlertHandler("host-1", address, monotonic=clock or Clock()))
    return logger


@pytest.mark.parametrize("separator", [":", " ", "\t"])
def test_a_fatal_line_is_sent_with_magic_and_host(centre: socket.socket, separator: str) -> None:
    logger_to(centre, separator=separator).critical("disk %s\nis full", "sda")
    data = centre.recv(65536)
    assert data.startswith(ALERT_MAGIC + b"host-1: [fatal]test_alerts.py:")
    assert data.endswith(b"(test_a_fatal_line_is_sent_with_magic_and_host): disk sda\\nis full\n")
    assert ALERT_MAGIC == b"373d26968a5a2b698045"


def test_other_levels_are_not_sent(centre: socket.socket) -> None:
    logger = logger_to(centre)
    logger.error("only an error")
    logger.log(VIP, "only important")
    logger.critical("the one")
    assert b"the one" in centre.recv(65536)


def test_a_long_alert_is_cut_and_keeps_its_newline(centre: socket.socket) -> None:
    logger_to(centre).critical("€" * 8000)
    data = centre.recv(65536)
    assert 10237 <= len(data) <= 10240
    assert data.endswith("€\n".encode())


def test_a_storm_is_cut_down_and_counted(centre: socket.socket) -> None:
    clock = Clock()
    logger = logger_to(centre, clock)
    for number in range(50):
        logger.critical("storm %d", number)
    clock.now_s = 0.5
    for number in range(50, 55):
        logger.critical("storm %d", number)
    texts = [centre.recv(65536).decode().rpartition(": ")[2] for _ in range(25)]
    expected = [f"storm {number}\n" for number in [*range(20), *range(50, 55)]]
    expected[20] = "storm 50 (30 alerts before this one left out)\n"
    assert texts == expected
    centre.setblocking(False)
    with pytest.raises(BlockingIOError):
        centre.recv(65536)


def test_a_centre_that_is_down_hurts_nobody() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        logger = logger_to(receiver)
    for _ in range(5):
        logger.critical("into the void")


@pytest.mark.parametrize("address", ["", "alerts.example:4444", "127.0.0.1", "127.0.0.1:x"])
def test_a_wrong_address_is_refused(address: str) -> None:
    with pytest.raises(AddressError):
        AlertHandler("host-1", address)
