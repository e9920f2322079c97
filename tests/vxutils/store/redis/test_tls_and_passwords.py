"""A master and sentinels that demand TLS and passwords: with the right ones they answer, with others not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis

from tests.servers.fixtures import need
from tests.servers.process import ServerProcess, free_ports
from tests.support.certificates import make_certificate
from vxutils.store.access import TlsSettings
from vxutils.store.redis.errors import RedisAway, RedisError, RedisRefused
from vxutils.store.redis.sentinel import Master
from vxutils.store.redis.settings import RedisLogin, RedisSettings, redis_problems

NAME = "careful"
OTHER_ADDRESS = "127.0.0.9"  # not in the certificate
PASSWORD, SENTINEL_PASSWORD = "of the master", "of sentinels"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisSettings]:
    """How a master and a sentinel, which run, are reached."""
    need("Redis")
    directory = tmp_path_factory.mktemp("r")
    port, sentinel_port = free_ports(2)
    pair = make_certificate(directory, "redis")
    tls = f"tls-cert-file {pair.certificate}\ntls-key-file {pair.key}\ntls-ca-cert-file {pair.certificate}\n"
    tls += "tls-auth-clients no\ntls-replication yes\nport 0\n"
    configs = {
        "server": f'tls-port {port}\nbind 127.0.0.1\nrequirepass "{PASSWORD}"\nsave ""\n',
        "sentinel": f"tls-port {sentinel_port}\nbind 127.0.0.1 {OTHER_ADDRESS}\n"
        f'requirepass "{SENTINEL_PASSWORD}"\nsentinel monitor {NAME} 127.0.0.1 {port} 1\n'
        f'sentinel auth-pass {NAME} "{PASSWORD}"\n',
    }
    ports = {"server": (port, PASSWORD), "sentinel": (sentinel_port, SENTINEL_PASSWORD)}
    processes = []
    try:
        for name, text in configs.items():
            config = directory / f"{name}.conf"
            config.write_text(f"{tls}dir {directory}\n{text}")
            command = [f"redis-{name}", str(config)]
            answers = ports[name]
            process = ServerProcess(
                name,
                directory,
                command,
                lambda answers=answers: is_there(*answers, str(pair.certificate)),  # type: ignore[misc]
                ready_timeout_s=30.0,
            )
            processes.append(process)
            process.start()
        yield RedisSettings(
            name=NAME,
            addr=(f"127.0.0.1:{sentinel_port}",),
            login=RedisLogin(
                password=PASSWORD,
                sentinel_password=SENTINEL_PASSWORD,
                tls=TlsSettings(ca=str(pair.certificate)),
            ),
        )
    finally:
        for process in processes:
            process.kill()


def is_there(port: int, password: str, ca: str) -> bool:
    client: Any = redis.Redis("127.0.0.1", port, password=password, ssl=True, ssl_ca_certs=ca)
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
    finally:
        client.close()


def ping(settings: RedisSettings, **changed: Any) -> str:
    """With another login."""
    login = settings.login
    assert login is not None
    changed_login = msgspec.structs.replace(login, **changed)
    with Master(msgspec.structs.replace(settings, login=changed_login)).session() as connection:
        return str(connection.ask("PING"))


def test_who_knows_both_passwords_is_let_in(settings: RedisSettings, tmp_path: Path) -> None:
    assert ping(settings) == "PONG"
    for name in ("password", "sentinel_password"):
        file = tmp_path / name
        file.write_text(f"{getattr(settings.login, name)}\n")
        assert ping(settings, **{name: "", f"{name}_file": str(file)}) == "PONG"
        with pytest.raises(RedisError, match=r"Authentication required|WRONGPASS"):
            ping(settings, **{name: ""})
    with pytest.raises(RedisRefused, match=r"WRONGPASS|invalid"):
        ping(settings, user="nobody")


def test_only_servers_with_the_right_certificate_are_spoken_to(
    settings: RedisSettings, tmp_path: Path
) -> None:
    assert settings.login is not None
    tls = settings.login.tls
    assert tls is not None
    with pytest.raises(RedisAway):
        ping(settings, tls=None)
    stranger = make_certificate(tmp_path, "stranger")
    with pytest.raises(RedisAway, match="certificate verify failed"):
        ping(settings, tls=TlsSettings(ca=str(stranger.certificate)))
    with pytest.raises(RedisAway, match=r"TLS with nowhere\.pem is not possible"):
        ping(settings, tls=TlsSettings(ca="nowhere.pem"))
    elsewhere = settings.addr[0].replace("127.0.0.1", OTHER_ADDRESS)
    other = msgspec.structs.replace(settings, addr=(elsewhere,))
    with pytest.raises(RedisAway, match="certificate is not valid"):
        ping(other)
    assert ping(other, tls=TlsSettings(ca=tls.ca, check_name=False)) == "PONG"


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"password": "p", "password_file": "f"}, "redis.login.password_file: redis.login.password is"),
        (
            {"sentinel_password": "p", "sentinel_password_file": "f"},
            "redis.login.sentinel_password_file: redis.login.sentinel_password is given too",
        ),
        ({"tls": TlsSettings(key="k")}, "redis.login.tls.certificate: missing"),
    ],
)
def test_settings_are_checked(given: dict[str, Any], problem: str) -> None:
    problems = redis_problems("redis", RedisSettings(name="x", addr=("a:1",), login=RedisLogin(**given)))
    assert len(problems) == 1 and problems[0].startswith(problem)
