"""Marketprice answers the recorded queries from the recorded deals: byte for byte, equal in value in plain.

The deals of scenario 02 are fed with the times they had, and the clock stands where it stood when the queries
were recorded, so nothing is masked. What the store holds is compared with the keys that were left in Redis.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC
from pathlib import Path

import pytest

from marketprice.core.calendar import Calendar
from marketprice.core.kline import Retention
from marketprice.core.market import Markets
from marketprice.messages import decode_deal
from marketprice.persistence import Position, Store
from marketprice.requests import Requests
from marketprice.views import Views
from tests.conformance.comparing import assert_equal_in_value
from tests.conformance.replay import VECTORS, Record, records
from vxnet.clock import ManualClock
from vxutils.rpc.bodies import decode_narrow
from vxutils.rpc.packet import split_packets
from vxutils.rpc.replies import ReplyFormat

FILE = "02_marketprice_readhistory"
COMMANDS = (301, 302, 303, 304, 305)
RECORDED = 150
RECORDED_AT_US = 1_795_340_615_500_000
MARKETS = ("BTCBCH", "LTCBCH", "ETHBCH", "ZECBCH", "XMRBCH", "DSHBCH", "ETCBCH", "BTCCNY", "LTCBTC")
RETENTION = Retention(sec_max=604_800, min_max=525_600, hour_max=87_600)

FIRST_CANDLE = "first candle of a market"
"""The one difference: the C system opens it at 0, which is its low too. Ours opens at the first price."""

# Per market what the C system has as open and low of its first candles, and what ours are.
FIRST_PRICES = {"BTCBCH": ("10", "9"), "BTCCNY": ("60000.12", "59999.99"), "LTCBTC": ("0.01234567", "0.0123")}
DIFFERENT_ANSWERS = 48
DEAL_TIME = re.compile(r'"time": ([0-9.]+)')
FIRST_BUCKET = re.compile(r'\[\[(\d+), "0", ("[^"]*", "[^"]*"), "0"')


def recorded_state() -> Markets:
    markets = Markets(Calendar(UTC))
    for name in MARKETS:
        markets.know(name)
    for message in json.loads((VECTORS / "02_kafka.json").read_text())["deals"]:
        markets.apply(decode_deal(message["value"], message["offset"]))
    return markets


def queries() -> Iterator[tuple[Record, bytes]]:
    found = [record for record in records(FILE) if record.command in COMMANDS]
    assert len(found) == RECORDED
    for record in found:
        packets, _ = split_packets(record.packet, 1 << 20)
        yield record, packets[0].body


def expected(record: Record) -> str:
    """The recorded answer with the difference applied."""
    assert record.raw is not None and record.params is not None
    if record.params[0] not in FIRST_PRICES or record.command not in (301, 302, 305):
        return record.raw
    first, low = FIRST_PRICES[record.params[0]]
    text = FIRST_BUCKET.sub(rf'[[\1, "{first}", \2, "{low}"', record.raw)
    return text.replace('"open": "0"', f'"open": "{first}"').replace('"low": "0"', f'"low": "{low}"')


@pytest.mark.parametrize("style", ["viabtc", "plain"])
def test_answers(style: str) -> None:
    requests = Requests(
        recorded_state(),
        Views(style, 10**6),
        RETENTION,
        ManualClock(wall_us=RECORDED_AT_US),
        buckets_max=50_000,
        cache_timeout_us=0,
    )
    replies = ReplyFormat(style, False)
    different = 0
    for record, body in queries():
        answer = requests.answer(record.command, decode_narrow(body), body)
        success = isinstance(answer, str)
        got = (
            replies.success(answer, record.request_id)
            if isinstance(answer, str)
            else replies.error(answer, record.request_id)
        ).decode()
        wanted = expected(record)
        different += wanted != record.raw
        if style == "viabtc":
            assert got == wanted, f"{record.name} {record.params}"
        else:
            assert success == (json.loads(wanted)["error"] is None)
            _assert_equal_but_times(got, wanted)
    assert different == DIFFERENT_ANSWERS


def _assert_equal_but_times(got: str, wanted: str) -> None:
    """The plain style has six decimals of a second, which is what there is."""
    assert_equal_in_value(got, DEAL_TIME.sub(lambda match: f'"time": {float(match[1]):.6f}', wanted))


def test_the_store_holds_what_the_c_system_left_in_redis(tmp_path: Path) -> None:
    path = tmp_path / "marketprice.db"
    with closing(Store(path, "UTC")) as store:
        store.save(recorded_state(), Position(18))
    keys = json.loads((VECTORS / "02_redis.json").read_text())
    found: dict[str, object] = {}
    with closing(sqlite3.connect(path)) as connection:
        for market, last in connection.execute("SELECT name, last FROM markets"):
            found[f"k:{market}:last"] = last
        for market, period, start, value in connection.execute("SELECT * FROM candles"):
            found[f"k:{market}:{period}"] = {str(start): value}
        for market, value in connection.execute("SELECT market, value FROM deals ORDER BY offset DESC"):
            deals = found.setdefault(f"k:{market}:deals", [])
            assert isinstance(deals, list)
            deals.append(value)
        found["k:offset"] = str(connection.execute("SELECT offset FROM position").fetchone()[0])
    for key, recorded in keys.items():
        value = recorded["value"]
        market = key.split(":")[1]
        if recorded["type"] == "hash":
            first, low = FIRST_PRICES[market]
            value = {
                start: text.replace('["0"', f'["{first}"').replace('"0", ', f'"{low}", ')
                for start, text in value.items()
            }
        if value == "0":
            assert key not in found, "a market that was never traded is not stored"
            continue
        assert found.pop(key) == value, key
    assert found == {}
