"""Both clients on raw RPC with a real engine: a deposit, a trade, errors, keys, and a killed engine."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from tests.support.configs import toml_config
from tests.support.processes import EngineProcess
from tests.vxutils.client.serving import CLIENTS, Caller
from vxutils.client import ExchangeError, NoAnswer, Outcome

USERS = {"blocking": 10, "async": 20}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    with EngineProcess(tmp_path_factory.mktemp("engine"), toml_config(wire_style="plain")) as running:
        yield running


@pytest.mark.parametrize("kind", CLIENTS)
def test_deposit_trade_and_errors(engine: EngineProcess, kind: str) -> None:
    seller, buyer = USERS[kind], USERS[kind] + 1
    with Caller(kind, str(engine.address("tcp"))) as caller:
        caller.call("balance.update", seller, "BTC", "deposit", 1, Decimal("2.5"), {})
        caller.call("balance.update", buyer, "CNY", "deposit", 1, "10000", {})
        order = caller.call("order.put_limit", seller, "BTCCNY", 1, Decimal(1), "8000", "0", "0", "me")
        trade = caller.call("order.put_limit", buyer, "BTCCNY", 2, "0.5", "8000", "0", "0", "me")
        assert Decimal(trade["deal_money"]) == 4000
        assert caller.call("balance.query", buyer, "BTC") == {"BTC": {"available": "0.5", "freeze": "0"}}
        caller.call("order.cancel", seller, "BTCCNY", order["id"])
        with pytest.raises(ExchangeError, match="order not found") as raised:
            caller.call("order.cancel", seller, "BTCCNY", order["id"])
        assert (raised.value.code, raised.value.outcome) == (10, Outcome.REFUSED)
        first = caller.call("order.put_limit", buyer, "BTCCNY", 1, "0.1", "9999", "0", "0", "", key=f"{kind}")
        again = caller.call("order.put_limit", buyer, "BTCCNY", 1, "0.1", "9999", "0", "0", "", key=f"{kind}")
        assert first["id"] == again["id"]
        assert caller.call("order.pending", buyer, "BTCCNY", 0, 10)["total"] == 1


@pytest.mark.parametrize("kind", CLIENTS)
def test_a_keyed_order_survives_a_kill(tmp_path: Path, kind: str) -> None:
    address = f"stream@{tmp_path}/e.sock"
    order = ("order.put_limit", 1, "BTCCNY", 1, "0.1", "9000", "0", "0", "")
    with (
        EngineProcess(tmp_path, toml_config(bind=[address]), watchdog=True) as engine,
        Caller(kind, address, retries=100) as caller,
    ):
        caller.call("balance.update", 1, "BTC", "deposit", 1, "5", {}, key="deposit")
        ids = set()
        for number in range(6):
            if number in (2, 4):
                engine.kill_worker()
            ids.add(caller.call(*order, key=f"order-{number}")["id"])
        assert len(ids) == 6
        assert caller.call("order.pending", 1, "BTCCNY", 0, 10)["total"] == 6


@pytest.mark.parametrize("kind", CLIENTS)
def test_an_engine_that_is_gone_is_a_sentence(tmp_path: Path, kind: str) -> None:
    with EngineProcess(tmp_path, toml_config()) as engine, Caller(kind, str(engine.address())) as caller:
        assert caller.call("market.list")
        engine.kill()
        with pytest.raises(NoAnswer, match="can not be reached") as raised:
            caller.call("order.put_limit", 1)
        assert raised.value.outcome is Outcome.NOT_SENT
