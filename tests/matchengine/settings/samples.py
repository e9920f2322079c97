"""Settings files for the tests: a whole C `config.json`, a small TOML, and how they are loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from matchengine.settings import MatchengineSettings, load_settings
from vxutils.entry import LoadedSettings
from vxutils.settings import SettingsError

RECORDED = Path(__file__).parents[2] / "conformance" / "vectors" / "config.json"

RULES_TOML = """
[[asset]]
name = "BTC"
prec_save = 14
[[asset]]
name = "USDT"
prec_save = 12
prec_show = 8
[[market]]
name = "BTCUSDT"
stock = "BTC"
stock_prec = 6
money = "USDT"
money_prec = 2
"""


def c_config() -> dict[str, Any]:
    """The recorded assets and markets in a file as the C system demands it, with every key it knows."""
    mysql = {"host": "10.0.0.1", "user": "exchange", "pass": "secret", "port": 3306, "charset": "utf8"}
    recorded: dict[str, Any] = json.loads(RECORDED.read_text())
    return recorded | {
        "process": {"file_limit": 1_000_000, "core_limit": 1_000_000_000},
        "log": {
            "path": "/var/log/trade/matchengine",
            "flag": "fatal,error,warn, Info debug",
            "shift": "hour",
            "pid": False,
            "fork": False,
            "max": 50_000_000,
            "num": 10,
            "keep": 3,
        },
        "alert": {"host": "matchengine", "addr": "127.0.0.1:4444"},
        "svr": {
            "bind": ["tcp@0.0.0.0:7316", "udp@0.0.0.0:7316"],
            "max_pkg_size": 10_240,
            "buf_limit": 50,
            "read_mem": 4_096,
            "write_mem": 8_192,
            "heartbeat_check": False,
        },
        "cli": "tcp@127.0.0.1:7317",
        "db_log": mysql | {"name": "trade_log"},
        "db_history": mysql | {"name": "trade_history"},
        "brokers": "10.0.0.2:9092",
        "slice_interval": 86_400,
        "slice_keeptime": 259_200,
        "history_thread": 10,
    }


def least_c_config() -> dict[str, Any]:
    """Only what must be given with `--embedded`."""
    return {
        "log": {"path": "log/matchengine", "flag": "fatal error"},
        "alert": {"host": "matchengine", "addr": "127.0.0.1:4444"},
        "svr": {"bind": "tcp@127.0.0.1:7316", "max_pkg_size": 10_240},
        "cli": "tcp@127.0.0.1:7317",
        "assets": [{"name": "BTC", "prec_save": 14}, {"name": "CNY", "prec_save": 8, "prec_show": 2}],
        "markets": [
            {"name": "BTCCNY", "stock": {"name": "BTC", "prec": 4}, "money": {"name": "CNY", "prec": 2}}
        ],
    }


def load(
    directory: Path, content: str | dict[str, Any], embedded: bool = True
) -> LoadedSettings[MatchengineSettings]:
    """Load settings from a file with that text, or with that object as JSON."""
    path = directory / "settings"
    path.write_text(content if isinstance(content, str) else json.dumps(content, indent=1))
    return load_settings(path, embedded)


def problems(directory: Path, content: str | dict[str, Any], embedded: bool = True) -> list[str]:
    """Why such a file is refused."""
    with pytest.raises(SettingsError) as caught:
        load(directory, content, embedded)
    return caught.value.problems
