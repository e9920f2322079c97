"""The one connection of a replay: pipelined commands, the file's ids mapped to the engine's.

Knows how to send and in which order answers come; whether an answer is right is `bench.replay_checks`.
Replies come in the order of the requests (the engine answers one connection in order), which is checked.
"""

from __future__ import annotations

import socket
import time
from collections import deque
from typing import Any

import msgspec

from bench.flow import Command, price_text
from bench.workload import ASK, BALANCE_UPDATE, BID, CANCEL, PUT_LIMIT, request
from vxutils.rpc.packet import PacketError, split_packets

PUT_USER, TAKE_USER = 1, 2
CREDIT = 10**12  # of either asset, for either user
ORDER_DETAIL = 207
REPLY_DEADLINE_S = 30.0
_REPLY_BYTES_MAX = 1 << 20
_READ_BYTES = 1 << 16


class ReplayError(Exception):
    """The replay cannot go on: the engine closed, answered out of order, or is not fresh."""


class Answer(msgspec.Struct):
    """The bodies of one command's reply, and of the queries of its makers when those were asked for."""

    body: bytes = b""
    makers: list[bytes] = []


class _OrderId(msgspec.Struct):
    id: int


class _OrderReply(msgspec.Struct):
    result: _OrderId | None


_decode_order_id = msgspec.json.Decoder(_OrderReply).decode


class ReplayClient:
    """One blocking connection. `order_ids` maps the file's id to the engine's, for open and closed orders.

    `commands_s` is the time in which commands of `send` were under way.
    """

    def __init__(self, host: str, port: int, window: int, market: str) -> None:
        self._window = window
        self._market = market
        self._socket = socket.create_connection((host, port), timeout=REPLY_DEADLINE_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._input = b""
        self._output: list[bytes] = []
        self._sequence = 0
        self._outstanding: deque[tuple[int, Answer, Command | None]] = deque()  # None: query of a maker
        self.order_ids: dict[str, int] = {}
        self.commands_s = 0.0

    def close(self) -> None:
        self._socket.close()

    def credit(self, *assets: str) -> None:
        """Makes both users rich in each asset. Raises: ReplayError if refused, so not a fresh engine."""
        for user in (PUT_USER, TAKE_USER):
            for asset in assets:
                reply = self.call(BALANCE_UPDATE, [user, asset, "replay", 1, str(CREDIT), {}])
                if reply["error"]:
                    raise ReplayError(f"credit of user {user} refused: {reply['error']}")

    def call(self, command: int, params: list[Any]) -> Any:
        """One request and its whole reply object, while nothing else is outstanding."""
        assert not self._outstanding, "a call between pipelined commands"
        answer = Answer()
        self._queue(command, msgspec.json.encode(params), answer, None)
        self._drain(0)
        return msgspec.json.decode(answer.makers[0])

    def send(self, commands: list[Command], verify: bool) -> list[Answer]:
        """Sends all commands in order, waits for all answers; with `verify` asks for makers after takes."""
        begin = time.perf_counter()
        answers = []
        for command in commands:
            if len(self._outstanding) >= self._window:
                self._drain(self._window // 2)  # by halves, so that writes and the engine's turns are joined
            answer = Answer(makers=[])
            answers.append(answer)
            if command.operation == "cancel":
                self._queue(CANCEL, self._cancel_body(command.id), answer, command)
            else:
                self._queue(PUT_LIMIT, self._put_body(command), answer, command)
            if verify and command.fills:
                for fill in command.fills:
                    body = b'["%s",%d]' % (self._market.encode(), self._order_id(fill.maker))
                    self._queue(ORDER_DETAIL, body, answer, None)
        self._drain(0)
        self.commands_s += time.perf_counter() - begin
        return answers

    def _put_body(self, command: Command) -> bytes:
        side = ASK if command.side == "sell" else BID
        user = PUT_USER
        if command.operation == "put":
            self.order_ids.pop(command.id, None)  # an id put again: the old one must not be used any more
        else:
            user = TAKE_USER
        price = price_text(command.price)
        return f'[{user},"{self._market}",{side},"{command.size}","{price}","0","0","replay"]'.encode()

    def _cancel_body(self, id: str) -> bytes:
        return f'[{PUT_USER},"{self._market}",{self._order_id(id)}]'.encode()

    def _order_id(self, id: str) -> int:
        """The engine's id; waits for the reply of the put when it is still under way."""
        while id not in self.order_ids:
            if not self._outstanding:
                raise ReplayError(f"order {id} was never put")
            self._drain(len(self._outstanding) - 1)
        return self.order_ids[id]

    def _queue(self, number: int, body: bytes, answer: Answer, command: Command | None) -> None:
        self._sequence += 1
        self._output.append(request(number, self._sequence, body))
        self._outstanding.append((self._sequence, answer, command))

    def _drain(self, outstanding_max: int) -> None:
        """One joined write of what is queued, then reads until at most so many are outstanding."""
        if self._output:
            self._socket.sendall(b"".join(self._output))
            self._output.clear()
        while len(self._outstanding) > outstanding_max:
            received = self._socket.recv(_READ_BYTES)
            if not received:
                raise ReplayError("the engine closed the connection")
            try:
                packets, consumed = split_packets(self._input + received, _REPLY_BYTES_MAX)
            except PacketError as error:
                raise ReplayError(f"the engine sent a broken packet: {error}") from None
            self._input = (self._input + received)[consumed:]
            for packet in packets:
                sequence, answer, command = self._outstanding.popleft()
                if packet.sequence != sequence:
                    raise ReplayError(f"reply {packet.sequence} came where {sequence} was due")
                self._answered(packet.body, answer, command)

    def _answered(self, body: bytes, answer: Answer, command: Command | None) -> None:
        if command is None:
            answer.makers.append(body)
            return
        answer.body = body
        if command.operation == "put":
            result = _decode_order_id(body).result
            self.order_ids[command.id] = result.id if result else 0  # 0: refused, which the checks report
