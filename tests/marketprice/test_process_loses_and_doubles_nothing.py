"""The real process beside a growing history: kill -9, stop, damage; its file equals an undisturbed one."""

from __future__ import annotations

import json
import random
import sqlite3
import time
from contextlib import closing
from datetime import UTC
from pathlib import Path

from marketprice.core.calendar import Calendar
from marketprice.persistence import FILE_NAME, Position, Store
from tests.marketprice.history import Trade, contents, markets_of, open_writer, write
from tests.marketprice.running import MarketpriceProcess, toml_config, wait_until
from vxutils.store.embedded.schema import HISTORY_FILE

LAST, DEALS, STATUS = 304, 303, 301


def random_trades(count: int, first: int = 1, seed: int = 3) -> list[Trade]:
    dice = random.Random(seed)
    now_us = time.time_ns() // 1000 - 50_000_000
    return [
        Trade(
            now_us + number * 1000,
            dice.choice(["A", "B", "C"]),
            f"{dice.randrange(1, 99)}.{dice.randrange(100):02}",
            f"0.{dice.randrange(1, 1000):03}",
            dice.choice([1, 2]),
            number,
        )
        for number in range(first, first + count)
    ]


def stored(data: Path) -> tuple[dict[str, object], Position]:
    with closing(Store(data / FILE_NAME, "UTC")) as store:
        markets, position = store.load(Calendar(UTC), {})
        return contents(markets), position


def offset(process: MarketpriceProcess) -> int:
    return int(process.health()["facts"]["offset"])


def test_kills_at_any_moment(tmp_path: Path) -> None:
    dice = random.Random(11)
    made = random_trades(6000)
    process = MarketpriceProcess(tmp_path)
    with closing(open_writer(process.data)) as writer:
        write(writer, made[:100])
        written = 100
        try:
            for _ in range(6):
                process.start()
                until = time.monotonic() + dice.uniform(0.05, 0.6)
                while time.monotonic() < until:
                    count = dice.randrange(1, 200)
                    write(writer, made[written : written + count])
                    written = min(len(made), written + count)
                    time.sleep(0.01)
                process.kill()
            write(writer, made[written:])
            process.start()
            wait_until(lambda: offset(process) == len(made) - 1, "all messages taken in")
            assert process.terminate() == 0
        finally:
            process.end()
    found, position = stored(process.data)
    assert position.offset == len(made) - 1
    assert found == contents(markets_of(made))


def test_a_stop_saves_and_a_start_goes_on(tmp_path: Path) -> None:
    made = random_trades(40)
    process = MarketpriceProcess(tmp_path)
    with closing(open_writer(process.data)) as writer:
        write(writer, made[:20])
        with process:
            wait_until(lambda: offset(process) == 19, "20 messages taken in")
            assert process.terminate() == 0
            found, position = stored(process.data)
            assert (found, position.offset) == (contents(markets_of(made[:20])), 19)
            published = process.data / "run" / "consumers" / "marketprice.json"
            assert json.loads(published.read_text()) == {"deals": 20}
            write(writer, made[20:])
            process.start()
            wait_until(lambda: offset(process) == 39, "40 messages taken in")
            ids = [deal["id"] for market in "ABC" for deal in process.call(DEALS, market, 100, 0)]
            assert sorted(ids) == [trade.id for trade in made]
            last = next(trade for trade in reversed(made) if trade.market == "A")
            assert process.call(LAST, "A") == last.price
            assert process.terminate() == 0
    assert stored(process.data)[0] == contents(markets_of(made))


def test_a_damaged_file_is_set_aside_and_made_again(tmp_path: Path) -> None:
    made = random_trades(30)
    process = MarketpriceProcess(tmp_path)
    with closing(open_writer(process.data)) as writer:
        write(writer, made)
        (process.data / FILE_NAME).write_bytes(b"nonsense" * 1000)
        with process:
            assert offset(process) == 29
            assert "set aside" in process.stderr and "[fatal]" in process.stderr
            assert process.terminate() == 0
    assert stored(process.data)[0] == contents(markets_of(made))
    assert len(list(process.data.glob(f"{FILE_NAME}.bad-*"))) == 1


def test_messages_that_are_gone_are_made_up_for_from_the_history(tmp_path: Path) -> None:
    made = random_trades(30)
    process = MarketpriceProcess(tmp_path)
    with closing(open_writer(process.data)) as writer:
        write(writer, made[:10])
        with process:
            wait_until(lambda: offset(process) == 9, "10 messages taken in")
            process.terminate()
            write(writer, made[10:])
            with closing(sqlite3.connect(process.data / HISTORY_FILE)) as other:
                other.execute("DELETE FROM messages WHERE offset < 20")
                other.commit()
            process.start()
            assert offset(process) == 29
            assert "messages 10 to 19 of the topic deals are no longer there" in process.stderr
            process.terminate()
    assert stored(process.data)[0] == contents(markets_of(made))


def test_a_restored_history_ends_the_process_and_the_next_start_follows_it(tmp_path: Path) -> None:
    made = random_trades(10)
    other_past = [*made[:5], *random_trades(7, first=6, seed=4)]
    process = MarketpriceProcess(tmp_path)
    with closing(open_writer(process.data)) as writer:
        write(writer, made)
    with process:
        wait_until(lambda: offset(process) == 9, "10 messages taken in")
        for name in (HISTORY_FILE, f"{HISTORY_FILE}-wal", f"{HISTORY_FILE}-shm"):
            (process.data / name).unlink(missing_ok=True)
        with closing(open_writer(process.data)) as writer:
            write(writer, other_past)
        assert process.wait() == 1
        assert "restored from another time" in process.stderr
        process.start()
        process.terminate()
    assert stored(process.data)[0] == contents(markets_of(other_past))


def test_rebuild_changes_the_time_zone(tmp_path: Path) -> None:
    made = random_trades(20)
    process = MarketpriceProcess(tmp_path)
    with closing(open_writer(process.data)) as writer:
        write(writer, made)
    with process:
        wait_until(lambda: offset(process) == 19, "20 messages taken in")
        refused = process.rebuild()
        assert (refused.returncode, "in use by process" in refused.stderr) == (75, True)
        process.terminate()
    other = MarketpriceProcess(tmp_path, toml_config(time_zone="Asia/Kolkata"))
    other.launch()
    assert other.wait() == 78
    assert "vx candles rebuild" in other.stderr
    done = other.rebuild()
    assert (done.returncode, done.stdout) == (
        0,
        "candles made again up to message 19, days of Asia/Kolkata\n",
    )
    with other:
        assert offset(other) == 19
        assert other.terminate() == 0
