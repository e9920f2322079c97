"""What a C engine answered before it was stopped, kept in a file: a header, then one line for each answer.

    {"log": ..., "ids": [...], ...}
    [subject, answer]

Written at once, as a whole. Knows no disk.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from matchengine.c_database.subjects import Answer, AnySubject, Rounding, Subject


class KeptUnreadable(Exception):
    """The file is not one of these, or was changed. The text is a sentence."""


class Kept(msgspec.Struct, frozen=True):
    """Of which exchange, at which operation, order and deal id, of which row of slice_history, and what its
    columns have cut."""

    log: str
    ids: tuple[int, int, int]
    slice_id: int
    rounding: Rounding


class KeptWriter:
    """Collects answers."""

    def __init__(self) -> None:
        self._lines: list[bytes] = []

    def keep(self, subject: Subject, answer: Answer) -> None:
        """Adds one."""
        self._lines.append(msgspec.json.encode((subject, answer)))

    def text(self, kept: Kept) -> bytes:
        """The whole file."""
        return b"\n".join([msgspec.json.encode(kept), *self._lines, b""])


def read_kept(text: bytes) -> tuple[Kept, Iterator[tuple[AnySubject, Answer]]]:
    """Header and answers. Raises: KeptUnreadable, also while the answers are read."""
    head, *lines = text.splitlines()
    decoder = msgspec.json.Decoder(tuple[AnySubject, Answer])

    def answers() -> Iterator[tuple[AnySubject, Answer]]:
        for line in lines:
            try:
                yield decoder.decode(line)
            except msgspec.DecodeError as error:
                raise KeptUnreadable(f"an answer that was kept can not be read: {error}") from error

    try:
        return msgspec.json.decode(head, type=Kept), answers()
    except msgspec.DecodeError as error:
        raise KeptUnreadable(f"what was kept can not be read: {error}") from error
