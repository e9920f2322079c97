"""Brokers that demand TLS and a login: who has both writes and reads, anybody else is told why not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.servers.kafka import KafkaAddress
from tests.support.certificates import make_certificate
from tests.support.processes import wait_until
from tests.vxutils.store.histories import SYSTEM_ID, batch_of
from tests.vxutils.store.kafka.topics import make, patiently
from vxutils.disk import Disk
from vxutils.store.access import TlsSettings
from vxutils.store.embedded.schema import HistoryBase, Message
from vxutils.store.kafka.consumer import KafkaFeed
from vxutils.store.kafka.errors import KafkaNotAllowed
from vxutils.store.kafka.settings import DealsTopic, KafkaLogin, topic_problems
from vxutils.store.kafka.writer import KafkaMessageWriter, open_messages

RECORDS = 20
DEADLINE_S = 30.0


def test_messages_pass(kafka: KafkaAddress, tmp_path: Path) -> None:
    door = kafka.secure
    if door is None:
        pytest.skip("the broker runs elsewhere")
    make(kafka)
    secret = tmp_path / "secret"
    secret.write_text(door.password + "\n")
    login = KafkaLogin(
        user=door.user,
        password_file=str(secret),
        mechanism="PLAIN",
        tls=TlsSettings(ca=str(door.certificate.certificate)),
    )

    def write(login: KafkaLogin) -> KafkaMessageWriter:
        return open_messages(door.brokers, tmp_path, SYSTEM_ID, HistoryBase(), Disk(), print, login)

    writer = patiently(lambda: write(login))
    batch = batch_of(0, RECORDS)
    writer.append(batch)
    writer.close()
    wanted = [message[3] for message in batch.messages if message[0] == "deals"]
    feed = KafkaFeed(DealsTopic(brokers=door.brokers, login=login), "beginning")
    found: list[Message] = []

    def has_all() -> bool:
        found.extend(feed.poll(RECORDS))
        return len(found) >= len(wanted)

    try:
        wait_until(has_all, "the deals", DEADLINE_S)
    finally:
        feed.close()
    assert wanted and [message.payload for message in found] == wanted

    stranger = make_certificate(tmp_path, "stranger")
    for wrong, said in (
        (msgspec.structs.replace(login, tls=TlsSettings(ca=str(stranger.certificate))), "verify failed"),
        (msgspec.structs.replace(login, password_file="", password="wrong"), "uthentication"),
    ):
        feed = KafkaFeed(DealsTopic(brokers=door.brokers, login=wrong), "beginning")
        try:
            wait_until(lambda: not feed.poll(1) and said in (feed.trouble or ""), said, DEADLINE_S)  # noqa: B023
        finally:
            feed.close()
    secret.unlink()
    with pytest.raises(KafkaNotAllowed, match=r"the password file .* can not be read"):
        write(login)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"user": "u"}, "deals.login.password_file: missing"),
        ({"password": "p"}, "deals.login.user: missing"),
        (
            {"user": "u", "password": "p", "password_file": "f"},
            "deals.login.password_file: deals.login.password is",
        ),
        ({"tls": TlsSettings(key="k")}, "deals.login.tls.certificate: missing"),
    ],
)
def test_settings_are_checked(given: dict[str, Any], problem: str) -> None:
    problems = topic_problems("deals", DealsTopic(brokers="a:1", login=KafkaLogin(**given)))
    assert len(problems) == 1 and problems[0].startswith(problem)
