"""`vx up` as a whole: trade over HTTP, read back what became of it, kill everything once, start again.

What was recorded is there once, and stays, whoever died in between.
"""

from __future__ import annotations

import os
import signal
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

from gateways.cli.programs import PROGRAMS
from tests.gateways.cli.running import DEADLINE_S, STOPPED, VxUp, free_port_offset, json_of, vx
from tests.support.processes import wait_until
from tests.vxutils.process.script import is_alive
from vxutils.client import Client, ExchangeError

MARKET = "BTCUSDT"
AMOUNT = Decimal("0.001")
SELLER, BUYER = 1, 2
DEMO = Decimal(1_000_000)
PAGE = 100
DAY_S = 86_400
RETRIES = 60
ROLES = {f"{program.name} watchdog" for program in PROGRAMS} | {program.name for program in PROGRAMS}
ROLES -= {"accesshttp", "accesshttp watchdog", "accessws", "accessws watchdog"}
GATEWAY = {"gateway", "listener", "listener watchdog", "worker", "worker watchdog"}
ROLES |= {"writer", *GATEWAY, *(f"accessws {role}" for role in GATEWAY)}


def price(number: int) -> Decimal:
    return Decimal(60_000 + number)


def trade(client: Client, number: int) -> None:
    """One deal at a price of its own, once however often it has to be asked for."""
    for user, side in ((SELLER, 1), (BUYER, 2)):
        order = (user, MARKET, side, str(AMOUNT), str(price(number)), "0", "0", "test")
        client.call("order.put_limit", *order, idempotency_key=f"trade-{number}-{user}")


def read(client: Client, method: str, *parameters: Any) -> Any:
    """Tried again while the process behind it comes back."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            return client.call(method, *parameters)
        except ExchangeError as error:  # error 2 to 5: whoever answers is not there
            assert error.code in (2, 3, 5) and time.monotonic() < deadline, error
            time.sleep(0.05)


def wait_for_deals(client: Client, count: int) -> None:
    """The history and the market data follow the engine after some milliseconds."""

    def is_there() -> bool:
        deals = read(client, "market.user_deals", BUYER, MARKET, 0, PAGE)["records"]
        return len(deals) >= count <= len(read(client, "market.deals", MARKET, PAGE, 0))

    wait_until(is_there, f"{count} deals", DEADLINE_S)


def check_everything(client: Client, count: int) -> None:
    """After `count` trades each of them is told everywhere once, newest first."""
    wait_for_deals(client, count)
    prices = [price(number) for number in reversed(range(count))]
    total = count * AMOUNT

    assert Decimal(read(client, "market.last", MARKET)) == prices[0]
    deals = read(client, "market.deals", MARKET, PAGE, 0)
    assert [Decimal(deal["price"]) for deal in deals] == prices
    assert [deal["id"] for deal in deals] == list(range(count, 0, -1))

    now_s = int(time.time())
    candles = read(client, "market.kline", MARKET, now_s - DAY_S, now_s, DAY_S)
    assert sum(Decimal(candle[5]) for candle in candles) == total
    assert max(Decimal(candle[3]) for candle in candles) == prices[0]
    today = read(client, "market.status", MARKET, DAY_S)
    assert (Decimal(today["volume"]), Decimal(today["open"])) == (total, price(0))

    for user in (SELLER, BUYER):
        orders = read(client, "order.finished", user, MARKET, 0, 0, 0, PAGE)["records"]
        assert [Decimal(order["price"]) for order in orders] == prices
        mine = read(client, "market.user_deals", user, MARKET, 0, PAGE)["records"]
        assert [deal["id"] for deal in mine] == list(range(count, 0, -1))
        for order in (orders[0], orders[-1]):
            (deal,) = read(client, "order.deals", order["id"], 0, PAGE)["records"]
            assert Decimal(deal["amount"]) == AMOUNT
        check_balances(client, user, "BTC", -total if user == SELLER else total)
        turnover = sum(prices) * AMOUNT
        check_balances(client, user, "USDT", turnover if user == SELLER else -turnover)


def check_balances(client: Client, user: int, asset: str, gained: Decimal) -> None:
    """The rows lead from nothing to what the engine says, without a step left out or made twice."""
    rows = read(client, "balance.history", user, asset, "", 0, 0, 0, PAGE)["records"]
    held = Decimal(0)
    for row in reversed(rows):
        held += Decimal(row["change"])
        assert Decimal(row["balance"]) == held, row
    assert held == DEMO + gained
    now = read(client, "balance.query", user, asset)[asset]
    assert Decimal(now["available"]) + Decimal(now["freeze"]) == held


def wait_for(up: VxUp, role: str) -> int:
    wait_until(lambda: role in up.roles(), role, DEADLINE_S)
    return up.roles()[role]


def test_everything_is_told_once_whoever_dies(tmp_path: Path) -> None:
    words = ["--port-offset", free_port_offset()]
    with VxUp(tmp_path, *words) as up:
        up.wait_for_line("Ctrl-C stops everything")
        wait_until(lambda: set(up.roles()) == ROLES, f"all of {sorted(ROLES)}", DEADLINE_S)
        with Client(up.url, retries=RETRIES) as client:
            trade(client, 0)
            check_everything(client, 1)
            count = 1
            for role in sorted(ROLES):
                os.kill(wait_for(up, role), signal.SIGKILL)
                trade(client, count)
                count += 1
            check_everything(client, count)
        wait_until(lambda: vx("status", cwd=tmp_path).returncode == 0, "all well", DEADLINE_S)
        alerts = vx("alerts", cwd=tmp_path)
        assert alerts.returncode == 0 and "terminated by signal: 'Killed'" in alerts.stdout, alerts
        stop(up)
    audit = json_of(vx("audit", "--data-dir", "vx-data", "--json", cwd=tmp_path))
    assert audit["is_sound"]

    with VxUp(tmp_path, *words) as up:
        up.wait_for_line("Ctrl-C stops everything")
        with Client(up.url, retries=RETRIES) as client:
            check_everything(client, count)
            trade(client, count)
            check_everything(client, count + 1)
        stop(up)
    rebuilt = vx("candles", "rebuild", "--data-dir", "vx-data", cwd=tmp_path)
    assert rebuilt.returncode == 0 and f"up to message {count}" in rebuilt.stdout, rebuilt
    pruned = vx("prune", "--data-dir", "vx-data", cwd=tmp_path)
    assert pruned.returncode == 0, pruned


def stop(up: VxUp) -> None:
    """In order, and nothing is left."""
    family = up.family()
    assert up.stop() == 0
    assert up.stdout.splitlines()[-len(STOPPED) :] == STOPPED
    assert not any(map(is_alive, family))
