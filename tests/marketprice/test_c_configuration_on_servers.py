"""The C system's configuration on real servers: deals from Kafka, the state in Redis, over restarts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from confluent_kafka import Producer

from tests.conformance.replay import VECTORS
from tests.conformance.test_marketprice_on_redis import keys_of_ours
from tests.marketprice.redis_states import RedisPlace
from tests.marketprice.running import MarketpriceProcess, wait_until
from tests.marketprice.test_settings_are_checked import c_config
from tests.servers.kafka import KafkaAddress
from tests.servers.redis import RedisAddress

TOPIC = "marketprice-c-configuration"
FIRST = 7
LAST_PRICE = 304


def test_deals_of_the_topic_become_the_keys_of_the_c_system(
    tmp_path: Path, kafka: KafkaAddress, redis_sentinel: RedisAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "UTC")
    place = RedisPlace(redis_sentinel, 8)
    kafka.create(TOPIC)
    producer = Producer({"bootstrap.servers": kafka.brokers})
    deals = [message["value"] for message in json.loads((VECTORS / "02_kafka.json").read_text())["deals"]]
    config = c_config(
        deals={"brokers": kafka.brokers, "topic": TOPIC},
        redis={"name": place.settings.name, "addr": list(place.settings.addr), "db": place.number},
        accesshttp="http://127.0.0.1:1",
        sec_max=315_360_000,
    )
    process = MarketpriceProcess(tmp_path, config)

    def produce(texts: list[str]) -> None:
        for text in texts:
            producer.produce(TOPIC, text)
        assert producer.flush(10) == 0

    def is_last(market: str, price: str) -> bool:
        with process.client() as client:
            return bool(client.call(LAST_PRICE, [market]).get("result") == price)

    try:
        produce(deals[:FIRST])  # the first of them is message 0, which is not lost
        process.start()
        wait_until(lambda: is_last("BTCBCH", "9.00000000"), "the first deals")
        assert process.terminate() == 0
        assert place.ask("GET", "k:offset") == str(FIRST - 1)
        produce(deals[FIRST:])
        process.start()
        wait_until(lambda: is_last("LTCBTC", "0.01230000"), "all deals")
        process.kill()  # before they are in Redis
        process.start()
        wait_until(lambda: is_last("LTCBTC", "0.01230000"), "all deals again")
        assert process.terminate() == 0
    finally:
        process.end()
        kafka.delete(TOPIC)
    found = place.keys()
    assert found.pop("k:vx")
    wanted = keys_of_ours()
    never_traded = {key for key, value in wanted.items() if value == "0"}  # nobody told their names here
    assert found == {key: value for key, value in wanted.items() if key not in never_traded}
