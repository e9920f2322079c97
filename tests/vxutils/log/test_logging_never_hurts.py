"""Whatever happens to the place where lines go, the caller goes on and the loss is told."""

from __future__ import annotations

import fcntl
import logging
import os
import socket
import time
from pathlib import Path

import pytest

from vxnet.errors import AddressError
from vxutils.log import LogHandler, LogSettings, StandardError, configure
from vxutils.log_line import LevelMask, LineFormat


class FailingSink:
    def __init__(self) -> None:
        self.broken = True
        self.lines: list[bytes] = []

    def write(self, line: bytes, created_s: float) -> None:
        if self.broken:
            raise OSError(28, "No space left on device")
        self.lines.append(line)

    def close(self) -> None:
        pass


def logger_with(sink: FailingSink) -> logging.Logger:
    logger = logging.Logger("vx.test")
    logger.addHandler(LogHandler(sink, LevelMask(("error",)), LineFormat(with_pid=False, as_json=False)))
    return logger


def test_lost_lines_are_counted_and_told_once() -> None:
    sink = FailingSink()
    logger = logger_with(sink)
    for _ in range(3):
        logger.error("into the void")
    sink.broken = False
    logger.error("back")
    logger.error("and on")
    assert [line.split(b": ", 1)[1] for line in sink.lines] == [
        b"back\n",
        b"3 log lines were lost\n",
        b"and on\n",
    ]


def test_an_argument_that_can_not_be_printed_hurts_nobody() -> None:
    class Unprintable:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    sink = FailingSink()
    sink.broken = False
    logger = logger_with(sink)
    logger.error("%s", Unprintable())
    logger.error("next")
    assert b"next\n" in sink.lines[0]


def test_a_pipe_that_nobody_reads_does_not_hold_us_up() -> None:
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    sink = StandardError(writer)
    began = time.monotonic()
    refused = 0
    for _ in range(2000):
        try:
            sink.write(b"x" * 1000 + b"\n", 0.0)
        except BlockingIOError:
            refused += 1
    assert refused >= 1990
    assert time.monotonic() - began < 10
    os.read(reader, 65536)
    sink.write(b"again\n", 0.0)
    assert os.read(reader, 100) == b"again\n"
    os.close(reader)
    os.close(writer)


def test_a_path_with_a_colon_is_a_udp_address() -> None:
    root = logging.Logger("root of this test")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        log = configure(LogSettings(path=f"127.0.0.1:{receiver.getsockname()[1]}", pid=False), root)
        root.warning("by wire")
        assert receiver.recv(65536).endswith(b": by wire\n")
        log.close()


@pytest.mark.parametrize("path", ["localhost:514", "127.0.0.1:", ":", "127.0.0.1:99999"])
def test_a_wrong_remote_path_is_refused_in_words(path: str) -> None:
    with pytest.raises(AddressError):
        configure(LogSettings(path=path), logging.Logger("root of this test"))


def test_configure_writes_the_file_and_close_leaves_no_trace(tmp_path: Path) -> None:
    root = logging.Logger("root of this test", logging.WARNING)
    log = configure(LogSettings(path=str(tmp_path / "engine"), flag=("error", "info")), root)
    root.info("written")
    root.warning("not asked for")
    log.close()
    root.error("after the end")
    assert (tmp_path / "engine.log").read_text().endswith("written\n")
    assert (tmp_path / "engine.log").read_text().count("\n") == 1
    assert (root.handlers, root.level) == ([], logging.WARNING)


def test_the_start_is_shown_on_standard_error_too(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    root = logging.Logger("root of this test")
    log = configure(LogSettings(path=str(tmp_path / "engine")), root)
    log.mirror_to_stderr()
    root.info("starting")
    log.stop_mirror()
    root.info("running")
    log.close()
    shown = capfd.readouterr().err
    assert "starting" in shown and "running" not in shown
    assert "running" in (tmp_path / "engine.log").read_text()
