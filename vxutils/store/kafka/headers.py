"""What each message of ours carries beside its text: by whom it was written, and which one it is.

    system     32 hexadecimal digits
    epoch      decimal: of the journal frame from which it follows
    sequence   decimal: of the journal record from which it follows
    index      decimal: its number within the record
    batch      16 hexadecimal digits, by chance: the transaction that brought it

All are text, so that any Kafka tool shows them. Readers of the C system never look at headers, and its own
messages have none.
"""

from __future__ import annotations

from typing import NamedTuple

Headers = list[tuple[str, str | bytes | None]]
NUMBER_DIGITS_MAX = 40


class MessageId(NamedTuple):
    """Orders as the journal does: a later message is greater, within one system."""

    epoch: int
    sequence: int
    number: int


class Origin(NamedTuple):
    """Whose message it is, and which one."""

    system: str
    id: MessageId
    batch: str


def pack_headers(system: str, epoch: str, sequence: int, index: int, batch: str) -> Headers:
    """What is the same for thousands of messages is text already."""
    return [
        ("system", system),
        ("epoch", epoch),
        ("sequence", str(sequence)),
        ("index", str(index)),
        ("batch", batch),
    ]


def read_headers(headers: Headers | dict[str, str | bytes | None] | None) -> Origin | None:
    """Whose it is; None for a message that is not marked, as those of the C system."""
    if not headers:
        return None
    found = dict(headers)
    try:
        system, batch = found["system"], found["batch"]
        if not isinstance(system, bytes) or not isinstance(batch, bytes):
            return None
        numbers = (_number(found[name]) for name in ("epoch", "sequence", "index"))
        return Origin(system.decode(), MessageId(*numbers), batch.decode())
    except (KeyError, ValueError):
        return None


def _number(value: str | bytes | None) -> int:
    if not isinstance(value, bytes) or len(value) > NUMBER_DIGITS_MAX:
        raise ValueError(value)
    return int(value)
