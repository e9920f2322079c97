"""A client's text becomes params that every backend accepts, or a refusal that names the member at fault."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.common.requests import (
    NESTING_MAX,
    BadRequest,
    decode_request,
    encode_params,
    read_key,
)


def text(params: str = "[]", request_id: str = "1", method: str = '"asset.list"', more: str = "") -> bytes:
    return f'{{"id": {request_id}, "method": {method}, "params": {params}{more}}}'.encode()


BAD = [
    (b"", "not_a_json_object", ""),
    (b"{bad", "not_a_json_object", ""),
    (b"[]", "not_a_json_object", ""),
    (b"5", "not_a_json_object", ""),
    (text() + b"x", "not_a_json_object", ""),
    (b'{"method": "a", "params": []}', "invalid_id", "id"),
    (text(request_id='"1"'), "invalid_id", "id"),
    (text(request_id="null"), "invalid_id", "id"),
    (text(request_id="true"), "invalid_id", "id"),
    (text(request_id="1.0"), "invalid_id", "id"),
    (text(request_id="9223372036854775808"), "invalid_id", "id"),
    (text(method="5"), "invalid_method", "method"),
    (b'{"id": 1, "params": []}', "invalid_method", "method"),
    (text(params="{}"), "invalid_params", "params"),
    (b'{"id": 1, "method": "a"}', "invalid_params", "params"),
    (text(params="[1e999]"), "not_a_json_object", ""),
    (text(params='["\xff"]').replace(b"\xc3\xbf", b"\xff"), "not_a_json_object", ""),
    (text(params="[" * 3000 + "]" * 3000), "not_a_json_object", ""),
    (text(params="[9223372036854775808]"), "invalid_params", "params"),
    (text(params='[{"a": [-9223372036854775809]}]'), "invalid_params", "params"),
    (text(params='["\\u0000"]'), "invalid_params", "params"),
    (text(params='[{"\\u0000": 1}]'), "invalid_params", "params"),
    (text(params='["\\\\u0000"]'), "invalid_params", "params"),
    (text(params="[" * (NESTING_MAX + 1) + "]" * (NESTING_MAX + 1)), "invalid_params", "params"),
]


@pytest.mark.parametrize(("body", "reason", "parameter"), BAD, ids=range(len(BAD)))
def test_bad_request_names_its_fault(body: bytes, reason: str, parameter: str) -> None:
    with pytest.raises(BadRequest) as caught:
        encode_params(decode_request(body))
    assert (caught.value.reason, caught.value.parameter) == (reason, parameter)


@pytest.mark.parametrize(
    ("request_id", "value"),
    [("-5", -5), ("9223372036854775807", 2**63 - 1), ("-9223372036854775808", -(2**63)), ("0", 0)],
)
def test_ids_of_64_bits(request_id: str, value: int) -> None:
    assert decode_request(text(request_id=request_id)).id == value


def test_id_is_known_when_only_the_rest_is_bad() -> None:
    with pytest.raises(BadRequest) as caught:
        decode_request(text(method="5", request_id="7"))
    assert caught.value.request_id == 7


GOOD = [
    ("[]", b"[]"),
    ('[1,"BTC",{"a":[1,2],"b":null}]', b'[1, "BTC", {"a": [1, 2], "b": null}]'),
    ('[  1 ,\n"a/b" ]', b'[1, "a/b"]'),
    ("[1.0, 1.5, -0.25]", b"[1.0, 1.5, -0.25]"),
    ('["0.10000000000000000000001"]', b'["0.10000000000000000000001"]'),
    ('["1234567890123456789012345"]', b'["1234567890123456789012345"]'),
    ("[9223372036854775807, -9223372036854775808]", b"[9223372036854775807, -9223372036854775808]"),
    ('["\u00e4\u20ac\U0001f600"]', '["\u00e4\u20ac\U0001f600"]'.encode()),
    ("[true, false, null]", b"[true, false, null]"),
    ("[" * NESTING_MAX + "]" * NESTING_MAX, b"[" * NESTING_MAX + b"]" * NESTING_MAX),
    (str([[]] * 200), str([[]] * 200).encode()),
]


@pytest.mark.parametrize(("params", "body"), GOOD, ids=range(len(GOOD)))
def test_params_are_written_as_the_c_gateway_does(params: str, body: bytes) -> None:
    assert encode_params(decode_request(text(params=params))) == body


def test_other_members_are_ignored_and_the_last_of_equals_counts() -> None:
    request = decode_request(b'{"jsonrpc": "2.0", "id": 1, "method": "a", "params": [], "id": 2, "x": {}}')
    assert (request.id, request.method, request.params) == (2, "a", [])


KEYS: list[tuple[str, bytes | None]] = [
    ("", b""),
    (', "idempotency_key": "a-1 ~"', b"a-1 ~"),
    (', "idempotency_key": "' + "k" * 36 + '"', b"k" * 36),
    (', "idempotency_key": "' + "k" * 37 + '"', None),
    (', "idempotency_key": ""', None),
    (', "idempotency_key": 5', None),
    (', "idempotency_key": null', None),
    (', "idempotency_key": "\u00e4"', None),
    (', "idempotency_key": "a\\nb"', None),
]


@pytest.mark.parametrize(("more", "key"), KEYS)
def test_idempotency_key(more: str, key: bytes | None) -> None:
    assert read_key(decode_request(text(more=more)).key) == key


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(st.lists(json_values))
def test_params_that_pass_mean_the_same(params: list[Any]) -> None:
    body = json.dumps({"id": 1, "method": "a", "params": params}).encode()
    try:
        sent = encode_params(decode_request(body))
    except BadRequest as bad:
        assert bad.reason in ("invalid_params", "not_a_json_object")
        return
    assert msgspec.json.decode(sent) == msgspec.json.decode(json.dumps(params))
    assert b"\\u0000" not in sent


@given(st.binary())
def test_any_bytes_are_a_request_or_a_refusal(body: bytes) -> None:
    try:
        encode_params(decode_request(body))
    except BadRequest as bad:
        assert bad.reason
