"""What the exchange answered, for commands of a person: a value of the expected form, or a sentence."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from vxutils.client import ExchangeError, NoAnswer, Outcome

Result = TypeVar("Result")


def expect(result: Any, kind: type[Result]) -> Result:
    """A result as it should be. Raises: NoAnswer."""
    try:
        return msgspec.convert(result, kind)
    except msgspec.ValidationError as error:
        raise NoAnswer(f"the exchange answered something else ({error})", Outcome.UNKNOWN) from None


def problem_text(error: ExchangeError) -> str:
    """What is wrong, and for what could not be reached what to do about it."""
    if isinstance(error, NoAnswer):
        hint = "; is it running? `vx up` starts it" if error.outcome is Outcome.NOT_SENT else ""
        return error.message + hint
    rule = error.data.get("rule")
    return f"error {error.code}, {error.message}" + (f" ({rule})" if rule else "")
