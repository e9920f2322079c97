"""Engine, worker or listener killed under load: no wrong answer, and with keys each order exactly once.

Every client trades for a user of its own. It repeats whatever has no known outcome with the same idempotency
key, over new connections, until it has a result. In the end each user has each of his orders once, under the
id he was told.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.gateways.accesshttp.running import Closed, Gateway, HttpClient, toml_gateway
from tests.support.configs import toml_config
from tests.support.processes import EngineProcess, wait_until
from vxnet.address import Address

CLIENTS = 8
CODES_ALLOWED = (2, 3, 5)
GIVE_UP_S = 30.0
PAUSE_S = 0.35
SOAK_PAUSE_S = 5.5  # a watchdog waits longer and longer for whatever dies within 5 s
PAGE = 100
TARGETS = ("engine", "worker_0", "listener", "worker_1", "engine")


class Trader(threading.Thread):
    """Puts orders until told to stop; `orders` maps the number of each to the id the engine gave it."""

    def __init__(self, user: int, address: Address, stop: threading.Event) -> None:
        super().__init__(name=f"trader {user}", daemon=True)
        self.user = user
        self.orders: dict[int, int] = {}
        self.repeats = 0
        self.closed = 0
        self.codes: dict[int, int] = {}
        self.fault: BaseException | None = None
        self._address = address
        self._finish = stop
        self._client: HttpClient | None = None
        self._request_id = user * 1_000_000

    def run(self) -> None:
        try:
            number = 0
            while not self._finish.is_set():
                number += 1
                self.orders[number] = self._until_known(number)
        except BaseException as fault:
            self.fault = fault
        finally:
            self._disconnect()

    def _until_known(self, number: int) -> int:
        """The id of the order, however often it takes to be told."""
        give_up_at = time.monotonic() + GIVE_UP_S
        while time.monotonic() < give_up_at:
            order_id = self._put(number)
            if order_id is not None:
                return order_id
            self.repeats += 1
            time.sleep(0.02)
        raise AssertionError(f"user {self.user}: order {number} has no outcome after {GIVE_UP_S} s")

    def _put(self, number: int) -> int | None:
        self._request_id += 1
        source = f"u{self.user}n{number}"
        params = [self.user, "BTCBCH", 1, "0.01", str(1000 + number % 50), "0", "0", source]
        try:
            if self._client is None:
                self._client = HttpClient(self._address, 5.0)
            answer = self._client.call(
                "order.put_limit", params, self._request_id, idempotency_key=f"key-{self.user}-{number}"
            )
        except (Closed, OSError):
            self.closed += 1
            self._disconnect()
            return None
        reply: dict[str, Any] = answer.json
        error = reply["error"]
        if error is None:
            assert reply["id"] == self._request_id, f"{source}: the answer to {reply['id']}"
            result = reply["result"]
            assert (result["user"], result["source"]) == (self.user, source), f"{source}: got {result}"
            return int(result["id"])
        self.codes[error["code"]] = self.codes.get(error["code"], 0) + 1
        assert error["code"] in CODES_ALLOWED, f"{source}: {reply}"
        assert reply["id"] in (self._request_id, None), f"{source}: the error of {reply['id']}"
        assert error["data"]["reason"] == "waited_too_long" or error["data"]["outcome"]
        return None

    def _disconnect(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


def test_each_order_exactly_once_over_five_kills(tmp_path: Path) -> None:
    kill_and_check(tmp_path, TARGETS, PAUSE_S)


@pytest.mark.soak
def test_each_order_exactly_once_over_twenty_kills(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    kill_and_check(tmp_path, [chance.choice(TARGETS) for _ in range(20)], SOAK_PAUSE_S)


def kill_and_check(tmp_path: Path, targets: Sequence[str], pause_s: float) -> None:
    engine_socket = f"stream@{tmp_path}/engine.sock"
    config = toml_gateway(engine_socket, listener=f'bind = ["stream@{tmp_path}/http.sock"]', worker_num=2)
    with (
        EngineProcess(tmp_path, toml_config(bind=[engine_socket]), watchdog=True) as engine,
        Gateway(tmp_path, config) as gateway,
    ):
        stop = threading.Event()
        traders = [Trader(user, gateway.addresses[0], stop) for user in range(1, CLIENTS + 1)]
        with gateway.connect() as client:
            for trader in traders:
                deposit = [trader.user, "BTC", "deposit", 1, "1000000", {}]
                assert client.call("balance.update", deposit).json["error"] is None
        for trader in traders:
            trader.start()
        for target in targets:
            time.sleep(pause_s)
            kill(target, engine, gateway)
        time.sleep(pause_s)
        stop.set()
        for trader in traders:
            trader.join(GIVE_UP_S + 10)
            assert not trader.is_alive() and trader.fault is None, trader.fault
        check(gateway, traders, len(targets))


def kill(target: str, engine: EngineProcess, gateway: Gateway) -> None:
    if target == "engine":
        engine.kill_worker()
        engine.wait_ready()
        return
    wait_until(lambda: gateway.pid_of(target) != 0, f"a {target} to be killed")
    os.kill(gateway.pid_of(target), signal.SIGKILL)


def check(gateway: Gateway, traders: list[Trader], kills: int) -> None:
    gateway.follow()
    total = sum(len(trader.orders) for trader in traders)
    repeats = sum(trader.repeats for trader in traders)
    assert total > 10 * kills and repeats > 0, f"{total} orders, {repeats} repeats: that was no load"
    print(f"{kills} kills, {total} orders, {repeats} repeats, {sum(t.closed for t in traders)} closed")
    with gateway.connect() as client:
        for trader in traders:
            found: dict[str, list[int]] = {}
            offset = 0
            while True:
                answer = client.call("order.pending", [trader.user, "BTCBCH", offset, PAGE])
                records = answer.json["result"]["records"]
                for order in records:
                    found.setdefault(order["source"], []).append(order["id"])
                offset += len(records)
                if not records:
                    break
            told = {f"u{trader.user}n{number}": [order] for number, order in trader.orders.items()}
            assert found == told, f"user {trader.user}"
