"""Where the engine's history and messages go, as its settings file says, for whoever must look there too.

Works on the table of the file, TOML or a `config.json` of the C system; whether it can be used is judged by
the engine's own settings. Nothing is opened.
"""

from __future__ import annotations

from typing import Any

import msgspec

from gateways.cli.effective import EffectiveSettings


class EngineStores(msgspec.Struct, frozen=True):
    """`history`: the section of the database with the history, None = in the data directory; `brokers`: of
    the topics with messages, empty = in the data directory; `login`: the section of who we are for them."""

    history: dict[str, Any] | None = None
    brokers: str = ""
    login: dict[str, Any] | None = None

    @property
    def has_two_recorders(self) -> bool:
        """Whether history and messages are recorded by a process each."""
        return self.history is not None or bool(self.brokers)


def engine_stores(settings: EffectiveSettings, embedded: bool) -> EngineStores:
    """The stores of an engine with these settings, started with `--embedded` or not."""
    if embedded:
        return EngineStores()
    table = settings.table
    if settings.is_c:
        section = table.get("db_history")
        brokers = table.get("brokers")
        history = login = None
        if isinstance(section, dict):
            history = {("password" if name == "pass" else name): value for name, value in section.items()}
    else:
        history, brokers, login = None, _inside(table, "kafka", "brokers"), _inside(table, "kafka", "login")
        if _inside(table, "history", "store") == "mysql":
            history = _inside(table, "mysql", "history") or {}
    return EngineStores(history, brokers if isinstance(brokers, str) else "", login)


def _inside(table: Any, *names: str) -> Any:
    for name in names:
        table = table.get(name) if isinstance(table, dict) else None
    return table
