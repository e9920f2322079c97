"""The blocking client waits no longer than it was told and leaves nothing behind."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import pytest

from tests.vxutils.rpc.driving import ECHO, HANG_UP, KINDS, SILENT, local_address, running_server, wait_for
from vxutils.rpc.blocking import BlockingClient
from vxutils.rpc.packet import encode_packet

REPLY = b'{"error": null, "result": "here", "id": 1}'


@pytest.mark.parametrize("kind", KINDS)
def test_no_reply_is_a_timeout(kind: str, tmp_path: Path) -> None:
    with running_server([local_address(kind, tmp_path)]) as running:
        started_at = time.monotonic()
        with BlockingClient(running.address, timeout_s=0.1) as client, pytest.raises(TimeoutError):
            client.call(SILENT, [])
        assert time.monotonic() - started_at < 4.0


def test_replies_to_other_requests_are_passed_over(tmp_path: Path) -> None:
    with (
        running_server([local_address("tcp", tmp_path)]) as running,
        BlockingClient(running.address) as client,
    ):
        client.send(encode_packet(ECHO, 0, 900, 1, b"[]") + encode_packet(0, 0, 1, 1, b""))
        assert client.call(ECHO, REPLY) == {"error": None, "result": "here", "id": 1}


def test_params_are_sent_as_json(tmp_path: Path) -> None:
    with (
        running_server([local_address("tcp", tmp_path)]) as running,
        BlockingClient(running.address) as client,
    ):
        with pytest.raises(TypeError):
            client.call(ECHO, [object()])
        client.roundtrip(encode_packet(ECHO, 0, 5, 5, REPLY))
        with pytest.raises(msgspec.ValidationError):
            client.call(ECHO, [1, "BTC"])  # echoed, and an array is no reply


def test_large_reply_comes_whole(tmp_path: Path) -> None:
    body = b'{"error": null, "result": "%s", "id": 1}' % (b"x" * 1_000_000)
    with (
        running_server([local_address("tcp", tmp_path)], max_pkg_size=2_000_000) as running,
        BlockingClient(running.address) as client,
    ):
        assert len(client.call(ECHO, body)["result"]) == 1_000_000


def test_closed_connection_is_an_error(tmp_path: Path) -> None:
    with (
        running_server([local_address("stream", tmp_path)]) as running,
        BlockingClient(running.address) as client,
        pytest.raises(ConnectionError),
    ):
        client.call(HANG_UP, [])


def test_nobody_there_is_an_error(tmp_path: Path) -> None:
    for kind in ("stream", "dgram", "seqpacket"):
        with pytest.raises(OSError):
            BlockingClient(local_address(kind, tmp_path))


def test_own_socket_file_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "own"
    own.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(own))
    with running_server([local_address("dgram", tmp_path)]) as running:
        with BlockingClient(running.address) as client:
            assert client.call(ECHO, REPLY)["result"] == "here"
            assert len(list(own.iterdir())) == 1
        wait_for(lambda: not list(own.iterdir()))
