"""What came back, read as the result of a call or as an error.

Source: protocol.md 1.5, 2.2, 8.3.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from vxutils.client.errors import ExchangeError, NoAnswer, Outcome
from vxutils.protocol import codes

OK: Final = 200
_REFUSING_STATUS_MAX: Final = 499  # redirects and everything that is the client's fault
_UNAVAILABLE_STATUS: Final = 503  # the listener has no worker: nobody saw the request

_UNKNOWN_CODES: Final = frozenset({codes.INTERNAL_ERROR.code, codes.SERVICE_TIMEOUT.code})
"""What these leave open if the error itself does not say: whether the engine got the request."""


class Reply(msgspec.Struct, frozen=True):
    """A whole reply. `status` is the HTTP status, and OK for raw RPC, which has none."""

    status: int
    body: bytes


class _Error(msgspec.Struct):
    code: int
    message: str
    data: dict[str, Any] | None = None


class _Body(msgspec.Struct):
    error: _Error | None = None
    result: Any = None
    id: int | None = None


_decode = msgspec.json.Decoder(_Body).decode


def result_of(reply: Reply, request_id: int) -> Any:
    """The result. Raises: ExchangeError; NoAnswer if the reply is none to the request of this id."""
    if not reply.body:
        raise _unreadable(reply, "no body")
    try:
        body = _decode(reply.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _unreadable(reply, f"no reply object ({error})") from None
    if body.error is not None:
        error_ = body.error
        data = error_.data or {}
        raise ExchangeError(error_.code, error_.message, data, _outcome(error_.code, data))
    if reply.status != OK:
        raise _unreadable(reply, "no error object")
    if body.id != request_id:
        raise NoAnswer(f"the answer is to request {body.id}, not {request_id}", Outcome.UNKNOWN)
    return body.result


def _outcome(code: int, data: dict[str, Any]) -> Outcome:
    try:
        return Outcome(data.get("outcome"))
    except ValueError:
        return Outcome.UNKNOWN if code in _UNKNOWN_CODES else Outcome.REFUSED


def _unreadable(reply: Reply, what: str) -> NoAnswer:
    is_refusal = OK < reply.status <= _REFUSING_STATUS_MAX or reply.status == _UNAVAILABLE_STATUS
    text = what if reply.status == OK else f"HTTP status {reply.status} and {what}"
    return NoAnswer(f"the server answered {text}", Outcome.REFUSED if is_refusal else Outcome.UNKNOWN)
