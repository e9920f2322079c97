"""The load generator against the real engine: every request is counted once, as what it was answered."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.engine import Engine, WireStyle
from bench.generator import Load, LoadError, LoadSettings
from bench.load import parse_arguments


@pytest.fixture(params=["plain", "viabtc"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    style: WireStyle = request.param
    with Engine(tmp_path, "off", style) as running:
        yield running


def run(engine: Engine, **settings: Any) -> dict[str, Any]:
    load = Load(LoadSettings(host=engine.host, port=engine.port, pid=engine.pid, users=5, **settings))
    load.run()
    return load.result


def test_each_mode_gives_what_it_promises(engine: Engine) -> None:
    pairs = run(engine, mode="pairs", requests=1000, connections=1, window=16)
    assert pairs["ok"] == 1000
    assert round(pairs["takers_traded_per_s"] * pairs["secs"]) == pytest.approx(500, abs=10)

    mix = run(engine, mode="mix", requests=2000, connections=3, window=16, credit=False)
    assert mix["ok"] + mix["err10"] == 2000  # 10: an order that was filled before its cancel
    assert 0 < mix["cancels_ok_per_s"] < mix["orders_ok_per_s"]

    rest = run(engine, mode="rest", requests=500, connections=2, window=500, credit=False)
    assert rest["ok"] == 500

    for result in (pairs, mix, rest):
        assert result["err1"] == result["err3_unavailable"] == result["err11"] == result["err_other"] == 0
        assert 0 < result["lat_us"]["p50"] <= result["lat_us"]["p99"] <= result["lat_us"]["max"] * 1.01
        assert result["server"]["rss_after_bytes"] > 1_000_000

    engine_turn_us = engine.longest_turn_us()
    assert engine_turn_us is not None and engine_turn_us > 0


def test_a_fixed_rate_is_kept(tmp_path: Path) -> None:
    with Engine(tmp_path, "off") as engine:
        result = run(engine, mode="rest", rate=500, seconds=0.5, warm_up_s=0.1)
    assert result["dropped"] == 0
    assert 0 < result["ok"] <= 301  # 250 when nothing stalls; what was due in the warm-up may come late


def test_an_unknown_market_is_counted_as_refusals(tmp_path: Path) -> None:
    with Engine(tmp_path, "off") as engine:
        result = run(engine, mode="rest", requests=20, market="NOWHERE")
    assert (result["ok"], result["err1"]) == (0, 20)


def test_a_credit_that_is_refused_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.generator.CREDIT_TRIES", 1)
    with Engine(tmp_path, "off") as engine, pytest.raises(LoadError, match="invalid argument"):
        run(engine, requests=1, stock="NOTHING")


def test_a_server_that_closes_ends_the_run() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closer = threading.Thread(target=lambda: listener.accept()[0].close())
        closer.start()
        port = listener.getsockname()[1]
        with pytest.raises((LoadError, ConnectionError)):
            Load(LoadSettings(host="127.0.0.1", port=port, connections=1, credit=False)).run()
        closer.join()


@pytest.mark.parametrize(
    "wrong", [["-a", "7316"], ["-c", "0"], ["-w", "5000"], ["-t", "0"], ["-m", "fast"], ["-r", "-1"]]
)
def test_wrong_options_are_refused_in_words(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_arguments(wrong)
    assert "error: " in capsys.readouterr().err
