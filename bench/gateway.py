"""A websocket gateway to be measured: its listener and its workers, each a process of its own.

Beside an exchange (`Backend`) it has all that a real one has; without one it has connections only. Settings
are the defaults, but for the bounds on connections: some thousands come from one address here.
"""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path
from types import TracebackType

from bench.backend import Backend
from bench.process import ProcessFacts, Service, ServiceError, process_facts
from gateways.common import credentials
from gateways.common.accounts import Account, AccountStore, accounts_path, make_accounts_file, new_id

_SETTINGS = """\
worker_num = {workers}

[log]
flag = ["fatal", "error"]

[alert]
address = ""

[websocket]
connections_max = {connections_max}
connections_per_address_max = 0

[[listener]]
bind = ["tcp@127.0.0.1:0"]

[monitor]
address = ""

[matchengine]
address = {engine}

[marketprice]
address = {marketprice}
request_size_bytes_max = 1_000_000

[readhistory]
address = {readhistory}
request_size_bytes_max = 1_000_000
"""

_ADDRESS = re.compile(r"tcp@(?P<host>[\d.]+):(?P<port>\d+)")


class WebsocketGateway:
    """`with WebsocketGateway(...)` starts and stops it. `backend` None: no exchange, nothing is pushed."""

    def __init__(
        self, directory: Path, backend: Backend | None, *, workers: int = 1, connections_max: int = 20_000
    ) -> None:
        self.data = directory / "gateway" if backend is None else backend.engine.data
        self.port = 0
        addresses = dict.fromkeys(("engine", "marketprice", "readhistory"), "[]")
        if backend is not None:
            lines = {"engine": f"tcp@{backend.engine.address}", **backend.ready_lines}
            addresses = {name: f'["{_address(line)[0]}"]' for name, line in lines.items()}
        else:
            self.data.mkdir()
        settings = directory / "accessws.toml"
        settings.write_text(_SETTINGS.format(workers=workers, connections_max=connections_max, **addresses))
        common = [str(settings), "--data-dir", str(self.data)]
        self._listener = Service("accessws listener", ["gateways.accessws", "listener", *common], directory)
        self._workers = [
            Service(
                f"accessws worker {index}",
                ["gateways.accessws", "worker", *common, "--index", str(index)],
                directory,
            )
            for index in range(workers)
        ]

    def __enter__(self) -> WebsocketGateway:
        make_accounts_file(accounts_path(self.data))
        try:
            self.port = _address(self._listener.start())[1]
            for worker in self._workers:
                worker.start()
        except BaseException:
            self._kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            for service in self._services:
                service.stop()
        self._kill()

    def add_token(self, user: int) -> str:
        """A token with which `server.auth` speaks for the user; workers know it within a second."""
        secret = credentials.new_secret()
        account = Account(
            id=new_id(),
            kind="token",
            user_id=user,
            is_read_only=False,
            label="bench",
            digest=credentials.digest(secret),
            created_us=1,
            expires_us=0,
            revoked_us=0,
            revision=0,
        )
        with closing(AccountStore(accounts_path(self.data))) as store:
            store.add(account)
        return credentials.token_text(account.id, secret)

    @property
    def worker_pids(self) -> list[int]:
        return [worker.pid for worker in self._workers]

    def worker_facts(self) -> ProcessFacts:
        """All workers together. Raises: ServiceError when one has ended."""
        for service in self._services:
            if service.exit_code is not None:
                raise ServiceError(f"{service.name} ended with {service.exit_code}: {service.said}")
        facts = [process_facts(pid) for pid in self.worker_pids]
        return ProcessFacts(
            sum(fact.resident_bytes for fact in facts), sum(fact.processor_s for fact in facts)
        )

    @property
    def _services(self) -> list[Service]:
        return [self._listener, *self._workers]  # the listener first: nobody new comes in

    def _kill(self) -> None:
        for service in self._services:
            service.kill()


def _address(line: str) -> tuple[str, int]:
    found = _ADDRESS.search(line)
    if found is None:
        raise ServiceError(f"no tcp address in the ready line: {line!r}")
    return found[0], int(found["port"])
