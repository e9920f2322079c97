"""Fixed-point numbers: decimal text to scaled integer and back.

An amount is an integer count of 10^-scale. Integers are unbounded, so arithmetic is exact; every
rounding has a name and goes toward zero. This module knows no money, no asset and no JSON.

Three printers exist because the C system has two and we add one (protocol.md 2.5):

    value at scale    raw             stripped     plain
    100000000 @ 8     1.00000000      1            1
    0 @ 8             0e-8            0e-8         0
    50 @ 8            5.0e-7          5.0e-7       0.0000005
    1000 @ 8          0.00001000      0.00001      0.00001
"""

from __future__ import annotations

import re

TEXT_LENGTH_MAX = 64  # characters of one number on the wire
EXPONENT_MAX = 60  # of the notation 1e60; larger ones only serve to make huge integers
VALUE_DIGITS_MAX = 30  # a value of 10^30 or more is refused

_SYNTAX = re.compile(r"([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?", re.ASCII)
_POWERS: tuple[int, ...] = tuple(10**n for n in range(200))
_LIMIT: int = 10**VALUE_DIGITS_MAX


def power10(exponent: int) -> int:
    """10**exponent for exponent >= 0, from a table where it is small."""
    return _POWERS[exponent] if exponent < 200 else int(10**exponent)


def parse_exact(text: str) -> tuple[int, int] | None:
    """The number in `text` as (coefficient, scale) with scale >= 0, or None when it is refused.

    Accepted syntax is that of protocol.md 2.4 without NaN and infinities: sign, digits with at most
    one dot among them, exponent. Refused besides syntax errors: more than 64 characters, an
    exponent outside +-60, a value of 10^30 or more.
    """
    if len(text) > TEXT_LENGTH_MAX:
        return None
    match = _SYNTAX.fullmatch(text)
    if match is None:
        return None
    sign, whole, fraction, exponent_text = match.groups()
    fraction = fraction or ""
    if not whole and not fraction:
        return None
    exponent = int(exponent_text) if exponent_text else 0
    if not -EXPONENT_MAX <= exponent <= EXPONENT_MAX:
        return None
    coefficient = int(whole + fraction)
    scale = len(fraction) - exponent
    if scale < 0:
        coefficient *= power10(-scale)
        scale = 0
    if coefficient >= _LIMIT * power10(scale):
        return None
    return (-coefficient if sign == "-" else coefficient), scale


def parse(text: str, scale: int) -> int | None:
    """The number in `text` at `scale` decimals, cut toward zero; None when it is refused.

    Cost 0.3 us for the plain notation that clients send, 2 us for anything else.
    Source: protocol.md 2.4; limits as in `parse_exact`.
    """
    whole, _, fraction = text.partition(".")
    # isdigit() alone also accepts superscripts and other scripts' digits, int() blanks and "_".
    if whole.isdigit() and len(text) <= VALUE_DIGITS_MAX and text.isascii():
        if not fraction:
            return int(whole) * _POWERS[scale]
        if fraction.isdigit():
            length = len(fraction)
            if length <= scale:
                return int(whole + fraction) * _POWERS[scale - length]
            return int(whole + fraction[:scale])
    exact = parse_exact(text)
    if exact is None:
        return None
    return rescale(exact[0], exact[1], scale)


def rescale(value: int, scale: int, new_scale: int) -> int:
    """`value` at `scale` decimals as an integer at `new_scale`, cut toward zero."""
    if new_scale >= scale:
        return value * power10(new_scale - scale)
    divisor = power10(scale - new_scale)
    return value // divisor if value >= 0 else -(-value // divisor)


def raw(value: int, scale: int) -> str:
    """Scientific-string text with all `scale` decimals. Source: protocol.md 2.5 "Raw"."""
    if scale == 0:
        return str(value)
    sign = ""
    if value < 0:
        sign, value = "-", -value
    digits = str(value)
    length = len(digits)
    adjusted = length - 1 - scale
    if adjusted < -6:
        fraction = "." + digits[1:] if length > 1 else ""
        return f"{sign}{digits[0]}{fraction}e{adjusted}"
    if length > scale:
        return f"{sign}{digits[:-scale]}.{digits[-scale:]}"
    return f"{sign}0.{digits.zfill(scale)}"


def stripped(value: int, scale: int) -> str:
    """`raw` without trailing zeros unless it has an exponent. Source: protocol.md 2.5 "Stripped"."""
    if value == 0:
        return "0" if scale <= 6 else f"0e-{scale}"
    text = raw(value, scale)
    if scale == 0 or "e" in text:
        return text
    return text.rstrip("0").rstrip(".")


def plain(value: int, scale: int) -> str:
    """Shortest positional text, never with an exponent: `0`, `0.0000005`, `12`."""
    if scale == 0 or value == 0:
        return str(value)
    sign = ""
    if value < 0:
        sign, value = "-", -value
    digits = str(value)
    if len(digits) > scale:
        whole, fraction = digits[:-scale], digits[-scale:].rstrip("0")
        return f"{sign}{whole}.{fraction}" if fraction else sign + whole
    return f"{sign}0.{digits.zfill(scale).rstrip('0')}"
