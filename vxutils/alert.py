"""Alerts: each FATAL log record becomes one UDP datagram to the alert centre.

    373d26968a5a2b698045<host>: [fatal]file:line(function): text\\n        at most 10240 bytes

An alert is a cry, not a record: nobody answers, it may get lost, and a storm of them is cut down to a rate,
with the number left out told in the next one. The log file has them all.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable
from typing import Final

from vxutils.log import udp_address
from vxutils.log_line import VIP, describe

__all__ = ["ALERT_BYTES_MAX", "ALERT_MAGIC", "AlertHandler"]

ALERT_MAGIC: Final = b"373d26968a5a2b698045"
ALERT_BYTES_MAX: Final = 10240
ALERTS_PER_S_MAX: Final = 20
"""A person reads these; more per second help nobody and would flood the centre while we crash in a loop."""


class AlertHandler(logging.Handler):
    """Logging handler that sends FATAL records to `address` (`ip:port`) under the label `host`.

    `left_out`: alerts not sent for their rate since the last one sent. `lost`: refused by the socket.

    Raises: AddressError (from the constructor). Source: protocol.md 10.1.
    """

    def __init__(
        self,
        host: str,
        address: str,
        *,
        per_s_max: int = ALERTS_PER_S_MAX,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(logging.CRITICAL)
        self.left_out = 0
        self.lost = 0
        self._host = host
        self._target = udp_address(address)
        self._socket = socket.socket(self._target.family, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._per_s_max = per_s_max
        self._monotonic = monotonic
        self._allowance = float(per_s_max)
        self._refilled = monotonic()

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= VIP:
            return
        if not self._admitted():
            self.left_out += 1
            return
        try:
            self._socket.sendto(self._datagram(record), self._target.sockaddr())
            self.left_out = 0
        except Exception:  # outermost edge: no alert may hurt the process that raises it
            self.lost += 1

    def close(self) -> None:
        self._socket.close()
        super().close()

    def _admitted(self) -> bool:
        """A bucket of one second's worth of alerts, refilled by time."""
        now = self._monotonic()
        self._allowance = min(self._per_s_max, self._allowance + (now - self._refilled) * self._per_s_max)
        self._refilled = now
        if self._allowance < 1:
            return False
        self._allowance -= 1
        return True

    def _datagram(self, record: logging.LogRecord) -> bytes:
        text = f"{self._host}: {describe(record)}"
        suffix = f" ({self.left_out} alerts before this one left out)" if self.left_out else ""
        room = ALERT_BYTES_MAX - len(ALERT_MAGIC) - len(suffix) - 1
        body = text.encode("utf-8", "backslashreplace")[:room].decode("utf-8", "ignore")
        return ALERT_MAGIC + (body + suffix + "\n").encode()
