"""kill -9 of engine, recorder, its writer, marketprice, websocket listener and workers, under many
subscribers and steady load: whoever is connected to a process that lives stays connected and misses nothing.

Only a killed worker costs connections, its own; they come back and begin again. A user's events are compared
with the messages that the recorder has written.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import statistics
import time
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.gateways.accesshttp.running import children, title
from tests.gateways.accessws.running import WsClient, vx_token
from tests.gateways.cli.running import DEADLINE_S, VxUp, free_port_offset
from tests.processes.crowd import Crowd, ports_of
from tests.processes.crowd_members import Follower, Session, Watcher
from tests.processes.recorders import writer_of
from tests.processes.steady_load import SteadyLoad
from tests.processes.test_whole_backend import read, stop
from tests.support.processes import wait_until
from vxnet.address import Address
from vxutils.client import Client
from vxutils.store.embedded.schema import HISTORY_FILE

MARKET = "BTCUSDT"
ASSETS = ("BTC", "USDT")
USERS = (1, 2, 3)
VIEWS = ((5, "0"), (20, "0"), (100, "0"), (10, "0.1"))
WORKERS = 2
RESTART_S = 1.0
DEALS_BETWEEN = 10
SETTINGS = f"""
worker_num = {WORKERS}
[websocket]
connections_per_address_max = 10_000
[[listener]]
bind = ["tcp@127.0.0.1:8090"]
"""
LISTENER = "accessws_listener"
NAMES = [f"accessws_worker_{index}" for index in range(WORKERS)]
KILLED = ["matchengine", "recorder", "writer", "marketprice", LISTENER, *NAMES]

Event = tuple[int, int, int]


def pid_of(up: VxUp, role: str) -> int:
    """The process that has this role now, 0 if there is none."""
    if role in (LISTENER, *NAMES):
        below = (pid for watchdog in children(up.pid("accessws")) for pid in children(watchdog))
        return next((pid for pid in below if title(pid) == role), 0)
    if role == "writer":
        return writer_of(pid_of(up, "recorder"))
    return next(iter(children(up.pid(role))), 0)


def kill(up: VxUp, role: str) -> float:
    """kill -9; the seconds until another one has its place."""
    wait_until(lambda: pid_of(up, role) > 0, role, DEADLINE_S)
    old = pid_of(up, role)
    begun = time.monotonic()
    os.kill(old, signal.SIGKILL)
    wait_until(lambda: pid_of(up, role) not in (0, old), f"another {role}", DEADLINE_S)
    return time.monotonic() - begun


def make_tokens(up: VxUp, address: Address) -> dict[int, str]:
    """One for each user, known to every worker."""
    tokens = {user: vx_token("add", str(user), "--data-dir", str(up.data_directory)) for user in USERS}
    for _ in range(2 * WORKERS):  # connections go to the workers in turn
        with WsClient(address) as client:
            deadline = time.monotonic() + DEADLINE_S
            while client.code("server.auth", tokens[USERS[-1]], "test"):
                assert time.monotonic() < deadline, "the token is never known"
                time.sleep(0.2)  # wrong attempts are counted
    return tokens


def watch(directory: Path, subscribers: int, rounds: int, pause_s: float) -> None:
    seed = int(os.environ.get("VX_SEED", random.SystemRandom().randrange(10**6)))
    print(f"VX_SEED={seed}")
    chance = random.Random(seed)
    (directory / "accessws.toml").write_text(SETTINGS)
    words = ("--port-offset", free_port_offset(), "--accessws-config", "accessws.toml")
    with VxUp(directory, *words) as up:
        up.wait_for_line("Ctrl-C stops everything")
        address = up.address("accessws listener ready: ")
        tokens = make_tokens(up, address)
        with Crowd(address) as crowd, SteadyLoad(up.url, MARKET, USERS, seed, pause_s=pause_s) as load:
            followers = [Follower(crowd, MARKET, ASSETS, user, tokens[user]) for user in USERS * 4]
            count = subscribers - len(followers)
            watchers = [Watcher(crowd, MARKET, *VIEWS[number % len(VIEWS)]) for number in range(count)]
            crowd.start()
            wait_for_deals(crowd, load, watchers)
            restarts_s = []
            for _ in range(rounds):
                for role in chance.sample(KILLED, len(KILLED)):
                    restarts_s.append(strike(up, role, crowd))
                    wait_for_deals(crowd, load, watchers)
            assert statistics.median(restarts_s) < RESTART_S  # one may have waited for a processor
            load.stop()
            load.check()
            with Client(up.url) as client:
                check_market(client, crowd, watchers)
                check_users(client, up.data_directory, followers)
            crowd.check()
        stop(up)


def strike(up: VxUp, role: str, crowd: Crowd) -> float:
    """Kill one; the connections it has are lost, and no other. The seconds until another one was there."""
    ports = ports_of(pid_of(up, role)) if role in NAMES else set()
    before = [(member, member.losses, member.port) for member in crowd.members]
    begun = time.monotonic()
    restart_s = kill(up, role)
    mourned = [(member, losses) for member, losses, port in before if port in ports]
    assert bool(mourned) is (role in NAMES)
    wait_until(lambda: all(member.losses > losses for member, losses in mourned), "all to notice", DEADLINE_S)
    wait_until(lambda: all(member.is_joined for member in crowd.members), "all to be back", DEADLINE_S)
    print(f"{role}: another one after {restart_s:.3f} s, {len(mourned)} back", end=" ")
    print(f"after {time.monotonic() - begun:.3f} s")
    for member, losses, port in before:
        assert member.losses == losses + (port in ports), (role, port)
    return restart_s


def wait_for_deals(crowd: Crowd, load: SteadyLoad, watchers: list[Watcher]) -> None:
    """Until everybody has joined, and has seen deals which came after this."""

    def newest() -> int:
        crowd.check()
        load.check()
        return min(watcher.newest_deal for watcher in watchers)

    wait_until(lambda: all(member.is_joined for member in crowd.members), "all to join", DEADLINE_S)
    wanted = max(watcher.newest_deal for watcher in watchers) + DEALS_BETWEEN
    wait_until(lambda: newest() >= wanted, f"deal {wanted} at all watchers", DEADLINE_S)


def check_market(client: Client, crowd: Crowd, watchers: list[Watcher]) -> None:
    """After the last command: each book is that of order.depth, and the newest deal is everywhere."""
    for limit, interval in VIEWS:
        depth = read(client, "order.depth", MARKET, limit, interval)
        expected = {
            name: [[Decimal(price), Decimal(amount)] for price, amount in levels]
            for name, levels in depth.items()
        }
        assert expected["asks"] or expected["bids"]
        alike = [watcher for watcher in watchers if watcher.view == (limit, interval)]
        wait_until(
            lambda alike=alike, expected=expected: all(one.book.shown == expected for one in alike),  # type: ignore[misc]
            f"depth {limit} {interval}: {expected}",
            DEADLINE_S,
        )
    deal = read(client, "market.deals", MARKET, 1, 0)[0]["id"]
    wait_until(lambda: all(one.newest_deal == deal for one in watchers), f"deal {deal}", DEADLINE_S)
    crowd.check()


def check_users(client: Client, data: Path, followers: list[Follower]) -> None:
    """Every event once and in order; snapshot and stream together are what the engine says."""
    wait_until(lambda: is_recorded(client, data), "the last order to be recorded", DEADLINE_S)
    told = events_by_user(data)
    for follower in followers:
        expected = told[follower.user]
        session = follower.session
        wait_until(
            lambda session=session, expected=expected: is_complete(session, expected),  # type: ignore[misc]
            f"{len(expected)} events of user {follower.user}",
            DEADLINE_S,
        )
        for number, one in enumerate(follower.sessions):
            if one.joined is None:
                continue  # it ended before it began
            wanted = since(one, expected)
            if number < len(follower.sessions) - 1:
                wanted = wanted[: len(one.joined_events)]  # until its worker was killed
            assert one.joined_events == wanted
            assert not any(status.get("missed") for status in one.status)
        pending = read(client, "order.pending", follower.user, MARKET, 0, 100)["records"]
        assert session.open_now == {order["id"]: Decimal(order["left"]) for order in pending}
        balances = read(client, "balance.query", follower.user, *ASSETS)
        wait_until(
            lambda session=session, balances=balances: session.balances == balances,  # type: ignore[misc]
            f"balances of user {follower.user}",
            DEADLINE_S,
        )


def is_complete(session: Session, expected: list[Event]) -> bool:
    return len(session.joined_events) >= len(since(session, expected))


def since(session: Session, events: list[Event]) -> list[Event]:
    """Those after the session's snapshot."""
    assert session.joined is not None
    return [event for event in events if event[0] > session.joined]


def is_recorded(client: Client, data: Path) -> bool:
    """Whether the history has all open orders as the engine has them."""
    left: dict[int, str] = {}
    for _, event, order in messages(data):
        left[order["id"]] = "0" if event == 3 else order["left"]
    recorded = {order: Decimal(amount) for order, amount in left.items() if Decimal(amount)}
    pending = {
        order["id"]: Decimal(order["left"])
        for user in USERS
        for order in read(client, "order.pending", user, MARKET, 0, 100)["records"]
    }
    return recorded == pending


def events_by_user(data: Path) -> dict[int, list[Event]]:
    found: dict[int, list[Event]] = {user: [] for user in USERS}
    for sequence, event, order in messages(data):
        found[order["user"]].append((sequence, event, order["id"]))
    return found


def messages(data: Path) -> list[tuple[int, int, Any]]:
    """Journal sequence, event and order of each message about orders, oldest first."""
    with closing(sqlite3.connect(f"{(data / HISTORY_FILE).as_uri()}?mode=ro", uri=True)) as connection:
        rows = connection.execute(
            "SELECT sequence, payload FROM messages WHERE topic = 'orders' ORDER BY offset"
        ).fetchall()
    decoded = ((sequence, msgspec.json.decode(payload)) for sequence, payload in rows)
    return [(sequence, message["event"], message["order"]) for sequence, message in decoded]


def test_two_hundred_subscribers(tmp_path: Path) -> None:
    watch(tmp_path, 200, rounds=1, pause_s=0.01)


@pytest.mark.soak
def test_a_thousand_subscribers(tmp_path: Path) -> None:
    watch(tmp_path, 1_000, rounds=5, pause_s=0.04)
