"""A journal that can not be synced or written ends the engine: no reply, no restart, until a person acts."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from tests.processes.crashing import births, check_updates_are_repeats, crash_config, stop_and_prove
from tests.support.crash_client import CrashClient
from tests.support.faulty_engine import FaultyEngine
from tests.support.journal_truth import JournalTruth
from vxutils.exits import ExitCode
from vxutils.rpc.packet import KIND_REQUEST, encode_packet


@pytest.mark.parametrize(
    ("operation", "error", "words"),
    [
        ("fdatasync", errno.EIO, "a sync failed: [Errno 5]"),
        ("fdatasync", errno.ENOSPC, "a sync failed: [Errno 28]"),
        ("pwrite", errno.EIO, "a write failed: [Errno 5]"),
    ],
)
def test_fail_stop(tmp_path: Path, operation: str, error: int, words: str) -> None:
    client = CrashClient(8)
    with FaultyEngine(tmp_path, crash_config()) as engine:
        client.run(engine.address(), 0.4, lambda: engine.break_disk(operation, error), goes_on=True)
        assert engine.wait() == ExitCode.JOURNAL_IO, engine.output
        assert words in engine.stderr
        assert ".journal" in engine.stderr
        assert "not restarted, a person is needed" in engine.stderr
        assert len(births(engine)) == 1
        assert client.in_flight, "requests were on their way"

        engine.launch()
        assert engine.wait() == ExitCode.JOURNAL_IO, "the disk still fails"
        assert "Traceback" not in engine.stderr

        engine.mend_disk(operation)
        engine.start()
        check_updates_are_repeats(engine, client.acknowledged)
        stop_and_prove(engine, client)


def test_a_failed_sync_is_answered_to_nobody(tmp_path: Path) -> None:
    """One request whose record was written and not synced: the connection ends without a reply to it."""
    with FaultyEngine(tmp_path, crash_config()) as engine:
        with engine.client() as client:
            assert client.call(102, [7, "BTC", "deposit", 1, "1", {}])["error"] is None
            engine.break_disk("fdatasync", errno.EIO)
            with pytest.raises(ConnectionError):
                client.call(102, [7, "BTC", "deposit", 2, "1", {}])
        assert engine.wait() == ExitCode.JOURNAL_IO
        engine.mend_disk("fdatasync")
        engine.start()
        with engine.client() as client:
            repeat = client.call(102, [7, "BTC", "deposit", 2, "1", {}])
            assert repeat["error"] is None or repeat["error"]["code"] == 10, "either is true"
            assert client.call(101, [7, "BTC"])["result"]["BTC"]["available"] == "2"
        assert engine.terminate() == 0
        assert len(JournalTruth(engine.data_dir).results) == 2


def test_queries_still_wait_for_the_sync(tmp_path: Path) -> None:
    """A query in the turn of an unsynced update is not answered either: it would tell of what may be lost."""
    with FaultyEngine(tmp_path, crash_config()) as engine, engine.client() as client:
        engine.break_disk("fdatasync", errno.EIO)
        update = b'[7, "BTC", "deposit", 1, "1", {}]'
        client.send(
            encode_packet(102, KIND_REQUEST, 1, 1, update) + encode_packet(101, KIND_REQUEST, 2, 2, b"[7]")
        )
        with pytest.raises(ConnectionError):
            client.receive()
        assert engine.wait() == ExitCode.JOURNAL_IO
