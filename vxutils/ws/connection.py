"""One client: a handshake, then messages both ways, then a close handshake, all within its limits.

    HANDSHAKE --101--> OPEN --close()--> CLOSING --their close frame--.
        |                |--their close frame, their fault------------+--> FINISHING --> (gone)
        `--error---------------------------------------------------->-'

    OPEN       messages to the service, frames of the service out
    CLOSING    our close frame is on its way; only their close frame counts now
    FINISHING  nothing is read any more; what is queued leaves, then our end of the socket is shut

The `reader` turns what the client sends into messages, and answers its pings and close frames; what the
service sends goes past it, since a shared frame is bytes already. A client that reads too slowly still gets
what is queued, and the close frame 1013 behind it, if it takes them within `close_timeout_s`. Owns the
reader and the phase; the socket is the session's.

Source: RFC 6455 5-7; protocol 9.2.
"""

from __future__ import annotations

import enum
import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from websockets.frames import Close, CloseCode, Opcode
from websockets.frames import Frame as ClientFrame

from vxutils.http.messages import HttpFault, Request
from vxutils.http.session import HttpSession
from vxutils.ws.deadlines import NO_SLOT
from vxutils.ws.frames import Frame
from vxutils.ws.handshake import Accepted, Refused, joined, read_request, split_head
from vxutils.ws.reader import FrameReader
from vxutils.ws.shared import Shared

PIECE_BYTES: Final = 4096
"""The protocol reads this much at a time: at most 682 frames, 2-3 ms, before limits are looked at."""

TURN_FRAMES_MAX: Final = 256
"""Frames of one connection after which the others have their turn."""

REASON_BYTES_MAX: Final = 123
"""A control frame has 125 bytes, 2 of them are the code. Source: RFC 6455 5.5."""

PINGS_UNANSWERED_MAX: Final = 2

_CONTROL: Final = (Opcode.PING, Opcode.PONG)
_PEER_FAULTS: Final = frozenset((1002, 1003, 1007, 1008, 1009, 1013))

_log = logging.getLogger("vx.ws")
_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


class Phase(enum.Enum):
    """Where the conversation stands."""

    HANDSHAKE = "handshake"
    OPEN = "open"
    CLOSING = "closing"
    FINISHING = "finishing"


class WsConnection:
    """Made when its session opens; `gone` when that closes."""

    __slots__ = (
        "_close_by",
        "_deflates",
        "_head",
        "_heard_at",
        "_input_ended",
        "_is_corked",
        "_partial_since",
        "_phase",
        "_reader",
        "_session",
        "_shared",
        "_told",
        "client",
        "headers",
        "path",
        "slot",
        "state",
    )

    def __init__(self, session: HttpSession, shared: Shared) -> None:
        self.state: object = None
        """Free for the service, which clears it in `closed` if it points back here."""
        self.client = session.peer
        """Address of the client as text: the peer, or whom the rules believe it speaks for."""
        self.headers: Mapping[str, str] = _NO_HEADERS
        """Of the handshake, names in lower case, repeats joined by `, `. Empty again after
        `WsService.opened`: an idle connection keeps no text."""
        self.path = ""
        """Path and query of the handshake, as received."""
        self.slot = NO_SLOT
        self._session = session
        self._shared = shared
        self._phase = Phase.HANDSHAKE
        self._reader: FrameReader | None = None
        self._deflates = False
        self._head = b""
        self._partial_since = math.inf
        self._heard_at = shared.loop.time()
        self._close_by = self._heard_at + shared.limits.handshake_timeout_s
        self._input_ended = False
        self._is_corked = False
        self._told = True  # until there is something to tell: the service hears of open connections only
        shared.deadlines.by(self, self._close_by)

    # ---- for the service

    @property
    def peer(self) -> str:
        """The other end of the connection as text."""
        return self._session.peer

    @property
    def is_open(self) -> bool:
        """Whether `send` does anything."""
        return self._phase is Phase.OPEN

    @property
    def pending_output(self) -> int:
        """Bytes that the client has not taken yet."""
        return self._session.pending_output

    def send(self, frames: Frame | Sequence[Frame]) -> None:
        """Send whole messages in one write; within `WsService.received`, in one with the others of that read.

        Nothing happens when the connection is not open. More than `output_bytes_max` unsent after this closes
        it with 1013.
        """
        if self._phase is not Phase.OPEN:
            return
        if type(frames) is Frame:
            self._session.hold(frames.deflated if self._deflates else frames.plain)
            self._shared.messages_sent += 1
        else:
            assert not isinstance(frames, Frame), "a frame has no kinds"
            if self._deflates:
                self._session.hold(b"".join([frame.deflated for frame in frames]))
            else:
                self._session.hold(b"".join([frame.plain for frame in frames]))
            self._shared.messages_sent += len(frames)
        if not self._is_corked:
            self._flush()

    def close(self, code: int, reason: str = "") -> None:
        """Begin the close handshake, behind what is queued. No further message is received or sent.

        A reason longer than a frame allows is cut. Repeated: the first one counts.
        """
        if self._phase is Phase.OPEN:
            assert self._reader is not None, "an open connection reads"
            self._phase = Phase.CLOSING
            self._ends(code, reason)
            if self._reader.is_open:
                self._reader.send_close(code, _cut(reason))
            if not self._is_corked:
                self._push()

    # ---- for the session

    def received(self, data: bytes) -> None:
        """Bytes from the client."""
        if self._phase is Phase.FINISHING:
            return
        self._heard_at = self._shared.loop.time()
        if self._phase is Phase.HANDSHAKE:
            data = self._shake_hands(data)
            if not data:
                return
        self._read_frames(data)

    def input_ended(self) -> None:
        """The client sends no more. What we have said already still goes out if it said goodbye first."""
        self._input_ended = True
        self._session.pause_reading()
        if self._phase is not Phase.FINISHING or not self._session.pending_output:
            self._session.close("closed by peer")

    def output_sent(self) -> None:
        """Nothing is waiting for the client any more."""
        if self._phase is Phase.FINISHING:
            self._shut()
        elif self._phase is Phase.OPEN:
            self._shared.service.drained(self)

    def gone(self, reason: str) -> None:
        """The session has closed."""
        self._ends(CloseCode.ABNORMAL_CLOSURE, reason)
        self._phase = Phase.FINISHING
        self._shared.deadlines.forget(self)
        if self._reader is not None:
            self._reader.end()

    # ---- for the server

    def look(self, now: float) -> float:
        """Do what is due; returns when to look again."""
        phase = self._phase
        if phase is Phase.OPEN:
            return self._look_at_silence(now)
        if now < self._close_by:
            return self._close_by
        if phase is not Phase.HANDSHAKE:
            self._session.close("close timeout")
            return math.inf
        self._refuse(Refused(408, "the handshake took too long"))
        return self._close_by

    def drain(self) -> None:
        """Say goodbye, because the server goes."""
        if self._phase is Phase.HANDSHAKE:
            self._session.close("server is going away")
        else:
            self.close(CloseCode.GOING_AWAY, "server is going away")

    # ---- handshake

    def _shake_hands(self, data: bytes) -> bytes:
        """Take what belongs to the handshake; returns the frames behind it."""
        shared = self._shared
        size_max = shared.limits.handshake_bytes_max
        self._head, head, frames = split_head(self._head, data)
        if max(len(head), len(self._head)) > size_max:
            self._refuse(Refused(431, f"the head is over {size_max} bytes"))
        elif head and shared.is_draining:
            self._refuse(Refused(503, "the server is going away"))
        elif head:
            try:
                request = read_request(head, self._session.peer)
            except HttpFault as fault:
                self._refuse(Refused(fault.status, fault.reason))
                return b""
            judged = shared.handshakes.judge(request)
            if isinstance(judged, Refused):
                self._refuse(judged)
            else:
                self._open(request, judged)
        return frames if self._phase is not Phase.HANDSHAKE else b""

    def _open(self, request: Request, accepted: Accepted) -> None:
        shared = self._shared
        self._session.hold(accepted.answer)
        self._reader = FrameReader(shared.limits, accepted.deflate)
        self._deflates = accepted.deflate is not None
        self._phase = Phase.OPEN
        self._told = False
        self.client = shared.rules.client_address(self._session.peer, request.headers)
        self.path = request.target
        self.headers = joined(request.headers)
        self._is_corked = True
        shared.service.opened(self)
        self._is_corked = False
        self.headers = _NO_HEADERS
        self._push()
        if self._phase is Phase.OPEN:
            shared.deadlines.by(self, self._look_at_silence(self._heard_at))

    def _refuse(self, refused: Refused) -> None:
        shared = self._shared
        shared.refusals[refused.status] = shared.refusals.get(refused.status, 0) + 1
        self._log_fault(f"handshake refused: {refused.status} {refused.sentence}")
        self._head = b""
        answer = shared.handshakes.error(refused)
        if not answer:
            self._session.close(refused.sentence)
            return
        self._session.hold(answer)
        self._finish()

    # ---- frames

    def _read_frames(self, data: bytes) -> None:
        """Read all of it, or as much as a turn allows; then the rest waits, and so does the client."""
        self._is_corked = True
        frames = 0
        position = 0
        while position < len(data) and self._phase is not Phase.FINISHING and frames < TURN_FRAMES_MAX:
            frames += self._read_piece(data[position : position + PIECE_BYTES])
            position += PIECE_BYTES
        self._is_corked = False
        self._push()
        if position < len(data) and self._phase is not Phase.FINISHING:
            self._session.pause_reading()
            self._shared.loop.call_soon(self._read_on, data[position:])

    def _read_on(self, data: bytes) -> None:
        if self._phase is not Phase.FINISHING:
            self._session.resume_reading()
            self._read_frames(data)

    def _read_piece(self, piece: bytes) -> int:
        reader = self._reader
        assert reader is not None, "frames come after the handshake"
        frames, answers = reader.read(piece)
        messages = self._shared.messages_received
        for frame in frames:
            if frame.opcode is Opcode.PING:
                self._session.hold(next(answers))  # in its place among the answers of the service
            self._take(reader, frame)
            if self._phase is Phase.FINISHING:
                return len(frames)
        close = reader.close_sent
        if reader.parser_exc is not None and close is not None:
            self._ends(close.code, close.reason)
        self._say(answers)
        if not reader.is_within_message:
            self._partial_since = math.inf
        elif self._partial_since == math.inf or messages != self._shared.messages_received:
            self._partial_since = self._heard_at
            self._shared.deadlines.by(self, self._heard_at + self._shared.limits.message_timeout_s)
        return len(frames)

    def _take(self, reader: FrameReader, frame: ClientFrame) -> None:
        if not reader.allows(self._heard_at):
            self._fail(CloseCode.POLICY_VIOLATION, "too many messages")
        elif frame.opcode is Opcode.CLOSE:
            close = reader.close_rcvd
            assert close is not None, "the protocol has read it"
            self._ends(close.code, close.reason)
        elif self._phase is Phase.OPEN and frame.opcode not in _CONTROL:
            try:
                message = reader.message(frame)
            except UnicodeDecodeError:
                self._fail(CloseCode.INVALID_DATA, "text is not UTF-8")
                return
            if message is not None:
                self._shared.messages_received += 1
                self._shared.service.received(self, message)

    # ---- time

    def _look_at_silence(self, now: float) -> float:
        limits = self._shared.limits
        message_by = self._partial_since + limits.message_timeout_s
        if now >= message_by:
            self._fail(CloseCode.POLICY_VIOLATION, "a message took too long")
            return self._close_by
        idle_at = self._heard_at + (limits.keep_alive_s or math.inf)
        if now >= idle_at:
            self.close(CloseCode.GOING_AWAY, "idle for too long")
            return self._close_by
        interval = limits.ping_interval_s
        if not interval:
            return min(message_by, idle_at)
        silent = now - self._heard_at
        if silent >= (1 + PINGS_UNANSWERED_MAX) * interval:
            self._session.close("no answer to pings")
            return math.inf
        ping_at = self._heard_at + interval
        if silent >= interval:
            assert self._reader is not None, "an open connection reads"
            self._reader.send_ping(b"")
            self._push()
            ping_at = now + interval
        return min(message_by, idle_at, ping_at)

    # ---- output

    def _push(self) -> None:
        """Send what the protocol wants to say, behind what the service has said."""
        if self._reader is not None:
            self._say(self._reader.data_to_send())
        if self._phase is not Phase.FINISHING:
            self._flush()

    def _say(self, answers: Iterable[bytes]) -> None:
        for data in answers:
            if data:
                self._session.hold(data)
            else:  # the protocol's word for the end
                self._finish()

    def _flush(self) -> None:
        session = self._session
        session.flush()
        pending = session.pending_output
        if pending:
            session.tells_when_sent = True
            if pending > self._shared.limits.output_bytes_max > 0:
                self._overflow(pending)

    def _overflow(self, pending: int) -> None:
        if self._phase is Phase.OPEN:
            self.close(CloseCode.TRY_AGAIN_LATER, "the client reads too slowly")
        elif pending > 2 * self._shared.limits.output_bytes_max:
            self._session.close("answers to pings are not read")  # it goes on sending them after our goodbye

    # ---- the end

    def _fail(self, code: int, reason: str) -> None:
        """The client broke a rule: tell it why, and read nothing more."""
        self._ends(code, reason)
        if self._phase is Phase.OPEN:  # else a close frame is on its way already
            self._session.hold(Frame(Opcode.CLOSE, Close(code, reason).serialize()).plain)
        self._finish()

    def _finish(self) -> None:
        """Nothing more is read; the socket is shut as soon as everything is sent."""
        self._phase = Phase.FINISHING
        self._close_in_time()
        self._session.flush()
        if self._session.pending_output:
            self._session.tells_when_sent = True
        elif self._session.is_open:
            self._shut()

    def _shut(self) -> None:
        if self._input_ended:
            self._session.close("closed by peer")
            return
        # The client closes first, or else its unread bytes would make a reset of our end (RFC 6455 7.1.1).
        self._session.shut_output()
        self._session.resume_reading()

    def _close_in_time(self) -> None:
        if self._session.is_open:
            shared = self._shared
            self._close_by = shared.loop.time() + shared.limits.close_timeout_s
            shared.deadlines.by(self, self._close_by)

    def _ends(self, code: int, reason: str) -> None:
        """Tell the service, once, and not from within what it is doing."""
        if self._told:
            return
        self._told = True
        shared = self._shared
        shared.closes[code] = shared.closes.get(code, 0) + 1
        if code in _PEER_FAULTS:
            self._log_fault(f"closed with {code}: {reason}")
        self._close_in_time()
        shared.loop.call_soon(shared.service.closed, self, code, reason)

    def _log_fault(self, text: str) -> None:
        shared = self._shared
        suppressed = shared.fault_log.suppressed
        if shared.fault_log.allows(shared.loop.time()):
            _log.info("peer: %s: %s (%d more before this)", self._session.peer, text, suppressed)


def _cut(reason: str) -> str:
    return reason.encode()[:REASON_BYTES_MAX].decode("utf-8", "ignore")
