"""The writer process: takes batches from the recorder and commits each to the store it was ordered to write.

    socket --batch--> one transaction --> message rings --committed--> socket
                      (history.db, MySQL, Kafka: `stores`)

A process of its own (`python -m matchengine.recorder write`), because SQLite beside a busy Python thread
waits for the interpreter lock, and because a server may keep us waiting. It has the only right to write. What
can not be written now (disk full, file held, server away) is tried again with a growing pause until it can,
or until the recorder is gone: nothing is ever dropped, the recorder's backlog grows instead. Messages that
are committed to `history.db` go onto the message rings (`rings`): it is here that they get their offsets. In
between the positions of consumers are copied there, and old messages pruned.

It has no log of its own: it reports, the recorder logs. It ends when the socket does.
"""

from __future__ import annotations

import gc
import select
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from matchengine.recorder import stores, wire
from matchengine.recorder.rings import BEAT_S, MessageRings
from matchengine.recorder.stores import REFUSED, RETRIED, Store, StoreOrder
from matchengine.recorder.wire import Report, ReportKind
from vxutils.disk import Disk
from vxutils.exits import ExitCode
from vxutils.ring.ends import monotonic_us
from vxutils.store.embedded.consumers import read_consumers
from vxutils.store.embedded.schema import HistoryBase, HistoryBatch, HistoryPosition
from vxutils.store.embedded.writer import HistoryDamaged, HistoryWriter

TIDY_S: Final = 5.0  # between two looks at consumers and old messages, unless ordered otherwise
TIDY_SOON_S: Final = 0.05  # when there was more to prune than one look prunes
RETRY_FIRST_S: Final = 0.1
RETRY_MAX_S: Final = 5.0

_T = TypeVar("_T")


class WriterOrder(StoreOrder, frozen=True, kw_only=True):
    """What a writer is started with, first on its socket. `ring_bytes` 0: no rings."""

    messages_keep_us: int
    ring_bytes: int
    tidy_s: float = TIDY_S


class _RecorderGone(Exception):
    """The other end of the socket is closed."""


def run_writer(sock: socket.socket, order: WriterOrder, disk: Disk, wall_us: Callable[[], int]) -> int:
    """Works until the recorder closes the socket; the exit code."""
    worker = _Writer(sock, order, disk, wall_us)
    # A batch is ten thousands of objects without a cycle; to look through them costs a tenth of the time.
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        worker.run()
    except (_RecorderGone, ConnectionError):
        pass
    finally:
        worker.close()
    return ExitCode.OK


class _Writer:
    def __init__(
        self, sock: socket.socket, order: WriterOrder, disk: Disk, wall_us: Callable[[], int]
    ) -> None:
        self._socket = sock
        self._order = order
        self._disk = disk
        self._wall_us = wall_us
        self._store: Store | None = None
        self._messages: HistoryWriter | None = None
        self._rings: MessageRings | None = None
        self._rings_trouble = ""  # as it was reported
        self._tidy_at = time.monotonic() + self._order.tidy_s

    def run(self) -> None:
        try:
            store = self._store = self._retried(self._open)
            messages = self._messages = stores.message_table(store, self._order.content)
            if messages is not None and self._order.ring_bytes:
                self._rings = MessageRings(
                    bytes.fromhex(self._order.system_id),
                    Path(self._order.data),
                    self._order.ring_bytes,
                    messages.offsets,
                    monotonic_us(),
                )
            self._report("opened", base=store.base)
            while True:
                pause_s = self._tidy_at - time.monotonic()
                if self._rings is not None:
                    pause_s = min(pause_s, BEAT_S)
                if self._is_readable(max(pause_s, 0.0)):
                    batch = wire.receive_batch(self._socket)
                    if batch is None:
                        return
                    self._commit(store, batch)
                elif self._rings is not None and messages is not None:
                    self._rings.beat(messages.offsets, monotonic_us())
                    self._report_rings(self._rings)
                if time.monotonic() >= self._tidy_at:
                    self._retried(self._tidy)
        except HistoryDamaged as error:
            self._report("damaged", str(error))
        except REFUSED as error:
            self._report("refused", str(error))

    def close(self) -> None:
        if self._rings is not None:
            self._rings.close()
        if self._store is not None:
            self._store.close()
        self._socket.close()

    def _open(self) -> Store:
        return stores.open_store(self._order, self._disk, lambda text: self._report("alarm", text))

    def _commit(self, store: Store, batch: HistoryBatch) -> None:
        numbered = self._retried(lambda: store.append(batch))
        for text in stores.refused_rows(store):
            self._report("alarm", text)
        if self._rings is not None and self._messages is not None:
            self._rings.publish(numbered, self._messages.offsets, monotonic_us())
        self._report("committed")

    def _tidy(self) -> None:
        """Consumers and old messages; a file of a consumer that can not be read stops the pruning only."""
        gc.collect()  # no batch is here now, so there is little to look through
        self._tidy_at = time.monotonic() + self._order.tidy_s
        messages = self._messages
        if messages is None:
            return
        try:
            consumers = read_consumers(self._disk, Path(self._order.data))
        except ValueError as error:
            self._report("troubled", f"no messages are pruned: {error}")
            return
        messages.copy_consumers(consumers)
        if messages.prune_messages(self._wall_us() - self._order.messages_keep_us):
            self._tidy_at = time.monotonic() + TIDY_SOON_S

    def _retried(self, attempt: Callable[[], _T]) -> _T:
        """The result of `attempt`, repeated while the disk, another process or a server is in the way."""
        pause_s = RETRY_FIRST_S
        while True:
            try:
                return attempt()
            except RETRIED as error:
                self._report(
                    "troubled", f"{self._order.shown} can not be written, it is tried again: {error}"
                )
            self._sleep(pause_s)
            pause_s = min(pause_s * 2, RETRY_MAX_S)

    # -- the socket ----------------------------------------------------------------------------

    def _is_readable(self, timeout_s: float) -> bool:
        readable, _, _ = select.select([self._socket], [], [], timeout_s)
        return bool(readable)

    def _sleep(self, pause_s: float) -> None:
        """Raises: _RecorderGone as soon as the other end is closed; more batches may wait there meanwhile."""
        poll = select.poll()
        poll.register(self._socket, select.POLLRDHUP)
        if poll.poll(int(pause_s * 1000)):
            raise _RecorderGone

    def _report_rings(self, rings: MessageRings) -> None:
        if rings.trouble != self._rings_trouble:
            self._report("rings")

    def _report(self, kind: ReportKind, text: str = "", base: HistoryBase | None = None) -> None:
        store = self._store
        position = store.position if store is not None else HistoryPosition()
        self._rings_trouble = self._rings.trouble if self._rings is not None else ""
        wire.send_report(self._socket, Report(kind, position, text, base, self._rings_trouble))
