"""The operator's console of a real engine: the tables of the C system, and our own commands.

Source: protocol.md 10.5.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from matchengine.slices import list_slices, verify_slice
from tests.processes.crashing import crash_config
from tests.support.processes import EngineProcess, wait_until
from vxutils.disk import Disk


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    """Two users; 7 sells at 8 and 9, 8 bids at 7; one deal."""
    with EngineProcess(tmp_path_factory.mktemp("console"), crash_config()) as process:
        with process.client() as client:
            for user, asset, amount in ((7, "BTC", "10.5"), (8, "BCH", "1000"), (8, "BTC", "0.25")):
                assert client.call(102, [user, asset, "deposit", 1, amount, {}])["error"] is None
            for user, side, price in ((7, 1, "8"), (7, 1, "9"), (8, 2, "7"), (8, 2, "8")):
                order = [user, "BTCBCH", side, "1.5", price, "0", "0", "t"]
                assert client.call(201, order)["error"] is None
        yield process


def test_status(engine: EngineProcess) -> None:
    lines = engine.ask_console("status").splitlines()
    assert lines[:8] == [
        "order last ID: 4",
        "deals last ID: 1",
        "operlog last ID: 7",
        "operlog pending: 0",
        "history pending 0",
        "message deals pending: 0",
        "message orders pending: 0",
        "message balances pending: 0",
    ]
    facts = dict(line.split(": ", 1) for line in lines[8:])
    assert (facts["sequence"], facts["durable sequence"], facts["epoch"]) == ("8", "8", "1")
    assert (facts["new orders"], facts["clock"]) == ("taken", "accepted")
    assert int(facts["free bytes"]) > 0
    assert facts["requests"] == "7"
    assert facts["requests refused as unavailable"] == "0"
    assert int(facts["longest turn us"]) > 0


HEAD = "user       asset            type       amount\n"
SEVEN_BTC = (
    "7          BTC              available  7.500000000000\n"
    "7          BTC              freeze     1.500000000000\n"
)
SEVEN_BCH = "7          BCH              available  12.00000000000000000000\n"
EIGHT_BCH = (
    "8          BCH              available  977.50000000000000000000\n"
    "8          BCH              freeze     10.50000000000000000000\n"
)
EIGHT_BTC = "8          BTC              available  1.750000000000\n"


def test_balance_get(engine: EngineProcess) -> None:
    assert engine.ask_console("balance get 7") == HEAD + SEVEN_BCH + SEVEN_BTC
    assert engine.ask_console("balance get 8") == HEAD + EIGHT_BCH + EIGHT_BTC
    assert engine.ask_console("balance get 9") == HEAD


def test_balance_list(engine: EngineProcess) -> None:
    everything = engine.ask_console("balance list")
    assert everything.startswith(HEAD)
    assert sorted(everything.splitlines()[1:]) == sorted(
        (SEVEN_BTC + SEVEN_BCH + EIGHT_BCH + EIGHT_BTC).splitlines()
    )
    bch = engine.ask_console("balance list BCH")
    assert sorted(bch.splitlines()[1:]) == sorted((SEVEN_BCH + EIGHT_BCH).splitlines())
    assert engine.ask_console("balance list NONE") == HEAD


def test_balance_summary(engine: EngineProcess) -> None:
    lines = engine.ask_console("balance summary").splitlines()
    assert [cut(line, 16, 30, 11, 30, 12) for line in lines[:1]] == [
        ["asset", "total", "avail count", "available", "freeze count", "freeze"]
    ]
    assert [cut(line, 16, 30, 10, 30, 10) for line in lines[1:3]] == [
        ["BCH", "1000.00000000000000000000", "2", "989.50000000000000000000", "1", "10.50000000000000000000"],
        ["BTC", "10.750000000000", "2", "9.250000000000", "1", "1.500000000000"],
    ]
    assert lines[3].split() == ["LTC", "0", "0", "0", "0", "0"]
    assert len(lines) == 10


def cut(line: str, *widths: int) -> list[str]:
    """The columns of a line."""
    columns = []
    for width in widths:
        columns.append(line[:width].rstrip())
        line = line[width + 1 :]
    return [*columns, line.rstrip()]


def test_market_summary(engine: EngineProcess) -> None:
    lines = engine.ask_console("market summary").splitlines()
    assert cut(lines[0], 10, 10, 20, 10) == ["market", "ask count", "ask amount", "bid count", "bid amount"]
    assert cut(lines[1], 10, 10, 20, 10) == ["BTCBCH", "1", "1.50000000", "1", "1.50000000"]
    assert cut(lines[2], 10, 10, 20, 10) == ["LTCBCH", "0", "0", "0", "0"]
    assert len(lines) == 10


def test_help_usage_and_unknown_commands(engine: EngineProcess) -> None:
    table = {
        "help": "balance\nclock\nhelp\nmakeslice\nmarket\nstatus\n",
        "balance": "usage: balance list/get/summary\n",
        "balance nonsense": "usage: balance list/get/summary\n",
        "balance get": "usage: balance get user_id\n",
        "balance get seven": "usage: balance get user_id\n",
        "market": "usage market summary\n",
        "market list": "usage market summary\n",
        "clock": "usage: clock accept\n",
        "clock accept": "OK\n",
        "": "",
        "balance 'unbalanced": "",
        "'balance' \"get\" 9": HEAD,
    }
    for line, expected in table.items():
        assert engine.ask_console(line) == expected, line


def test_an_unknown_command_among_known_ones(engine: EngineProcess) -> None:
    assert engine.console is not None
    with socket.create_connection((engine.console.host, engine.console.port), timeout=5.0) as sock:
        sock.sendall(b"halt\nclock\nhalt now\nmarket\n")
        answer = b""
        while not answer.endswith(b"usage market summary\n"):
            data = sock.recv(4096)
            assert data, answer
            answer += data
    assert answer.splitlines() == [
        b"command not found",
        b"usage: clock accept",
        b"command not found",
        b"usage market summary",
    ]


def test_makeslice(engine: EngineProcess) -> None:
    slices = engine.data_dir / "slices"
    assert engine.ask_console("makeslice") == "OK\n"
    wait_until(lambda: bool(list_slices(Disk(), slices)), "the slice")
    made = verify_slice(Disk(), list_slices(Disk(), slices)[0].path)
    assert made.header.sequence >= 8  # the rules, and a mark now and then
    assert made.header.operation_id == 7
