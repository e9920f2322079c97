"""The real process on a broker: killed, cut off, the topic made anew; its file equals an undisturbed one."""

from __future__ import annotations

import os
import time
from datetime import UTC
from pathlib import Path

from marketprice.core.calendar import Calendar
from marketprice.core.market import Markets
from marketprice.messages import decode_deal
from tests.marketprice.history import Trade, contents
from tests.marketprice.running import MarketpriceProcess, toml_config, wait_until
from tests.marketprice.test_process_loses_and_doubles_nothing import random_trades, stored
from tests.servers.kafka import KafkaAddress
from tests.vxutils.store.kafka.topics import make, send_as_c, writer_of
from vxutils.store.embedded.schema import HistoryBatch, HistoryPosition
from vxutils.store.kafka.writer import KafkaMessageWriter

LAST = 304
PATIENCE_S = 30.0


def process_of(kafka: KafkaAddress, directory: Path) -> MarketpriceProcess:
    return MarketpriceProcess(directory, f'{toml_config()}[deals]\nbrokers = "{kafka.brokers}"\n')


def write(writer: KafkaMessageWriter, made: list[Trade]) -> None:
    """As the recorder does; one record for each deal."""
    writer.append(
        HistoryBatch(
            writer.position.sequence,
            HistoryPosition(made[-1].id, 1, made[-1].time_us),
            messages=[("deals", trade.id, 0, trade.payload) for trade in made],
        )
    )


def undisturbed(made: list[Trade]) -> dict[str, object]:
    """What the file holds when nothing went wrong; deals are kept by their numbers."""
    markets = Markets(Calendar(UTC))
    for trade in made:
        markets.apply(decode_deal(trade.payload, trade.id))
    return contents(markets)


def until_price(process: MarketpriceProcess, trade: Trade) -> None:
    def is_there() -> bool:
        with process.client() as client:
            return bool(client.call(LAST, [trade.market])["result"] == trade.price)

    wait_until(is_there, f"deal {trade.id}", PATIENCE_S)


def last_of_each(made: list[Trade]) -> list[Trade]:
    return list({trade.market: trade for trade in made}.values())


def until_all(process: MarketpriceProcess, made: list[Trade]) -> None:
    for trade in last_of_each(made):
        until_price(process, trade)


def test_kills_and_topics_made_anew_lose_and_double_nothing(kafka: KafkaAddress, tmp_path: Path) -> None:
    make(kafka)
    made = random_trades(4000)
    writer = writer_of(kafka, tmp_path / "writer", os.urandom(16))
    process = process_of(kafka, tmp_path)
    try:
        for begin in range(0, 2000, 500):
            process.start()
            write(writer, made[begin : begin + 500])
            if begin == 0:
                until_all(process, made[:500])
            time.sleep(0.7)  # some of it is saved, and some is not
            process.kill()
        process.start()
        until_all(process, made[:2000])
        kafka.trim("deals", 1000)
        make(kafka, "deals")
        write(writer, made[2000:3000])
        until_all(process, made[:3000])
        assert process.terminate() == 0
        kafka.trim("deals", 400)  # those are in the candles
        write(writer, made[3000:])
        process.start()
        until_all(process, made)
        assert process.terminate() == 0
    finally:
        process.end()
    found, position = stored(process.data)
    assert found == undisturbed(made)
    assert position.sequence == made[-1].id


def test_missing_deals_are_named_and_those_of_the_c_system_taken(kafka: KafkaAddress, tmp_path: Path) -> None:
    make(kafka, "deals")
    made = random_trades(60)
    send_as_c(kafka, "deals", *(trade.payload for trade in made[:10]))
    process = process_of(kafka, tmp_path)
    try:
        process.start()
        until_all(process, made[:10])
        assert process.terminate() == 0
        send_as_c(kafka, "deals", *(trade.payload for trade in made[10:]))
        kafka.trim("deals", 30)
        process.start()
        until_all(process, made)
        assert "messages 10 to 29 of the topic deals" in process.stderr
        assert "deals 11 to 30 are not in the topic deals" in process.stderr
        assert process.terminate() == 0
    finally:
        process.end()
    found, _ = stored(process.data)
    assert found == undisturbed(made[:10] + made[30:])
