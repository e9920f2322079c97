"""What the connections of one server share: its handler, its limits, its counts.

Owned by the server; the connections count into it.
"""

from __future__ import annotations

import asyncio
from typing import Final

from vxnet.clock import OncePer
from vxutils.http.exchange import HttpHandler
from vxutils.http.limits import HttpLimits
from vxutils.http.response import ResponseEncoder

FAULT_LOG_PERIOD_S: Final = 1.0
"""A flood of malformed requests costs one log line in this time."""


class Service:
    """What the connections of one server share."""

    __slots__ = (
        "encoder",
        "fault_log",
        "faults",
        "handler",
        "is_c_style",
        "is_draining",
        "limits",
        "loop",
        "requests",
        "responses",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        handler: HttpHandler,
        limits: HttpLimits,
        encoder: ResponseEncoder,
        *,
        is_c_style: bool,
    ) -> None:
        self.loop = loop
        self.handler = handler
        self.limits = limits
        self.encoder = encoder
        self.is_c_style = is_c_style
        self.is_draining = False
        self.requests = 0
        self.responses: dict[int, int] = {}
        self.faults: dict[int, int] = {}
        self.fault_log = OncePer(FAULT_LOG_PERIOD_S)
