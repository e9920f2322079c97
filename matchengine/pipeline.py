"""One turn of the engine, from requests to released replies.

    packets of all ready sockets, in arrival order
      1 stamp     one time for the turn
      2 decode    body -> parameters -> command or query
      3 apply     the engine decides; an accepted command gets its sequence and joins the frame
      4 hold      the reply waits in the outbox, whatever it says
      5 commit    one frame, one sync
      6 release   one joined send per session

*Every* reply is held until everything applied before it is durable: a refusal decided from an unsynced
credit would be a lie after a crash. Commit is inline, because a thread beside a busy interpreter waits
milliseconds for it (measured; see docs/decisions). If the journal fails, nothing is released and the
process ends. The pipeline owns the turn; sockets, journal and engine belong to others.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from matchengine import params as bodies
from matchengine.core.commands import Command, ShiftAge
from matchengine.core.engine import Engine
from matchengine.core.refusals import INVALID_ARGUMENT, SERVICE_UNAVAILABLE, Refusal
from matchengine.core.views import Views
from matchengine.outbox import Outbox, Receiver
from matchengine.replies import ReplyFormat
from matchengine.requests import Requests
from matchengine.sequencer import Journal, Sequencer
from matchengine.timekeeper import Timekeeper
from vxnet.clock import Clock, OncePer
from vxutils.rpc.packet import Packet, encode_reply

INBOX_BYTES_MAX = 16 << 20  # a turn begins at once when this much waits; nothing is dropped
KEY_CHARACTERS_MAX = 36  # of an idempotency key
RECORD_OVERHEAD_BYTES_MAX = 6 << 10  # of a journal record beside the request's own bytes
REPLY_BYTES_MAX = 256 << 10  # of one peer in one turn, about; more waits for the next turn
MALFORMED_BYTES_SHOWN = 200  # of a malformed body, in the log
UNKNOWN_LOG_PERIOD_S = 1.0  # a flood of unknown commands costs one log line in this time
CANCEL = 204
DEPTH = 206
CACHE_ENTRIES_MAX = 1000  # cached depth replies; all are dropped when one more would come

# What waits in the inbox: requests, a ready-made reply, or the reason why the peer is to be dropped.
Entry = list[Packet] | bytes | str

_log = logging.getLogger("vx.matchengine.pipeline")


class Gate(Protocol):
    """Says whether commands that need disk space later are taken now."""

    def is_open(self) -> bool: ...


class Pipeline:
    """Executes turns. `schedule(callback)` has a turn run after all ready sockets were read.

    `durability`: see settings; with `group` each turn ends with a sync, otherwise the owner syncs.
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
        self._sync_each_turn = sync_each_turn
        self._cache_timeout_us = cache_timeout_us
        self._cache: dict[bytes, tuple[int, str]] = {}
        self._inbox: list[tuple[Receiver, Entry]] = []
        self._late: list[Receiver] = []
        self._inbox_bytes = 0
        self._outbox = Outbox()
        self._is_scheduled = False
        self._time_us = timekeeper.time_us
        self._is_open = True
        self._pending_bytes_max = 0
        self.longest_turn_us = 0
        self.turns = 0
        self.requests_seen = 0
        self.requests_refused_unavailable = 0
        self.unknown_commands = 0
        self._unknown_log = OncePer(UNKNOWN_LOG_PERIOD_S)

    def receive(self, receiver: Receiver, packets: list[Packet]) -> None:
        """Takes requests of one peer; their turn comes when all ready sockets were read."""
        for packet in packets:
            self._inbox_bytes += len(packet.body) + 64
        self._enter(receiver, packets)
        if self._inbox_bytes > INBOX_BYTES_MAX:
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
        begun_us = self._clock.monotonic_us()
        self.keep_time()
        self._measure_room()
        late: dict[Receiver, list[Entry]] = {}
        for receiver, entry in inbox:
            if receiver.is_faulty:
                continue
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
        self._outbox.release()
        if late or self._late:
            self._postpone(late)
        self.turns += 1
        took_us = self._clock.monotonic_us() - begun_us
        if took_us > self.longest_turn_us:
            self.longest_turn_us = took_us

    def _execute(self, receiver: Receiver, packets: list[Packet]) -> list[Packet]:
        """Executes requests of one peer; returns those for which it has to wait."""
        self.requests_seen += len(packets)
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
                self.requests_seen -= len(rest)
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

    def commit(self) -> None:
        """Writes what is pending as one frame and, with durability `group`, makes it durable."""
        if self._sequencer.write() and self._sync_each_turn:
            self._journal.sync()

    def _measure_room(self) -> None:
        """How far the pending bytes may grow before `_make_room` must look again."""
        self._is_open = self._gate.is_open()
        sequencer = self._sequencer
        size = min(sequencer.record_bytes_max, sequencer.room) - RECORD_OVERHEAD_BYTES_MAX
        self._pending_bytes_max = sequencer.pending_bytes + size

    # -- one request ---------------------------------------------------------------------------

    def _operate(self, packet: Packet, make: Callable[[list[object], int, str], Command | None]) -> bytes:
        """Executes a command that changes state; the reply body. Raises: MalformedBody."""
        body = packet.body
        sequencer = self._sequencer
        if (not self._is_open and packet.command != CANCEL) or (
            sequencer.pending_bytes + len(body) > self._pending_bytes_max and not self._make_room(len(body))
        ):
            self.requests_refused_unavailable += 1
            return self._replies.error(SERVICE_UNAVAILABLE, packet.request_id)
        parameters = bodies.decode(body)
        key = _key(packet.ext) if packet.ext else ""
        command = make(parameters, self._time_us, key) if key is not None else None
        if command is None:
            bodies.refuse_wide_integers(parameters)
            return self._replies.error(INVALID_ARGUMENT, packet.request_id)
        result = self._engine.apply(command)
        if type(result) is Refusal:
            return self._replies.error(result, packet.request_id)
        outcome = self._engine.outcome
        if outcome:
            sequencer.accept(command, outcome, body)
        # Rendered at once: the order is the live object, the next command may change it.
        text = self._views.success if result is None else self._views.order(result)  # type: ignore[arg-type]
        return self._replies.success(text, packet.request_id)

    def _make_room(self, body_bytes: int) -> bool:
        """Begins another frame; False if the journal can not surely take the record even then."""
        self.commit()
        self._measure_room()
        return self._sequencer.pending_bytes + body_bytes <= self._pending_bytes_max

    def _inquire(self, packet: Packet, receiver: Receiver) -> bytes | None:
        """The reply body of a query, None for a command that nobody knows. Raises: MalformedBody."""
        query = self._requests.queries.get(packet.command)
        if query is None:
            self.unknown_commands += 1
            if self._unknown_log.allows(self._clock.monotonic_us() / 1_000_000):
                _log.error("peer: %s: unknown command %d", receiver.peer, packet.command)
            return None
        return self._query(packet, bodies.decode(packet.body), query)

    def _query(
        self, packet: Packet, parameters: list[object], query: Callable[[list[object]], str | None]
    ) -> bytes:
        cacheable = packet.command == DEPTH and self._cache_timeout_us > 0
        if cacheable:
            known = self._cache.get(packet.body)
            if known is not None and self._time_us - known[0] <= self._cache_timeout_us:
                return self._replies.success(known[1], packet.request_id)
        text = query(parameters)
        if text is None:
            bodies.refuse_wide_integers(parameters)
            return self._replies.error(INVALID_ARGUMENT, packet.request_id)
        if cacheable:
            if len(self._cache) >= CACHE_ENTRIES_MAX:
                self._cache.clear()
            self._cache[packet.body] = (self._time_us, text)
        return self._replies.success(text, packet.request_id)


def _key(ext: bytes) -> str | None:
    """The idempotency key in a packet's ext: 1 to 36 printable ASCII characters, None if it is not."""
    if len(ext) > KEY_CHARACTERS_MAX:
        return None
    key = ext.decode("latin-1")
    return key if key.isascii() and key.isprintable() else None
