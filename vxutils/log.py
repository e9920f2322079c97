"""The log of a process: its settings, and the handler that carries lines to file, terminal or network.

Code logs through `logging.getLogger("vx.<module>")`; `configure` hangs one handler on the root logger.

    logger -> LevelMask (which levels) -> LogHandler (one line of bytes) -> RollingFile | UDP | standard error

A line that can not be written is counted and reported with the next one that can; logging never raises into
the caller and never waits for long. What a line looks like is in `log_line`, files and their rolling in
`log_file`, alerts in `alert`.
"""

from __future__ import annotations

import logging
import os
import select
import socket
import time
from typing import Annotated, Final, Literal, Protocol, cast, get_args

import msgspec

from vxnet.address import Address, parse_address
from vxutils.log_file import RollingFile, Shift
from vxutils.log_line import LevelMask, LevelName, LineFormat

__all__ = [
    "LevelName",
    "Log",
    "LogHandler",
    "LogSettings",
    "Sink",
    "configure",
    "parse_flag",
    "udp_address",
]


DATAGRAM_BYTES_MAX: Final = 65000
STDERR_PATIENCE_MS: Final = 20
"""How long a full pipe may hold us up once; after that nothing waits until it takes lines again."""


class LogSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the log goes and what goes into it. Source: protocol.md 10.2, 10.3."""

    path: str = ""
    """Path without ending (`.log` is added); empty = standard error; with a `:` = `ip:port`, sent by UDP."""

    flag: tuple[LevelName, ...] = ("fatal", "error", "warn", "info", "notice")
    """Levels written. `vip` lines are always written."""

    shift: Shift = "size"
    """A new file when the old one is full (`size`), or one per hour, minute or day."""

    pid: bool = True
    """Whether a line carries the process id."""

    fork: bool = True
    """Accepted for the C system's files; rolling never forks here."""

    max_bytes: Annotated[int, msgspec.Meta(ge=4096, le=1 << 40)] = 100_000_000
    """Size at which a file is rolled."""

    num: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 100
    """Files kept of one name, the one being written included: 1 = delete when full, 0 = keep all."""

    keep: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 7
    """Units of time (days, hours, minutes) that files by time are kept; 0 = for ever."""

    format: Literal["text", "json"] = "text"
    """Text lines as the C system writes, or one JSON object per line."""


def parse_flag(text: str) -> tuple[LevelName, ...]:
    """Level names of a `log.flag` of the C system: comma or blank between, any case, unknown ones ignored."""
    words = dict.fromkeys(text.replace(",", " ").lower().split())
    return tuple(cast(LevelName, word) for word in words if word in get_args(LevelName))


def udp_address(text: str) -> Address:
    """Reads `ip:port` (or a blank instead of the colon), as `log.path` and `alert.addr` write it.

    Raises: AddressError. Source: protocol.md 1.6.
    """
    return parse_address("udp@" + ":".join(text.split()))


class Log:
    """The handlers of one process on its root logger; made by `configure`, owned by `main`."""

    def __init__(self, root: logging.Logger, mask: LevelMask, handler: LogHandler) -> None:
        self._root = root
        self._mask = mask
        self._mirror: LogHandler | None = None
        self._level_before = root.level
        self._handlers: list[logging.Handler] = []
        self.attach(handler)
        self._apply()

    def attach(self, handler: logging.Handler) -> None:
        """Adds a handler; `close` removes and closes it."""
        self._handlers.append(handler)
        self._root.addHandler(handler)

    def mirror_to_stderr(self, *, with_pid: bool = True) -> None:
        """Shows the lines on standard error too, as while starting; `stop_mirror` ends it."""
        if self._mirror is None:
            line_format = LineFormat(with_pid=with_pid, as_json=False)
            self._mirror = LogHandler(StandardError(), self._mask, line_format)
            self.attach(self._mirror)

    def stop_mirror(self) -> None:
        """Ends `mirror_to_stderr`; without one: no effect."""
        if self._mirror is not None:
            self._detach(self._mirror)
            self._mirror = None

    def level_up(self) -> None:
        """One more level is written (signal TTIN)."""
        self._mask.up()
        self._apply()

    def level_down(self) -> None:
        """One level less is written (signal TTOU)."""
        self._mask.down()
        self._apply()

    def close(self) -> None:
        """Leaves the root logger as it was before `configure`."""
        self._mirror = None
        while self._handlers:
            self._detach(self._handlers[-1])
        self._root.setLevel(self._level_before)

    def _detach(self, handler: logging.Handler) -> None:
        self._handlers.remove(handler)
        self._root.removeHandler(handler)
        handler.close()

    def _apply(self) -> None:
        self._root.setLevel(self._mask.lowest_number)  # so that a level that is off costs nothing


def configure(settings: LogSettings, root: logging.Logger | None = None) -> Log:
    """Sends everything logged in this process where `settings` say.

    Raises: OSError when the file can not be opened; AddressError for a remote path that is no `ip:port`.
    """
    sink: Sink
    if not settings.path:
        sink = StandardError()
    elif ":" in settings.path:
        sink = UdpSink(udp_address(settings.path))
    else:
        sink = RollingFile(
            os.path.abspath(settings.path),  # noqa: PTH100 - keeps a trailing name as it is, also after a chdir
            settings.shift,
            settings.max_bytes,
            settings.num,
            settings.keep,
        )
        sink.open(time.time())
    mask = LevelMask(settings.flag)
    line_format = LineFormat(with_pid=settings.pid, as_json=settings.format == "json")
    return Log(root or logging.getLogger(), mask, LogHandler(sink, mask, line_format))


class Sink(Protocol):
    """Where lines go. `write` takes one line with its newline or raises OSError; it never waits for long."""

    def write(self, line: bytes, created_s: float) -> None: ...

    def close(self) -> None: ...


class StandardError:
    """Lines to a terminal or a pipe that nobody may be reading: what does not fit is refused, not awaited."""

    def __init__(self, descriptor: int = 2) -> None:
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)
        self._patience_ms = STDERR_PATIENCE_MS

    def write(self, line: bytes, created_s: float) -> None:
        for start in range(0, len(line), select.PIPE_BUF):  # a writable pipe has room for so much
            if not self._poll.poll(self._patience_ms):
                self._patience_ms = 0
                raise BlockingIOError("standard error is full and nobody reads it")
            os.write(self._descriptor, line[start : start + select.PIPE_BUF])
        self._patience_ms = STDERR_PATIENCE_MS

    def close(self) -> None:
        """The descriptor is not ours."""


class UdpSink:
    """One datagram per line; what the socket does not take at once is lost and counted."""

    def __init__(self, address: Address) -> None:
        self._sockaddr = address.sockaddr()
        self._socket = socket.socket(address.family, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def write(self, line: bytes, created_s: float) -> None:
        if len(line) > DATAGRAM_BYTES_MAX:
            line = line[: DATAGRAM_BYTES_MAX - 1] + b"\n"
        self._socket.sendto(line, self._sockaddr)

    def close(self) -> None:
        self._socket.close()


class LogHandler(logging.Handler):
    """Formats records into lines for one sink. `lost`: lines not written since the last one that was."""

    def __init__(self, sink: Sink, mask: LevelMask, line_format: LineFormat) -> None:
        super().__init__()
        self.lost = 0
        self._sink = sink
        self._mask = mask
        self._to_line = line_format.line

    def emit(self, record: logging.LogRecord) -> None:
        if not self._mask.passes(record.levelno):
            return
        try:
            self._sink.write(self._to_line(record), record.created)
            if self.lost:
                self._report_lost(record)
        except Exception:  # outermost edge: whatever is wrong with the log must not reach who logs
            self.lost += 1

    def close(self) -> None:
        self._sink.close()
        super().close()

    def _report_lost(self, latest: logging.LogRecord) -> None:
        report = logging.LogRecord(
            "vx.log", logging.WARNING, __file__, 0, "%d log lines were lost", (self.lost,), None
        )
        report.created = latest.created
        self._sink.write(self._to_line(report), report.created)
        self.lost = 0
