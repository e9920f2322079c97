"""An operator's day: a backup while orders come, the exchange moved elsewhere, then damage of every kind.

Each step is one that docs/operations.md tells, with the commands that it names.
"""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gateways.cli.programs import ENGINE, packaged_settings
from tests.gateways.cli.running import DEADLINE_S, VxUp, free_port_offset, json_of, vx
from tests.processes.test_whole_backend import BUYER, MARKET, RETRIES, SELLER, read, trade
from tests.support.crash_client import Request, ask_all
from tests.support.processes import wait_until
from vxutils.client import Client
from vxutils.exits import ExitCode

PAGE = 100
RECORDS_PER_SLICE = 1_000
OLD, NEW, BACKUP = "vx-data", "new", "backups/monday"


def settings(directory: Path) -> Path:
    """The packaged ones, with slices and segments so small that a test fills many."""
    text = packaged_settings(ENGINE).read_text()
    for line, small in (
        ("slice_records = 1_000_000", f"slice_records = {RECORDS_PER_SLICE}"),
        ("segment_size_bytes = 67_108_864", "segment_size_bytes = 131_072"),
    ):
        assert line in text
        text = text.replace(line, small)
    path = directory / "matchengine.toml"
    path.write_text(text)
    return path


def fill(up: VxUp, data: Path, first: int) -> int:
    """Deposits until a part of the journal is in the archive; the number of the next one."""
    archive = data / "archive"

    def deposit() -> bool:
        nonlocal first
        params = ([3, "BTC", "deposit", number, "0.5", {}] for number in range(first, first + 500))
        ask_all(up.address(), [Request(102, json.dumps(one).encode()) for one in params])
        first += 500
        return archive.is_dir() and len(list(archive.glob("*.gz"))) >= 2

    wait_until(deposit, "an archive", DEADLINE_S)
    return first


@contextmanager
def orders_coming(url: str) -> Iterator[list[int]]:
    """Trades by another client, one after another; the list grows by the number of each that is done."""
    done: list[int] = []
    is_over = threading.Event()

    def go_on() -> None:
        with Client(url, retries=RETRIES) as client:
            while not is_over.is_set():
                trade(client, 1000 + len(done))
                done.append(len(done))

    trader = threading.Thread(target=go_on)
    trader.start()
    try:
        yield done
    finally:
        is_over.set()
        trader.join(DEADLINE_S)
    assert not trader.is_alive()


def at(directory: Path, data: str, sequence: int) -> Any:
    """`vx at` without the slice that it was made from."""
    shown = {}
    for user in (SELLER, BUYER, 3):
        words = ("at", sequence, "--data-dir", data, "--user", user, "--market", MARKET, "--json")
        shown[user] = json_of(vx(*words, cwd=directory))
        del shown[user]["from_slice"]
    return shown


def last_order_id(client: Client) -> int:
    return int(client.call("order.put_limit", SELLER, MARKET, 1, "0.001", "99999", "0", "0", "test")["id"])


def deals(client: Client, count: int) -> list[int]:
    """The ids of all deals of the buyer, oldest first, once there are so many."""
    found: list[int] = []

    def are_there() -> bool:
        found.clear()
        while page := read(client, "market.user_deals", BUYER, MARKET, len(found), PAGE)["records"]:
            found.extend(int(deal["id"]) for deal in page)
        return len(found) == len(set(found)) == count  # pages move while the history is behind

    wait_until(are_there, f"{count} deals", DEADLINE_S)
    assert found == sorted(found, reverse=True)
    return found[::-1]


def overwrite(path: Path, offset: int, size: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\xa5" * size)


def logs(data: Path) -> str:
    return "".join(path.read_text() for path in sorted((data / "log").glob("*.log")))


def start(directory: Path, *words: object) -> VxUp:
    return VxUp(directory, "--config", "matchengine.toml", "--port-offset", free_port_offset(), *words)


def test_an_operators_day(tmp_path: Path) -> None:
    settings(tmp_path)
    old_ids, old_deals = backup_and_move(tmp_path)
    new_deals = serve_elsewhere(tmp_path, old_ids, old_deals)
    damage_and_repair(tmp_path, new_deals)


def backup_and_move(directory: Path) -> tuple[int, list[int]]:
    """(the last order id that anybody got, the deals in the backup)"""
    with start(directory) as up:
        up.wait_for_line("Ctrl-C stops everything")
        fill(up, directory / OLD, first=10)
        with Client(up.url, retries=RETRIES) as client:
            with orders_coming(up.url) as done:
                wait_until(lambda: len(done) > 5, "orders", DEADLINE_S)
                config = ("--config", "matchengine.toml")
                manifest = json_of(vx("backup", BACKUP, *config, "--json", cwd=directory))
                enough = len(done) + 5
                wait_until(lambda: len(done) > enough, "more orders", DEADLINE_S)
            last = last_order_id(client)
            told = deals(client, len(done))
        names = {file["name"] for file in manifest["files"]}
        assert names >= {"SYSTEM", "history.db", "marketprice.db", "config/matchengine.toml"}
        assert any(name.startswith("archive/") for name in names)
        assert manifest["history_sequence"] <= manifest["sequence"]

        refused = vx("restore", BACKUP, "--data-dir", NEW, "--replaces", OLD, cwd=directory)
        assert refused.returncode == ExitCode.ALREADY_RUNNING
        assert "the original still runs" in refused.stderr
        assert up.stop() == 0

    restored = json_of(vx("restore", BACKUP, "--data-dir", NEW, "--replaces", OLD, "--json", cwd=directory))
    assert restored["order_id"] == last + 1_000_000
    lost = restored["given_up"]
    assert lost["records"] == lost["last_sequence"] - manifest["sequence"] > 0
    assert lost["commands"]["limit orders"] > 10 and lost["problems"] == []
    for data in (OLD, NEW):
        assert json_of(vx("audit", data, "--json", cwd=directory))["is_sound"]
    then = at(directory, OLD, manifest["sequence"])
    assert at(directory, NEW, manifest["sequence"]) == then == at(directory, BACKUP, manifest["sequence"])
    kept = len(told) - lost["deals"]
    assert told[:kept][-1] == then[BUYER]["deal_id"]
    return last, told[:kept]


def serve_elsewhere(directory: Path, old_id: int, old_deals: list[int]) -> list[int]:
    """All deals of the restored exchange."""
    with start(directory, "--data-dir", NEW) as up:
        up.wait_for_line("Ctrl-C stops everything")
        with Client(up.url, retries=RETRIES) as client:
            assert last_order_id(client) > old_id
            count = len(old_deals)
            for number in range(5):
                trade(client, 5000 + number)
            now = deals(client, count + 5)
            assert now[:count] == old_deals
            assert now[count] > 1_000_000
            newest = [str(deal["id"]) for deal in read(client, "market.deals", MARKET, 5, 0)]
            wait_until(
                lambda: [deal["id"] for deal in read(client, "market.deals", MARKET, 5, 0)] == now[:-6:-1],
                f"the market data, now {newest}",
                DEADLINE_S,
            )
        assert up.stop() == 0
    return now


def damage_and_repair(directory: Path, told: list[int]) -> None:
    """Each damage is named; what can be made again is, and the rest comes from the backup."""
    data, backup = directory / NEW, directory / BACKUP
    segment = sorted((data / "archive").glob("*.gz"))[0]
    overwrite(segment, segment.stat().st_size // 2, 100)
    slice_path = sorted((data / "slices").glob("*.slice"))[-1]
    overwrite(slice_path, 300, 10)
    history = data / "history.db"
    overwrite(history, 8192 * 12, 8192 * 5)

    named = vx("audit", NEW, cwd=directory)
    assert named.returncode == ExitCode.JOURNAL_DAMAGED
    assert str(segment.relative_to(directory)) in named.stderr and "put it back from a backup" in named.stderr
    shutil.copyfile(backup / "archive" / segment.name, segment)
    assert json_of(vx("audit", NEW, "--json", cwd=directory))["is_sound"]

    with start(directory, "--data-dir", NEW) as up:
        up.wait_for_line("Ctrl-C stops everything")
        with Client(up.url, retries=RETRIES) as client:
            trade(client, 9000)
            assert deals(client, len(told) + 1)[:-1] == told
        assert up.stop() == 0
    text = logs(data)
    assert f"{slice_path.name} is damaged" in text and "the one before is used" in text
    assert "history.db is damaged" in text and "is made again from the journal" in text
    assert list(data.glob("history.db.bad-*"))
    assert json_of(vx("audit", NEW, "--json", cwd=directory))["is_sound"]
