"""The numbers are a promise to supervisord files and scripts outside: they do not change."""

from __future__ import annotations

import pickle

from vxutils.exits import NOT_RESTARTED, ExitCode, ProcessExit


def test_the_numbers_stay() -> None:
    assert {code.name: code.value for code in ExitCode} == {
        "OK": 0,
        "FAILURE": 1,
        "USAGE": 64,
        "JOURNAL_DAMAGED": 65,
        "ADDRESS_TAKEN": 69,
        "JOURNAL_IO": 74,
        "ALREADY_RUNNING": 75,
        "CONFIG": 78,
    }


def test_only_a_failure_of_ours_is_restarted() -> None:
    assert set(ExitCode) - NOT_RESTARTED == {ExitCode.OK, ExitCode.FAILURE}


def test_an_exit_carries_code_and_sentence_across_processes() -> None:
    ending = pickle.loads(pickle.dumps(ProcessExit(ExitCode.CONFIG, "asset BTC: precision missing")))
    assert (ending.code, ending.sentence, str(ending)) == (
        78,
        "asset BTC: precision missing",
        ending.sentence,
    )
