"""Redis with a replica and three sentinels, so that a fail-over can happen.

with RedisSentinel(directory) as redis:
    redis.master()                # a client of the current master
    redis.fail_over()             # the master is killed, a sentinel promotes the replica
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import redis

from tests.servers.process import ServerProcess, free_ports

READY_TIMEOUT_S = 30.0
FAIL_OVER_TIMEOUT_S = 60.0
SENTINELS = 3
QUORUM = 2
DOWN_AFTER_MS = 1000
MASTER_NAME = "mymaster"


def programs() -> list[str]:
    """What of Redis is not installed."""
    return [name for name in ("redis-server", "redis-sentinel") if shutil.which(name) is None]


class RedisAddress:
    """Servers that run, behind sentinels; (host, port) of each sentinel."""

    def __init__(self, name: str, sentinels: list[tuple[str, int]]) -> None:
        self.name = name
        self.sentinel_places = sentinels

    def client(self, host: str, port: int) -> Any:
        """A client of the server or sentinel there."""
        return redis.Redis(host, port, socket_timeout=3, socket_connect_timeout=3, decode_responses=True)

    def master_place(self) -> tuple[str, int]:
        """Where the master is, by the first sentinel that answers."""
        for place in self.sentinel_places:
            with suppress(redis.RedisError), self._open(place) as sentinel:
                found: Any = sentinel.execute_command("SENTINEL", "get-master-addr-by-name", self.name)
                return found[0], int(found[1])
        raise RuntimeError("no sentinel answers")

    def master(self) -> Any:
        return self.client(*self.master_place())

    @contextmanager
    def _open(self, place: tuple[str, int]) -> Iterator[Any]:
        client = self.client(*place)
        try:
            yield client
        finally:
            client.close()


def address(text: str) -> RedisAddress:
    """`name@host:port,host:port`: the master's name at its sentinels."""
    name, _, places = text.partition("@")
    pairs = [place.rpartition(":") for place in places.split(",")]
    return RedisAddress(name, [(host, int(port)) for host, _, port in pairs])


class RedisSentinel(RedisAddress):
    """Two Redis servers, master and replica, and three sentinels; all on 127.0.0.1."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        ports = free_ports(2 + SENTINELS)
        self.server_ports, self.sentinel_ports = ports[:2], ports[2:]
        super().__init__(MASTER_NAME, [("127.0.0.1", port) for port in self.sentinel_ports])
        self.servers = [self._make_server(port) for port in self.server_ports]
        self.sentinels = [self._make_sentinel(port) for port in self.sentinel_ports]

    def __enter__(self) -> RedisSentinel:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """All of them; returns when the sentinels know the replica and each other."""
        for server in self.servers:
            server.start()
        for sentinel in self.sentinels:
            sentinel.start()
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not self._is_complete():
            if time.monotonic() > deadline:
                raise RuntimeError("the sentinels do not find the replica or each other")
            time.sleep(0.05)

    def stop(self) -> None:
        for one in [*self.sentinels, *self.servers]:
            one.stop()

    def stop_servers(self) -> None:
        """Master and replica, in order; the sentinels go on."""
        for server in self.servers:
            server.stop()

    def kill_servers(self) -> None:
        """Master and replica; the sentinels go on."""
        for server in self.servers:
            server.kill()

    def start_servers(self) -> None:
        """Those that do not run; returns when the sentinels have a master again."""
        for server in self.servers:
            if not server.is_running:
                server.start()
        deadline = time.monotonic() + FAIL_OVER_TIMEOUT_S
        while not self._has_master():
            if time.monotonic() > deadline:
                raise RuntimeError("there is no master")
            time.sleep(0.05)

    def fill(self) -> None:
        """The master takes nothing more, as when its memory is used up."""
        self.master().config_set("maxmemory", 1)

    def make_room(self) -> None:
        for port in self.server_ports:
            self.client("127.0.0.1", port).config_set("maxmemory", 0)

    def suspend(self) -> None:
        """The master stands still."""
        self._server(self.master_place()[1]).suspend()

    def go_on(self) -> None:
        for server in self.servers:
            server.go_on()

    def kill_master(self) -> int:
        """Kills the current master; the port it had."""
        port = self.master_place()[1]
        self._server(port).kill()
        return port

    def fail_over(self) -> None:
        """Kills the master and waits until the other one has its place."""
        old = self.kill_master()
        deadline = time.monotonic() + FAIL_OVER_TIMEOUT_S
        while not self._is_promoted(old):
            if time.monotonic() > deadline:
                raise RuntimeError("no fail-over happened")
            time.sleep(0.1)

    def _server(self, port: int) -> ServerProcess:
        return self.servers[self.server_ports.index(port)]

    def _is_promoted(self, old: int) -> bool:
        return self.master_place()[1] != old and self._has_master()

    def _has_master(self) -> bool:
        """Whether the one that the sentinels name is one."""
        with suppress(redis.RedisError), self._open(self.master_place()) as server:
            role: Any = server.execute_command("ROLE")
            return bool(role[0] == "master")
        return False

    def _make_server(self, port: int) -> ServerProcess:
        directory = self.directory / f"redis-{port}"
        directory.mkdir(parents=True)
        config = directory / "redis.conf"  # the sentinels write into it whose replica it is
        lines = f'port {port}\nbind 127.0.0.1\ndir {directory}\nsave ""\nappendonly yes\n'
        lines += "repl-diskless-sync-delay 0\n"
        if port != self.server_ports[0]:
            lines += f"replicaof 127.0.0.1 {self.server_ports[0]}\n"
        config.write_text(lines)
        return ServerProcess(
            f"redis-{port}",
            directory,
            ["redis-server", str(config)],
            lambda: self._answers(port),
            ready_timeout_s=READY_TIMEOUT_S,
        )

    def _make_sentinel(self, port: int) -> ServerProcess:
        directory = self.directory / f"sentinel-{port}"
        directory.mkdir(parents=True)
        config = directory / "sentinel.conf"
        config.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {directory}\n"
            f"sentinel monitor {self.name} 127.0.0.1 {self.server_ports[0]} {QUORUM}\n"
            f"sentinel down-after-milliseconds {self.name} {DOWN_AFTER_MS}\n"
            f"sentinel failover-timeout {self.name} 5000\n"
        )
        return ServerProcess(
            f"sentinel-{port}",
            directory,
            ["redis-sentinel", str(config)],
            lambda: self._answers(port),
            ready_timeout_s=READY_TIMEOUT_S,
        )

    def _answers(self, port: int) -> bool:
        with suppress(redis.RedisError), self._open(("127.0.0.1", port)) as client:
            return bool(client.ping())
        return False

    def _is_complete(self) -> bool:
        for port in self.sentinel_ports:
            with self._open(("127.0.0.1", port)) as sentinel:
                pairs: Any = sentinel.execute_command("SENTINEL", "MASTER", self.name)
            state = pairs if isinstance(pairs, dict) else dict(zip(pairs[::2], pairs[1::2], strict=True))
            if int(state["num-other-sentinels"]) < SENTINELS - 1 or int(state["num-slaves"]) < 1:
                return False
        return True
