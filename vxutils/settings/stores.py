"""Servers a settings file names but this version cannot use: never a silently empty exchange.

Whoever points us at his database expects his balances. Starting on empty embedded stores beside it
would look like success, so such a file is refused, unless the operator says `--embedded`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec


class NamedStore(msgspec.Struct, frozen=True):
    """One setting that names a server: dotted path, product, and where it is ("" if not told)."""

    path: str
    product: str
    where: str

    def __str__(self) -> str:
        return f"{self.path}: names a {self.product} server{f' ({self.where})' if self.where else ''}"


def named_stores(table: Mapping[str, Any], products: Mapping[str, str]) -> list[NamedStore]:
    """The servers that the settings named in `products` name in `table`, whatever their form is."""
    return [NamedStore(name, products[name], _where(table[name])) for name in table if name in products]


def refusal(store: NamedStore) -> str:
    return (
        f"{store}; this version cannot use it yet, and would start an empty exchange beside it; "
        "give --embedded to start on the embedded stores on purpose"
    )


def missing(path: str) -> str:
    return f"{path}: missing, but required; give --embedded to start on the embedded stores on purpose"


def warning(store: NamedStore) -> str:
    return f"{store}; not used, this process runs on its embedded stores (--embedded)"


def _where(value: object) -> str:
    """Host, port and database only: the section of a database also holds its password."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {value[name]}" for name in ("host", "port", "name") if name in value)
    return value if isinstance(value, str) else ""
