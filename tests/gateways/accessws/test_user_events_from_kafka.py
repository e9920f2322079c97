"""A gateway without an engine beside it takes user events from a broker, and goes on when a topic is new."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.gateways.accessws.running import WsGateway, toml_websocket
from tests.servers.kafka import KafkaAddress
from tests.vxutils.store.kafka.topics import make, send_as_c

USER = 7


def order_text(order_id: int) -> str:
    numbers = ("price", "amount", "taker_fee", "maker_fee", "left", "deal_stock", "deal_money", "deal_fee")
    order = {"id": order_id, "market": "BTCBCH", "source": "api", "type": 1, "side": 1, "user": USER}
    order |= {"ctime": 1.5, "mtime": 1.5} | dict.fromkeys(numbers, "1")
    return json.dumps({"event": 1, "order": order, "stock": "BTC", "money": "BCH"})


@contextmanager
def sending(kafka: KafkaAddress, order_id: int) -> Iterator[None]:
    """Sends that order again and again: a feed that begins at the end has missed what was there before."""
    stopping = threading.Event()

    def send() -> None:
        while not stopping.wait(0.2):
            send_as_c(kafka, "orders", order_text(order_id))

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


def test_order_events(kafka: KafkaAddress, tmp_path: Path) -> None:
    make(kafka)
    send_as_c(kafka, "orders", order_text(1))
    brokers = f'brokers = "{kafka.brokers}"'
    config = toml_websocket(sections=f"[orders]\n{brokers}\n[balances]\n{brokers}\n")
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    gateway = WsGateway(tmp_path, config, data_dir=data)
    token = gateway.token(USER)
    with gateway, gateway.client(timeout_s=30.0) as client:
        assert client.code("server.auth", token, "web") == 0
        assert client.code("order.subscribe", "BTCBCH") == 0

        def next_new(order_id: int) -> dict[str, Any]:
            while True:
                event, order = client.push("order.update")["params"]
                assert event == 1
                if order["id"] >= order_id:
                    assert isinstance(order, dict)
                    return order

        with sending(kafka, 2):
            assert next_new(1)["id"] == 2  # never what was there before
        make(kafka)
        with sending(kafka, 3):
            assert next_new(3)["price"] == "1"
