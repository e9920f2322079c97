"""What is sent for which Python value, and what is refused before anything is sent."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from vxutils.client.request import make_encoded_request, make_request

SENT: list[tuple[Any, Any]] = [
    (Decimal("0.10"), "0.10"),
    (Decimal(60000), "60000"),
    (Decimal("1E+3"), "1000"),
    (Decimal("1e-20"), "0.00000000000000000001"),
    (Decimal("-0"), "-0"),
    ("0.1", "0.1"),
    (7, 7),
    (-(2**63), -(2**63)),
    (True, True),
    (None, None),
    ({"note": [Decimal("1.5"), "x"], "n": {}}, {"note": ["1.5", "x"], "n": {}}),
    (("a", 1), ["a", 1]),
    ("\u20bf", "\u20bf"),
]


@pytest.mark.parametrize(("given", "sent"), SENT)
def test_values_on_the_wire(given: Any, sent: Any) -> None:
    request = make_request("balance.update", [1, given], None)
    assert json.loads(request.parameters) == [1, sent]


REFUSED: list[tuple[Any, type[Exception], str]] = [
    (0.1, TypeError, "parameter 2: the float 0.1 is not exact"),
    ([0.1], TypeError, "parameter 2: the float"),
    ({"rate": 1.0}, TypeError, "parameter 2, 'rate': the float"),
    (float("nan"), TypeError, "the float nan"),
    (Decimal("NaN"), ValueError, "NaN is no amount"),
    (Decimal("Infinity"), ValueError, "Infinity is no amount"),
    (2**63, ValueError, "does not fit 64 bits"),
    (b"1", TypeError, "a bytes can not be sent"),
    (object(), TypeError, "a object can not be sent"),
    ({1: "x"}, TypeError, "the name 1 is no text"),
    ("\ud800", ValueError, "surrogates not allowed"),
]


@pytest.mark.parametrize(("given", "kind", "sentence"), REFUSED)
def test_what_has_no_exact_form_is_refused(given: Any, kind: type[Exception], sentence: str) -> None:
    with pytest.raises(kind, match=sentence):
        make_request("order.put_limit", [1, given], None)


METHODS = [
    ("order.put_limit", 201, True),
    ("order.depth", 206, False),
    ("no.such", None, True),  # better taken for one that changes something
    ("heartbeat", None, True),
]


@pytest.mark.parametrize(("method", "command", "is_mutating"), METHODS)
def test_what_changes_something_is_known(method: str, command: int | None, is_mutating: bool) -> None:
    request = make_request(method, [], None)
    assert (request.command, request.is_mutating) == (command, is_mutating)


KEYS = [("order.depth", "k", "no meaning for order.depth")]
KEYS += [("order.cancel", key, "1 to 36 printable ASCII") for key in ("", "k" * 37, "\u20bf", "a\nb")]


@pytest.mark.parametrize(("method", "key", "sentence"), KEYS)
def test_a_bad_key_is_refused(method: str, key: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        make_encoded_request(method, b"[]", key)
