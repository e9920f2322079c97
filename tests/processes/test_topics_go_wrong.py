"""Topics made anew, emptied, cut and written by others, senders killed in the middle: each deal counts once.

Engine, recorders, marketprice and accessws on a real broker; the history is in the data directory.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.gateways.accessws.running import WsClient, WsGateway, toml_websocket
from tests.marketprice.running import MarketpriceProcess
from tests.marketprice.running import toml_config as marketprice_toml
from tests.processes.histories_in_mysql import Exchange
from tests.servers.fixtures import need
from tests.servers.kafka import Kafka, KafkaAddress
from tests.support.configs import toml_config
from tests.support.processes import wait_until
from tests.vxutils.store.kafka.topics import make, send_as_c
from vxutils.store.embedded.schema import TOPICS
from vxutils.store.kafka.headers import read_headers

MARKET = "BTCBCH"
SELLER, BUYER = 1, 2
AMOUNT = "0.01"
WAIT_S = 60.0
PUSH_S = 1.0


class Stack:
    """All processes; `deals` is how many were made so far, which is the number of the last one."""

    def __init__(self, directory: Path, kafka: KafkaAddress) -> None:
        brokers = f'brokers = "{kafka.brokers}"'
        config = toml_config().replace(
            "[recorder]\n", '[recorder]\nmessages_monitor_address = "tcp@127.0.0.1:0"\n'
        )
        self.kafka = kafka
        self.deals = 0
        self.exchange = Exchange(directory, f"{config}\n[kafka]\n{brokers}\n")
        (directory / "m").mkdir()
        self.prices = MarketpriceProcess(directory / "m", f"{marketprice_toml()}[deals]\n{brokers}\n")
        self.prices.data = self.exchange.engine.data_dir
        (directory / "w").mkdir(mode=0o700)
        sections = f"[orders]\n{brokers}\n[balances]\n{brokers}\n"
        self.gateway = WsGateway(directory, toml_websocket(sections=sections), data_dir=directory / "w")

    def deposit(self) -> None:
        with self.exchange.engine.client("tcp") as client:
            for user, asset in ((SELLER, "BTC"), (BUYER, "BCH")):
                reply = client.call(102, [user, asset, "deposit", 1, "1000000", {}])
                assert reply["error"] is None, reply

    def trade(self, count: int) -> None:
        with self.exchange.engine.client("tcp") as client:
            for _ in range(count):
                self.deals += 1
                for user, side in ((SELLER, 1), (BUYER, 2)):
                    order = [user, MARKET, side, AMOUNT, price(self.deals), "0", "0", "test"]
                    reply = client.call(201, order)
                    assert reply["error"] is None, reply

    def kill_sender(self) -> None:
        """The process that sends, wherever it is."""
        pid = self.exchange.messages.writer_pid
        with suppress(ProcessLookupError):
            if pid:
                os.kill(pid, signal.SIGKILL)

    def until_all_sent(self) -> None:
        self.exchange.messages.wait_until_committed()

    def until_all_counted(self) -> None:
        """Every deal is in the market data, once, in order; the volume is theirs."""
        wanted = list(range(self.deals, 0, -1))

        def has_all() -> bool:
            with self.prices.client() as client:
                newest = client.call(303, [MARKET, 1, 0])["result"]  # none while the market is not known
            return bool(newest) and newest[0]["id"] >= self.deals

        wait_until(has_all, f"deal {self.deals}", WAIT_S)
        found = self.prices.call(303, MARKET, 10_000, 0)
        assert [deal["id"] for deal in found] == wanted
        assert [float(deal["price"]) for deal in found] == [float(price(number)) for number in wanted]

        def is_right() -> bool:  # a minute that begins now is not in it
            volume = float(self.prices.call(301, MARKET, 86_400)["volume"])
            return round(volume / float(AMOUNT)) == self.deals

        wait_until(is_right, "the volume", 5.0)

    def sent(self, topic: str) -> list[tuple[int, int, int]]:
        """Epoch, sequence and index of what is in a topic and is ours."""
        origins = [read_headers(message.headers()) for message in self.kafka.messages(topic)]
        return [tuple(origin.id) for origin in origins if origin is not None]

    def alarms(self) -> str:
        return self.exchange.messages.stderr


def price(number: int) -> str:
    return f"{1 + number % 97}.{number % 89:02}"


@contextmanager
def running(directory: Path, kafka: KafkaAddress) -> Iterator[tuple[Stack, WsClient]]:
    make(kafka)
    stack = Stack(directory, kafka)
    made = stack.exchange
    token = stack.gateway.token(BUYER)
    with made.engine, made.history, made.messages, stack.prices, stack.gateway:
        with stack.gateway.client(timeout_s=PUSH_S) as client:
            assert client.code("server.auth", token, "web") == 0
            assert client.code("order.subscribe", MARKET) == 0
            stack.deposit()
            stack.trade(20)
            stack.until_all_counted()
            yield stack, client
        made.stop()
        assert stack.prices.terminate() == 0


def told(stack: Stack, client: WsClient) -> list[int]:
    """The finished orders that the subscriber has heard of, after a trade of which he hears: one that comes
    while his feed looks for the end of a topic is not for him."""
    deadline = time.monotonic() + WAIT_S
    found: list[int] = []
    while not found or found[-1] < 2 * stack.deals:
        assert time.monotonic() < deadline
        try:
            event, order = client.push("order.update")["params"]
        except TimeoutError:
            stack.trade(1)
            continue
        if event == 3:
            found.append(int(order["id"]))
    return found


def disturb(stack: Stack, dice: random.Random, kills: int) -> None:
    """One of each kind, with trades in between."""
    for _ in range(kills):
        stack.trade(dice.randrange(5, 30))
        time.sleep(dice.uniform(0, 0.15))
        stack.kill_sender()
    stack.trade(10)
    stack.until_all_sent()
    stack.until_all_counted()

    stack.prices.kill()
    make(stack.kafka, "deals")  # while the sender knows nothing of it
    stack.trade(20)
    stack.until_all_sent()
    stack.kafka.trim("deals", -1)  # what the reader has not read is gone
    send_as_c(stack.kafka, "balances", '[1.5, 1, "BTC", "deposit", "1"]')
    stack.kill_sender()
    stack.trade(10)
    stack.until_all_sent()
    stack.prices.start()
    stack.until_all_counted()
    assert "the gap is filled" in stack.prices.stderr

    stack.trade(10)
    stack.until_all_sent()
    stack.until_all_counted()
    make(stack.kafka, "orders")
    make(stack.kafka, "deals")  # while everybody is connected
    stack.trade(10)
    stack.until_all_sent()
    stack.until_all_counted()


def judge(stack: Stack) -> None:
    """What is in the topics is there once, in order, and nothing is missing in between."""
    for topic in TOPICS:
        found = stack.sent(topic)
        assert found == sorted(set(found)), topic
    numbers = [json.loads(message.value() or b"")[11] for message in stack.kafka.messages("deals")]
    assert numbers == list(range(stack.deals - len(numbers) + 1, stack.deals + 1))
    alarms = stack.alarms()
    assert "the topic deals" in alarms and "was made anew" in alarms, alarms
    assert "got 1 messages without headers since we last wrote, as the C system writes" in alarms


def test_each_deal_counts_once(tmp_path: Path, kafka: KafkaAddress) -> None:
    with running(tmp_path, kafka) as (stack, client):
        begin = told(stack, client)
        disturb(stack, random.Random(5), kills=3)
        assert stack.prices.health()["facts"]["missing_deals"] == "none"
        told(stack, client)
        first = 2 * (stack.deals + 1)
        stack.trade(5)
        rest = told(stack, client)
        assert rest == list(range(first, first + 10, 2))
        assert begin == list(range(begin[0], begin[-1] + 1, 2))
        stack.until_all_sent()
        judge(stack)


@pytest.mark.soak
def test_for_a_while_and_with_restarts_of_the_broker(tmp_path: Path) -> None:
    need("Kafka")
    (tmp_path / "k").mkdir()
    dice = random.Random(17)
    with Kafka(tmp_path / "k") as broker, running(tmp_path, broker) as (stack, _):
        for turn in range(4):
            disturb(stack, dice, kills=10)
            stack.trade(10)
            (broker.stop if turn % 2 else broker.kill)()
            stack.trade(20)
            broker.start()
            stack.until_all_sent()
            stack.until_all_counted()
        judge(stack)
