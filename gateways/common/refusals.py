"""Whole HTTP answers for connections that nobody serves.

Source: protocol.md 8.3.
"""

from __future__ import annotations

from gateways.common.errors import ErrorFormat, GatewayError, WireStyle
from vxnet.clock import SystemClock
from vxutils.http.response import ResponseEncoder


class HttpRefusals:
    """The answers of a listener in one wire style."""

    def __init__(self, style: WireStyle) -> None:
        is_c_style = style == "viabtc"
        self._errors = ErrorFormat(style)
        self._encoder = ResponseEncoder(SystemClock(), c_style=is_c_style)
        self._headers = () if is_c_style else (("Content-Type", "application/json"),)

    def answer(self, error: GatewayError) -> bytes:
        body = self._errors.body(error, None)
        return self._encoder.encode(error.status, body, self._headers, connection="close")
