"""Real sentinels: the master is found, also after a fail-over; what is wrong is said in words."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from tests.servers.process import free_ports
from tests.servers.redis import RedisAddress
from vxutils.store.redis import connection as connection_module
from vxutils.store.redis.connection import Connection
from vxutils.store.redis.errors import RedisAway, RedisRefused, RedisWrong
from vxutils.store.redis.sentinel import Master
from vxutils.store.redis.settings import RedisSettings, redis_problems


def settings_of(servers: RedisAddress, **changed: Any) -> RedisSettings:
    places = tuple(f"{host}:{port}" for host, port in servers.sentinel_places)
    given = {"name": servers.name, "addr": places, **changed}
    return RedisSettings(**given)


def test_a_transaction_is_done_at_once_or_not_at_all(redis_sentinel: RedisAddress) -> None:
    master = Master(settings_of(redis_sentinel, db=3))
    with master.session() as session, master.session() as other:
        session.ask("DEL", "t:a", "t:b")
        assert session.transaction([("SET", "t:a", "ä\udcff"), ("LPUSH", "t:b", 1, 2)])
        assert session.ask_all([("GET", "t:a"), ("LRANGE", "t:b", 0, -1), ("GET", "t:none")]) == [
            "ä\udcff", ["2", "1"], None,
        ]  # fmt: skip
        session.ask("WATCH", "t:a")
        other.ask("SET", "t:a", "theirs")
        assert not session.transaction([("SET", "t:a", "ours")])
        assert other.ask("GET", "t:a") == "theirs"
        with pytest.raises(RedisWrong, match="WRONGTYPE"):
            session.transaction([("LPUSH", "t:a", "x")])
        with pytest.raises(RedisWrong, match="unknown command"):
            session.ask("NO-SUCH-COMMAND")
        assert session.ask("PING") == "PONG"  # the connection is still in step
    assert redis_sentinel.master().get("t:a") is None  # another database


def test_dead_sentinels_are_passed_over_and_the_one_that_answers_goes_first(
    redis_sentinel: RedisAddress,
) -> None:
    dead = f"127.0.0.1:{free_ports(1)[0]}"
    good = settings_of(redis_sentinel).addr[0]
    master = Master(settings_of(redis_sentinel, addr=(dead, good)))
    for _ in range(2):
        with master.session() as session:
            assert session.ask("PING") == "PONG"
    assert master._sentinels[0] == redis_sentinel.sentinel_places[0]


def test_what_is_wrong_is_said_and_tried_again_after_a_pause(redis_sentinel: RedisAddress) -> None:
    now = [0.0]
    dead = f"127.0.0.1:{free_ports(1)[0]}"
    master = Master(RedisSettings(name="mymaster", addr=(dead,)), lambda: now[0])
    with pytest.raises(RedisAway, match=f"no sentinel says where it is: Redis {dead}: .*refused") as first:
        master.session().__enter__()
    with pytest.raises(RedisAway, match="refused") as second:
        master.session().__enter__()
    assert second.value.__cause__ is None and str(second.value) == str(first.value)
    now[0] = 0.2
    with pytest.raises(RedisAway) as third:
        master.session().__enter__()
    assert third.value is not second.value
    stranger = Master(settings_of(redis_sentinel, name="nobody"))
    with pytest.raises(RedisAway, match="knows no master nobody"):
        stranger.session().__enter__()
    with pytest.raises(RedisRefused), Master(settings_of(redis_sentinel, password="x")).session():
        pass


def test_a_server_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(RedisAway, match=r"[Tt]imeout"):
        Connection("127.0.0.1", silent.getsockname()[1])


def test_a_replica_is_not_written_to(redis_sentinel: RedisAddress) -> None:
    """A sentinel that names one, as after a fail-over it has not heard of."""
    host, port, _ = redis_sentinel.master().execute_command("ROLE")[2][0]
    sentinel = redis_sentinel.client(*redis_sentinel.sentinel_places[0])
    sentinel.execute_command("SENTINEL", "MONITOR", "behind", host, port, 2)
    try:
        one = settings_of(redis_sentinel).addr[:1]
        with pytest.raises(RedisAway, match=f"master Redis {host}:{port} is a slave"):
            Master(RedisSettings(name="behind", addr=one)).session().__enter__()
    finally:
        sentinel.execute_command("SENTINEL", "REMOVE", "behind")
        sentinel.close()


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"name": "x"}, "redis.addr: empty"),
        ({"addr": ("a:1",)}, "redis.name: missing"),
        ({"name": "x", "addr": ("a",)}, "redis.addr: 'a' is no address"),
        ({"name": "x", "addr": ("a:70000",)}, "redis.addr: 'a:70000'"),
    ],
)
def test_settings_are_checked(given: dict[str, Any], problem: str) -> None:
    problems = redis_problems("redis", RedisSettings(**given))
    assert len(problems) == 1 and problems[0].startswith(problem)
    assert redis_problems("redis", RedisSettings(name="x", addr=("[::1]:1", "b:2"))) == []
