"""`vx migrate cutover`: step by step, broken off and resumed, stopped by whatever is not right.

There is no C engine on this machine; `c_stand_in` says what stands in for it. The tests are the operator.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from matchengine.__main__ import main
from tests.processes.c_stand_in import CStandIn, config_of
from tests.processes.test_history_in_mysql import play_scenario
from tests.support.processes import EngineProcess
from tests.vxutils.store.mysql.databases import Pair, fresh
from vxutils.exits import ExitCode

TIMEOUT_S = 90.0
STOP_IT = "Stop the C matchengine now"


@pytest.fixture
def c(tmp_path: Path, c_pair: Pair) -> Iterator[CStandIn]:
    yield from standing(tmp_path, c_pair)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, c_pair: Pair) -> Iterator[CStandIn]:
    """For runs that end before anything is taken over."""
    yield from standing(tmp_path_factory.mktemp("s"), c_pair)


def standing(directory: Path, c_pair: Pair) -> Iterator[CStandIn]:
    for pair in fresh(c_pair):
        with CStandIn(directory, pair) as made:
            play_scenario(made.engine)
            made.recorder.wait_until_committed()
            yield made


def words(c: CStandIn, *more: str) -> list[str]:
    config = c.write_config("c.json", config_of(c.pair))
    new = ["--data-dir", str(c.directory / "new")]
    return [
        "migrate-cutover",
        str(config),
        *new,
        *c.addresses,
        "--yes",
        "--still-s",
        "0.5",
        "--wait-s",
        "40",
        *more,
    ]


def depths(engine: EngineProcess) -> list[object]:
    with engine.client("tcp") as client:
        return [client.call(206, [market, 100, "0"])["result"] for market in ("BTCBCH", "BTCCNY", "LTCBTC")]


def test_the_exchange_goes_over_even_if_it_is_broken_off(c: CStandIn) -> None:
    before = depths(c.engine)
    command = [sys.executable, "-m", "gateways.cli", "migrate", "cutover", *words(c)[1:]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as run:
        assert run.stdout is not None
        lines = []
        for line in run.stdout:
            lines.append(line)
            if STOP_IT in line:
                run.kill()
    said = "".join(lines)
    for step in range(1, 7):
        assert f"[{step}/8]" in said, said
    assert "answers compared, all equal" in said
    c.stop()

    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[5/8]" not in done.stdout, "what was kept is enough"
    assert "all equal" in done.stdout.partition("[8/8]")[2]
    assert "vx handover" in done.stdout

    again = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert again.returncode == 0, "it only compares once more"
    assert "[7/8]" not in again.stdout

    ours = EngineProcess(c.directory, config_of(c.pair), data_dir=c.directory / "new", embedded=False)
    with ours:
        assert depths(ours) == before
    over = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert over.returncode == ExitCode.FAILURE
    assert "the cutover is over" in over.stderr


def test_a_database_that_changes_meanwhile(c: CStandIn, capsys: pytest.CaptureFixture[str]) -> None:
    """After the C engine has answered for the last time, somebody writes into its slice."""
    done: list[int] = []
    run = threading.Thread(target=lambda: done.append(main(words(c, "--history-trimmed"))), daemon=True)
    run.start()
    said = ""
    while STOP_IT not in said:
        time.sleep(0.02)
        said += capsys.readouterr().out
        assert run.is_alive(), said
    ((time_s,),) = c.pair.rows("log", "SELECT time FROM slice_history ORDER BY id DESC LIMIT 1")
    change = "SET balance = balance + 0.25 WHERE t = 1 AND user_id = 1 AND asset = 'BTC'"
    c.pair.run("log", f"UPDATE slice_balance_{time_s} {change}")
    c.stop()
    run.join(TIMEOUT_S)
    shown = capsys.readouterr()
    assert done == [ExitCode.FAILURE], shown
    assert "DIFFERENT: user 1: BTC available is " in shown.out
    assert "answers of the C engine are not what its databases say" in shown.err


def test_operations_that_still_come_in(shared: CStandIn, capsys: pytest.CaptureFixture[str]) -> None:
    over = threading.Event()

    def deposit() -> None:
        with shared.engine.client("tcp") as client:
            number = 1_000
            while not over.wait(0.1):
                number += 1
                client.call(102, [1, "BTC", "deposit", number, "1", {}])

    sender = threading.Thread(target=deposit, daemon=True)
    sender.start()
    try:
        assert main(words(shared, "--wait-s", "2")) == ExitCode.FAILURE
    finally:
        over.set()
        sender.join(TIMEOUT_S)
    assert "operations still come in: the counter stands at" in capsys.readouterr().err
    assert not (shared.directory / "new").exists()


def test_it_asks_at_a_terminal_only(shared: CStandIn, capsys: pytest.CaptureFixture[str]) -> None:
    asking = [word for word in words(shared) if word != "--yes"]
    assert main(asking) == ExitCode.USAGE
    assert "say --yes" in capsys.readouterr().err
    terminal, ours = os.openpty()
    command = [sys.executable, "-m", "matchengine", *asking]
    os.write(terminal, b"\x04")  # what the terminal's end looks like to who reads
    done = subprocess.run(command, stdin=ours, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    os.close(terminal)
    os.close(ours)
    assert done.returncode == ExitCode.FAILURE
    assert "> Stop accesshttp and accessws" in done.stdout
    assert "Enter to go on" in done.stdout
    assert done.stderr.endswith("stopped; run the command again to go on\n")


def test_what_is_pending_or_not_understood(shared: CStandIn, capsys: pytest.CaptureFixture[str]) -> None:
    shared.pending[1] = 3
    assert main(words(shared, "--wait-s", "1")) == ExitCode.FAILURE
    assert "waited 1 s: the console says: history pending 3" in capsys.readouterr().err
    shared.pending[1] = 0
    shared.pair.run(
        "history", *(f"DELETE FROM deal_history_{shard} WHERE deal_id = 19" for shard in range(100))
    )
    assert main(words(shared, "--wait-s", "1")) == ExitCode.FAILURE
    assert "the history ends with deal 18, the engine is at 19" in capsys.readouterr().err
    shared.after_status = "epoch: 1\n"
    assert main(words(shared)) == ExitCode.FAILURE
    assert "what the console answered `status` is not understood" in capsys.readouterr().err
    assert not (shared.directory / "new").exists()
