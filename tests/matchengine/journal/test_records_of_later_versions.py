"""A record of a kind that this version does not know names the way out, instead of ending with a trace."""

from __future__ import annotations

import pytest

from matchengine.core.commands import KINDS
from matchengine.journal.format import JournalNewer
from matchengine.journal.record import decode_records
from vxutils.packing import pack


def test_an_unknown_kind_is_of_a_later_version() -> None:
    unknown = max(KINDS) + 1
    payload = pack((unknown, 7, 0, 0, b"", ()))
    with pytest.raises(JournalNewer, match=rf"record 7 is of kind {unknown}, .* later one"):
        list(decode_records(payload))
