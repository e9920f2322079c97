"""A file that names a MySQL, Kafka or Redis this version cannot use is refused without `--embedded`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.matchengine.settings.samples import RULES_TOML, c_config, least_c_config, load, problems

REFUSED = (
    "; this version cannot use it yet, and would start an empty exchange beside it; "
    "give --embedded to start on the embedded stores on purpose"
)
NAMED_BY_C_FILE = [
    "db_log: names a MySQL server (host 10.0.0.1, port 3306, name trade_log)",
    "db_history: names a MySQL server (host 10.0.0.1, port 3306, name trade_history)",
    "brokers: names a Kafka server (10.0.0.2:9092)",
]


def test_c_file_is_refused(tmp_path: Path) -> None:
    assert problems(tmp_path, c_config(), embedded=False) == [named + REFUSED for named in NAMED_BY_C_FILE]


def test_c_file_is_refused_together_with_its_other_problems(tmp_path: Path) -> None:
    config = c_config() | {"debug": 1}
    found = problems(tmp_path, config, embedded=False)
    assert found[0].startswith("debug: ") and found[1:] == [named + REFUSED for named in NAMED_BY_C_FILE]


def test_c_file_is_warned_about_when_embedded(tmp_path: Path) -> None:
    warnings = load(tmp_path, c_config(), embedded=True).warnings
    for named in NAMED_BY_C_FILE:
        assert f"{named}; not used, this process runs on its embedded stores (--embedded)" in warnings


def test_c_file_that_lacks_its_servers_is_refused_unless_embedded(tmp_path: Path) -> None:
    assert [p.split(";")[0] for p in problems(tmp_path, least_c_config(), embedded=False)] == [
        "db_log: missing, but required",
        "db_history: missing, but required",
        "brokers: missing, but required",
    ]
    assert load(tmp_path, least_c_config(), embedded=True).warnings == []


def test_password_is_in_no_sentence(tmp_path: Path) -> None:
    assert "secret" not in "".join(problems(tmp_path, c_config(), embedded=False))
    assert "secret" not in "".join(load(tmp_path, c_config(), embedded=True).warnings)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('brokers = "10.0.0.2:9092"', "brokers: names a Kafka server (10.0.0.2:9092)"),
        ('redis = ["10.0.0.3:26379"]', "redis: names a Redis server"),
        ('mysql = {host = "db", password = "secret"}', "mysql: names a MySQL server (host db)"),
        ('kafka = "k"', "kafka: names a Kafka server (k)"),
        ('db_log = {host = "db"}', "db_log: names a MySQL server (host db)"),
        ('db_history = {host = "db"}', "db_history: names a MySQL server (host db)"),
    ],
)
def test_toml_file(tmp_path: Path, text: str, named: str) -> None:
    content = text + "\n" + RULES_TOML
    assert problems(tmp_path, content, embedded=False) == [named + REFUSED]
    assert load(tmp_path, content, embedded=True).warnings == [
        f"{named}; not used, this process runs on its embedded stores (--embedded)"
    ]
