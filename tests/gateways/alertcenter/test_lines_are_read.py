"""The alert line, byte by byte and in datagrams; what is no alert."""

from __future__ import annotations

import pytest

from gateways.alertcenter.lines import TOO_SHORT, WRONG_MAGIC, Alert, LineError, read_datagram, split_alerts

M = b"373d26968a5a2b698045"
FATAL = b"[fatal]a.py:1(f): x"

LINES = [
    (M + b"box: " + FATAL, Alert("box", "[fatal]a.py:1(f): x")),
    (M + b"box: " + FATAL + b"\r", Alert("box", "[fatal]a.py:1(f): x")),
    (M + b"just words", Alert("peer", "just words")),
    (M + b"key: value", Alert("peer", "key: value")),
    (M + b"n" * 65 + b": [fatal] long name", Alert("peer", "n" * 65 + ": [fatal] long name")),
    (M + b"b\xc3\xbcx: [fatal] \xe2\x82\xac", Alert("büx", "[fatal] €")),
    (M + b"box: [fatal] \xff\x1b[2J\x00", Alert("box", "[fatal] \\xff\\x1b[2J\\x00")),
    (M + b"x", Alert("peer", "x")),
]


@pytest.mark.parametrize(("line", "alert"), LINES)
def test_lines(line: bytes, alert: Alert) -> None:
    assert split_alerts(line + b"\n", "peer") == ([alert], len(line) + 1)
    assert read_datagram(line + b"\n", "peer") == [alert]
    assert read_datagram(line, "peer") == [alert]  # cut at its end, as the C sender does with long ones


def test_a_stream_byte_by_byte() -> None:
    data = b"".join(line + b"\n" for line, _ in LINES)
    rest, found = b"", []
    for number in range(len(data)):
        rest += data[number : number + 1]
        alerts, consumed = split_alerts(rest, "peer")
        found += alerts
        rest = rest[consumed:]
    assert (found, rest) == ([alert for _, alert in LINES], b"")


BAD = [
    (b"", TOO_SHORT),
    (b"\r", TOO_SHORT),
    (M, TOO_SHORT),
    (M + b"\r", TOO_SHORT),
    (b"GET / HTTP/1.1 and so on", WRONG_MAGIC),
    (M.upper() + b"text", WRONG_MAGIC),
    (b" " + M + b"text", WRONG_MAGIC),
]


@pytest.mark.parametrize(("line", "reason"), BAD)
def test_what_is_no_alert_is_refused_and_what_came_before_counts(line: bytes, reason: str) -> None:
    for read in (read_datagram, split_alerts):
        with pytest.raises(LineError) as caught:
            read(M + b"good\n" + line + b"\n" + M + b"later\n", "peer")
        assert str(caught.value) == reason
        assert caught.value.alerts == [Alert("peer", "good")]


def test_half_a_line_waits() -> None:
    assert split_alerts(b"", "peer") == ([], 0)
    assert split_alerts(b"whatever it is", "peer") == ([], 0)
    assert split_alerts(M + b"one\n" + M, "peer") == ([Alert("peer", "one")], len(M) + 4)
