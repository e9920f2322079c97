"""The real worker, turned by hand: recovery, journal and pipeline as `main` wires them, no socket, no loop.

    with HandWorker(tmp_path / "data") as worker:         # init if needed, recover, epoch, journal
        worker.ask(201, [...])                            # one turn with one request, its decoded reply
        worker.crash()                                    # nothing more reaches the disk
    with HandWorker(tmp_path / "data") as worker: ...     # the next start recovers

Clock and disk may be given. What it opened is closed at the end of the block, cleanly (a slice, a clean
journal) unless it was crashed or the block raised.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Any

from matchengine import offline, recovery
from matchengine.core.engine import Engine
from matchengine.core.invariants import broken_laws
from matchengine.core.rules import check_rules
from matchengine.main import Directories, _Worker
from matchengine.settings import (
    AssetSettings,
    JournalSettings,
    MarketSettings,
    MatchengineSettings,
)
from vxnet.clock import ManualClock
from vxutils.disk import Disk
from vxutils.rpc.packet import KIND_REQUEST, Packet, decode_datagram
from vxutils.settings import ServerSettings

BEGIN_US = 1_700_000_000_000_000
REPLY_BYTES_MAX = 1 << 24

ASSETS = (
    AssetSettings(name="BTC", prec_save=12, prec_show=8),
    AssetSettings(name="USD", prec_save=12, prec_show=4),
    AssetSettings(name="WEI", prec_save=40, prec_show=20),
)
MARKETS = (
    MarketSettings(name="BTCUSD", stock="BTC", stock_prec=4, money="USD", money_prec=2, min_amount="0.001"),
    MarketSettings(
        name="WEIUSD", stock="WEI", stock_prec=4, money="USD", money_prec=4, fee_prec=4, min_amount="0"
    ),
    MarketSettings(
        name="BTCWEI", stock="BTC", stock_prec=6, money="WEI", money_prec=20, fee_prec=4, min_amount="0"
    ),
)


def hand_settings(
    assets: tuple[AssetSettings, ...] = ASSETS,
    markets: tuple[MarketSettings, ...] = MARKETS,
    journal: dict[str, Any] | None = None,
    **changed: Any,
) -> MatchengineSettings:
    """Settings with checked rules; `journal` and `changed` replace settings."""
    given: dict[str, Any] = {"segment_size_bytes": 4 << 20, "disk_reserve_bytes": 0, **(journal or {})}
    settings = MatchengineSettings(
        asset=assets,
        market=markets,
        svr=ServerSettings(bind=("tcp@127.0.0.1:0",)),
        journal=JournalSettings(**given),
        **changed,
    )
    assert check_rules(settings.rules) == []
    return settings


class CollectingReceiver:
    """A peer that keeps what it is sent."""

    peer = "test"

    def __init__(self) -> None:
        self.is_faulty = False
        self.reason = ""
        self.sent: list[bytes] = []

    def fault(self, reason: str) -> None:
        self.is_faulty = True
        self.reason = reason

    def send(self, replies: list[bytes]) -> None:
        self.sent += replies

    def wait(self) -> None:
        """Requests come by hand, so there is nothing to stop."""

    def go_on(self) -> None:
        """See `wait`."""

    def take(self) -> list[bytes]:
        """The reply bodies that came since the last time."""
        sent, self.sent = self.sent, []
        bodies = []
        for data in sent:
            packet = decode_datagram(data, REPLY_BYTES_MAX)
            assert isinstance(packet, Packet), packet
            bodies.append(packet.body)
        return bodies


class HandWorker:
    """One run of the worker on `data`. Raises at `__enter__` whatever refuses the start."""

    def __init__(
        self,
        data: Path,
        settings: MatchengineSettings | None = None,
        clock: ManualClock | None = None,
        disk: Disk | None = None,
    ) -> None:
        self.data = data
        self.settings = settings or hand_settings()
        self.clock = clock or ManualClock(BEGIN_US, 1_000_000)
        self.disk = disk or Disk()
        self.receiver = CollectingReceiver()
        self._requests = 0
        self._is_over = False

    def __enter__(self) -> HandWorker:
        name = self.settings.journal.journal_dir or recovery.JOURNAL_DIRECTORY
        where = Directories(self.data, self.data / name)
        if not self.data.exists():
            offline.init(Disk(), self.clock, where.data, where.journal)
        worker = _Worker(self.settings, where, self.disk, self.clock, None, lambda line: None)
        worker.begin()
        try:
            worker.start.agree_on_rules()
            worker.wire_stages()
        except BaseException:
            worker.journal.close(clean=False)
            raise
        self.worker = worker
        self.pipeline = worker.pipeline
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            self.crash()
        elif not self._is_over:
            self.stop()

    @property
    def engine(self) -> Engine:
        return self.worker.engine

    @property
    def state_hash(self) -> bytes:
        return recovery.state_hash(self.worker.engine, self.worker.position)

    def hold(self, command: int, params: Any, ext: bytes = b"") -> None:
        """Gives the pipeline a request; `turn` answers it."""
        self._requests += 1
        body = params if isinstance(params, bytes) else json.dumps(params).encode()
        packet = Packet(command, KIND_REQUEST, 0, self._requests, self._requests, ext, body)
        self.pipeline.receive(self.receiver, [packet])

    def turn(self) -> list[dict[str, Any]]:
        """One turn; the decoded replies in their order."""
        self.pipeline.turn()
        return [json.loads(body) for body in self.receiver.take()]

    def ask(self, command: int, params: Any, ext: bytes = b"") -> dict[str, Any]:
        """A turn with one request; its decoded reply."""
        self.hold(command, params, ext)
        (reply,) = self.turn()
        return reply

    def done(self, command: int, params: Any, ext: bytes = b"") -> Any:
        """As `ask`, for a request that must succeed: its result."""
        reply = self.ask(command, params, ext)
        assert reply["error"] is None, (command, params, reply)
        return reply["result"]

    def refused(self, command: int, params: Any, ext: bytes = b"") -> int:
        """As `ask`, for a request that must be refused: the code."""
        reply = self.ask(command, params, ext)
        assert reply["error"] is not None, (command, params, reply)
        code: int = reply["error"]["code"]
        return code

    def prepare_segments(self) -> None:
        """What the helper process does, and the worker's look at it once a second."""
        worker = self.worker
        offline.prepare(Disk(), worker.where.journal, self.settings.journal.segment_size_bytes)
        worker.journal.take_prepared()

    def check_laws(self) -> None:
        broken = broken_laws(self.engine)
        assert not broken, broken

    def crash(self) -> None:
        """The process dies: what is open is closed, nothing is written."""
        self._is_over = True
        self.worker.journal.close(clean=False)
        self.worker.loop.close()

    def stop(self) -> None:
        """An orderly stop: slice, clean end of the journal."""
        self._is_over = True
        self.worker.finish()
        self.worker.loop.close()


def audit(data: Path) -> offline.Audit:
    """A sound, full replay of a data directory that is not in use. Raises: AssertionError."""
    found = offline.audit(Disk(), data, data / recovery.JOURNAL_DIRECTORY)
    assert found.is_sound, found
    return found
