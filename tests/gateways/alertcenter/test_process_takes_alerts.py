"""The real process: TCP and UDP, the real sender, store, outlets, restarts, refusals."""

from __future__ import annotations

import json
import logging
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from gateways.alertcenter.store import ALERTS_FILE
from tests.gateways.alertcenter.samples import M, service, stored
from tests.gateways.readhistory.running import Service, wait_until
from vxutils.alert import AlertHandler


def listed(center: Service, *arguments: str) -> str:
    command = [
        sys.executable,
        "-m",
        "gateways.alertcenter",
        "list",
        "--data-dir",
        str(center.data),
        *arguments,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_lines_in_pieces_and_datagrams_are_stored_once_each(tmp_path: Path) -> None:
    with service(tmp_path) as center:
        with center.connect() as sock:
            for byte in M + b"box: [fatal] piecemeal\r\n":
                sock.sendall(bytes([byte]))
            sock.sendall((M + b"box: [fatal] twice\n") * 2)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
                target = center.address("udp").sockaddr()
                datagrams.sendto(M + b"box: [fatal] whole\n", target)
                datagrams.sendto(M + b"box: [fatal] cut" + b"!" * 10_204, target)  # 10240 bytes, no newline
                datagrams.sendto(b"no alert at all, but long enough", target)
                datagrams.sendto(b"", target)
                datagrams.sendto(M + b"plain words", target)
            expected = {
                ("box", "[fatal] piecemeal"): 1,
                ("box", "[fatal] twice"): 2,
                ("box", "[fatal] whole"): 1,
                ("box", "[fatal] cut" + "!" * 10_204): 1,
                ("127.0.0.1", "plain words"): 1,
            }
            wait_until(lambda: stored(center) == expected, "five alerts")
            sock.settimeout(0.2)
            with pytest.raises(TimeoutError):  # nothing is ever answered
                sock.recv(1)
        assert "no outlet is set" in center.log
        assert "alertcenter_lines_total 6.0" in center.get("/metrics")[1]
        assert center.health()["status"] == "ok"
        lines = listed(center, "--since", "1h").splitlines()
        assert len(lines) == 5 and any(line.endswith("box: [fatal] twice (2 times)") for line in lines)
        rows = [json.loads(line) for line in listed(center, "--json").splitlines()]
        assert {(row["host"], row["text"]): row["count"] for row in rows} == expected
        assert listed(center, "--since", "2099-01-01") == ""


def test_the_log_handler_of_a_process_reaches_it(tmp_path: Path) -> None:
    with service(tmp_path) as center:
        address = center.address("udp")
        handler = AlertHandler("engine-1", f"{address.host}:{address.port}")
        logger = logging.getLogger("tests.alertcenter")
        logger.addHandler(handler)
        logger.critical("disk %s", "lost")
        logger.removeHandler(handler)
        handler.close()
        wait_until(lambda: len(stored(center)) == 1, "the alert")
        ((host, text),) = stored(center)
        assert host == "engine-1"
        assert text.startswith("[fatal]test_process_takes_alerts.py:") and text.endswith(": disk lost")


BROKEN = [b"short\n", M + b"\n", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"x" * 20_000]


@pytest.mark.parametrize("data", BROKEN)
def test_a_broken_line_closes_only_its_session(tmp_path: Path, data: bytes) -> None:
    with service(tmp_path) as center, center.connect() as good:
        with center.connect() as bad:
            bad.sendall(M + b"box: [fatal] before\n" + data)
            try:
                assert bad.recv(100) == b""
            except ConnectionResetError:
                pass  # what it had not read yet was thrown away with the connection
        good.sendall(M + b"box: [fatal] after\n")
        expected = {("box", "[fatal] before"): 1, ("box", "[fatal] after"): 1}
        wait_until(lambda: stored(center) == expected, "both alerts")


def test_connections_are_bounded(tmp_path: Path) -> None:
    with service(tmp_path) as center:
        open_ones = [center.connect() for _ in range(3)]
        open_ones[0].sendall(M + b"box: [fatal] here\n")
        wait_until(lambda: bool(stored(center)), "the first ones are served")
        with center.connect() as more:
            assert more.recv(10) == b""
        for sock in open_ones:
            sock.close()


def test_a_flood_is_counted_to_the_last_line(tmp_path: Path) -> None:
    with service(tmp_path) as center, center.connect() as sock:
        lines = [M + f"box: [fatal] refused {n}\n".encode() for n in range(20_000)]
        sock.sendall(b"".join(lines))
        wait_until(lambda: sum(stored(center).values()) == 20_000, "all lines", 20)
        assert len(stored(center)) < 1_000


def test_what_came_just_before_a_stop_is_stored(tmp_path: Path) -> None:
    with service(tmp_path) as center, center.connect() as sock:
        sock.sendall(M + b"box: [fatal] last words\n")
        wait_until(lambda: center.health()["facts"]["lines"] == 1, "received")
        assert center.terminate(signal.SIGINT) == 0
        assert stored(center) == {("box", "[fatal] last words"): 1}


def test_a_damaged_file_is_an_alert_itself(tmp_path: Path) -> None:
    center = service(tmp_path)
    (center.data / ALERTS_FILE).write_bytes(b"no database at all" * 1000)
    with center:
        wait_until(lambda: len(stored(center)) == 1, "the alert about it")
        assert "set aside" in next(iter(stored(center)))[1]
