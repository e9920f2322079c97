"""Why the engine declines a well-formed command: values, not exceptions.

A refusal changes nothing, uses no id and no sequence, and is not journaled. Codes from 10 on mean
different things per command. Source: protocol.md 2.2.
"""

from __future__ import annotations

from vxutils.protocol.codes import (
    CANCEL_ORDER_NOT_FOUND as ORDER_NOT_FOUND,
)
from vxutils.protocol.codes import (
    CANCEL_USER_NOT_MATCH as USER_NOT_MATCH,
)
from vxutils.protocol.codes import (
    KEY_REUSED,
    KEYS_FULL,
    ORDER_BALANCE_NOT_ENOUGH,
    UPDATE_BALANCE_NOT_ENOUGH,
)
from vxutils.protocol.codes import (
    ORDER_AMOUNT_TOO_SMALL as AMOUNT_TOO_SMALL,
)
from vxutils.protocol.codes import (
    ORDER_NO_ENOUGH_TRADER as NO_ENOUGH_TRADER,
)
from vxutils.protocol.codes import (
    UPDATE_REPEATED as REPEAT_UPDATE,
)
from vxutils.protocol.codes import (
    ErrorCode as Refusal,
)

__all__ = [
    "AMOUNT_TOO_SMALL",
    "KEYS_FULL",
    "KEY_REUSED",
    "NO_ENOUGH_TRADER",
    "ORDER_BALANCE_NOT_ENOUGH",
    "ORDER_NOT_FOUND",
    "REPEAT_UPDATE",
    "UPDATE_BALANCE_NOT_ENOUGH",
    "USER_NOT_MATCH",
    "Refusal",
]
