"""The recorder's end of its writer process: a bounded queue of batches that are not committed yet.

    send --> [ batch | batch | ... ] --socket--> writer        a batch leaves the queue when it is committed
                 ^------- sent again, from the history's position on, to the next writer when one dies

When the queue is full the recorder stops reading the journal: the backlog stays on the disk. A writer that
dies is replaced, with a pause when it died young; the position in the history says which batches it had
committed. Who decides what to do about a damaged file is the owner, who is told by `on_report`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec

from matchengine.recorder import wire
from matchengine.recorder.wire import Report
from matchengine.recorder.writer import WriterOrder
from vxutils.store.embedded.schema import HistoryBatch
from vxutils.watchdog import Backoff, RestartPolicy

BATCHES_MAX: Final = 2
QUEUE_BYTES_MAX: Final = 48 << 20
END_TIMEOUT_S: Final = 5.0  # for a writer whose socket is closed: it commits nothing more

_log = logging.getLogger("vx.recorder.writer")


class _Waiting(msgspec.Struct):
    """A batch in the queue. `sequence`: its last."""

    after: int
    sequence: int
    data: bytes


class WriterLink:
    """One writer at a time, started with what `order` says then. `on_report` gets what it says, after the
    queue was brought in line."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        order: Callable[[], WriterOrder],
        on_report: Callable[[Report], None],
    ) -> None:
        self._order = order
        self._loop = loop
        self._on_report = on_report
        self._queue: deque[_Waiting] = deque()
        self._socket: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._is_open = False
        self._born = 0.0
        self._backoff = Backoff(RestartPolicy())
        self._restart: asyncio.TimerHandle | None = None

    @property
    def is_full(self) -> bool:
        """Whether no further batch should come now."""
        queue = self._queue
        return len(queue) >= BATCHES_MAX or sum(len(waiting.data) for waiting in queue) >= QUEUE_BYTES_MAX

    @property
    def is_idle(self) -> bool:
        """Whether everything that was sent is committed and the writer waits for more."""
        return self._is_open and not self._queue

    @property
    def is_empty(self) -> bool:
        """Whether everything that was sent is committed."""
        return not self._queue

    @property
    def process_id(self) -> int:
        """Of the present writer, 0 if there is none."""
        return self._process.pid if self._process is not None else 0

    def start(self) -> None:
        """Starts the writer. It opens the store at once. Raises: OSError."""
        assert self._process is None, "the writer runs already"
        self._restart = None
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        words = [sys.executable, "-m", "matchengine.recorder", "write", str(theirs.fileno())]
        words += ["--parent-pid", str(os.getpid())]
        ours.send(msgspec.json.encode(self._order()))
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603
                words, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()]
            )
        self._socket = ours
        self._born = time.monotonic()
        self._loop.add_reader(ours.fileno(), self._receive)

    def send(self, batch: HistoryBatch) -> None:
        """Takes a batch; it follows the one before without a gap."""
        waiting = _Waiting(batch.after_sequence, batch.position.sequence, wire.pack_batch(batch))
        assert not self._queue or self._queue[-1].sequence == waiting.after, "batches follow one another"
        self._queue.append(waiting)
        if self._is_open:
            self._send(waiting)

    def close(self) -> None:
        """Ends the writer; what is not committed stays uncommitted."""
        if self._restart is not None:
            self._restart.cancel()
            self._restart = None
        self._disconnect()

    # -- socket --------------------------------------------------------------------------------

    def _send(self, waiting: _Waiting) -> None:
        assert self._socket is not None, "it is connected"
        try:
            wire.send_batch(self._socket, waiting.data)
        except ConnectionError:
            pass  # it died; the reader is told and takes care

    def _receive(self) -> None:
        assert self._socket is not None, "it is connected"
        try:
            report = wire.receive_report(self._socket)
        except BlockingIOError:
            return
        if report is None:
            self._lose()
        else:
            self._take(report)

    def _take(self, report: Report) -> None:
        queue = self._queue
        if report.kind in ("opened", "committed"):
            sequence = report.position.sequence
            while queue and queue[0].sequence <= sequence:
                queue.popleft()
            assert not queue or queue[0].after == sequence, "the history is not where one of our batches ends"
        if report.kind == "opened":
            self._is_open = True
            for waiting in queue:
                self._send(waiting)
        self._on_report(report)

    def _lose(self) -> None:
        """The writer is gone without being asked: another one takes its place."""
        code = self._disconnect()
        pause_s = self._backoff.delay_after_s(time.monotonic() - self._born)
        _log.critical("the writer ended with status %s, another one is started", code)
        self._restart = self._loop.call_later(pause_s, self.start)

    def _disconnect(self) -> int | None:
        self._is_open = False
        if self._socket is not None:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None
        process, self._process = self._process, None
        if process is None:
            return None
        try:
            return process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()
