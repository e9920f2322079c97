"""Keys in the ext of raw packets: after kill -9 and after a slice a repeat still gets the first outcome."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.processes.crashing import audit, crash_config, kill_and_await_birth
from tests.support.processes import EngineProcess, wait_until
from vxutils.rpc.packet import KIND_REPLY, KIND_REQUEST, encode_packet

ORDER = [7, "BTCBCH", 1, "1", "8", "0.001", "0.001", "web"]


def ask_with_keys(engine: EngineProcess, count: int) -> list[Any]:
    """The same order under `count` keys; the results."""
    with engine.client() as client:
        replies = [client.call(201, ORDER, ext=b"order-%d" % number) for number in range(count)]
    assert all(reply["error"] is None for reply in replies), replies
    return [reply["result"] for reply in replies]


def test_over_kills_and_slices(tmp_path: Path) -> None:
    with EngineProcess(tmp_path, crash_config(), watchdog=True) as engine:
        with engine.client() as client:
            assert client.call(102, [7, "BTC", "deposit", 1, "100", {}], ext=b"fund")["error"] is None
        first = ask_with_keys(engine, 5)
        assert [order["id"] for order in first] == [1, 2, 3, 4, 5]
        kill_and_await_birth(engine)
        engine.wait_ready()
        assert ask_with_keys(engine, 7)[:5] == first

        assert engine.ask_console("makeslice") == "OK\n"
        wait_until(lambda: bool(list((engine.data_dir / "slices").glob("*.slice"))), "the slice")
        kill_and_await_birth(engine)
        engine.wait_ready()
        assert "(slice 9," in engine.stderr
        again = ask_with_keys(engine, 7)
        assert again[:5] == first
        assert [order["id"] for order in again[5:]] == [6, 7]
        with engine.client() as client:
            assert client.call(201, [*ORDER[:3], "2", *ORDER[4:]], ext=b"order-1")["error"]["code"] == 1
            assert client.call(201, ORDER, ext=b"k" * 37)["error"]["code"] == 1
            assert client.call(203, [7, "BTCBCH", 0, 9])["result"]["total"] == 7
        assert engine.terminate() == 0
        assert audit(engine.data_dir)["operation_id"] == 8


def test_the_key_comes_back_with_the_reply(tmp_path: Path) -> None:
    with EngineProcess(tmp_path, crash_config()) as engine, engine.client() as client:
        body = b'[7, "BTC", "deposit", 1, "1", {}]'
        reply = client.roundtrip(encode_packet(102, KIND_REQUEST, 5, 6, body, b"some-key"))
        assert (reply.kind, reply.sequence, reply.request_id, reply.ext) == (KIND_REPLY, 5, 6, b"some-key")
