"""What a client sends, from bytes to whole messages: the protocol of `websockets`, and what it leaves to us.

    bytes --> read --> frames, and the protocol's own answers (a pong for each ping, a close frame, the end)
                `--> allows(now)?   a bucket of frames, refilled with time
                `--> message(frame) --> text or bytes, once the last fragment is there

The protocol checks heads, masks, lengths, control frames, close codes, compression and sizes, and holds at
most one message. It does not check text as UTF-8 nor join fragments: that is here. Owned by one connection;
knows no socket and no clock.

Source: RFC 6455 5-8; RFC 7692 7.2.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import cast

from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN, SERVER, Protocol

from vxutils.ws.limits import WsLimits
from vxutils.ws.message import PartialMessage

_log = logging.getLogger("vx.ws.protocol")


class FrameReader(Protocol):
    """Made when the handshake is done. `deflate`: how compressed messages are read, None if none may come."""

    def __init__(self, limits: WsLimits, deflate: PerMessageDeflate | None) -> None:
        super().__init__(SERVER, state=OPEN, max_size=limits.message_bytes_max, logger=_log)
        if deflate is not None:
            self.extensions = [deflate]
        self._limits = limits
        self._bucket_full_at = 0.0
        self._partial: PartialMessage | None = None

    @property
    def is_open(self) -> bool:
        """Whether neither side has sent a close frame."""
        return self.state is OPEN

    @property
    def is_within_message(self) -> bool:
        """Whether a message, or a frame, has begun and not ended."""
        return self.current_size is not None or bool(self.reader.buffer)

    def read(self, data: bytes) -> tuple[list[Frame], Iterator[bytes]]:
        """The frames that are whole now, and what the protocol answers, in order; b"" is the end.

        After a fault of the client the answers say so, `parser_exc` and `close_sent` are set, and nothing
        more is read.
        """
        self.receive_data(data)
        return cast("list[Frame]", self.events_received()), iter(self.data_to_send())

    def recv_frame(self, frame: Frame) -> None:
        """Called by the protocol for each frame that keeps the rules."""
        if frame.opcode is Opcode.CLOSE:
            # A client may say goodbye between the fragments of a message; the protocol calls that a fault.
            self.current_size = None
        super().recv_frame(frame)

    def allows(self, now: float) -> bool:
        """Whether one more frame is within `messages_per_s`; if so it counts."""
        limits = self._limits
        if not limits.messages_per_s:
            return True
        full_at = max(self._bucket_full_at, now) + 1 / limits.messages_per_s
        if full_at > now + limits.messages_burst / limits.messages_per_s:
            return False
        self._bucket_full_at = full_at
        return True

    def message(self, frame: Frame) -> str | bytes | None:
        """The message that this data frame completes, if it does. Raises: UnicodeDecodeError."""
        opcode = frame.opcode
        if opcode is not Opcode.CONT and frame.fin:
            return str(frame.data, "utf-8") if opcode is Opcode.TEXT else bytes(frame.data)
        if opcode is not Opcode.CONT:
            self._partial = PartialMessage(is_text=opcode is Opcode.TEXT)
        partial = self._partial
        assert partial is not None, "the protocol refuses a continuation of nothing"
        partial.append(bytes(frame.data))
        if not frame.fin:
            return None
        self._partial = None
        return partial.finish()

    def end(self) -> None:
        """Nothing is read any more: break the cycles, so that this is freed without the collector."""
        self.parser.close()
        self.parser_exc = None
        self._partial = None
