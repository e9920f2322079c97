"""What the topic lost comes from the history, in its place: the file equals that of an undisturbed run."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC
from pathlib import Path

import msgspec
import pytest

from marketprice.core.calendar import Calendar
from marketprice.deal_history import DealHistory, EmbeddedDeals
from marketprice.gap import Gap, GapFill
from marketprice.messages import decode_deal
from marketprice.mysql_deals import MysqlDeals
from marketprice.persistence import Position
from marketprice.rebuild import rebuild
from marketprice.settings import MarketpriceSettings
from tests.marketprice import history
from tests.marketprice.history import MAKER, TAKER, Trade, open_writer
from tests.marketprice.running import MarketpriceProcess, toml_config, wait_until
from tests.marketprice.test_deals_from_kafka import PATIENCE_S, undisturbed, until_all, write
from tests.marketprice.test_process_loses_and_doubles_nothing import random_trades, stored
from tests.servers.kafka import KafkaAddress
from tests.servers.mariadb import MariaDbAddress
from tests.vxutils.store.kafka.topics import make, send_as_c, writer_of
from tests.vxutils.store.mysql.databases import settings_of
from vxnet.clock import SystemClock
from vxutils.store.embedded.schema import HISTORY_FILE, HistoryPosition
from vxutils.store.mysql.connection import Database
from vxutils.store.mysql.position import StoredPosition, move_position
from vxutils.store.mysql.schema import create_own
from vxutils.store.mysql.tables import FAMILIES, SHARDS, statement_of


def process_of(kafka: KafkaAddress, directory: Path, wait_s: float) -> MarketpriceProcess:
    config = toml_config(history_wait_s=wait_s)
    return MarketpriceProcess(directory, f'{config}[deals]\nbrokers = "{kafka.brokers}"\n')


def all_of(history: DealHistory, gap: Gap, wait_s: float = 0.0) -> tuple[list[str], GapFill]:
    """The messages that a gap is filled with."""
    fill = GapFill(history, gap, wait_s)
    found: list[str] = []
    deadline = time.monotonic() + PATIENCE_S
    while not fill.is_done:
        part = fill.poll(700)
        assert len(part) <= 700
        found += [text for _, text in part]
        assert time.monotonic() < deadline
        if not part:
            time.sleep(0.001)
    fill.close()
    return found, fill


def known(texts: Sequence[str]) -> list[object]:
    """What marketprice reads of messages."""
    return [decode_deal(text, 0) for text in texts]


def test_a_cut_topic_and_kills_leave_no_trace(kafka: KafkaAddress, tmp_path: Path) -> None:
    make(kafka)
    made = random_trades(12_000)
    process = process_of(kafka, tmp_path, 20)
    topic = writer_of(kafka, tmp_path / "writer", os.urandom(16))
    with closing(open_writer(process.data)) as rows:
        try:
            write(topic, made[:1000])
            process.start()
            until_all(process, made[:1000])
            assert process.terminate() == 0
            history.write(rows, made[:11_000])
            write(topic, made[1000:])
            kafka.trim("deals", 11_500)  # offsets begin with 0, so deal 11501 is the next one
            process.start()
            wait_until(lambda: "has not come to deal" in process.stderr, "the wait", PATIENCE_S)
            with process.client() as client:
                assert client.call(304, ["A"])["error"] is None  # who asks need not wait
            assert "has not come" in process.health()["facts"]["trouble"]
            history.write(rows, made[11_000:])
            wait_until(lambda: process.health()["facts"]["feed"] == "history", "the history", PATIENCE_S)
            process.kill()
            process.start()
            until_all(process, made)
            assert process.health()["facts"]["missing_deals"] == "none"
            assert "the gap is filled" in process.stderr
            assert process.terminate() == 0
        finally:
            process.end()
    found, position = stored(process.data)
    assert found == undisturbed(made)
    assert position.sequence == made[-1].id


def test_gaps_between_messages_that_come_together(kafka: KafkaAddress, tmp_path: Path) -> None:
    """As the C system leaves them, which drops a message that it can not send."""
    make(kafka)
    made = random_trades(60)
    process = process_of(kafka, tmp_path, 20)
    with closing(open_writer(process.data)) as rows:
        history.write(rows, made)
        send_as_c(kafka, "deals", *(trade.payload for trade in made[:10] + made[20:30] + made[45:]))
        try:
            process.start()
            until_all(process, made)
            assert process.health()["facts"]["missing_deals"] == "none"
            assert process.stderr.count("the gap is filled") == 2
            assert process.terminate() == 0
        finally:
            process.end()
    assert stored(process.data)[0] == undisturbed(made)


def test_what_the_history_lacks_too_is_named(kafka: KafkaAddress, tmp_path: Path) -> None:
    make(kafka)
    made = random_trades(60)
    process = process_of(kafka, tmp_path, 0.5)
    with closing(open_writer(process.data)) as rows:
        history.write(rows, made[:30])
        write(writer_of(kafka, tmp_path / "writer", os.urandom(16)), made)
        kafka.trim("deals", 40)
        try:
            process.start()
            until_all(process, made)
            assert process.health()["facts"]["missing_deals"] == "31-40"
            assert "10 are not there either, candles go on without them: 31-40" in process.stderr
            assert process.terminate() == 0
        finally:
            process.end()
    assert stored(process.data)[0] == undisturbed(made[:30] + made[40:])


def jumping(count: int) -> list[Trade]:
    """Trades whose numbers jump, as those of a restored exchange do."""
    made = random_trades(count)
    return [
        Trade(t.time_us, t.market, t.price, t.amount, t.side, t.id + (10**12 if t.id > count // 2 else 0))
        for t in made
    ]


def test_jumps_cost_nothing_and_pages_are_bounded(tmp_path: Path) -> None:
    made = jumping(25_000)
    with closing(open_writer(tmp_path)) as rows:
        history.write(rows, made)
    deals = EmbeddedDeals(tmp_path / HISTORY_FILE)
    assert len(deals.page(2, 10**13).deals) == 10_000
    found, fill = all_of(deals, Gap(3, made[-2].id, made[-1].id))
    assert known(found) == known([trade.payload for trade in made[2:-1]])
    assert (fill.missing, fill.missing_text) == (10**12, f"12501-{10**12 + 12500}")
    found, fill = all_of(EmbeddedDeals(tmp_path / "none"), Gap(1, 9, 10))
    assert (found, fill.missing_text) == ([], "1-9")


class Deals:
    """A history database with nothing but the tables in which deals are looked for."""

    def __init__(self, server: MariaDbAddress) -> None:
        self.settings = settings_of(server, server.new_database("deals"))
        self.database = Database(self.settings, takes_many=True)
        table = FAMILIES["user_deal_history"]
        names = [f"user_deal_history_{shard}" for shard in range(SHARDS)]
        self.database.run_many([statement_of(name, table, "utf8") for name in names])
        create_own(self.database)

    def insert(self, made: list[Trade]) -> None:
        """Two rows for each trade, of users in all tables; those of a record are there at once."""
        rows: dict[int, list[str]] = {}
        for trade in made:
            for side in (1, 2):
                user = trade.id * 7 % 150 + side
                ids = (
                    f"{user},'{trade.market}',{trade.id},1,2,{side},{TAKER if side == trade.side else MAKER}"
                )
                rows.setdefault(user % SHARDS, []).append(
                    f"({trade.time_us / 1_000_000!r},{ids},{trade.price},{trade.amount},0,0,0)"
                )
        columns = (
            "time,user_id,market,deal_id,order_id,deal_order_id,side,role,price,amount,deal,fee,deal_fee"
        )
        self.database.run_many(
            [
                f"INSERT INTO user_deal_history_{shard} ({columns}) VALUES {','.join(values)}"
                for shard, values in rows.items()
            ]
        )
        position = HistoryPosition(made[-1].id, 1, made[-1].time_us, bytes(8))
        move_position(self.database, "history", StoredPosition("00" * 16, position))


@pytest.fixture
def deals(mariadb: MariaDbAddress) -> Iterator[Deals]:
    made = Deals(mariadb)
    yield made
    made.database.close()


def test_deals_of_all_tables_of_mysql_in_order(deals: Deals, tmp_path: Path) -> None:
    made = jumping(6_000)
    with closing(MysqlDeals(deals.settings, lambda market: 2)) as found:
        assert not found.has_come_to(1, 1)
        assert found.page(1, 9).deals == []
    deals.insert(made)
    # The C system's threads may write the rows of a table in another order.
    deals.database.run_many([f"UPDATE user_deal_history_{n} SET id = 1000 - id" for n in range(3, 30)])
    reading = MysqlDeals(deals.settings, lambda market: 2)
    assert reading.has_come_to(made[-1].id, 0)
    assert not reading.has_come_to(made[-1].id + 1, 0)
    assert reading.has_come_to(0, made[-1].id)
    texts, fill = all_of(reading, Gap(11, made[-2].id, made[-1].id))
    assert known(texts) == known([exact(trade) for trade in made[10:-1]])
    assert fill.missing == 10**12
    assert (
        rebuild(
            tmp_path,
            Calendar(UTC),
            "UTC",
            MarketpriceSettings().retention,
            SystemClock(),
            lambda markets: MysqlDeals(deals.settings, markets.decimals),
        )
        == Position()
    )
    assert without_last(stored(tmp_path)[0]) == without_last(undisturbed(made))
    away = MysqlDeals(msgspec.structs.replace(deals.settings, port=1), lambda market: 0)
    texts, fill = all_of(away, Gap(1, 9, 10), wait_s=0.6)  # waited for only so long
    assert (texts, fill.missing) == ([], 9)


def without_last(found: dict[str, object]) -> dict[str, object]:
    """The last prices may lack zeros at their end."""
    for market in found.values():
        assert isinstance(market, dict)
        market["last"] = float(market["last"])
    return found


def exact(trade: Trade) -> str:
    """As the columns give it back: amounts without zeros at the end."""
    return Trade(
        trade.time_us, trade.market, trade.price, trade.amount.rstrip("0"), trade.side, trade.id
    ).payload
