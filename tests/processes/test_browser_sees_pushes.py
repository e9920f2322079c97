"""A real browser: its page logs in, sees depth, deals, orders and balance, and comes back after a kill.

A page of another origin, in the same browser, is not let in.
"""

from __future__ import annotations

import functools
import http.server
import json
import os
import signal
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.gateways.accessws.running import vx_token
from tests.gateways.cli.running import DEADLINE_S, VxUp, free_port_offset
from tests.processes.test_whole_backend import SELLER, price, read, stop, trade
from tests.servers.fixtures import need
from tests.support.chromium import Chromium, Page
from tests.support.processes import wait_until
from vxutils.client import Client

MARKET, ASSET = "BTCUSDT", "BTC"
LIMIT = 5
PAGE = "market_page.html"
DIRECTORY = Path(__file__).parents[1] / "support"
ABNORMAL = 1006  # what a browser tells a page of any connection that never was, or ended without a goodbye


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a directory and says nothing of it."""

    def log_message(self, format: str, *args: Any) -> None:
        return


@pytest.fixture
def site_port() -> Iterator[int]:
    serve = functools.partial(Quiet, directory=str(DIRECTORY))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def shown(page: Page, element: str) -> Any:
    """What the page shows there, None as long as it is nothing."""
    text = page.text(element)
    return json.loads(text) if text else None


def settings(origin: str) -> str:
    return f'[[listener]]\nbind = ["tcp@127.0.0.1:8090"]\norigins = ["{origin}"]\n'


def test_a_page_shows_the_market(tmp_path: Path, site_port: int) -> None:
    need("Chromium")
    (tmp_path / "accessws.toml").write_text(settings(f"http://127.0.0.1:{site_port}"))
    words = ("--port-offset", free_port_offset(), "--accessws-config", "accessws.toml")
    with VxUp(tmp_path, *words) as up, Chromium(tmp_path) as browser:
        up.wait_for_line("Ctrl-C stops everything")
        token = vx_token("add", str(SELLER), "--data-dir", str(up.data_directory))
        address = str(up.address("accessws listener ready: ")).removeprefix("tcp@")
        path = f"{site_port}/{PAGE}%23{address},{MARKET},{ASSET},{token}"
        with browser.open(f"http://localhost:{path}") as foreign:
            wait_until(lambda: (shown(foreign, "state") or {}).get("closed", 0) > 1, "refusals", DEADLINE_S)
            assert shown(foreign, "state")["opened"] == 0 and shown(foreign, "state")["code"] == ABNORMAL
        with browser.open(f"http://127.0.0.1:{path}") as page, Client(up.url) as client:
            wait_until(
                lambda: bool((shown(page, "state") or {}).get("opened")), "the page to join", DEADLINE_S
            )
            trade(client, 0)
            check(client, page, 1)
            order_events = shown(page, "orders")
            assert [event for event, _ in order_events] == [1, 3]
            opened = shown(page, "state")["opened"]
            os.kill(up.roles()["accessws worker"], signal.SIGKILL)
            wait_until(lambda: shown(page, "state")["opened"] > opened, "the page to come back", DEADLINE_S)
            resting = (SELLER, MARKET, 1, "0.5", "61000", "0", "0", "test")
            client.call("order.put_limit", *resting)
            trade(client, 1)
            check(client, page, 2)
        stop(up)


def check(client: Client, page: Page, count: int) -> None:
    """The page shows what the exchange says after so many deals."""
    deals = [[number + 1, str(price(number)), "buy"] for number in reversed(range(count))]
    wait_until(lambda: shown(page, "deals") == deals, f"deals {deals}", DEADLINE_S)
    depth = read(client, "order.depth", MARKET, LIMIT, "0")
    wait_until(lambda: shown(page, "depth") == depth, f"depth {depth}", DEADLINE_S)
    assert len(depth["asks"]) == count - 1
    balance = read(client, "balance.query", SELLER, ASSET)[ASSET]
    wait_until(lambda: shown(page, "balance") == balance, f"balance {balance}", DEADLINE_S)
    assert Decimal(balance["available"]) < 1_000_000
