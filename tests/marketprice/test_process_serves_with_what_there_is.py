"""The real process without a history, without an engine, with one; under its watchdog; refused in words."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.marketprice.history import Trade, open_writer, write
from tests.marketprice.running import NOBODY, MarketpriceProcess, toml_config, wait_until
from tests.marketprice.test_settings_are_checked import c_config
from tests.support.configs import toml_config as engine_config
from tests.support.processes import EngineProcess
from vxutils.rpc.blocking import BlockingClient
from vxutils.rpc.packet import KIND_REQUEST, encode_packet

STATUS, KLINE, DEALS, LAST, TODAY = 301, 302, 303, 304, 305


def trade(number: int, market: str = "BTCBCH") -> Trade:
    return Trade(time.time_ns() // 1000, market, "10.00", "1.5", 2, number)


def test_an_engine_tells_the_markets(tmp_path: Path) -> None:
    (tmp_path / "engine").mkdir()
    with EngineProcess(tmp_path / "engine", engine_config()) as engine:
        config = toml_config(market_source=str(engine.address("tcp")))
        with MarketpriceProcess(tmp_path, config) as process:
            assert process.call(LAST, "BTCBCH") == "0"
            assert process.call(STATUS, "LTCBTC", 60)["last"] == "0"
            with process.client() as client:
                assert client.call(LAST, ["NOPE"])["error"]["code"] == 1
            with process.client("udp") as client:
                assert client.call(LAST, ["BTCBCH"])["result"] == "0"


def test_without_an_engine_it_serves_what_it_knows(tmp_path: Path) -> None:
    with MarketpriceProcess(tmp_path, toml_config(wire_style="plain")) as process:
        health = process.health()
        assert (health["status"], "history.db" in health["facts"]["trouble"]) == ("degraded", True)
        with process.client() as client:
            error = client.call(LAST, ["BTCBCH"])["error"]
        assert (error["code"], error["data"]["reason"]) == (1, "unknown_market")
        with closing(open_writer(process.data)) as writer:
            write(writer, [trade(1)])
            wait_until(lambda: process.health()["facts"]["offset"] == 0, "the deal")
            assert process.health()["status"] == "ok"
            assert process.call(LAST, "BTCBCH") == "10"
            now = int(time.time())
            assert process.call(KLINE, "BTCBCH", now - 86_400, now, 86_400)[-1][1:] == [
                "10", "10", "10", "10", "1.5", "15", "BTCBCH",
            ]  # fmt: skip
            assert process.call(TODAY, "BTCBCH")["volume"] == "1.5"


def test_a_c_configuration_runs_on_the_embedded_stores(tmp_path: Path) -> None:
    config = c_config(accesshttp="http://127.0.0.1:1", alert={"host": "x", "addr": ""}, cache_timeout=-1)
    process = MarketpriceProcess(tmp_path, config, ["--embedded"])
    with closing(open_writer(process.data)) as writer:
        write(writer, [trade(1)])
    with process, process.client() as client:
        wait_until(lambda: client.call(LAST, ["BTCBCH"])["error"] is None, "the deal")
        body = client.roundtrip(encode_packet(LAST, KIND_REQUEST, 5, 5, b'["BTCBCH"]')).body
        assert body == b'{"error": null, "result": "10.00", "id": 5}'


def test_the_watchdog_brings_it_back(tmp_path: Path) -> None:
    process = MarketpriceProcess(tmp_path, arguments=["--watchdog"])
    with closing(open_writer(process.data)) as writer:
        write(writer, [trade(1)])
        with process:
            assert process._process is not None
            pid = process._process.pid
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            os.kill(int(children[0]), signal.SIGKILL)
            wait_until(lambda: (tmp_path / "stdout.1").read_text().count("ready") == 2, "another worker")
            assert process.terminate() == 0


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["run", "CONFIG", "--data-dir", "MISSING"], 65, "is no data directory"),
        (["run", "MISSING", "--data-dir", "DATA"], 78, "can not be used"),
        (["run", "WRONG", "--data-dir", "DATA"], 78, "time_zone"),
        (["run", "CONFIG"], 64, "--data-dir"),
        (["rebuild", "--data-dir", "DATA"], 65, "nothing was changed: "),
        ([], 64, "required"),
    ],
)
def test_refusals_are_sentences(tmp_path: Path, arguments: list[str], code: int, sentence: str) -> None:
    places = {name: tmp_path / name.lower() for name in ("CONFIG", "WRONG", "MISSING", "DATA")}
    places["DATA"].mkdir()
    places["CONFIG"].write_text(toml_config())
    places["WRONG"].write_text('time_zone = "Mars/Base"')
    words = [str(places.get(word, word)) for word in arguments]
    done = subprocess.run(
        [sys.executable, "-m", "marketprice", *words], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == code, done.stderr
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with MarketpriceProcess(tmp_path) as first:
        taken = str(first.addresses[0])
        (tmp_path / "other").mkdir()
        config = f'market_source = "{NOBODY}"\n[svr]\nbind = [{json.dumps(taken)}]\n[monitor]\naddress = ""\n'
        second = MarketpriceProcess(tmp_path / "other", config)
        second.launch()
        assert second.wait() == 69
        assert taken.removeprefix("tcp@").split(":")[1] in second.stderr


def test_a_client_of_another_kind_is_none_of_ours(tmp_path: Path) -> None:
    """A stray byte stream costs its own connection only."""
    with MarketpriceProcess(tmp_path) as process:
        with BlockingClient(process.addresses[0]) as stray:
            stray.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + bytes(100))
            with pytest.raises(ConnectionError):
                stray.receive()
        with process.client() as client:
            assert client.call(LAST, ["M"])["error"]["code"] == 1
