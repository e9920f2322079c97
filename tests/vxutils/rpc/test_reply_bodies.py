"""What surrounds a result or an error, in both wire styles, and how `debug` indents it."""

from __future__ import annotations

import json

import pytest

from vxutils.protocol.codes import INVALID_ARGUMENT, UPDATE_REPEATED
from vxutils.rpc.replies import ReplyFormat, indented

TEXTS = [
    "{}",
    "[]",
    '{"a": []}',
    '{"a": {}, "b": [{}, []]}',
    '{"error": null, "result": [1, 2.5, "x"], "id": 3}',
    '{"a": "quote \\" and \\\\", "b": "{[,:]}", "c": "é\\u0001"}',
    '{"deep": [[[{"a": [1, [2]]}]]]}',
]


@pytest.mark.parametrize("text", TEXTS)
def test_debug_replies_are_indented_like_the_c_system(text: str) -> None:
    """By four spaces, as jansson's JSON_INDENT(4) and json.dumps do."""
    expected = json.dumps(json.loads(text), indent=4, ensure_ascii=False)
    assert indented(text) == expected
    assert indented(text.replace(", ", ",").replace('": ', '":')) == expected
    reply = ReplyFormat("viabtc", debug=True).success(text, 7)
    whole = {"error": None, "result": json.loads(text), "id": 7}
    assert reply.decode() == json.dumps(whole, indent=4, ensure_ascii=False)


def test_debug_leaves_numbers_and_strings_as_they_are_written() -> None:
    text = '[1.10,5.0e-7,12345678901234567890123,1595340599.8550949,"\\u001F\\/"]'
    lines = indented(text).splitlines()
    assert [line.strip(" ,") for line in lines[1:-1]] == text[1:-1].split(",")


@pytest.mark.parametrize(
    ("request_id", "shown"), [(0, 0), (2**63 - 1, 2**63 - 1), (2**63, -(2**63)), (2**64 - 1, -1)]
)
def test_the_id_is_signed(request_id: int, shown: int) -> None:
    replies = ReplyFormat("plain", debug=False)
    assert replies.success("[]", request_id) == b'{"error":null,"result":[],"id":%d}' % shown
    assert json.loads(replies.error(INVALID_ARGUMENT, request_id))["id"] == shown


def test_the_sequence_is_told_in_plain_style() -> None:
    assert ReplyFormat("plain", False).success("[]", 1, 12) == (
        b'{"error":null,"result":[],"id":1,"sequence":12}'
    )
    assert ReplyFormat("plain", False).success("[]", 1, 0).endswith(b'"sequence":0}')
    assert ReplyFormat("viabtc", False).success("[]", 1, 12) == b'{"error": null, "result": [], "id": 1}'


def test_a_repeated_error_is_the_same_but_for_its_id() -> None:
    viabtc, plain = ReplyFormat("viabtc", debug=False), ReplyFormat("plain", debug=False)
    for request_id in (5, 6):
        assert viabtc.error(UPDATE_REPEATED, request_id) == (
            b'{"error": {"code": 10, "message": "repeat update"}, "result": null, "id": %d}' % request_id
        )
        data = {
            "reason": UPDATE_REPEATED.reason,
            "parameter": UPDATE_REPEATED.parameter,
            "rule": UPDATE_REPEATED.rule,
        }
        error = {"code": 10, "message": "repeat update", "data": data}
        expected = {"error": error, "result": None, "id": request_id}
        assert plain.error(UPDATE_REPEATED, request_id).decode() == json.dumps(
            expected, separators=(",", ":"), ensure_ascii=False
        )
