"""Decimal text of any length, in its natural scale."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketprice.core import number
from vxutils import fixed

NUMBERS = """
0                     0           0
10                    10          0
10.50                 1050        2
.5                    5           1
5.                    5           0
+1.0                  10          1
0e-8                  0           8
5.0e-7                50          8
1e+5                  100000      0
1.5e+1                15          0
1E-3                  1           3
"""


@pytest.mark.parametrize("line", [*filter(None, NUMBERS.splitlines())])
def test_natural_scale(line: str) -> None:
    text, coefficient, scale = line.split()
    assert number.parse(text) == (int(coefficient), int(scale))


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "-1",
        "1e",
        "e5",
        " 1",
        "1 ",
        "1_0",
        "0x10",
        "NaN",
        "inf",
        "1.2.3",
        "1e9999",
        "²",
        "٣",
        "1" * 600,
    ],
)
def test_refused(text: str) -> None:
    assert number.parse(text) is None


@given(st.integers(0, 10**70), st.integers(0, 80))
def test_both_printers_of_the_store_are_read_back(value: int, scale: int) -> None:
    assert number.parse(fixed.raw(value, scale)) == (value, scale)
    read = number.parse(fixed.stripped(value, scale))
    assert read is not None
    assert read[0] * 10 ** (scale - read[1]) == value
    assert fixed.stripped(*read) == fixed.stripped(value, scale)
