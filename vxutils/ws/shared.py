"""What the connections of one server share: its service, its limits, its counts.

Owned by the server; the connections count into it.
"""

from __future__ import annotations

import asyncio
from typing import Final

from vxnet.clock import OncePer
from vxutils.ws.deadlines import Deadlines
from vxutils.ws.handshake import HandshakeRules, Handshakes
from vxutils.ws.limits import WsLimits
from vxutils.ws.service import WsService

FAULT_LOG_PERIOD_S: Final = 1.0
"""A flood of faulty clients costs one log line in this time."""


class Shared:
    """Made with the server."""

    __slots__ = (
        "closes",
        "deadlines",
        "fault_log",
        "handshakes",
        "is_draining",
        "limits",
        "loop",
        "messages_received",
        "messages_sent",
        "refusals",
        "rules",
        "service",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        service: WsService,
        limits: WsLimits,
        rules: HandshakeRules,
        handshakes: Handshakes,
        deadlines: Deadlines,
    ) -> None:
        self.loop = loop
        self.service = service
        self.limits = limits
        self.rules = rules
        self.handshakes = handshakes
        self.deadlines = deadlines
        self.is_draining = False
        self.messages_received = 0
        self.messages_sent = 0
        self.refusals: dict[int, int] = {}
        """Handshakes that failed, by the HTTP status that fits (told or not)."""
        self.closes: dict[int, int] = {}
        """Connections that ended, by close code."""
        self.fault_log = OncePer(FAULT_LOG_PERIOD_S)
