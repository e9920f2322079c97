"""Which methods a door offers: the two ready sets, and how a setting names one. Data only.

`internal` is every method of the command table. `public` is what everybody may know: no method that names a
user, shows one, or moves anything, because HTTP requests say only *which* user is meant, not that the sender
is he. Whoever needs more outside lists the methods, and answers for the tokens.

Source: protocol.md 2.1; 12.5 number 74 (the C system offers money-moving methods on its public port).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from vxutils.protocol.commands import COMMANDS, HEARTBEAT, Command

BY_METHOD: Final[Mapping[str, Command]] = MappingProxyType(
    {command.name: command for command in COMMANDS if command.id != HEARTBEAT}
)
"""The methods that clients can name."""

INTERNAL: Final = frozenset(BY_METHOD)

PUBLIC: Final = frozenset(
    {
        "asset.list",
        "market.list",
        "market.summary",
        "market.status",
        "market.status_today",
        "market.kline",
        "market.deals",
        "market.last",
        "order.depth",
    }
)

READY_SETS: Final[Mapping[str, frozenset[str]]] = MappingProxyType({"internal": INTERNAL, "public": PUBLIC})


def offered(setting: str | tuple[str, ...]) -> frozenset[str]:
    """The methods that a `methods` setting names: a ready set, or a list (already checked)."""
    return READY_SETS[setting] if isinstance(setting, str) else frozenset(setting)
