"""The alert line: bytes to alerts.

    373d26968a5a2b698045<host>: [fatal]file:line(function): text\\n        a \\r before the \\n is removed

Codec only: knows no socket and no clock. Whoever can reach the port can send anything, so what is no
printable character leaves here escaped: a line can not forge another one on a terminal or in a mail.

Source: protocol.md 10.1; 12.7 number 93 (a datagram without newline is one line here).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from vxutils.alert import ALERT_MAGIC

HOST_CHARACTERS_MAX: Final = 64

TOO_SHORT: Final = "decode msg error: -1 (an alert is a magic and a text)"
WRONG_MAGIC: Final = "decode msg error: -2 (wrong magic)"


class Alert(NamedTuple):
    """What one line says. `host`: the label the sender has given itself, or where the line came from."""

    host: str
    text: str


class LineError(ValueError):
    """The peer sent a line that is no alert. `alerts` are those before it, which count."""

    def __init__(self, reason: str, alerts: list[Alert]) -> None:
        super().__init__(reason)
        self.alerts = alerts


def split_alerts(data: bytes, peer: str) -> tuple[list[Alert], int]:
    """The alerts in the whole lines at the start of `data`, and how many bytes these took.

    `peer` is the host of a line that names none. Raises: LineError.
    """
    end = data.rfind(b"\n") + 1
    return _read(data[:end].split(b"\n")[:-1], peer), end


def read_datagram(data: bytes, peer: str) -> list[Alert]:
    """The alerts in a datagram; its end ends a line too. Raises: LineError."""
    return _read(data.removesuffix(b"\n").split(b"\n"), peer)


def _read(lines: list[bytes], peer: str) -> list[Alert]:
    alerts: list[Alert] = []
    for line in lines:
        line = line.removesuffix(b"\r")
        if len(line) <= len(ALERT_MAGIC):
            raise LineError(TOO_SHORT, alerts)
        if not line.startswith(ALERT_MAGIC):
            raise LineError(WRONG_MAGIC, alerts)
        alerts.append(parse_text(line[len(ALERT_MAGIC) :].decode("utf-8", "backslashreplace"), peer))
    return alerts


def parse_text(text: str, peer: str) -> Alert:
    """What a line says behind the magic; `peer` is the host of one that names none."""
    if not text.isprintable():
        text = "".join(one if one.isprintable() else f"\\x{ord(one):02x}" for one in text)
    host, separator, line = text.partition(": ")
    if separator and line.startswith("[") and len(host) <= HOST_CHARACTERS_MAX:
        return Alert(host, line)
    return Alert(peer, text)
