"""One turn of the engine, from requests to released replies.

    packets of all ready sockets, in arrival order
      1 stamp     one time for the turn
      2 decode    body -> parameters -> command or query
      3 apply     the engine decides; an accepted command gets its sequence and joins the frame
      4 hold      the reply waits in the outbox, whatever it says
      5 commit    one frame, one sync
      6 publish   the books that were touched, into shared memory
      7 release   one joined send per session

*Every* reply is held until everything applied before it is durable: a refusal decided from an unsynced
credit would be a lie after a crash. Commit is inline, because a thread beside a busy interpreter waits
milliseconds for it (measured; see docs/decisions). If the journal fails, nothing is released and the
process ends. The pipeline owns the turn; sockets, journal and engine belong to others.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Protocol

from matchengine import problems
from matchengine.core.commands import Command, Mark, ShiftAge
from matchengine.core.engine import Engine
from matchengine.core.refusals import Refusal
from matchengine.core.views import Views
from matchengine.outbox import Outbox, Receiver
from matchengine.requests import Requests
from matchengine.sequencer import Journal, Sequencer
from matchengine.timekeeper import Timekeeper
from vxnet.clock import Clock, OncePer
from vxutils.metrics import Buckets
from vxutils.protocol.codes import SPACE_LOW, WAITED_TOO_LONG
from vxutils.rpc import bodies
from vxutils.rpc.packet import Packet, encode_reply
from vxutils.rpc.replies import ReplyFormat

INBOX_BYTES_MAX = 16 << 20  # a turn begins at once when this much waits; nothing is dropped
KEY_CHARACTERS_MAX = 36  # of an idempotency key
RECORD_OVERHEAD_BYTES_MAX = 6 << 10  # of a journal record beside the request's own bytes
NEVER_US = 2**62
STALL_PASSES_MAX = 64  # reads of all ready sockets (256 each) after a stall
REPLY_BYTES_MAX = 256 << 10  # of one peer in one turn, about; more waits for the next turn
MALFORMED_BYTES_SHOWN = 200  # of a malformed body, in the log
UNKNOWN_LOG_PERIOD_S = 1.0  # a flood of unknown commands costs one log line in this time
CANCEL = 204
DEPTH = 206
SHOW_THEIR_SEQUENCE = frozenset({101, 203, DEPTH})  # queries that a client joins with a stream of changes
BATCH_BOUNDS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)  # records per frame, for the metrics
CACHE_ENTRIES_MAX = 1000  # cached depth replies; all are dropped when one more would come

# What waits in the inbox: requests, a ready-made reply, or the reason why the peer is to be dropped.
Entry = list[Packet] | bytes | str

_log = logging.getLogger("vx.matchengine.pipeline")


class Counts:
    """What has happened since the start, as plain integers; read by console and metrics."""

    def __init__(self) -> None:
        self.turn_s = Buckets()
        self.sync_s = Buckets()
        self.batch_records = Buckets(BATCH_BOUNDS)
        self.longest_turn_us = 0
        self.requests = 0
        self.unknown_commands = 0
        self.succeeded: defaultdict[int, int] = defaultdict(int)  # per command
        self.refused: dict[tuple[int, int], int] = {}  # per command and error code


class Gate(Protocol):
    """Says whether commands that need disk space later are taken now."""

    def is_open(self) -> bool: ...


class Pipeline:
    """Executes turns. `schedule(callback)` has a turn run after all ready sockets were read.

    `sync_each_turn`: each turn ends with a sync; otherwise the owner syncs. `queue_age_max_us`: after a
    longer turn, commands that arrived during it are refused; `read_ready` reads them and tells how many
    sockets were ready. `cache_timeout_us`: how long a depth reply is repeated, 0 = never. `publish` gets the
    markets whose books a turn touched, after the commit and before any reply.
    """

    def __init__(
        self,
        engine: Engine,
        views: Views,
        requests: Requests,
        sequencer: Sequencer,
        journal: Journal,
        timekeeper: Timekeeper,
        replies: ReplyFormat,
        gate: Gate,
        clock: Clock,
        schedule: Callable[[Callable[[], None]], object],
        *,
        sync_each_turn: bool,
        cache_timeout_us: int,
        queue_age_max_us: int = NEVER_US,
        read_ready: Callable[[], int] = lambda: 0,
        publish: Callable[[Iterable[str]], None] = lambda markets: None,
    ) -> None:
        self._engine = engine
        self._views = views
        self._requests = requests
        self._sequencer = sequencer
        self._journal = journal
        self._timekeeper = timekeeper
        self._replies = replies
        self._gate = gate
        self._clock = clock
        self._schedule = schedule
        self._read_ready = read_ready
        self._publish = publish
        self._touched: set[str] = set()  # markets, in this turn
        self._queue_age_max_us = queue_age_max_us
        self._sync_each_turn = sync_each_turn
        self._cache_timeout_us = cache_timeout_us
        self._cache: dict[bytes, tuple[int, str, int]] = {}
        self._inbox: list[tuple[Receiver, Entry]] = []
        self._late: list[Receiver] = []
        self._inbox_bytes = 0
        self._outbox = Outbox()
        self._is_scheduled = False
        self._time_us = timekeeper.time_us
        self._marked = sequencer.position.sequence  # of the last mark, or where this run began
        self._is_open = True
        self._is_reading = False
        self._is_stale = False
        self._stale_entries = 0
        self._pending_bytes_max = 0
        self.counts = Counts()
        self._unknown_log = OncePer(UNKNOWN_LOG_PERIOD_S)

    def receive(self, receiver: Receiver, packets: list[Packet]) -> None:
        """Takes requests of one peer; their turn comes when all ready sockets were read."""
        for packet in packets:
            self._inbox_bytes += len(packet.body) + 64
        self._enter(receiver, packets)
        if self._inbox_bytes > INBOX_BYTES_MAX and not self._is_reading:
            self.turn()

    def pass_on(self, receiver: Receiver, reply: bytes) -> None:
        """Takes a ready-made reply that must not overtake those to earlier requests."""
        self._enter(receiver, reply)

    def refuse(self, receiver: Receiver, reason: str) -> None:
        """Has a peer that broke a rule dropped once the replies to its earlier requests are sent."""
        self._enter(receiver, reason)

    def _enter(self, receiver: Receiver, entry: Entry) -> None:
        self._inbox.append((receiver, entry))
        if not self._is_scheduled:
            self._is_scheduled = True
            self._schedule(self.turn)

    def turn(self) -> None:
        """Executes what was received. Raises: JournalIOError, NoSpace: the process must end.

        A peer whose replies of this turn reach REPLY_BYTES_MAX waits for the next one with the rest, and
        is not read meanwhile, so that nobody's flood makes others wait or fills our memory.
        """
        self._is_scheduled = False
        inbox, self._inbox, self._inbox_bytes = self._inbox, [], 0
        stale, self._stale_entries = self._stale_entries, 0
        begun_us = self._clock.monotonic_us()
        self.keep_time()
        self._measure_room()
        late: dict[Receiver, list[Entry]] = {}
        for index, (receiver, entry) in enumerate(inbox):
            if receiver.is_faulty:
                continue
            self._is_stale = index < stale
            if late and receiver in late:
                late[receiver].append(entry)
            elif isinstance(entry, list):
                rest = self._execute(receiver, entry)
                if rest:
                    late[receiver] = [rest]
            elif isinstance(entry, bytes):
                self._outbox.hold(receiver, entry)
            else:
                receiver.fault(entry)
                self._outbox.include(receiver)
        self.commit()
        if self._touched:
            self._publish(self._touched)
            self._touched.clear()
        took_us = self._clock.monotonic_us() - begun_us
        if took_us > self._queue_age_max_us:
            self.outdate_waiting()
        self._outbox.release()
        if late or self._late:
            self._postpone(late)
        counts = self.counts
        counts.turn_s.observe(took_us / 1_000_000)
        if took_us > counts.longest_turn_us:
            counts.longest_turn_us = took_us

    def outdate_waiting(self) -> None:
        """Declares everything that has arrived so far to have waited too long.

        To be called after a stall, before anybody gets an answer: what is in the sockets then arrived
        while nobody was served, and a command in it is refused, not executed late. Queries are answered.
        """
        self._is_reading = True
        for _ in range(STALL_PASSES_MAX):
            if not self._read_ready():
                break
        self._is_reading = False
        self._stale_entries = len(self._inbox)

    def _execute(self, receiver: Receiver, packets: list[Packet]) -> list[Packet]:
        """Executes requests of one peer; returns those for which it has to wait."""
        counts = self.counts
        counts.requests += len(packets)
        hold = self._outbox.hold
        operations = self._requests.operations
        size = 0
        for index, packet in enumerate(packets):
            try:
                make = operations.get(packet.command)
                body = self._inquire(packet, receiver) if make is None else self._operate(packet, make)
            except bodies.MalformedBody as error:
                text = packet.body[:MALFORMED_BYTES_SHOWN]
                receiver.fault(f"command {packet.command}: malformed body: {error}: {text!r}")
                self._outbox.include(receiver)
                return []
            if body is None:
                continue
            hold(receiver, encode_reply(packet, body))
            size += len(body)
            if size > REPLY_BYTES_MAX:
                rest = packets[index + 1 :]
                counts.requests -= len(rest)
                return rest
        return []

    def _postpone(self, late: dict[Receiver, list[Entry]]) -> None:
        """Puts what has to wait at the head of the next turn."""
        for receiver in self._late:
            if receiver not in late:
                receiver.go_on()
        for receiver, entries in late.items():
            receiver.wait()
            for entry in entries:
                self._enter(receiver, entry)
        self._late = list(late)

    def keep_time(self) -> None:
        """Stamps what follows; journals a change of age when the clock was set."""
        self._time_us = self._timekeeper.sample()
        offset_us = self._timekeeper.wanted_offset_us()
        if offset_us is not None and self._sequencer.room > RECORD_OVERHEAD_BYTES_MAX:
            command = ShiftAge(self._time_us, offset_us)
            self._engine.apply(command)
            self._sequencer.accept(command, self._engine.outcome, b"")
            self._timekeeper.offset_us = offset_us

    def mark(self) -> None:
        """Journals a mark unless nothing came since the last one; its sequence is no operation's.

        Whoever replays the journal proves at it that his state is ours.
        """
        if self._sequencer.position.sequence == self._marked:
            return
        if self._sequencer.room > RECORD_OVERHEAD_BYTES_MAX:
            command = Mark(self._time_us)
            self._engine.apply(command)
            self._sequencer.accept(command, self._engine.outcome, b"")
            self._marked = self._sequencer.position.sequence

    def commit(self) -> None:
        """Writes what is pending as one frame and, with durability `group`, makes it durable."""
        records = self._sequencer.write()
        if not records:
            return
        counts = self.counts
        counts.batch_records.observe(records)
        if self._sync_each_turn:
            begun_us = self._clock.monotonic_us()
            self._journal.sync()
            counts.sync_s.observe((self._clock.monotonic_us() - begun_us) / 1_000_000)

    def _measure_room(self) -> None:
        """How far the pending bytes may grow before `_make_room` must look again."""
        self._is_open = self._gate.is_open()
        sequencer = self._sequencer
        size = min(sequencer.record_bytes_max, sequencer.room) - RECORD_OVERHEAD_BYTES_MAX
        self._pending_bytes_max = sequencer.pending_bytes + size

    # -- one request ---------------------------------------------------------------------------

    def _operate(self, packet: Packet, make: Callable[[list[object], int, str], Command | Refusal]) -> bytes:
        """Executes a command that changes state; the reply body. Raises: MalformedBody."""
        body = packet.body
        sequencer = self._sequencer
        if self._is_stale:
            return self._refuse(packet, WAITED_TOO_LONG)
        if (not self._is_open and packet.command != CANCEL) or (
            sequencer.pending_bytes + len(body) > self._pending_bytes_max and not self._make_room(len(body))
        ):
            return self._refuse(packet, SPACE_LOW)
        parameters = bodies.decode(body)
        key = _key(packet.ext) if packet.ext else ""
        command = make(parameters, self._time_us, key) if key is not None else problems.KEY
        if type(command) is Refusal:
            bodies.refuse_wide_integers(parameters)
            return self._refuse(packet, command)
        result = self._engine.apply(command)  # type: ignore[arg-type]
        if type(result) is Refusal:
            return self._refuse(packet, result)
        outcome = self._engine.outcome
        if outcome:
            sequencer.accept(command, outcome, body)  # type: ignore[arg-type]
            if result is not None:
                self._touched.add(result.market)  # type: ignore[union-attr]
        self.counts.succeeded[packet.command] += 1
        # Rendered at once: the order is the live object, the next command may change it.
        text = self._views.success if result is None else self._views.order(result)  # type: ignore[arg-type]
        return self._replies.success(text, packet.request_id)

    def _refuse(self, packet: Packet, refusal: Refusal) -> bytes:
        """The reply body of a refusal, counted by command and code."""
        refused = self.counts.refused
        name = (packet.command, refusal.code)
        refused[name] = refused.get(name, 0) + 1
        return self._replies.error(refusal, packet.request_id)

    def _make_room(self, body_bytes: int) -> bool:
        """Begins another frame; False if the journal can not surely take the record even then."""
        self.commit()
        self._measure_room()
        return self._sequencer.pending_bytes + body_bytes <= self._pending_bytes_max

    def _inquire(self, packet: Packet, receiver: Receiver) -> bytes | None:
        """The reply body of a query, None for a command that nobody knows. Raises: MalformedBody."""
        query = self._requests.queries.get(packet.command)
        if query is None:
            self.counts.unknown_commands += 1
            if self._unknown_log.allows(self._clock.monotonic_us() / 1_000_000):
                _log.error("peer: %s: unknown command %d", receiver.peer, packet.command)
            return None
        return self._query(packet, bodies.decode(packet.body), query)

    def _query(
        self, packet: Packet, parameters: list[object], query: Callable[[list[object]], str | Refusal]
    ) -> bytes:
        cacheable = packet.command == DEPTH and self._cache_timeout_us > 0
        if cacheable:
            known = self._cache.get(packet.body)
            if known is not None and self._time_us - known[0] <= self._cache_timeout_us:
                return self._replies.success(known[1], packet.request_id, known[2])
        text = query(parameters)
        if type(text) is Refusal:
            bodies.refuse_wide_integers(parameters)
            return self._refuse(packet, text)
        self.counts.succeeded[packet.command] += 1
        # All of it is durable when the reply leaves.
        sequence = self._sequencer.position.sequence
        if cacheable:
            if len(self._cache) >= CACHE_ENTRIES_MAX:
                self._cache.clear()
            self._cache[packet.body] = (self._time_us, text, sequence)  # type: ignore[assignment]
        shown = sequence if packet.command in SHOW_THEIR_SEQUENCE else None
        return self._replies.success(text, packet.request_id, shown)  # type: ignore[arg-type]


def _key(ext: bytes) -> str | None:
    """The idempotency key in a packet's ext: 1 to 36 printable ASCII characters, None if it is not."""
    if len(ext) > KEY_CHARACTERS_MAX:
        return None
    key = ext.decode("latin-1")
    return key if key.isascii() and key.isprintable() else None
