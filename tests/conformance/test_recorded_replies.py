"""The requests recorded from the C system get the recorded replies from the real process, over TCP.

Byte for byte with the C system's own configuration, equal in value with ours in `plain` style. Deliberate
differences stand in `differences`, nowhere else.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.comparing import assert_equal_in_value, masked
from tests.conformance.differences import DIFFERENCES
from tests.conformance.replay import Outcome, Record, Replay, records
from tests.support.configs import c_config, toml_config
from tests.support.processes import EngineProcess
from vxutils.rpc.packet import KIND_REPLY, Packet

# File and number of requests in it, so that a recording which is lost or cut is noticed.
SCENARIOS = {
    "01_balances": 61,
    "02_limit_basic": 109,
    "03_market_orders": 78,
    "04_cancel_and_query": 131,
    "05_depth": 136,
    "06_bad_input": 424,
    "07_summary": 38,
    "08_random": 3075,
}


@pytest.mark.parametrize("file", SCENARIOS)
def test_bytes_are_equal_with_the_c_configuration(file: str, tmp_path: Path) -> None:
    with EngineProcess(tmp_path, c_config()) as engine:
        replay_and_compare(engine, file, "viabtc")


@pytest.mark.parametrize("file", SCENARIOS)
def test_values_are_equal_in_plain_style(file: str, tmp_path: Path) -> None:
    with EngineProcess(tmp_path, toml_config(wire_style="plain", repeat_age_s=86_400)) as engine:
        replay_and_compare(engine, file, "plain")


def replay_and_compare(engine: EngineProcess, file: str, style: str) -> None:
    """Send a whole file; every reply must be the recorded one or the one of its difference."""
    sent = 0
    with Replay(engine.address("tcp")) as replay:
        for record in records(file):
            outcome = replay.send(record)
            sent += 1
            compare(record, outcome, style)
            difference = DIFFERENCES.get((file, record.line))
            if difference is not None and difference.substitute is not None:
                reply = replay.ask(record.command, difference.substitute)
                assert '"result":null' not in reply.replace(" ", ""), f"{record.name}: substitute: {reply}"
    assert sent == SCENARIOS[file]


def compare(record: Record, outcome: Outcome, style: str) -> None:
    """Raises: AssertionError unless `outcome` is what the recording, or its difference, says."""
    difference = DIFFERENCES.get((record.file, record.line))
    expected = [(body, header) for body, header in record.replies]
    ending = record.ending
    if difference is not None:
        ours = difference.reply(record.raw, record.request_id)
        assert masked(ours) != masked(record.raw or ""), f"{record.name} does not differ: {difference.kind}"
        expected, ending = [(ours, None)], None
    assert outcome.ending == ending, f"{record.name}: {outcome.ending} instead of {ending} {outcome.replies}"
    assert len(outcome.replies) == len(expected), f"{record.name}: {outcome.replies}"
    for reply, (body, header) in zip(outcome.replies, expected, strict=True):
        compare_body(record, reply.body.decode(), body, style)
        if header is not None:
            compare_header(record, reply, header, style)
        else:
            assert (reply.command, reply.kind) == (record.command, KIND_REPLY) or record.own_connection


def compare_body(record: Record, got: str, expected: str, style: str) -> None:
    if style == "viabtc" or not expected:
        assert masked(got) == masked(expected), f"{record.name} {record.params}"
        return
    try:
        assert_equal_in_value(got, expected)
    except AssertionError as difference:
        raise AssertionError(f"{record.name} {record.params}: {difference}") from None


def compare_header(record: Record, reply: Packet, header: dict[str, int], style: str) -> None:
    """The fields of the reply's header; size (and so the checksum) are the C system's only in its style."""
    got = {
        "command": reply.command,
        "pkg_type": reply.kind,
        "result": reply.result,
        "sequence": reply.sequence,
        "req_id": reply.request_id,
        "ext_size": len(reply.ext),
        "body_size": len(reply.body),
    }
    compared = [name for name in got if name != "body_size" or style == "viabtc"]
    assert {name: got[name] for name in compared} == {name: header[name] for name in compared}, record.name
    sent_ext = record.packet[36 : 36 + header["ext_size"]]
    assert reply.ext == sent_ext, f"{record.name}: ext {reply.ext!r} instead of {sent_ext!r}"
