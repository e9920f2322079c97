"""Every process of an exchange on real servers: engine, both recorders, marketprice, readhistory, gateways.

    engine --journal--> recorder -----------> MariaDB --> readhistory
                    '-> recorder-messages --> Kafka ----> marketprice --> Redis, accessws

Started as the operator's programs start them, without watchdogs, with the settings that matter here.
"""

from __future__ import annotations

import re
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final

from bench.backend import LagSample
from bench.engine import Engine
from bench.process import ProcessFacts, Service, ServiceError, child_of, process_facts, sum_of
from bench.servers import Servers
from gateways.common.accounts import accounts_path, make_accounts_file
from matchengine.recorder.lag import MESSAGES_RECORDER, RECORDER, RecorderState, read_recorder_state
from vxnet.address import parse_address
from vxutils.disk import Disk
from vxutils.protocol.commands import MARKET_DEALS
from vxutils.rpc.blocking import BlockingClient
from vxutils.store.mysql.settings import MysqlSettings

SINKS: Final = (RECORDER, MESSAGES_RECORDER)
MARKETPRICE: Final = "marketprice"
MARKET: Final = "BTCBCH"  # of the load
CLIENT_TIMEOUT_S: Final = 10.0

_COMMON = """
[log]
flag = ["fatal", "error", "warn"]

[alert]
address = ""

[monitor]
address = ""
"""

_SERVICE = '\n[svr]\nbind = ["tcp@127.0.0.1:0"]\n'

_BACKENDS = """
[[listener]]
bind = ["tcp@127.0.0.1:0"]

[matchengine]
address = ["tcp@{engine}"]

[marketprice]
address = ["{marketprice}"]
request_size_bytes_max = 1_000_000

[readhistory]
address = ["{readhistory}"]
request_size_bytes_max = 1_000_000
"""

_ADDRESS = re.compile(r"tcp@[\d.]+:\d+")


def engine_stores(servers: Servers) -> str:
    """The part of the engine's settings that says where history and messages go."""
    return (
        '[history]\nstore = "mysql"\n'
        + _database("mysql.log", servers.databases["log"])
        + _database("mysql.history", servers.databases["history"])
        + f'[kafka]\nbrokers = "{servers.kafka.brokers}"\n'
    )


class FullBackend:
    """`with` starts all and stops all, in reverse; the engine before its recorders, which record it all."""

    def __init__(self, engine: Engine, servers: Servers, directory: Path) -> None:
        self.engine = engine
        self._servers = servers
        self._directory = directory
        self._services: dict[str, list[Service]] = {}
        self._addresses: dict[str, str] = {}
        self._stack = ExitStack()

    def __enter__(self) -> FullBackend:
        data = ["--data-dir", str(self.engine.data)]
        with ExitStack() as stack:
            words = ["matchengine.recorder", "run", str(self.engine.settings), *data, "--sink"]
            recorders = [
                Service(name, [*words, sink], self._directory)
                for name, sink in zip(SINKS, ("history", "messages"), strict=True)
            ]
            for recorder in recorders:
                stack.callback(_end, recorder)
            stack.enter_context(self.engine)
            for recorder in recorders:
                self._start(recorder.name, recorder)
            for name, text in self._service_settings().items():
                path = self._write(name, text)
                package = name if name == MARKETPRICE else f"gateways.{name}"
                service = Service(name, [package, "run", path, *data], self._directory)
                stack.callback(_end, service)
                self._addresses[name] = _address(self._start(name, service))
            make_accounts_file(accounts_path(self.engine.data))
            for name, text in self._gateway_settings().items():
                path = self._write(name, text)
                for role, *more in (("listener",), ("worker", "--index", "0")):
                    title = f"{name} {role}{' 0' if more else ''}"
                    words = [f"gateways.{name}", role, path, *data, *more]
                    service = Service(title, words, self._directory)
                    stack.callback(_end, service)
                    self._start(name, service)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            for service in [one for services in self._services.values() for one in services]:
                service.kill()
        self._stack.__exit__(kind, error, trace)

    def state(self, sink: str) -> RecorderState:
        """What a recorder has published last. Raises: ServiceError."""
        state = read_recorder_state(Disk(), self.engine.data, sink)
        if state is None:
            raise ServiceError(f"{sink} says nothing: {self._services[sink][0].said}")
        return state

    def lags(self, at_s: float) -> dict[str, LagSample]:
        """How far each sink is behind; marketprice counts deals. Raises: ServiceError."""
        found = {}
        for sink in SINKS:
            state = self.state(sink)
            found[sink] = LagSample(at_s, state.lag_records, state.lag_us / 1e6)
        deals = self.engine.status()["deals last ID"]
        found[MARKETPRICE] = LagSample(at_s, max(0, deals - self.last_deal()), 0.0)
        return found

    def last_deal(self) -> int:
        """The newest deal of the market of the load that marketprice knows. Raises: ServiceError."""
        try:
            with BlockingClient(parse_address(self._addresses[MARKETPRICE]), CLIENT_TIMEOUT_S) as client:
                deals = client.call(MARKET_DEALS, [MARKET, 1, 0])["result"]
        except OSError as error:
            raise ServiceError(f"{MARKETPRICE} does not answer: {error}") from error
        return int(deals[0]["id"]) if deals else 0

    def check(self) -> None:
        """Raises: ServiceError when a process has ended."""
        for services in self._services.values():
            for service in services:
                if service.exit_code is not None:
                    raise ServiceError(f"{service.name} ended with {service.exit_code}: {service.said}")

    def facts(self) -> dict[str, ProcessFacts]:
        """Of each process by name, servers included. Raises: ServiceError when one is gone."""
        self.check()
        pids = {"engine": [self.engine.pid]}
        for name, services in self._services.items():
            pids[name] = [service.pid for service in services]
            if name in SINKS:
                pids[f"{name} writer"] = [child_of(services[0].pid, b"write")]
        try:
            found = {name: sum_of([process_facts(pid) for pid in some]) for name, some in pids.items()}
            return found | self._servers.facts()
        except OSError as error:
            raise ServiceError(f"a process is gone: {error}") from error

    def _start(self, name: str, service: Service) -> str:
        line = service.start()
        self._services.setdefault(name, []).append(service)
        return line

    def _write(self, name: str, text: str) -> str:
        path = self._directory / f"{name}.toml"
        path.write_text(text)
        return str(path)

    def _service_settings(self) -> dict[str, str]:
        servers = self._servers
        sentinels = ", ".join(f'"{host}:{port}"' for host, port in servers.redis.sentinel_places)
        return {
            MARKETPRICE: f'market_source = "tcp@{self.engine.address}"\n{_COMMON}{_SERVICE}'
            f'[deals]\nbrokers = "{servers.kafka.brokers}"\n'
            f'[redis]\nname = "{servers.redis.name}"\naddr = [{sentinels}]\ndb = {servers.redis_db}\n',
            "readhistory": f'{_COMMON}{_SERVICE}[history]\nstore = "mysql"\n'
            + _database("mysql.history", servers.databases["history"]),
        }

    def _gateway_settings(self) -> dict[str, str]:
        backends = _BACKENDS.format(engine=self.engine.address, **self._addresses)
        topics = "".join(
            f'[{topic}]\nbrokers = "{self._servers.kafka.brokers}"\n' for topic in ("orders", "balances")
        )
        return {"accesshttp": f"{_COMMON}{backends}", "accessws": f"{_COMMON}{backends}{topics}"}


def _database(section: str, settings: MysqlSettings) -> str:
    return (
        f'[{section}]\nhost = "{settings.host}"\nport = {settings.port}\nuser = "{settings.user}"\n'
        f'password = "{settings.password}"\nname = "{settings.name}"\n'
    )


def _address(line: str) -> str:
    found = _ADDRESS.search(line)
    if found is None:
        raise ServiceError(f"no tcp address in the ready line: {line!r}")
    return found[0]


def _end(service: Service) -> None:
    """In order, if it still runs."""
    if service.is_started:
        service.stop()
