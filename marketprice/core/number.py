"""Decimal text of messages and stores as (coefficient, scale), in its natural scale, whatever its length.

Unlike `vxutils.fixed.parse_exact`, which bounds what clients may send, this reads what our own printers
wrote: sums and products are longer than any input. Only non-negative numbers exist here.

Source: protocol.md 2.4 (syntax), 5.1, 6.4.
"""

from __future__ import annotations

import re

TEXT_LENGTH_MAX = 512  # the longest that can be printed, a sum of products of two 40-decimal numbers, has 150
EXPONENT_MAX = 1_000

_SYNTAX = re.compile(r"\+?(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,4}))?", re.ASCII)


def parse(text: str) -> tuple[int, int] | None:
    """The number in `text` as (coefficient, scale) with scale >= 0, or None if it is none.

    Zeros at the end count as decimals: `1.50` is (150, 2), `5.0e-7` is (50, 8), `1e+2` is (100, 0).
    """
    if len(text) > TEXT_LENGTH_MAX:
        return None
    whole, _, fraction = text.partition(".")
    # isdigit() alone also accepts superscripts and other scripts' digits.
    if whole.isdigit() and (not fraction or fraction.isdigit()) and text.isascii():
        return int(whole + fraction), len(fraction)
    match = _SYNTAX.fullmatch(text)
    if match is None:
        return None
    whole, fraction, exponent_text = match.group(1), match.group(2) or "", match.group(3)
    exponent = int(exponent_text) if exponent_text else 0
    if not (whole or fraction) or abs(exponent) > EXPONENT_MAX:
        return None
    coefficient = int(whole + fraction)
    scale = len(fraction) - exponent
    return (coefficient, scale) if scale >= 0 else (coefficient * 10**-scale, 0)
