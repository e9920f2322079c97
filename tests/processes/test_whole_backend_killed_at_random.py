"""kill -9 of any process of `vx up` in random order under load: rows, messages and candles are those of one
quiet pass over the same journal.

The moments are random; a failure prints the seed, and VX_SEED chooses it.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections import Counter
from contextlib import ExitStack, closing, suppress
from datetime import UTC
from pathlib import Path

import pytest

from marketprice.core.calendar import Calendar
from marketprice.core.market import Markets
from marketprice.messages import decode_deal
from marketprice.persistence import FILE_NAME, Store
from tests.gateways.cli.running import DEADLINE_S, VxUp, free_port_offset, json_of, vx
from tests.marketprice.history import contents
from tests.matchengine.recorder_process.recording import Content, content, same, undisturbed
from tests.processes.steady_load import SteadyLoad
from tests.processes.test_whole_backend import ROLES, stop
from tests.support.processes import wait_until
from vxutils.store.embedded.schema import HISTORY_FILE

LOADS = (("BTCUSDT", (1, 2)), ("BTCUSDT", (2, 3)), ("ETHUSDT", (1, 2, 3)))
AT_ONCE_MAX = 3
PAUSE_S = (0.1, 1.5)
HELPER = "helper"


def victims(up: VxUp) -> dict[str, int]:
    """Every process that lives below `vx up`; helpers come and go with those they work for."""
    roles = up.roles()
    known = set(roles.values())
    helpers = [pid for pid in up.family() if pid not in known]
    return roles | {f"{HELPER} {number}": pid for number, pid in enumerate(helpers)}


def disturb(directory: Path, kills: int, seed: int) -> None:
    print(f"VX_SEED={seed}")
    chance = random.Random(seed)
    killed: Counter[str] = Counter()
    with VxUp(directory, "--port-offset", free_port_offset()) as up:
        up.wait_for_line("Ctrl-C stops everything")
        loads = [
            SteadyLoad(up.url, market, users, seed + number, name=f"load{number}")
            for number, (market, users) in enumerate(LOADS)
        ]
        with ExitStack() as stack:
            for load in loads:
                stack.enter_context(load)
            while killed.total() < kills:
                time.sleep(chance.uniform(*PAUSE_S))
                found = victims(up)
                for role in chance.sample(sorted(found), chance.randint(1, AT_ONCE_MAX)):
                    with suppress(ProcessLookupError):
                        os.kill(found[role], signal.SIGKILL)
                        killed[role.split()[0] if role.startswith(HELPER) else role] += 1
                for load in loads:
                    load.check()
            wait_until(lambda: set(up.roles()) == ROLES, "everybody to be back", DEADLINE_S)
            wait_until(lambda: vx("status", cwd=directory).returncode == 0, "all to be well", DEADLINE_S)
            before = [load.count for load in loads]
            wait_until(
                lambda: all(load.count > count for load, count in zip(loads, before, strict=True)),
                "commands of all to be answered again",
                DEADLINE_S,
            )
        stop(up)
        check(up.data_directory, directory, {order for load in loads for order in load.order_ids})
    print(dict(killed), f"{sum(load.count for load in loads)} commands")


def check(data: Path, scratch: Path, acknowledged: set[int]) -> None:
    """Nothing lost, nothing doubled, nothing else."""
    expected = undisturbed(data, scratch)
    same(content(data / HISTORY_FILE), expected)
    assert candles(data) == contents(markets_of(expected))

    deals = [row[4] for row in messages(expected, "deals")]
    assert len(deals) > 10
    # An order that was answered with success has told its beginning or, filled at once, its end.
    told = {json.loads(str(row[4]))["order"]["id"] for row in messages(expected, "orders")}
    assert acknowledged <= told and acknowledged
    assert json_of(vx("audit", "--data-dir", data, "--json", cwd=scratch))["is_sound"]


def messages(found: Content, topic: str) -> list[tuple[object, ...]]:
    """Rows of one topic, whose offsets have no gap."""
    rows = [row for row in found["messages"] if row[0] == topic]
    assert [row[1] for row in rows] == list(range(len(rows)))
    return rows


def candles(data: Path) -> dict[str, object]:
    """What marketprice has written when it stopped."""
    with closing(Store(data / FILE_NAME, "UTC")) as store:
        return contents(store.load(Calendar(UTC), {})[0])


def markets_of(found: Content) -> Markets:
    """Candles and last deals as they follow from the messages."""
    markets = Markets(Calendar(UTC))
    for row in messages(found, "deals"):
        assert isinstance(row[1], int)
        markets.apply(decode_deal(str(row[4]), row[1]))
    return markets


def test_ten_kills(tmp_path: Path) -> None:
    disturb(tmp_path, 10, int(os.environ.get("VX_SEED", random.SystemRandom().randrange(10**6))))


@pytest.mark.soak
def test_a_hundred_kills(tmp_path: Path) -> None:
    disturb(tmp_path, 100, int(os.environ.get("VX_SEED", random.SystemRandom().randrange(10**6))))
