"""One database of the Redis of the test run as a place for market data: its keys, and its state as saved."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from typing import Any

import redis

from marketprice.core.calendar import Calendar
from marketprice.core.market import Markets
from marketprice.messages import decode_deal
from marketprice.persistence import Position
from marketprice.redis_persistence import RedisStore
from tests.marketprice.history import Trade, contents
from tests.servers.redis import RedisAddress
from vxnet.clock import Clock, SystemClock
from vxutils.store.redis.settings import RedisSettings


class RedisPlace:
    """Database `number`, empty at first."""

    def __init__(self, servers: RedisAddress, number: int) -> None:
        self.servers = servers
        self.number = number
        self.ask("FLUSHDB")

    @property
    def settings(self) -> RedisSettings:
        places = tuple(f"{host}:{port}" for host, port in self.servers.sentinel_places)
        return RedisSettings(name=self.servers.name, addr=places, db=self.number)

    @property
    def toml(self) -> str:
        settings = self.settings
        addresses = ", ".join(f'"{one}"' for one in settings.addr)
        return f'[redis]\nname = "{settings.name}"\naddr = [{addresses}]\ndb = {settings.db}\n'

    def store(self, clock: Clock | None = None, zone: str = "UTC") -> RedisStore:
        return RedisStore(self.settings, zone, clock or SystemClock())

    def ask(self, *command: object) -> Any:
        """The reply of the master."""
        client: Any = redis.Redis(*self.servers.master_place(), db=self.number, decode_responses=True)
        try:
            return client.execute_command(*command)
        finally:
            client.close()

    def load(self, limits: dict[str, int] | None = None, zone: str = "UTC") -> tuple[Markets, Position]:
        return self.store(zone=zone).load(Calendar(UTC), limits or {})

    def keys(self) -> dict[str, Any]:
        """Everything there, as 02_redis.json has it."""
        found: dict[str, Any] = {}
        for key in sorted(self.ask("KEYS", "*")):
            kind = self.ask("TYPE", key)
            if kind == "hash":
                found[key] = self.ask("HGETALL", key)
            else:
                found[key] = self.ask("GET", key) if kind == "string" else self.ask("LRANGE", key, 0, -1)
        return found

    def copy_to(self, number: int) -> None:
        """Everything to another database, which is emptied first."""
        RedisPlace(self.servers, number)
        for key in self.ask("KEYS", "*"):
            self.ask("COPY", key, key, "DB", number)


def texts_of(markets: Markets) -> dict[str, object]:
    """A state without the numbers of messages, which Redis does not keep."""
    state: dict[str, Any] = contents(markets)
    for market in state.values():
        market["deals"] = [text for _, text in market["deals"]]
    return state


def apply(markets: Markets, made: Sequence[Trade], first: int = 0) -> None:
    """Takes trades in; the first one is message `first`."""
    for offset, trade in enumerate(made, start=first):
        markets.apply(decode_deal(trade.payload, offset))
