"""A browser's view of a live market, while the processes behind it are killed one after another.

Its connection stays; every event of its orders comes once and in order, every deal once; depth and balances
end where the engine says they are.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.gateways.accessws.pushing import DepthReader
from tests.gateways.cli.running import DEADLINE_S, VxUp, free_port_offset, vx
from tests.processes.test_whole_backend import read, trade, wait_for
from tests.support.processes import wait_until
from vxutils.client import Client

MARKET = "BTCUSDT"
SELLER = 1
LIMIT = 5
READY = "accessws listener ready: "
KILLED = ("recorder", "matchengine", "writer", "marketprice")
RETRIES = 60


class Trader:
    """A connection that is read all the time; `pushes` are all that came, with their sequence."""

    def __init__(self, url: str) -> None:
        self.pushes: list[tuple[str, Any, int | None]] = []
        self.depth = DepthReader(LIMIT)
        self.has_lost_connection = False
        self._replies: dict[int, Any] = {}
        self._socket = connect(url, legacy=True)
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def __enter__(self) -> Trader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._socket.close()
        self._thread.join(DEADLINE_S)

    def call(self, method: str, *params: Any) -> Any:
        number = len(self._replies) + 1
        self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        wait_until(lambda: number in self._replies, f"reply to {method}", DEADLINE_S)
        return self._replies[number]

    def of(self, method: str) -> list[Any]:
        return [params for name, params, _ in list(self.pushes) if name == method]

    def _read(self) -> None:
        try:
            for text in self._socket:
                frame = json.loads(text)
                if frame["id"] is not None:
                    self._replies[frame["id"]] = frame
                    continue
                if frame["method"] == "depth.update":
                    self.depth.apply(frame["params"])
                self.pushes.append((frame["method"], frame["params"], frame.get("sequence")))
        except ConnectionClosed:
            self.has_lost_connection = True


def test_nothing_is_missed_whoever_dies(tmp_path: Path) -> None:
    with VxUp(tmp_path, "--port-offset", free_port_offset()) as up:
        up.wait_for_line("Ctrl-C stops everything")
        made = vx("token", "add", SELLER, "--data-dir", up.data_directory, cwd=tmp_path)
        token = next(word for word in made.stdout.split() if word.startswith("vxt_"))
        url = str(up.address(READY)).replace("tcp@", "ws://")
        with Trader(url) as trader, Client(up.url, retries=RETRIES) as client:
            wait_until(
                lambda: trader.call("server.auth", token, "test")["error"] is None, "log-in", DEADLINE_S
            )
            for method, params in (
                ("order.subscribe", [MARKET]),
                ("asset.subscribe", ["BTC", "USDT"]),
                ("deals.subscribe", [MARKET]),
                ("depth.subscribe", [MARKET, LIMIT, "0"]),
                ("price.subscribe", [MARKET]),
                ("state.subscribe", [MARKET]),
                ("kline.subscribe", [MARKET, 60]),
            ):
                assert trader.call(method, *params)["error"] is None
            count = 0
            for role in ("", *KILLED):
                if role:
                    os.kill(wait_for(up, role), signal.SIGKILL)
                for _ in range(3):
                    trade(client, count)
                    count += 1
                resting = (SELLER, MARKET, 1, "0.5", str(61_000 + count), "0", "0", "test")
                client.call("order.put_limit", *resting, idempotency_key=f"rest-{count}")
            check(trader, client, count)
            assert not trader.has_lost_connection


def check(trader: Trader, client: Client, count: int) -> None:
    """After so many trades, and one resting order for each killed process and one before."""
    resting = len(KILLED) + 1
    events = 2 * count + resting

    def is_complete() -> bool:
        return len(trader.of("order.update")) >= events and deal_ids(trader)[-1:] == [count]

    wait_until(is_complete, f"{events} events of orders and {count} deals", DEADLINE_S)
    orders = read(client, "order.finished", SELLER, MARKET, 0, 0, 0, 100)["records"]
    finished = sorted(order["id"] for order in orders)
    pushed = [(event, order["id"]) for event, order in trader.of("order.update")]
    assert sorted(number for event, number in pushed if event == 3) == finished
    placed = [number for event, number in pushed if event == 1]
    assert placed == sorted(set(placed)) and set(finished) < set(placed) and len(placed) == count + resting
    sequences = [sequence for name, _, sequence in trader.pushes if name == "order.update"]
    assert sequences == sorted(sequences)  # type: ignore[type-var]
    assert deal_ids(trader) == list(range(1, count + 1))

    depth = read(client, "order.depth", MARKET, LIMIT, "0")
    shown = {
        name: [[Decimal(price), Decimal(amount)] for price, amount in levels]
        for name, levels in depth.items()
    }
    assert len(shown["asks"]) == resting
    wait_until(lambda: trader.depth.shown() == shown, f"depth {shown}", DEADLINE_S)
    balances = read(client, "balance.query", SELLER, "BTC", "USDT")

    def newest() -> dict[str, Any]:
        found: dict[str, Any] = {}
        for params in trader.of("asset.update"):
            found |= params[0]
        return found

    wait_until(lambda: newest() == balances, f"balances {balances}", DEADLINE_S)
    (last,) = trader.of("price.update")[-1][1:]
    wait_until(lambda: read(client, "market.last", MARKET) == last, "a restarted marketprice", DEADLINE_S)
    state = read(client, "market.status", MARKET, 86_400)
    wait_until(lambda: trader.of("state.update")[-1] == [MARKET, state], "state", DEADLINE_S)
    wait_until(lambda: trader.of("kline.update")[-1][-1][2] == last, "candle", DEADLINE_S)
    assert any(params[0].get("refreshed") for params in trader.of("system.status")), "the engine was killed"


def deal_ids(trader: Trader) -> list[int]:
    return [deal["id"] for params in trader.of("deals.update") for deal in reversed(params[1])]
