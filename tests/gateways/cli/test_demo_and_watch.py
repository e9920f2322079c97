"""`vx demo` and `vx watch` on a real exchange: a live market, a picture of it, and nothing left behind."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateways.cli.demo_funds import FIRST_MAKER, FIRST_TAKER
from gateways.cli.main import main
from gateways.cli.quoting import LEVELS
from tests.gateways.cli.running import DEADLINE_S, VX, VxUp, vx
from tests.support.processes import wait_until
from vxutils.client import Client, ExchangeError
from vxutils.process import die_with_parent

MARKET = "BTCUSDT"
MAKERS = 2
CTRL_C = b"\x03"
CURSOR_SHOWN = b"\x1b[?25h"
OTHER_SCREEN, OWN_SCREEN = b"\x1b[?1049h", b"\x1b[?1049l"


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VxUp]:
    with VxUp(tmp_path_factory.mktemp("demo")) as running:
        running.wait_for_line("Ctrl-C stops everything")
        yield running


def websocket_url(up: VxUp) -> str:
    return str(up.address("accessws listener ready: ")).replace("tcp@", "ws://")


@contextmanager
def demo(up: VxUp, *words: object) -> Iterator[subprocess.Popen[str]]:
    """A `vx demo` that ends with the block whatever happens."""
    test_pid = os.getpid()
    urls = ("--http", up.url, "--websocket", websocket_url(up))
    process = subprocess.Popen(
        [*VX, "demo", *map(str, (*urls, *words))],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: die_with_parent(test_pid),
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(DEADLINE_S)


def newest_deal(client: Client) -> int:
    try:
        deals = client.call("market.deals", MARKET, 1, 0)
    except ExchangeError:
        return 0
    return deals[0]["id"] if deals else 0


def wait_for_deals(client: Client, more_than: int) -> None:
    wait_until(lambda: newest_deal(client) > more_than, f"a deal after {more_than}", DEADLINE_S)


def test_a_live_market_until_ctrl_c(up: VxUp, tmp_path: Path) -> None:
    words = ("--markets", MARKET, "--makers", MAKERS, "--rate", 200, "--seed", 1)
    with Client(up.url, retries=60) as client, demo(up, *words) as process:
        wait_for_deals(client, 5)
        for row in client.call("market.summary", MARKET):
            assert row["ask_count"] >= LEVELS and row["bid_count"] >= LEVELS
        balance = client.call("balance.query", FIRST_MAKER)
        assert set(balance) >= {"BTC", "USDT"} and float(balance["BTC"]["freeze"]) > 0

        os.kill(up.worker_pid, signal.SIGKILL)  # the engine: the demo goes on when it is back
        wait_until(lambda: client.call("market.summary", MARKET) is not None, "the engine", DEADLINE_S)
        wait_for_deals(client, newest_deal(client) + 5)

        once = vx("watch", MARKET, "--url", websocket_url(up), "--once", cwd=tmp_path)
        assert once.returncode == 0 and once.stderr == "" and "\x1b" not in once.stdout
        for expected in (MARKET, "depth", "spread", "█", "deals", "candles of 1 minute"):
            assert expected in once.stdout, once.stdout
        assert "┃" in once.stdout or "━" in once.stdout, "a candle, or one that closes where it opened"
        last = client.call("market.deals", MARKET, 1, 0)[0]["price"]
        assert last.split(".")[0][:2] in once.stdout
        live_mode_draws_and_gives_the_terminal_back(websocket_url(up), CTRL_C)
        live_mode_draws_and_gives_the_terminal_back(websocket_url(up), b"q")

        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 0, output
        assert "open orders were cancelled" in output and "Traceback" not in output
        assert not open_orders(client)
        for user in (FIRST_MAKER, FIRST_TAKER):
            assert all(float(asset["freeze"]) == 0 for asset in client.call("balance.query", user).values())


def open_orders(client: Client) -> int:
    rows = client.call("market.summary")
    return sum(row["ask_count"] + row["bid_count"] for row in rows)


def live_mode_draws_and_gives_the_terminal_back(url: str, key: bytes) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(VX[0], [*VX, "watch", MARKET, "--url", url], os.environ | {"TERM": "xterm-256color"})
    try:
        seen = read_until(terminal, b"spread")
        seen += read_until(terminal, b"\x1b[H")  # drawn again
        os.write(terminal, key)
        seen += read_until(terminal, OWN_SCREEN)
        assert OTHER_SCREEN in seen and seen.rindex(CURSOR_SHOWN) > seen.rindex(b"\x1b[?25l")
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        pid = 0
    finally:
        if pid:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        os.close(terminal)


def read_until(terminal: int, expected: bytes) -> bytes:
    seen, deadline = b"", time.monotonic() + DEADLINE_S
    while expected not in seen:
        ready, _, _ = select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, f"waited for {expected!r}, got {seen[-500:]!r}"
        seen += os.read(terminal, 65536)
    return seen


def test_orders_of_a_killed_demo_go_with_the_next(up: VxUp) -> None:
    words = ("--markets", MARKET, "--makers", MAKERS, "--takers", 1)
    with Client(up.url) as client:
        with demo(up, *words):
            wait_until(lambda: open_orders(client) >= LEVELS, "a book", DEADLINE_S)
        assert open_orders(client)
        with demo(up, *words[:2], "--makers", 1) as process:
            assert process.stdout is not None and "1 makers" in process.stdout.readline()
            process.send_signal(signal.SIGTERM)
            assert process.wait(DEADLINE_S) == 0
        assert not open_orders(client)


def test_an_unknown_market_is_answered_with_those_there_are(up: VxUp, tmp_path: Path) -> None:
    done = vx("demo", "--http", up.url, "--websocket", websocket_url(up), "--markets", "NONE", cwd=tmp_path)
    assert done.returncode == 64
    assert "there is no market 'NONE'; there are: BTCUSDT, ETHUSDT, ETHBTC, BTCUSDC" in done.stderr
    done = vx("watch", "NONE", "--url", websocket_url(up), cwd=tmp_path)
    assert done.returncode == 64 and "there is no market 'NONE'" in done.stderr


def test_where_others_have_money_nothing_is_done(up: VxUp, tmp_path: Path) -> None:
    with Client(up.url) as client:
        client.call("balance.update", 4711, "ETH", "deposit", 1, "0.001", {})
        before = client.call("asset.summary")
        done = vx("demo", "--http", up.url, "--websocket", websocket_url(up), cwd=tmp_path)
        assert done.returncode == 64 and "(ETH)" in done.stderr and "--yes" in done.stderr
        assert client.call("asset.summary") == before and not open_orders(client)
        with demo(up, "--yes", "--markets", MARKET):
            wait_until(lambda: open_orders(client) > 0, "a book", DEADLINE_S)


def test_nobody_there_and_other_machines(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--http", "http://127.0.0.1:1"]) == 1
    assert "127.0.0.1:1 can not be reached" in capfd.readouterr().err
    assert main(["watch", MARKET, "--url", "ws://127.0.0.1:1"]) == 1
    assert "is it running? `vx up` starts it" in capfd.readouterr().err
    assert main(["demo", "--http", "http://192.0.2.1:8080"]) == 64
    assert "is not this machine" in capfd.readouterr().err
    assert main(["watch", MARKET, "--url", "http://127.0.0.1:1"]) == 64
    assert "ws://" in capfd.readouterr().err
