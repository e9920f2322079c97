"""The engine can be looked at from outside: health and numbers that are those of what was done."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from pathlib import Path

from tests.support.configs import toml_config
from tests.support.processes import EngineProcess

UPDATE = [1, "BTC", "deposit", 1, "5", {}]


def monitor_of(engine: EngineProcess) -> str:
    """The base URL of the monitor, from the ready line."""
    match = re.search(r"monitor tcp@([\d.]+:\d+)", engine.stdout)
    assert match is not None, engine.stdout
    return f"http://{match[1]}"


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def series(text: str) -> dict[str, float]:
    return {
        name: float(value)
        for name, _, value in (line.rpartition(" ") for line in text.splitlines() if line[:1] != "#")
    }


def test_health_and_metrics_say_what_was_done(tmp_path: Path) -> None:
    with EngineProcess(tmp_path, toml_config()) as engine, engine.client() as client:
        base = monitor_of(engine)
        assert client.call(102, UPDATE)["error"] is None
        assert client.call(102, UPDATE)["error"]["code"] == 10
        assert client.call(101, [1])["error"] is None
        assert client.call(101, [0])["error"]["code"] == 1
        status, body = get(f"{base}/health")
        health = json.loads(body)
        assert (status, health["status"]) == (200, "ok"), body
        facts = health["facts"]
        assert (facts["sequence"], facts["durable_sequence"], facts["operation_id"]) == (2, 2, 1)
        assert facts["connections"] == 1
        found = series(get(f"{base}/metrics")[1])
        for name, value in (
            ('vx_engine_requests_total{code="0",method="balance.update"}', 1),
            ('vx_engine_requests_total{code="10",method="balance.update"}', 1),
            ('vx_engine_requests_total{code="0",method="balance.query"}', 1),
            ('vx_engine_requests_total{code="1",method="balance.query"}', 1),
            ('vx_engine_journal_sequence{state="durable"}', 2),
            ("vx_engine_batch_records_count", 1),
            ("vx_engine_sync_seconds_count", 1),
            ("vx_engine_connections", 1),
            ("vx_engine_epoch", 1),
        ):
            assert found[name] == value, (name, found.get(name))
        assert get(f"{base}/nothing")[0] == 404


def test_degraded_is_visible(tmp_path: Path) -> None:
    huge_reserve = 1 << 40
    settings = toml_config(journal={"disk_reserve_bytes": huge_reserve})
    with EngineProcess(tmp_path, settings) as engine, engine.client() as client:
        base = monitor_of(engine)
        assert client.call(102, UPDATE)["error"]["code"] == 3
        status, body = get(f"{base}/health")
        health = json.loads(body)
        facts = health["facts"]
        assert (status, health["status"], facts["new_orders"]) == (200, "degraded", "refused"), body
        assert "the reserve is" in facts["new_orders_reason"]
        assert series(get(f"{base}/metrics")[1])["vx_engine_accepts_new_orders"] == 0
