"""Settings of a matchengine for tests: the recorded assets and markets around test-sized limits.

`c_config` is a whole `config.json` of the C system, as an operator would bring it along; `toml_config`
is our own form. Both bind loopback addresses with ports that the system chooses, and log to standard
error, where `EngineProcess` collects it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

RECORDED_CONFIG = Path(__file__).parents[1] / "conformance" / "vectors" / "config.json"

TCP_AND_UDP = ("tcp@127.0.0.1:0", "udp@127.0.0.1:0")
CONSOLE = "tcp@127.0.0.1:0"
MONITOR = "tcp@127.0.0.1:0"

Settings = Mapping[str, Any]


def recorded_rules() -> dict[str, Any]:
    """`assets` and `markets` that were in force when the C system was recorded, in its spelling."""
    config: dict[str, Any] = json.loads(RECORDED_CONFIG.read_text())
    return config


def c_config(
    bind: Sequence[str] = TCP_AND_UDP, server: Settings | None = None, **changed: object
) -> dict[str, Any]:
    """A `config.json` for the recorded rules, to be started with `--embedded`: it names stores too.

    `server` adds to or replaces keys of `svr`, `changed` top-level keys.
    """
    return {
        "debug": False,
        "process": {"file_limit": 0, "core_limit": 0},
        "log": {"path": "", "flag": "fatal,error,warn,info,notice", "num": 1},
        "alert": {"host": "test", "addr": ""},
        "svr": {
            "bind": list(bind),
            "buf_limit": 100,
            "max_pkg_size": 10240,
            "heartbeat_check": False,
            **(server or {}),
        },
        "cli": CONSOLE,
        "db_log": {"host": "127.0.0.1", "user": "nobody", "pass": "none", "name": "trade_log"},
        "db_history": {"host": "127.0.0.1", "user": "nobody", "pass": "none", "name": "trade_history"},
        "brokers": "127.0.0.1:9092",
        "slice_interval": 86400,
        "slice_keeptime": 259200,
        "history_thread": 10,
        **recorded_rules(),
        **changed,
    }


def toml_config(
    bind: Sequence[str] = TCP_AND_UDP,
    server: Settings | None = None,
    journal: Settings | None = None,
    **changed: object,
) -> str:
    """TOML text for the recorded rules, with a journal of small segments.

    `server` and `journal` add to or replace settings of those sections, `changed` top-level ones.
    """
    rules = recorded_rules()
    sections: list[tuple[str, Settings]] = [
        ("svr", {"bind": list(bind), **(server or {})}),
        ("cli", {"address": CONSOLE}),
        ("monitor", {"address": MONITOR}),
        ("recorder", {"monitor_address": MONITOR, "ring_size_bytes": 1 << 16}),
        ("journal", {"segment_size_bytes": 1 << 20, "disk_reserve_bytes": 0, **(journal or {})}),
    ]
    lines = _settings(changed)
    for name, settings in sections:
        lines += ["", f"[{name}]", *_settings(settings)]
    for asset in rules["assets"]:
        lines += ["", "[[asset]]", *_settings(asset)]
    for market in rules["markets"]:
        flat = {
            "name": market["name"],
            "stock": market["stock"]["name"],
            "stock_prec": market["stock"]["prec"],
            "money": market["money"]["name"],
            "money_prec": market["money"]["prec"],
            "min_amount": market["min_amount"],
        }
        lines += ["", "[[market]]", *_settings(flat)]
    return "\n".join(lines) + "\n"


def _settings(settings: Settings) -> list[str]:
    """Texts, numbers, booleans and lists of them are written the same in JSON and in TOML."""
    return [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
