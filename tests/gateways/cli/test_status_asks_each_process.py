"""`vx status`: where it asks, what it makes of the answers, and of none."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateways.cli.home import running_path
from gateways.cli.main import main
from gateways.cli.running import RunningProcess
from tests.gateways.cli.running import free_port_offset
from vxutils.store.embedded.schema import HISTORY_FILE
from vxutils.store.embedded.writer import open_history

Output = pytest.CaptureFixture[str]


@contextmanager
def answering(*answers: bytes) -> Iterator[str]:
    """A server that gives one of these to each connection, in order, once it was asked; its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for answer in answers:
                sock, _ = listener.accept()
                with sock:
                    sock.recv(4096)
                    sock.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"tcp@127.0.0.1:{listener.getsockname()[1]}"
        thread.join(5)


def health(status: str, facts: object, line: str = "200 OK") -> bytes:
    body = json.dumps({"status": status, "facts": facts}).encode()
    return f"HTTP/1.1 {line}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def process(**changed: Any) -> RunningProcess:
    given: dict[str, Any] = {
        "name": "matchengine",
        "pid": 77,
        "is_ready": True,
        "serves": ["tcp@127.0.0.1:1"],
        "console": None,
        "monitor": None,
    }
    return RunningProcess(**(given | changed))


def ask(
    directory: Path, running: Sequence[RunningProcess], capfd: Output
) -> tuple[int, list[dict[str, Any]]]:
    running_path(directory).parent.mkdir(exist_ok=True)
    running_path(directory).write_bytes(msgspec.json.encode(running))
    code = main(["status", "--json", "--data-dir", str(directory)])
    return code, json.loads(capfd.readouterr().out)


def test_facts_become_columns(tmp_path: Path, capfd: Output) -> None:
    facts = {"pid": 5, "sequence": 100, "durable_sequence": 97, "connections": 4}
    with answering(health("ok", facts)) as monitor:
        code, (row,) = ask(tmp_path, [process(monitor=monitor)], capfd)
    assert code == 0
    assert row | {"facts": facts} == row
    columns = ("process", "state", "address", "pid", "sequence", "lag", "connections", "problem")
    assert [row[name] for name in columns] == ["matchengine", "ok", "tcp@127.0.0.1:1", 5, 100, 3, 4, ""]


def test_the_table(tmp_path: Path, capfd: Output) -> None:
    answers = [health("degraded", {"backends": {"matchengine": "lost"}, "lag": 7, "connections": 0})]
    with answering(*answers) as monitor:
        running_path(tmp_path).parent.mkdir()
        running_path(tmp_path).write_bytes(msgspec.json.encode([process(monitor=monitor)]))
        assert main(["status", "--data-dir", str(tmp_path)]) == 1
    assert capfd.readouterr().out == (
        "process      state     address          pid  sequence  lag  connections\n"
        "matchengine  degraded  tcp@127.0.0.1:1  77   -         7    0\n"
        "matchengine: backends.matchengine=lost, lag=7, connections=0\n"
    )


STATES = [
    (health("ok", {}), "ok", 0),
    (health("degraded", {}), "degraded", 1),
    (health("down", {}, "503 Service Unavailable"), "down", 1),
    (health("splendid", {}), "down", 1),
    (health("ok", []), "down", 1),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n5", "down", 1),
    (b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nnone\n", "down", 1),
    (b"nonsense\r\n\r\n", "down", 1),
    (b"", "down", 1),
]


@pytest.mark.parametrize(("answer", "state", "code"), STATES)
def test_states(tmp_path: Path, capfd: Output, answer: bytes, state: str, code: int) -> None:
    with answering(answer) as monitor:
        found, (row,) = ask(tmp_path, [process(monitor=monitor)], capfd)
    assert (found, row["state"], bool(row["problem"])) == (code, state, state != "ok")


def test_one_that_does_not_listen_yet_is_starting_and_otherwise_down(tmp_path: Path, capfd: Output) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # bound, but it does not listen
        monitor = f"tcp@127.0.0.1:{reserved.getsockname()[1]}"
        running = [
            process(monitor=monitor, is_ready=False),
            process(monitor=monitor),
            process(monitor=monitor, is_ready=False, pid=None),
            process(is_ready=False),
        ]
        code, rows = ask(tmp_path, running, capfd)
    assert code == 1
    assert [row["state"] for row in rows] == ["starting", "down", "down", "starting"]
    assert rows[0]["problem"] == f"does not answer at {monitor}: Connection refused"


def test_without_a_monitor_the_console_is_asked(tmp_path: Path, capfd: Output) -> None:
    answer = b"order last ID: 5\nsequence: 12\ndurable sequence: 10\ncommand not found\n"
    with answering(answer, b"sequence: 1\n") as console:
        running = [process(console=console), process(console=console)]
        code, rows = ask(tmp_path, running, capfd)
    assert code == 1
    assert [(row["state"], row["sequence"], row["lag"]) for row in rows] == [
        ("ok", 12, 2),
        ("down", None, None),
    ]


def test_where_nothing_was_started(tmp_path: Path, capfd: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that was named is the one meant; without one the usual ports are asked."""
    assert main(["status", "--data-dir", str(tmp_path)]) == 1
    assert capfd.readouterr().err == f"vx: no `vx up` runs in {tmp_path}\n"
    monkeypatch.chdir(tmp_path)
    offset = free_port_offset()
    assert main(["status", "--port-offset", str(offset), "--json"]) == 1
    rows = json.loads(capfd.readouterr().out)
    assert [(row["process"], row["state"], row["address"]) for row in rows] == [
        ("alertcenter", "down", f"tcp@127.0.0.1:{4444 + offset} udp@127.0.0.1:{4444 + offset}"),
        ("recorder", "down", "-"),
        ("matchengine", "down", f"tcp@127.0.0.1:{7316 + offset} udp@127.0.0.1:{7316 + offset}"),
        ("readhistory", "down", f"tcp@127.0.0.1:{7424 + offset} udp@127.0.0.1:{7424 + offset}"),
        ("marketprice", "down", f"tcp@127.0.0.1:{7416 + offset} udp@127.0.0.1:{7416 + offset}"),
        ("accesshttp", "down", f"tcp@127.0.0.1:{8080 + offset}"),
        ("accessws", "down", f"tcp@127.0.0.1:{8090 + offset}"),
    ]


def test_a_recorder_with_a_monitor_is_asked(tmp_path: Path, capfd: Output) -> None:
    with answering(health("ok", {"sequence": 90, "lag": 7})) as monitor:
        code, (row,) = ask(tmp_path, [process(name="recorder", serves=[], monitor=monitor)], capfd)
    assert (code, row["state"], row["sequence"], row["lag"]) == (0, "ok", 90, 7)


def test_the_recorder_is_where_its_history_is(tmp_path: Path, capfd: Output) -> None:
    facts = {"sequence": 100, "durable_sequence": 97}
    recorder = process(name="recorder", serves=[])
    with answering(health("ok", facts)) as monitor:
        _, (row, _) = ask(tmp_path, [recorder, process(monitor=monitor)], capfd)
    assert row["state"] == "degraded" and "the recorder makes it" in row["problem"]
    open_history(tmp_path / HISTORY_FILE, b"s" * 16).close()
    with answering(health("ok", facts)) as monitor:
        code, (row, _) = ask(tmp_path, [recorder, process(monitor=monitor)], capfd)
    assert (code, row["state"], row["sequence"], row["lag"]) == (0, "ok", 0, 97)


def test_a_damaged_file_is_a_sentence(tmp_path: Path, capfd: Output) -> None:
    running_path(tmp_path).parent.mkdir()
    running_path(tmp_path).write_text("[{")
    assert main(["status", "--data-dir", str(tmp_path)]) == 1
    assert "running.json can not be read" in capfd.readouterr().err
