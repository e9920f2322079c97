"""Health and metrics of the whole gateway on its monitor; and the code that a reply is counted under."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateways.accesshttp.numbers import METRICS
from gateways.common.numbers import UNREADABLE_CODE, reply_code
from tests.gateways.accesshttp.running import NOWHERE, Gateway, toml_gateway
from tests.support.configs import toml_config
from tests.support.processes import EngineProcess, wait_until

CODES = [
    (b'{"error":null,"result":1,"id":1}', 0),
    (b'{"error": null, "result": 1, "id": 1}', 0),
    (b'{\n    "error": null,\n    "result": 1}', 0),
    (b'{"error":{"code":10,"message":"x"},"result":null,"id":1}', 10),
    (b'{"error": {"code": 1, "message": "x"}, "result": null, "id": 1}', 1),
    (b'{\n    "error": {\n        "code": 3,\n', 3),
    (b"", UNREADABLE_CODE),
    (b'{"result":null,"error":{"code":3}}', UNREADABLE_CODE),
    (b'{"error":{"code":99999999999999999999}}', UNREADABLE_CODE),
]


@pytest.mark.parametrize(("body", "code"), CODES, ids=range(len(CODES)))
def test_code_of_a_reply(body: bytes, code: int) -> None:
    assert reply_code(body) == code


def test_requests_are_counted_by_method_and_code(tmp_path: Path) -> None:
    with (
        EngineProcess(tmp_path, toml_config()) as engine,
        Gateway(tmp_path, toml_gateway(engine.address())) as gateway,
        gateway.connect() as client,
    ):
        for method, params in (
            ("asset.list", []),
            ("asset.list", []),
            ("order.depth", ["BTCBCH"]),
            ("no.such", []),
            ("market.last", ["BTCBCH"]),
        ):
            client.call(method, params)
        client.send(b"hello\r\n\r\n")
        assert client.receive().status in (400, 501)
        series = 'accesshttp_requests_total{code="%d",method="%s",worker="0"}'
        expected = {
            series % (0, "asset.list"): 2.0,
            series % (1, "order.depth"): 1.0,
            series % (4, "none"): 1.0,
            series % (2, "market.last"): 1.0,
            'accesshttp_request_seconds_count{worker="0"}': 3.0,
            'accesshttp_backend_connected{backend="matchengine",worker="0"}': 1.0,
            "accesshttp_accepted_total": 1.0,
            "accesshttp_workers": 1.0,
        }
        wait_until(lambda: expected.items() <= gateway.metrics().items(), "the worker's next report")
        metrics = gateway.metrics()
        for name, metric in METRICS.items():
            total = "_total" if metric.kind == "counter" else ""
            assert any(series.startswith(f"accesshttp_{name}{total}{{") for series in metrics), name
        health = gateway.health()
        assert health["status"] == "ok" and health["facts"].pop("connections") >= 0
        assert health["facts"] == {
            "workers": 1,
            "workers_wanted": 1,
            "backends": {"matchengine": "connected"},
        }


def test_a_backend_that_is_not_there_is_degraded(tmp_path: Path) -> None:
    with Gateway(tmp_path, toml_gateway(NOWHERE)) as gateway:
        health = gateway.health()
        assert health["status"] == "degraded"
        assert health["facts"]["backends"] == {"matchengine": "not connected"}
