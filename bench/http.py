"""Throughput and latency through the HTTP gateway, beside raw RPC: `python -m bench.http`.

    wrk --32 keep-alive connections--> accesshttp (listener, workers) --RPC--> a fresh engine

Needs wrk (apt-get install wrk). `order.put_limit` places resting orders of funded users, `order.depth`
asks for 20 levels of a book of 2,000 orders. The same depth question is then put over raw RPC by as many
connections, one request outstanding each. Prints a table and one JSON line per row.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from bench.engine import Engine
from vxnet.address import parse_address
from vxutils.process import die_with_parent
from vxutils.rpc.blocking import BlockingClient
from vxutils.rpc.packet import HEADER_SIZE, encode_packet

CONNECTIONS = 32
USERS = 100
BOOK_ORDERS = 2_000
MARKET = "BTCBCH"
READY_S = 30.0
DEPTH = [MARKET, 20, "0"]

_PUT_SCRIPT = """
local n = 0
function request()
  n = n + 1
  local user = n %% %(users)d + 1
  local order = string.format('[%%d, "%(market)s", 1, "0.01", "%%d.5", "0.002", "0.001", "bench"]',
    user, 20000 + n %% 1000)
  local body = string.format('{"id": %%d, "method": "order.put_limit", "params": %%s}', n, order)
  return wrk.format("POST", "/", nil, body)
end
"""

_DEPTH_SCRIPT = """
wrk.method = "POST"
wrk.body = '{"id": 1, "method": "order.depth", "params": %(params)s}'
"""


def main(arguments: list[str]) -> int:
    """Runs the rows; the exit code."""
    parser = argparse.ArgumentParser(prog="bench.http", description="HTTP beside raw RPC.")
    parser.add_argument("--seconds", type=int, default=10, help="of each row (default 10)")
    parser.add_argument("--workers", type=int, default=1, help="gateway workers (default 1)")
    options = parser.parse_args(arguments)
    if shutil.which("wrk") is None:
        print("bench.http: wrk is not installed: apt-get install wrk", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="vx-bench-") as name:
        directory = Path(name)
        with Engine(directory) as engine:
            _fill(engine)
            rows = [_raw_depth(engine, options.seconds)]
            with Gateway(directory / "gateway", engine.address, options.workers) as gateway:
                for title, script in (
                    ("http order.depth", _DEPTH_SCRIPT % {"params": json.dumps(DEPTH)}),
                    ("http order.put_limit", _PUT_SCRIPT % {"users": USERS, "market": MARKET}),
                ):
                    rows.append(_wrk(title, directory, gateway.url, script, options.seconds))
    print(f"{'row':24} {'requests/s':>12} {'p50 ms':>8} {'p99 ms':>8} {'errors':>8}")
    for row in rows:
        figures = f"{row['per_s']:12,.0f} {row['p50_ms']:8.2f} {row['p99_ms']:8.2f} {row['errors']:8}"
        print(f"{row['row']:24} {figures}")
    for row in rows:
        print(json.dumps(row))
    return 0


class Gateway:
    """A running accesshttp; `with Gateway(...) as gateway:` starts and stops it."""

    def __init__(self, directory: Path, engine: str, workers: int) -> None:
        directory.mkdir()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/"
        packaged = Path(__file__).parents[1] / "gateways" / "accesshttp" / "default.toml"
        text = packaged.read_text()
        text = text.replace("127.0.0.1:8080", f"127.0.0.1:{port}").replace("127.0.0.1:7316", engine)
        text = text.replace("127.0.0.1:8081", "127.0.0.1:0")
        text = re.sub(r"^worker_num = \d+", f"worker_num = {workers}", text, flags=re.MULTILINE)
        settings = directory / "accesshttp.toml"
        settings.write_text(text)
        command = [sys.executable, "-m", "gateways.accesshttp", "run", str(settings)]
        self._errors = (directory / "stderr.txt").open("wb")
        self._process = subprocess.Popen(
            [*command, "--data-dir", str(directory)],
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            preexec_fn=partial(die_with_parent, os.getpid()),
        )
        assert self._process.stdout is not None
        deadline = time.monotonic() + READY_S
        ready = 0
        while ready < workers + 1:  # the workers and the listener
            line = self._process.stdout.readline()
            if not line or time.monotonic() > deadline:
                self._process.kill()
                raise RuntimeError((directory / "stderr.txt").read_text() or "accesshttp did not get ready")
            ready += " ready" in line

    def __enter__(self) -> Gateway:
        return self

    def __exit__(self, *details: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(30)
        self._errors.close()


def _fill(engine: Engine) -> None:
    """Funds the users and puts orders on both sides of the book."""
    with BlockingClient(parse_address(f"tcp@{engine.address}"), 10.0) as client:
        for user in range(1, USERS + 1):
            for asset in ("BTC", "BCH"):
                reply = client.call(102, [user, asset, "bench", user, "100000000", {}])
                assert reply["error"] is None, reply
        for number in range(BOOK_ORDERS):
            side = 1 + number % 2
            price = 10_000 + (number if side == 1 else -number)
            params = [1 + number % USERS, MARKET, side, "0.5", str(price), "0.002", "0.001", "bench"]
            reply = client.call(201, params)
            assert reply["error"] is None, reply


def _wrk(title: str, directory: Path, url: str, script: str, seconds: int) -> dict[str, Any]:
    path = directory / "script.lua"
    path.write_text(script)
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "-s", str(path), url]
    text = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=True).stdout
    errors = sum(map(int, re.findall(r"(?:connect|read|write|timeout) (\d+)", text)))
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    return {
        "row": title,
        "per_s": float(_found(r"Requests/sec:\s+([\d.]+)", text)),
        "p50_ms": _milliseconds(_found(r"\s50%\s+(\S+)", text)),
        "p99_ms": _milliseconds(_found(r"\s99%\s+(\S+)", text)),
        "errors": errors + (int(refused[1]) if refused else 0),
    }


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    assert match is not None, text
    return match[1]


def _milliseconds(text: str) -> float:
    for unit, factor in (("us", 0.001), ("ms", 1.0), ("s", 1000.0)):
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor
    raise ValueError(text)


def _raw_depth(engine: Engine, seconds: int) -> dict[str, Any]:
    """The same question over raw RPC: as many connections, one request outstanding each."""
    host, _, port = engine.address.rpartition(":")
    packet = encode_packet(206, 0, 1, 1, json.dumps(DEPTH).encode())
    sockets = [socket.create_connection((host, int(port))) for _ in range(CONNECTIONS)]
    latencies: list[float] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        begun = time.perf_counter()
        for connected in sockets:
            connected.sendall(packet)
        for connected in sockets:
            _read_reply(connected)
            latencies.append(time.perf_counter() - begun)
    for connected in sockets:
        connected.close()
    latencies.sort()
    return {
        "row": "raw order.depth",
        "per_s": len(latencies) / seconds,
        "p50_ms": latencies[len(latencies) // 2] * 1000,
        "p99_ms": latencies[len(latencies) * 99 // 100] * 1000,
        "errors": 0,
    }


def _read_reply(connected: socket.socket) -> None:
    data = b""
    while len(data) < HEADER_SIZE or len(data) < HEADER_SIZE + int.from_bytes(data[30:34], "little"):
        received = connected.recv(65_536)
        assert received, "the engine closed the connection"
        data += received


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
