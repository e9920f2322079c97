"""A `config.json` of the C accesshttp becomes our settings, with its types and its defaults."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateways.accesshttp.settings import AccesshttpSettings, HttpSettings, load_settings
from vxutils.entry import LoadedSettings
from vxutils.settings import SettingsError
from vxutils.settings.sections import BUF_LIMIT_MAX


def complete() -> dict[str, Any]:
    """Every key the C system knows."""

    def client(name: str, port: int) -> dict[str, Any]:
        return {
            "name": name,
            "addr": [f"tcp@10.0.0.1:{port}", f"tcp@10.0.0.2:{port}"],
            "buf_limit": 10,
            "max_pkg_size": 2_000_000,
            "read_mem": 4096,
            "write_mem": 8192,
            "reconnect_timeout": 2.5,
            "heartbeat_timeout": 5.0,
        }

    return {
        "debug": True,
        "process": {"file_limit": 1_000_000, "core_limit": 1_000_000_000},
        "log": {
            "path": "/var/log/trade/accesshttp",
            "flag": "fatal,error,warn,info,debug,trace",
            "shift": "hour",
            "pid": False,
            "fork": False,
            "max": 50_000_000,
            "num": 10,
            "keep": 3,
        },
        "alert": {"host": "gateway", "addr": "127.0.0.1:4444"},
        "svr": {
            "bind": ["tcp@127.0.0.1:8080"],
            "max_pkg_size": 102_400,
            "buf_limit": 100,
            "read_mem": 1024,
            "write_mem": 2048,
            "keep_alive": 60,
        },
        "monitor": {
            "bind": ["tcp@127.0.0.1:8081"],
            "max_pkg_size": 1024,
            "buf_limit": 1,
            "read_mem": 0,
            "write_mem": 0,
        },
        "matchengine": client("matchengine", 7316),
        "marketprice": client("marketprice", 7416),
        "readhistory": client("readhistory", 7424),
        "timeout": 2.0,
        "worker_num": 4,
    }


def least() -> dict[str, Any]:
    """Only what must be given."""

    def client(name: str, port: int) -> dict[str, Any]:
        return {"name": name, "addr": f"tcp@127.0.0.1:{port}", "max_pkg_size": 2_000_000}

    return {
        "log": {"path": "log/accesshttp", "flag": "fatal error"},
        "alert": {"host": "gateway", "addr": "127.0.0.1:4444"},
        "svr": {"bind": "tcp@127.0.0.1:8080", "max_pkg_size": 102_400},
        "monitor": {"bind": "tcp@127.0.0.1:8081", "max_pkg_size": 1024},
        "matchengine": client("matchengine", 7316),
        "marketprice": client("marketprice", 7416),
        "readhistory": client("readhistory", 7424),
    }


def load(
    directory: Path, config: dict[str, Any], allow_open_bind: bool = False
) -> LoadedSettings[AccesshttpSettings]:
    path = directory / "config.json"
    path.write_text(json.dumps(config, indent=1))
    return load_settings(path, allow_open_bind)


def problems(directory: Path, config: dict[str, Any], allow_open_bind: bool = False) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(directory, config, allow_open_bind)
    return caught.value.problems


def test_every_key_is_taken(tmp_path: Path) -> None:
    loaded = load(tmp_path, complete())
    settings = loaded.settings
    assert loaded.warnings == []
    assert (settings.wire_style, settings.timeout_s, settings.worker_num) == ("viabtc", 2.0, 4)
    assert settings.listener[0].bind == ("tcp@127.0.0.1:8080",)
    assert settings.monitor.address == "tcp@127.0.0.1:8081"
    http = settings.http
    assert (http.body_size_bytes_max, http.keep_alive_s) == (102_400, 60)
    assert (http.read_mem, http.write_mem, http.unsent_size_bytes_max) == (1024, 2048, 10_240_000)
    engine = settings.matchengine
    assert engine.address == ("tcp@10.0.0.1:7316", "tcp@10.0.0.2:7316")
    assert (engine.buf_limit, engine.read_mem, engine.write_mem) == (10, 4096, 8192)
    assert (engine.reconnect_timeout_s, engine.heartbeat_timeout_s) == (2.5, 5.0)
    assert settings.readhistory.address[0] == "tcp@10.0.0.1:7424"
    assert settings.log.shift == "hour" and settings.alert.address == "127.0.0.1:4444"


def test_defaults_are_those_of_the_c_system(tmp_path: Path) -> None:
    settings = load(tmp_path, least()).settings
    assert (settings.timeout_s, settings.worker_num, settings.http.keep_alive_s) == (1.0, 1, 3600)
    assert settings.http.head_size_bytes_max == 80 * 1024 == HttpSettings().head_size_bytes_max
    engine = settings.matchengine
    assert (engine.reconnect_timeout_s, engine.heartbeat_timeout_s) == (1.0, 3.0)
    assert (engine.buf_limit, engine.request_size_bytes_max) == (BUF_LIMIT_MAX, 10_240)
    assert settings.marketprice.request_size_bytes_max == 1_000_000


def test_times_of_zero_and_below_the_least(tmp_path: Path) -> None:
    config = least()
    config["matchengine"] |= {"reconnect_timeout": 0, "heartbeat_timeout": 0, "buf_limit": 0}
    config["marketprice"] |= {"heartbeat_timeout": 0.5}
    settings = load(tmp_path, config).settings
    engine = settings.matchengine
    assert (engine.reconnect_timeout_s, engine.heartbeat_timeout_s) == (1.0, 3.0)
    assert engine.buf_limit == BUF_LIMIT_MAX and settings.marketprice.heartbeat_timeout_s == 2.0


def every_key(value: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if path:
        yield path
    if isinstance(value, dict):
        for name, member in value.items():
            yield from every_key(member, (*path, name))


FRACTIONAL = {"timeout", "reconnect_timeout", "heartbeat_timeout"}
ADDRESSES = {"bind"}


def wrong_values(path: tuple[str, ...]) -> list[object]:
    at: Any = complete()
    for part in path:
        at = at[part]
    right = {type(at)} | ({int, float} if path[-1] in FRACTIONAL else set())
    right |= {str, list} if path[-1] in ADDRESSES or (path[-1] == "addr" and path[0] != "alert") else set()
    samples: list[object] = [None, True, 1, 1.5, "x", [], {}]
    return [value for value in samples if type(value) not in right]


@pytest.mark.parametrize("path", list(every_key(complete())), ids=".".join)
def test_wrong_json_type(tmp_path: Path, path: tuple[str, ...]) -> None:
    for value in wrong_values(path):
        config = complete()
        at: Any = config
        for part in path[:-1]:
            at = at[part]
        at[path[-1]] = value
        found = problems(tmp_path, config)
        assert len(found) == 1 and found[0].startswith(f"{'.'.join(path)}: "), (value, found)


REQUIRED = list(every_key(least()))


@pytest.mark.parametrize("path", REQUIRED, ids=".".join)
def test_required_key(tmp_path: Path, path: tuple[str, ...]) -> None:
    config = copy.deepcopy(least())
    at: Any = config
    for part in path[:-1]:
        at = at[part]
    del at[path[-1]]
    assert problems(tmp_path, config) == [f"{'.'.join(path)}: missing, but required"]


def test_unknown_keys_are_pointed_out(tmp_path: Path) -> None:
    (warning,) = load(tmp_path, least() | {"worker_nun": 2}).warnings
    assert warning.startswith("worker_nun: unknown setting, ignored")


def test_open_addresses_need_the_flag(tmp_path: Path) -> None:
    config = least()
    config["svr"]["bind"] = ["tcp@0.0.0.0:8080", "tcp@127.0.0.1:8082"]
    config["monitor"]["bind"] = "tcp@0.0.0.0:8081"
    first, second = problems(tmp_path, config)
    assert first.startswith("svr.bind: tcp@0.0.0.0:8080 can be reached") and "--allow-open-bind" in first
    assert second.startswith("monitor.bind: tcp@0.0.0.0:8081 can be reached")
    loaded = load(tmp_path, config, allow_open_bind=True)
    assert loaded.settings.listener[0].bind == ("tcp@0.0.0.0:8080", "tcp@127.0.0.1:8082")
    assert len(loaded.warnings) == 2


def test_bounds_are_told_with_the_keys_of_the_file(tmp_path: Path) -> None:
    config = least() | {"timeout": -1}
    assert problems(tmp_path, config) == ["timeout: -1.0 is outside 0.01..3600"]
    config = least()
    config["svr"]["keep_alive"] = -1
    assert problems(tmp_path, config) == ["svr.keep_alive: -1 is outside 0..315360000"]
