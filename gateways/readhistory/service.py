"""The door of readhistory: packets in, queries to the threads, replies to whoever asked.

    packet -> parameters (loop) -> Question -> pool: store, text (thread) -> reply (loop), in any order
                  |  error 1                |  queue full: error 3

A question carries its own way back, so a reply goes to the sender of that request and to nobody else. A
question whose connection is gone meanwhile is not asked. It owns the counts and what is known of the store;
what a query means is the business of `parameters`, `store` and `replies`.

Source: protocol.md 7.1, 1.5; 12.4 (faults of the C system that are not here).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

from gateways.readhistory import parameters
from gateways.readhistory.parameters import Query
from gateways.readhistory.replies import Replies
from gateways.readhistory.store import NOTHING, AsOf, HistoryStore, QueryTooLong, StoreFailed, StoreNotThere
from vxnet.clock import OncePer
from vxnet.datagram import Endpoint, Sender
from vxnet.errors import PeerError
from vxnet.job import JobDropped, JobPool
from vxnet.session import Session
from vxutils.metrics import Buckets
from vxutils.protocol.codes import INTERNAL_ERROR, SERVICE_UNAVAILABLE, ErrorCode
from vxutils.rpc.bodies import MalformedBody
from vxutils.rpc.packet import Packet, encode_reply

QUEUE_PER_WORKER: Final = 10
"""Waiting queries per thread; Source: protocol.md 7.1."""

LOG_PERIOD_S: Final = 1.0
STILL_PERIOD_S: Final = 60.0  # the alarm that history can not be read, while it goes on
"""A flood of equal troubles costs one log line in this time."""

MALFORMED_BYTES_SHOWN: Final = 200

NOT_THERE: Final = ErrorCode(
    INTERNAL_ERROR.code, INTERNAL_ERROR.message, "history_not_there", "", "nothing is recorded yet; try later"
)
FAILED: Final = ErrorCode(
    INTERNAL_ERROR.code, INTERNAL_ERROR.message, "history_unreadable", "", "an operator has been told"
)
TOO_LONG: Final = ErrorCode(
    INTERNAL_ERROR.code, INTERNAL_ERROR.message, "query_too_long", "", "a shorter time or a smaller offset"
)
QUEUE_FULL: Final = ErrorCode(
    SERVICE_UNAVAILABLE.code, SERVICE_UNAVAILABLE.message, "queue_full", "", "try again a little later"
)

_log = logging.getLogger("vx.readhistory")


class Question:
    """One query on its way through a thread; without a packet it asks for the position, for ourselves."""

    __slots__ = ("asked_s", "endpoint", "packet", "query", "sender", "session")

    def __init__(self, packet: Packet | None, query: Query | None, asked_s: float) -> None:
        self.packet = packet
        self.query = query
        self.asked_s = asked_s
        self.session: Session | None = None
        self.endpoint: Endpoint | None = None
        self.sender: Sender = None

    @property
    def is_wanted(self) -> bool:
        """Whether anybody still waits for the answer. Read from a thread: a flag that falls once."""
        return self.session is None or self.session.is_open

    def send(self, body: bytes) -> None:
        """The reply, to whoever asked."""
        assert self.packet is not None
        reply = encode_reply(self.packet, body)
        if self.endpoint is not None:
            self.endpoint.send_to(reply, self.sender)
        elif self.session is not None:
            self.session.send(reply)


Answer = bytes | AsOf | None


class Counts:
    """What has happened since the start, as plain integers; read by the metrics."""

    def __init__(self) -> None:
        self.requests: Counter[int] = Counter()  # per command
        self.errors: Counter[int] = Counter()  # per error code
        self.unknown_commands = 0
        self.unwanted = 0
        self.latency = Buckets()


class HistoryService:
    """Serves packets of an `RpcServer`; asks stores made by `open_store` in `worker_num` threads.

    Wanted sessions and endpoints belong to the server; the pool and its stores are owned here.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        open_store: Callable[[], HistoryStore],
        replies: Replies,
        worker_num: int,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.counts = Counts()
        self.as_of = NOTHING
        self.trouble: str | None = "history has not been looked at yet"
        """Why the store could not be read the last time; None when it could."""
        self._replies = replies
        self._monotonic = monotonic
        self._pool: JobPool[HistoryStore, Question, Answer] = JobPool(
            loop,
            worker_num,
            open_store,
            self._ask,
            self._finish,
            lambda store: store.close(),
            QUEUE_PER_WORKER * worker_num,
            "history",
        )
        self._unknown_log = OncePer(LOG_PERIOD_S)
        self._trouble_log = OncePer(LOG_PERIOD_S)
        self._still_log = OncePer(STILL_PERIOD_S)
        self._is_alarmed = False
        self._too_long_log = OncePer(LOG_PERIOD_S)
        self._is_looking = False

    @property
    def pending(self) -> int:
        """Questions that wait or are being asked."""
        return self._pool.pending

    def start(self) -> None:
        """Starts the threads. The store need not be there."""
        self._pool.start()
        self.look()

    def stop(self, deadline_s: float) -> None:
        """Answers what was asked, as far as `deadline_s` allows, and ends the threads."""
        self._pool.stop(drain=True, deadline_s=deadline_s)

    def look(self) -> None:
        """Finds out how far the store has come; to be called now and then."""
        if not self._is_looking:
            self._is_looking = self._pool.submit(Question(None, None, self._monotonic()))

    # What the RPC server calls.

    def opened(self, session: Session) -> None:
        """Nothing is kept for a session."""

    def closed(self, session: Session, reason: str) -> None:
        """Its questions find out by themselves."""

    def packets(self, session: Session, packets: list[Packet]) -> None:
        """Raises: PeerError for a malformed body."""
        for packet in packets:
            question = Question(packet, None, self._monotonic())
            question.session = session
            self._take(question, packet, session.peer)

    def datagram(self, endpoint: Endpoint, sender: Sender, packet: Packet) -> None:
        """Raises: PeerError for a malformed body; nobody is closed for it."""
        question = Question(packet, None, self._monotonic())
        question.endpoint, question.sender = endpoint, sender
        self._take(question, packet, f"datagram from {sender!r}")

    def _take(self, question: Question, packet: Packet, peer: str) -> None:
        try:
            found = parameters.read(packet.command, packet.body)
        except MalformedBody as error:
            text = packet.body[:MALFORMED_BYTES_SHOWN]
            raise PeerError(f"command {packet.command}: malformed body: {error}: {text!r}") from None
        if found is None:
            self.counts.unknown_commands += 1
            if self._unknown_log.allows(self._monotonic()):
                _log.error("peer: %s: unknown command %d", peer, packet.command)
            return
        self.counts.requests[packet.command] += 1
        if isinstance(found, ErrorCode):
            self._refuse(question, found)
            return
        question.query = found
        if not self._pool.submit(question):
            self._refuse(question, QUEUE_FULL)

    def _refuse(self, question: Question, error: ErrorCode) -> None:
        assert question.packet is not None
        self.counts.errors[error.code] += 1
        question.send(self._replies.error(error, question.packet.request_id))

    # In a thread of the pool, and back on the loop.

    def _ask(self, store: HistoryStore, question: Question) -> Answer:
        if question.packet is None or question.query is None:
            return store.position()
        if not question.is_wanted:
            return None
        return self._replies.answer(store, question.query, question.packet.request_id)

    def _finish(self, question: Question, outcome: Answer | Exception) -> None:
        if question.packet is None:
            self._is_looking = False
        if isinstance(outcome, JobDropped):
            return
        if isinstance(outcome, Exception):
            error = self._note(outcome)
            if question.packet is not None:
                self._refuse(question, error)
            return
        if isinstance(outcome, AsOf):
            self._note_well(outcome)
        elif outcome is None:
            self.counts.unwanted += 1
        else:
            self.counts.latency.observe(self._monotonic() - question.asked_s)
            question.send(outcome)

    def _note_well(self, as_of: AsOf) -> None:
        if self._is_alarmed:
            self._is_alarmed = False
            _log.critical("history can be read again, up to sequence %d", as_of.sequence)
        elif self.trouble is not None:
            _log.info("history is there, up to sequence %d", as_of.sequence)
        self.trouble, self.as_of = None, as_of

    def _is_alarm_due(self, now_s: float) -> bool:
        """When it begins, and again while it lasts."""
        period = self._still_log if self._is_alarmed else self._trouble_log
        if not period.allows(now_s):
            return False
        if not self._is_alarmed:
            self._is_alarmed = True
            self._still_log = OncePer(STILL_PERIOD_S)
            self._still_log.allows(now_s)
        return True

    def _note(self, error: Exception) -> ErrorCode:
        """Logs a failed query as far as it is news; what the client is told."""
        if isinstance(error, QueryTooLong):
            if self._too_long_log.allows(self._monotonic()):
                _log.error("a query was %s", error)
            return TOO_LONG
        if isinstance(error, StoreNotThere):
            if self.trouble != str(error):
                _log.warning("%s; queries get error 2 until it is", error)
            self.trouble = str(error)
            return NOT_THERE
        is_known = isinstance(error, StoreFailed)
        self.trouble = str(error) if is_known else repr(error)
        if self._is_alarm_due(self._monotonic()):
            _log.critical("a query failed: %s", self.trouble, exc_info=None if is_known else error)
        return FAILED
