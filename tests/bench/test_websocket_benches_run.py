"""The websocket benches, small: they measure something, nobody is lost, and what they read is right."""

from __future__ import annotations

from pathlib import Path

from bench import fanout, idle, latency, takes
from bench.light_client import cut, request
from bench.push_times import PushTimes
from tests.vxutils.ws.driving import TEXT, split_frames
from vxutils.ws import text_frame


def test_latency_is_known_for_each_trade_and_kind(tmp_path: Path) -> None:
    result = latency.measure(tmp_path, 3, 50.0, 0.4)
    for kind in ("depth", "deals", "order", "asset"):
        sent, replied = result[f"{kind}_since_sent"], result[f"{kind}_since_replied"]
        assert 0 < sent["p50"] <= sent["p99"] <= sent["max"] < 10_000
        assert replied["p50"] < sent["p50"]
    assert any("deals since sent" in line for line in latency.lines(result))


def test_pushes_to_many_are_counted(tmp_path: Path) -> None:
    result = fanout.measure(tmp_path, 30, 3, 200.0, 1.5)
    assert result["lost"] == 0 and result["watched"] == 3
    assert result["pushes_per_s"] > 30
    for kind in ("depth", "deals"):
        assert 0 < result[f"{kind}_since_sent"]["p50"] < 10_000
    assert any("pushes/s" in line for line in fanout.lines(result))


def test_idle_connections_stay(tmp_path: Path) -> None:
    result = idle.measure(tmp_path, 50, 0.2)
    assert result["is_good"] and result["lost"] == 0
    assert result["answer"]["p50"] > 0
    assert any("50 connections" in line for line in idle.lines(result))


def test_frames_are_cut_wherever_the_bytes_end() -> None:
    payloads = [b"", b"a", b"b" * 200, b"c" * 70_000]
    data = b"".join(text_frame(payload).plain for payload in payloads) + b"\x89\x00"
    whole = cut(data)
    assert [data[begin:end] for _, begin, end in whole.frames] == [*payloads, b""]
    assert whole.pings == 1 and whole.used == len(data)
    for end in (0, 1, 2, 4, 5, 100, 300, len(data) - 3):
        shape = cut(data[:end])
        assert shape.used <= end and shape.frames == whole.frames[: len(shape.frames)]


def test_a_long_request_is_a_frame_too() -> None:
    for length in (10, 300):
        (frame,) = split_frames(unmasked(request(1, "server.auth", ["x" * length])))
        assert frame.first == 0x80 | TEXT and frame.payload.endswith(b'x"]}')


def unmasked(frame: bytes) -> bytes:
    """The frame of a client whose mask is zeros, as a server would send it."""
    length_bytes = 2 if frame[1] & 0x7F == 126 else 0
    head = bytes([frame[0], frame[1] & 0x7F]) + frame[2 : 2 + length_bytes]
    return head + frame[2 + length_bytes + 4 :]


def test_a_push_counts_for_all_trades_it_shows() -> None:
    shown = PushTimes("")
    depth = b'{"method":"depth.update","params":[false,{"asks":[["10000","%s"]]},"M1"],"id":null}'
    shown.note(0, 11.0, depth % str(takes.BIG - takes.STEP).encode())
    shown.note(0, 15.0, depth % str(takes.BIG - 3 * takes.STEP).encode())
    # Trades of the markets M0 and M1 turn about; the second, fourth and sixth are those of M1.
    times = [1.0, 10.0, 1.0, 12.0, 1.0, 14.0]
    assert shown.latencies("depth", ["M0", "M1"], times, 0, 100) == [1.0, 1.0, 3.0]
    shown.note(0, 20.0, b'{"method":"deals.update","params":["M1",[{"id":4},{"id":2}]],"id":null}')
    assert shown.latencies("deals", ["M0", "M1"], times, 0, 100) == [8.0, 10.0]
    assert shown.latencies("deals", ["M0", "M1"], times, 11, 100) == [8.0]
