"""The servers that a file names are used, or refused, or warned about with `--embedded`; never ignored."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.matchengine.settings.samples import RULES_TOML, c_config, least_c_config, load, problems
from vxutils.store.mysql.settings import MysqlSettings

NAMED_BY_C_FILE = [
    "db_log: names a MySQL server (host 10.0.0.1, port 3306, name trade_log)",
    "db_history: names a MySQL server (host 10.0.0.1, port 3306, name trade_history)",
    "brokers: names a Kafka server (10.0.0.2:9092)",
]


def test_servers_of_a_c_file_are_used(tmp_path: Path) -> None:
    settings = load(tmp_path, c_config(), embedded=False).settings

    def database(name: str) -> MysqlSettings:
        return MysqlSettings(host="10.0.0.1", user="exchange", password="secret", name=name)

    assert (settings.history.store, settings.history.time_zone) == ("mysql", "local")
    assert (settings.mysql.log, settings.mysql.history) == (database("trade_log"), database("trade_history"))
    assert settings.kafka.brokers == "10.0.0.2:9092"
    assert settings.has_two_recorders


def test_nothing_of_them_is_left_when_embedded(tmp_path: Path) -> None:
    settings = load(tmp_path, c_config(), embedded=True).settings
    assert (settings.history.store, settings.mysql.log, settings.kafka.brokers) == ("embedded", None, "")
    assert not settings.has_two_recorders


def test_c_file_is_warned_about_when_embedded(tmp_path: Path) -> None:
    warnings = load(tmp_path, c_config(), embedded=True).warnings
    for named in NAMED_BY_C_FILE:
        assert f"{named}; not used, this process runs on its embedded stores (--embedded)" in warnings


def test_c_file_that_lacks_its_servers_is_refused_unless_embedded(tmp_path: Path) -> None:
    assert [p.split(";")[0] for p in problems(tmp_path, least_c_config(), embedded=False)] == [
        "brokers: missing, but required",
        "db_log: missing, but required",
        "db_history: missing, but required",
    ]
    assert load(tmp_path, least_c_config(), embedded=True).warnings == []


DATABASE = '{host = "db", user = "vx", password = "secret", name = "trade"}'


def test_password_is_in_no_sentence(tmp_path: Path) -> None:
    wrong = c_config() | {"brokers": "no broker!"}
    assert "secret" not in "".join(problems(tmp_path, wrong, embedded=False))
    assert "secret" not in "".join(load(tmp_path, c_config(), embedded=True).warnings)
    assert "secret" not in "".join(
        problems(tmp_path, f"mysql.log = {DATABASE}\n{RULES_TOML}", embedded=False)
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('brokers = "10.0.0.2:9092"', "brokers: unknown setting"),
        ('redis = ["10.0.0.3:26379"]', "redis: unknown setting"),
        ('db_history = {host = "db"}', "db_history: unknown setting; did you mean history?"),
        ('mysql = {host = "db"}', "mysql.host: unknown setting"),
        ('kafka.brokers = "a b"', "kafka.brokers: 'a b' is no list of brokers such as host:9092,host:9092"),
        ('history.store = "mysql"', "mysql.log: missing, but required; give --embedded"),
        (
            f"mysql.log = {DATABASE}",
            "mysql.log: names MySQL database trade at db:3306, but history.store says",
        ),
        ('history.time_zone = "Nowhere"', "history.time_zone: 'Nowhere' is no time zone"),
    ],
)
def test_what_can_not_work_in_toml_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    found = problems(tmp_path, f"{text}\n{RULES_TOML}", embedded=False)
    assert any(problem.startswith(sentence) for problem in found), found


def test_toml_file_is_warned_about_when_embedded(tmp_path: Path) -> None:
    text = f'kafka.brokers = "k:9092"\nmysql.log = {DATABASE}\n[history]\nstore = "mysql"\n{RULES_TOML}'
    loaded = load(tmp_path, text, embedded=True)
    assert not loaded.settings.has_two_recorders
    assert loaded.warnings == [
        "kafka: names a Kafka server; not used, this process runs on its embedded stores (--embedded)",
        "mysql: names a MySQL server; not used, this process runs on its embedded stores (--embedded)",
    ]
