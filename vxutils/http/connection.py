"""One HTTP connection: requests to the handler, answers back in request order, everything within its limits.

    received --> parser --> Exchange --> handler.request(exchange)
                              |  (queue, oldest first, at most pipeline_max)
    session <-- oldest answered ones <-- exchange.respond(...), in any order

    serving --last answer--> finishing: output still leaves --> lingering: input thrown away --> closed

Input is not read while the queue is full, while an answer waits for the client to take it, or while
requests that were received wait for their turn: a client's haste costs the client. Owns the queue and the
deadline; the bytes are the session's, what a request means is the handler's.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Sequence
from typing import Final

from vxutils.http.exchange import Exchange
from vxutils.http.messages import HttpFault, Request
from vxutils.http.parser import Phase, RequestParser
from vxutils.http.response import CONTINUE
from vxutils.http.service import Service
from vxutils.http.session import HttpSession

LINGER_S: Final = 2.0
"""How long a client may take to close after our last answer. Closing while its bytes are unread would reset
the connection and could destroy the answer on its way. Source: RFC 9112 9.6."""

TURN_REQUESTS_MAX: Final = 64
"""Requests of one connection served before the other connections have their turn."""

FLUSH_BYTES: Final = 64 * 1024
"""Answers gathered for one system call."""

_log = logging.getLogger("vx.http")


class Connection:
    """Made when its session opens; `closed` when that closes, and then everything about it does nothing."""

    __slots__ = (
        "_deadline_of",
        "_input_ended",
        "_is_serving",
        "_is_stopped",
        "_output_before",
        "_output_moved_at",
        "_parser",
        "_queue",
        "_served",
        "_service",
        "_session",
        "deadline",
    )

    def __init__(self, session: HttpSession, service: Service) -> None:
        self._service = service
        self.deadline = math.inf
        """Loop time at which `overdue` is to be called."""
        self._session = session
        self._parser: RequestParser | None = RequestParser(
            service.limits, session.peer, needs_host=not service.is_c_style
        )
        self._queue: deque[Exchange] = deque()
        self._served = 0
        self._deadline_of: tuple[Phase, int] | None = None
        self._is_serving = False
        self._is_stopped = False
        self._input_ended = False
        self._output_before = 0
        self._output_moved_at = 0.0
        self._set_deadline(needs_input=True)

    # ---- for the exchanges

    @property
    def is_c_style(self) -> bool:
        return self._service.is_c_style

    def is_gone(self, exchange: Exchange) -> bool:
        """Once the connection finishes, only answers already given are still sent."""
        return self._parser is None and exchange.answer is None

    def is_next(self, exchange: Exchange) -> bool:
        return bool(self._queue) and self._queue[0] is exchange

    def answered(
        self, exchange: Exchange, status: int, body: bytes, headers: Sequence[tuple[str, str]], close: bool
    ) -> None:
        """Encode the answer and send all that are due."""
        service = self._service
        request = exchange.request
        if close or (service.is_draining and self._is_stopped and self._queue[-1] is exchange):
            exchange.closes = True
        service.responses[status] = service.responses.get(status, 0) + 1
        connection = ""
        if exchange.closes:
            connection = "close"
        elif request.version == "1.0":
            connection = "keep-alive"
        exchange.answer = service.encoder.encode(
            status, body, headers, connection=connection, with_body=request.method != "HEAD"
        )
        self._serve()

    def abandoned(self, exchange: Exchange) -> None:
        exchange.answer = b""
        exchange.closes = True
        self._serve()

    # ---- for the session

    def received(self, data: bytes) -> None:
        """Bytes from the client; thrown away once the connection finishes."""
        if self._parser is not None:
            self._parser.feed(data)
            self._serve()

    def input_ended(self) -> None:
        """The client sends no more. It still gets the answers to whole requests."""
        self._input_ended = True
        self._session.pause_reading()
        self._serve()
        if self._parser is None and not self._session.pending_output:
            self._session.close("closed by peer")

    def output_sent(self) -> None:
        """Nothing is waiting for the client any more."""
        self._output_before = 0
        if self._parser is None:
            self._output_ended()
        else:
            self._serve()

    def closed(self) -> None:
        """The session has closed: tell those who still work on answers."""
        self._forget_unanswered()

    # ---- for the server

    def drain(self) -> None:
        """Finish the requests that have begun, then close. Exchanges in work are still answered."""
        if self._queue:
            self._is_stopped = True
        elif self._parser is not None and self._parser.phase is Phase.IDLE:
            self._finish()

    def overdue(self) -> None:
        """The deadline has passed."""
        self.deadline = math.inf
        parser = self._parser
        if parser is None:
            self._session.close("did not close")
        elif parser.phase is Phase.IDLE:
            self._session.close("idle")
        else:
            self._refuse(HttpFault(408, f"{parser.phase.value} did not arrive in time"))
            self._serve()

    def check_output(self, now: float) -> None:
        """Close a client that has taken nothing of what waits for it since `send_timeout_s`."""
        waiting = self._session.pending_output
        if waiting < self._output_before or not self._output_before:
            self._output_moved_at = now
        self._output_before = waiting
        if waiting and now - self._output_moved_at > self._service.limits.send_timeout_s:
            self._session.fault("takes no answer")

    # ---- serving

    def _serve(self) -> None:
        """Send what is due, take what is whole, go on reading or not. Called whenever anything changes."""
        parser = self._parser
        if self._is_serving or parser is None:
            return  # an answer given inside the handler's call is sent by the loop below
        self._is_serving = True
        needs_input = self._take_requests()
        self._is_serving = False
        if self._parser is None:
            return
        session = self._session
        session.flush()
        if not session.is_open:
            return
        if session.pending_output:
            session.tells_when_sent = True
            needs_input = False
        elif not self._queue and (self._is_stopped or (self._input_ended and needs_input)):
            self._finish()
            return
        self._set_deadline(needs_input)
        if self._input_ended or not needs_input:
            session.pause_reading()
        else:
            session.resume_reading()

    def _take_requests(self) -> bool:
        """Serve until something is missing; True when that is input."""
        session = self._session
        service = self._service
        queue = self._queue
        pipeline_max = service.limits.pipeline_max
        for _ in range(TURN_REQUESTS_MAX):
            self._release_answers()
            parser = self._parser
            if parser is None:
                return False
            if session.pending_output >= FLUSH_BYTES:
                session.flush()
                if session.pending_output or not session.is_open:
                    return False
            if self._is_stopped or len(queue) >= pipeline_max:
                return False
            try:
                request = parser.next_request()
            except HttpFault as fault:
                self._refuse(fault)
                continue
            if request is None:
                if parser.expects_continue and not queue:
                    parser.expects_continue = False
                    session.hold(CONTINUE)
                return True
            self._served += 1
            service.requests += 1
            closes = not (request.keep_alive or service.is_c_style)
            self._is_stopped = closes or service.is_draining
            exchange = Exchange(self, request, closes=closes)
            queue.append(exchange)
            service.handler.request(exchange)
        self._release_answers()
        service.loop.call_soon(self._serve)
        return False

    def _release_answers(self) -> None:
        queue = self._queue
        while queue and (answer := queue[0].answer) is not None:
            exchange = queue.popleft()
            if answer:
                self._session.hold(answer)
            if exchange.closes:
                self._finish()
                return

    def _refuse(self, fault: HttpFault) -> None:
        service = self._service
        status = fault.status
        service.faults[status] = service.faults.get(status, 0) + 1
        suppressed = service.fault_log.suppressed
        if service.fault_log.allows(service.loop.time()):
            _log.info("peer: %s: %s (%d more before this)", self._session.peer, fault, suppressed)
        self._is_stopped = True
        nothing = Request("", "", "1.1", [], b"", self._session.peer, keep_alive=False)
        exchange = Exchange(self, nothing, closes=True)
        self._queue.append(exchange)
        service.handler.malformed(exchange, status, fault.reason)

    def _set_deadline(self, needs_input: bool) -> None:
        parser = self._parser
        assert parser is not None, "a serving connection parses"
        phase = parser.phase
        if not needs_input or (phase is Phase.IDLE and self._queue):
            self.deadline = math.inf
            self._deadline_of = None
            return
        waits_for = (phase, self._served)
        if waits_for == self._deadline_of:
            return  # a byte now and then does not move it
        self._deadline_of = waits_for
        limits = self._service.limits
        if phase is Phase.HEAD:
            seconds = limits.head_timeout_s
        elif phase is Phase.BODY:
            seconds = limits.body_timeout_s
        else:
            seconds = limits.keep_alive_s or math.inf
        self.deadline = self._service.loop.time() + seconds

    # ---- the end

    def _finish(self) -> None:
        self.deadline = math.inf
        self._forget_unanswered()
        session = self._session
        session.flush()
        if not session.is_open:
            return
        if session.pending_output:
            session.tells_when_sent = True
        else:
            self._output_ended()

    def _output_ended(self) -> None:
        session = self._session
        if self._input_ended:
            session.close("closed by peer")
            return
        self.deadline = self._service.loop.time() + LINGER_S
        session.shut_output()
        session.resume_reading()

    def _forget_unanswered(self) -> None:
        self._parser = None
        unanswered = [exchange for exchange in self._queue if exchange.answer is None]
        self._queue.clear()
        for exchange in unanswered:
            if exchange.on_gone is not None:
                exchange.on_gone()
