"""Redis servers that end or stand still: candles equal those of an undisturbed run; starts without Redis."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC
from pathlib import Path

import pytest

from marketprice import main as main_module
from marketprice import redis_persistence, redis_whole
from marketprice.core.calendar import Calendar
from marketprice.core.market import Markets
from marketprice.main import run_worker
from marketprice.persistence import Position
from marketprice.settings import MarketpriceSettings
from tests.marketprice.history import markets_of, open_writer, write
from tests.marketprice.redis_states import RedisPlace, apply, texts_of
from tests.marketprice.running import MarketpriceProcess, toml_config, wait_until
from tests.marketprice.test_process_loses_and_doubles_nothing import offset, random_trades
from tests.servers.fixtures import need
from tests.servers.process import free_ports
from tests.servers.redis import RedisAddress, RedisSentinel
from vxnet.loop import new_event_loop
from vxnet.timer import Timer
from vxutils.exits import ProcessExit
from vxutils.store.redis import connection
from vxutils.store.redis.settings import RedisSettings

STEP = 60


@pytest.mark.parametrize("how", ["kill", "suspend"])
def test_the_state_equals_an_undisturbed_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    need("Redis")
    monkeypatch.setattr(redis_persistence, "FLUSH_S", 0.05)
    monkeypatch.setattr(redis_persistence, "RETRY_S", 0.1)
    monkeypatch.setattr(connection, "TIMEOUT_S", 0.5)
    made = random_trades(30_000)
    with RedisSentinel(tmp_path) as servers:
        place = RedisPlace(servers, 2)
        loop = new_event_loop()
        store, markets, taken = place.store(), Markets(Calendar(UTC)), 0
        troubles: list[str | None] = []
        old = servers.master_place()[1]
        master = servers.servers[servers.server_ports.index(old)]
        store.start(loop)

        def step() -> None:
            nonlocal taken
            if taken < len(made) and not (troubles and not store.trouble):
                apply(markets, made[taken : taken + STEP], taken)
                taken += STEP
            store.save(markets, Position(taken - 1))
            if taken == 100 * STEP:
                getattr(master, how)()
            if store.trouble:
                troubles.append(store.trouble)
            if troubles and not store.trouble and store.saved == Position(taken - 1):
                loop.stop()

        Timer(loop, 0.01, step, repeat=True).start()
        deadline = loop.call_later(25, loop.stop)
        loop.run_forever()
        deadline.cancel()
        if how == "suspend":
            master.go_on()  # it learns that it is a replica now
        store.finish()
        loop.close()
        assert servers.master_place()[1] != old
        assert store.saved == Position(taken - 1)
        found, position = place.load()
        assert position == Position(taken - 1)
        assert texts_of(found) == texts_of(markets_of(made[:taken]))


def test_everything_is_written_again_when_redis_is_empty(
    redis_sentinel: RedisAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_persistence, "FLUSH_S", 0.05)
    monkeypatch.setattr(redis_whole, "STEP_CANDLES", 1)  # so that deals come in between
    made = random_trades(3_000)
    place = RedisPlace(redis_sentinel, 4)
    first = place.store()
    first.save(markets_of(made[:1_000]), Position(999))
    first.finish()
    loop = new_event_loop()
    store = place.store()
    markets, _ = store.load(Calendar(UTC), {})
    taken = 1_000
    store.start(loop)
    troubles: list[str] = []

    def step() -> None:
        nonlocal taken
        if taken == 1_500:
            place.ask("FLUSHDB")
        if taken < len(made):
            apply(markets, made[taken : taken + 20], taken)
            taken += 20
        store.save(markets, Position(taken - 1))
        if store.trouble:
            troubles.append(store.trouble)
        if taken >= len(made) and store.saved == Position(taken - 1):
            loop.stop()

    Timer(loop, 0.01, step, repeat=True).start()
    deadline = loop.call_later(20, loop.stop)
    loop.run_forever()
    deadline.cancel()
    store.finish()
    loop.close()
    assert "older than what we remember; all market data are written again" in troubles[0]
    assert (store.trouble, store.saved) == (None, Position(len(made) - 1))
    found, position = place.load()
    assert position == Position(len(made) - 1)
    assert texts_of(found) == texts_of(markets_of(made))


def test_what_a_fail_over_undoes_while_nobody_trades_is_written_again(
    redis_sentinel: RedisAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_persistence, "FLUSH_S", 0.02)
    made = random_trades(200)
    place, older = RedisPlace(redis_sentinel, 5), RedisPlace(redis_sentinel, 6)
    loop = new_event_loop()
    store, markets = place.store(), Markets(Calendar(UTC))
    store.start(loop)

    def save_until(wanted: Position, is_there: Callable[[], bool]) -> None:
        def step() -> None:
            store.save(markets, wanted)
            if is_there():
                loop.stop()

        timer = Timer(loop, 0.01, step, repeat=True)
        timer.start()
        deadline = loop.call_later(20, loop.stop)
        loop.run_forever()
        deadline.cancel()
        timer.stop()
        assert is_there()

    apply(markets, made[:100])
    save_until(Position(99), lambda: store.saved == Position(99))
    place.copy_to(6)
    apply(markets, made[100:], 100)
    save_until(Position(199), lambda: store.saved == Position(199))
    older.copy_to(5)  # what the replica had
    save_until(Position(199), lambda: place.load()[1] == Position(199))
    store.finish()
    loop.close()
    assert store.trouble is None
    assert texts_of(place.load()[0]) == texts_of(markets_of(made))


def test_a_process_waits_for_redis_and_keeps_its_state_there(tmp_path: Path) -> None:
    need("Redis")
    made = random_trades(900)
    servers = RedisSentinel(tmp_path / "servers")
    places = ", ".join(f'"127.0.0.1:{port}"' for port in servers.sentinel_ports)
    section = f'[redis]\nname = "{servers.name}"\naddr = [{places}]\n'
    process = MarketpriceProcess(tmp_path, toml_config() + section)
    with closing(open_writer(process.data)) as writer:
        write(writer, made[:300])
        ready = threading.Thread(target=process.start)
        ready.start()  # nobody is there yet
        try:
            with servers:
                ready.join(20)
                place = RedisPlace.__new__(RedisPlace)
                place.servers, place.number = servers, 0
                wait_until(lambda: offset(process) == 299, "the deals are taken in")
                assert process.terminate() == 0
                assert place.load()[1].offset == 299
                write(writer, made[300:600])
                process.start()
                wait_until(lambda: offset(process) == 599, "the deals behind those")
                process.kill()
                write(writer, made[600:])
                process.start()
                wait_until(lambda: offset(process) == 899, "the deals behind the last ones saved")
                assert process.health()["status"] == "ok"
                assert process.terminate() == 0
                found, position = place.load()
                assert position.offset == 899
                assert texts_of(found) == texts_of(markets_of(made))
                assert not (process.data / "marketprice.db").exists()
                ours = json.loads(place.ask("GET", "k:vx"))
                place.ask("SET", "k:vx", json.dumps(ours | {"digest": "00" * 8}))  # of another history
                place.ask("HSET", "k:A:1d", 0, '["1", "1", "1", "1", "1", "1"]')
                process.start()
                assert "candles are made again from the history" in process.stderr
                assert process.terminate() == 0
                assert texts_of(place.load()[0]) == texts_of(markets_of(made))
        finally:
            process.end()


def test_a_start_without_redis_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main_module, "REDIS_WAIT_S", 0.2)
    monkeypatch.setattr(main_module, "REDIS_RETRY_S", 0.05)
    nowhere = f"127.0.0.1:{free_ports(1)[0]}"
    settings = MarketpriceSettings(redis=RedisSettings(name="mymaster", addr=(nowhere,)))
    began = time.monotonic()
    with pytest.raises(ProcessExit, match=f"no sentinel says where it is: Redis {nowhere}"):
        run_worker(settings, tmp_path, None, lambda line: None)
    assert time.monotonic() - began > 0.2


def test_what_can_not_be_written_at_the_end_is_read_again(
    redis_sentinel: RedisAddress, caplog: pytest.LogCaptureFixture
) -> None:
    place = RedisPlace(redis_sentinel, 3)
    store = place.store()
    store.save(markets_of(random_trades(5)), Position(4))
    store._master._sentinels = [("127.0.0.1", free_ports(1)[0])]
    store.finish()
    assert "they are read again after message -1" in caplog.text
