"""`vx up` over HTTP, as a back office uses it: deposit, trade, errors; and whatever is killed comes back."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from gateways.cli.programs import PROGRAMS
from gateways.cli.running import read_running
from tests.gateways.cli.running import (
    DEADLINE_S,
    STOPPED,
    VX,
    VxUp,
    anywhere,
    free_port_offset,
    json_of,
    vx,
)
from tests.support.configs import c_config, toml_config
from tests.support.processes import wait_until
from tests.vxutils.process.script import is_alive
from vxutils.client import Client, ExchangeError, NoAnswer, Outcome

RETRIES = 50
TOKEN = "a-secret-of-the-back-office"


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VxUp]:
    """With the packaged settings, on ports of its own."""
    with VxUp(tmp_path_factory.mktemp("up"), "--port-offset", free_port_offset()) as running:
        running.wait_for_line("Ctrl-C stops everything")
        yield running


def test_a_trade_over_http(up: VxUp) -> None:
    with Client(up.url) as client:
        client.call("balance.update", 11, "BTC", "deposit", 1, Decimal("2"), {"note": "first"})
        client.call("balance.update", 12, "USDT", "deposit", 1, "100000", {})
        order = client.call("order.put_limit", 11, "BTCUSDT", 1, "0.5", "60000", "0.002", "0.001", "me")
        deal = client.call("order.put_limit", 12, "BTCUSDT", 2, "0.2", "60000", "0", "0.001", "me")
        assert Decimal(deal["deal_money"]) == 12000
        assert client.call("order.depth", "BTCUSDT", 5, "0")["asks"] == [["60000", "0.3"]]
        assert client.call("order.cancel", 11, "BTCUSDT", order["id"])["id"] == order["id"]


ERRORS = [
    ("balance.update", [11, "BTC", "deposit", 9, "nonsense", {}], 1, "change"),
    ("order.put_limit", [13, "BTCUSDT", 1, "1", "60000", "0", "0", "me"], 10, "amount"),
    ("order.put_limit", [13, "NOSUCH", 1, "1", "60000", "0", "0", "me"], 1, "market"),
    ("order.put_limit", [13, "BTCUSDT", 3, "1", "60000", "0", "0", "me"], 1, "side"),
    ("order.depth", ["BTCUSDT", 5], 1, ""),
    ("no.such", [], 4, ""),
    ("market.last", ["NOSUCH"], 1, "market"),
    ("order.deals", [0, 0, 10], 1, "order_id"),
]


@pytest.mark.parametrize(("method", "parameters", "code", "parameter"), ERRORS)
def test_a_mistake_gets_a_clear_error(
    up: VxUp, method: str, parameters: list[object], code: int, parameter: str
) -> None:
    with Client(up.url) as client, pytest.raises(ExchangeError) as raised:
        client.call(method, *parameters)  # type: ignore[arg-type]
    error = raised.value
    assert not isinstance(error, NoAnswer)
    assert (error.code, error.data["parameter"]) == (code, parameter)
    assert error.data["reason"] and error.data["rule"]
    assert error.outcome is not Outcome.UNKNOWN


def test_the_words_shown_at_the_end_work(up: VxUp) -> None:
    (curl,) = (line for line in up.stdout.splitlines() if line.startswith("or over HTTP: "))
    body, url = curl.split("'")[1], curl.split()[-1]
    assert "curl -sd '" in curl
    with urllib.request.urlopen(url, body.encode(), timeout=DEADLINE_S) as reply:
        assert json.load(reply)["result"]["BTC"] == {"available": "1000000", "freeze": "0"}
    assert json_of(vx("call", "balance.query", "3", "--http", url, cwd=up.directory))["BTC"]
    failed = vx(
        "call", "order.put_market", "3", "BTCUSDT", "5", "1", "0", "me", "--http", url, cwd=up.directory
    )
    assert failed.returncode == 64 and "SIDE must be" in failed.stderr


def test_status_sees_all_of_it(up: VxUp) -> None:
    rows = json_of(vx("status", "--json", cwd=up.directory))
    assert [(row["process"], row["state"], row["problem"]) for row in rows] == [
        (program.name, "ok", "") for program in PROGRAMS
    ]
    by_name = {row["process"]: row for row in rows}
    engine, gateway, recorder = (by_name[name] for name in ("matchengine", "accesshttp", "recorder"))
    assert engine["sequence"] >= 12 and engine["lag"] == 0
    assert recorder["sequence"] >= 1 and recorder["lag"] >= 0
    assert engine["connections"] >= 1 and gateway["connections"] == 0
    assert all(is_alive(row["pid"]) for row in rows)


def test_two_gateways_do_not_share_a_port(up: VxUp, tmp_path: Path) -> None:
    """The engine that was started for nothing is stopped again, and the reason is shown."""
    port = int(up.url.rpartition(":")[2])
    settings = tmp_path / "http.toml"
    settings.write_text(f'[[listener]]\nbind = ["tcp@127.0.0.1:{port}"]\n[monitor]\naddress = ""\n')
    (tmp_path / "c.toml").write_text(toml_config())
    words = ["--config", "c.toml", "--accesshttp-config", settings]
    done = vx("up", *words, *anywhere(tmp_path, words), cwd=tmp_path)
    assert done.returncode == 69
    assert f"tcp@127.0.0.1:{port}: address already in use" in done.stderr
    assert "--port-offset" in done.stderr and "Traceback" not in done.stderr
    begun = STOPPED[2:]  # neither the one that can not start nor who comes after it
    assert done.stdout.splitlines()[-len(begun) :] == begun


def test_a_token_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "http.toml").write_text(
        '[[listener]]\nbind = ["tcp@127.0.0.1:0"]\n[[listener.token]]\nname = "office"\n'
        f'file = "{tmp_path}/token"\n[monitor]\naddress = "tcp@127.0.0.1:0"\n'
    )
    (tmp_path / "c.toml").write_text(toml_config())
    words = ["--config", "c.toml", "--accesshttp-config", "http.toml"]
    with VxUp(tmp_path, *words) as up:
        up.wait_for_line("Ctrl-C stops everything")
        with Client(up.url) as client, pytest.raises(ExchangeError) as raised:
            client.call("market.list")
        assert (raised.value.code, raised.value.outcome) == (6, Outcome.NOT_SENT)
        with Client(up.url, token=TOKEN) as client:
            assert client.call("market.list")
        shown = vx("call", "market.list", "--http", up.url, "--token-file", "token", cwd=tmp_path)
        assert shown.returncode == 0
        assert up.stop() == 0
        written = [path.read_text() for path in (tmp_path / "vx-data").rglob("*.log")]
        assert TOKEN not in up.stdout + up.stderr + "".join(written)


def test_the_gateway_speaks_as_the_engine_does(tmp_path: Path) -> None:
    """A `config.json` of the C system makes replies byte-identical to it, over HTTP as well."""
    (tmp_path / "config.json").write_text(json.dumps(c_config()))
    with VxUp(tmp_path, "--config", "config.json", "--embedded") as up:
        up.wait_for_line("Ctrl-C stops everything")
        request = urllib.request.Request(up.url, b'{"id": 1, "method": "no.such", "params": []}')
        with pytest.raises(urllib.error.HTTPError) as raised:
            urllib.request.urlopen(request, timeout=DEADLINE_S)
        body = raised.value.read()
        raised.value.close()
        assert body == b'{"error": {"code": 4, "message": "method not found"}, "result": null, "id": 1}'
        assert json_of(vx("status", "--json", cwd=tmp_path))[0]["state"] == "ok"
        assert up.stop() == 0


ALL = {"matchengine watchdog", "matchengine", "gateway"}
ALL |= {"listener", "listener watchdog", "worker", "worker watchdog"}


def processes_of(up: VxUp) -> dict[str, int]:
    """Those through which orders go; test_whole_backend has the others."""
    return {role: pid for role, pid in up.roles().items() if role in ALL}


def test_whatever_is_killed_comes_back_and_each_order_is_there_once(tmp_path: Path) -> None:
    with VxUp(tmp_path, "--port-offset", free_port_offset()) as up:
        up.wait_for_line("Ctrl-C stops everything")
        with Client(up.url, retries=RETRIES) as client:
            count = 0
            for victim in sorted(ALL):
                wait_until(lambda: set(processes_of(up)) == ALL, "all processes", DEADLINE_S)
                os.kill(processes_of(up)[victim], signal.SIGKILL)
                for _ in range(3):
                    order = ("order.put_limit", 1, "BTCUSDT", 1, "0.001", "90000", "0", "0", "")
                    client.call(*order, idempotency_key=f"order-{count}")
                    count += 1
            assert client.call("order.pending", 1, "BTCUSDT", 0, 100)["total"] == count == 3 * len(ALL)
        wait_until(lambda: vx("status", cwd=tmp_path).returncode == 0, "all well", DEADLINE_S)
        family = up.family()
        assert up.stop() == 0
        assert not any(map(is_alive, family))
        assert read_running(tmp_path / "vx-data") is None
    assert json_of(vx("audit", "--data-dir", "vx-data", "--json", cwd=tmp_path))["is_sound"]


def test_a_gateway_alone_answers_that_nobody_is_behind_it(tmp_path: Path) -> None:
    """`vx accesshttp` in the foreground, without an engine."""
    offset = free_port_offset()
    (tmp_path / "http.toml").write_text(
        f'[[listener]]\nbind = ["tcp@127.0.0.1:{8080 + offset}"]\n[monitor]\naddress = ""\n'
        f'[matchengine]\naddress = ["tcp@127.0.0.1:{7316 + offset}"]\n'
    )
    command = [*VX, "accesshttp", "http.toml", "--data-dir", "data"]
    with (tmp_path / "output").open("wb") as output:
        process = subprocess.Popen(command, cwd=tmp_path, stdout=output, stderr=output)
        try:
            url = f"http://127.0.0.1:{8080 + offset}"
            with Client(url, retries=RETRIES) as client, pytest.raises(ExchangeError) as raised:
                wait_until(lambda: _listens(8080 + offset), "the gateway", DEADLINE_S)
                client.call("order.put_limit", 1)
            assert (raised.value.code, raised.value.outcome) == (2, Outcome.NOT_SENT)
            process.terminate()
            assert process.wait(DEADLINE_S) == 0
        finally:
            process.kill()
            process.wait(DEADLINE_S)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
