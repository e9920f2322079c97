"""Built-in accounts: who gets in, who does not, what is stored, and how a revocation travels."""

from __future__ import annotations

import hashlib
import hmac
import logging
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gateways.common import credentials
from gateways.common.account_authenticator import AccountAuthenticator
from gateways.common.accounts import (
    Account,
    AccountStore,
    AccountsUnusable,
    Kind,
    accounts_path,
    make_accounts_file,
    new_id,
)
from gateways.common.errors import GatewayError
from gateways.common.identity import Identity
from vxnet.clock import ManualClock
from vxnet.loop import EventLoop, new_event_loop

NOW_US = 1_795_340_731_000_000
NOW_MS = NOW_US // 1000
DAY_US = 86_400_000_000


class Accounts:
    """A file of accounts, and the authenticators of some workers that read it."""

    def __init__(self, directory: Path, loop: EventLoop) -> None:
        self.path = accounts_path(directory)
        self.clock = ManualClock(NOW_US, 0)
        self.ended = 0
        self._loop = loop
        self._workers: list[AccountAuthenticator] = []

    def worker(self) -> AccountAuthenticator:
        def ended() -> None:
            self.ended += 1

        worker = AccountAuthenticator(self._loop, self.path, self.clock, ended)
        worker.start()
        self._workers.append(worker)
        return worker

    def add(
        self, user_id: int, kind: Kind = "token", *, is_read_only: bool = False, expires_us: int = 0
    ) -> tuple[str, bytes]:
        make_accounts_file(self.path)
        secret = credentials.new_secret()
        digest = credentials.digest(secret)
        account = Account(new_id(), kind, user_id, is_read_only, "", digest, NOW_US, expires_us, 0, 0)
        with closing(AccountStore(self.path)) as store:
            store.add(account)
        return account.id, secret

    def revoke(self, account_id: str) -> None:
        with closing(AccountStore(self.path)) as store:
            assert store.revoke(account_id, self.clock.wall_us()) is not None

    def stop(self) -> None:
        for worker in self._workers:
            worker.stop()


@pytest.fixture
def accounts(tmp_path: Path) -> Iterator[Accounts]:
    loop = new_event_loop()
    found = Accounts(tmp_path, loop)
    yield found
    found.stop()
    loop.close()


def auth(worker: AccountAuthenticator, token: str, client: str = "") -> Identity | str:
    """The identity, or the reason of the refusal, which has error 11 unless it is our fault."""
    answers: list[Identity | GatewayError] = []
    worker.auth(token, "web", answers.append, client=client)
    return told(answers)


def sign(
    worker: AccountAuthenticator, access_id: str, proof: str, tonce: int, client: str = ""
) -> Identity | str:
    answers: list[Identity | GatewayError] = []
    worker.sign(access_id, proof, tonce, answers.append, client=client)
    return told(answers)


def told(answers: list[Identity | GatewayError]) -> Identity | str:
    (answer,) = answers
    if isinstance(answer, Identity):
        return answer
    assert answer.error.code == (2 if answer.error.reason == "authentication_failed" else 11)
    assert answer.error.message
    return answer.error.reason


def test_token_leads_to_its_user(accounts: Accounts) -> None:
    token_id, secret = accounts.add(7, is_read_only=True, expires_us=NOW_US + DAY_US)
    other_id, other_secret = accounts.add(8)
    worker = accounts.worker()
    identity = auth(worker, credentials.token_text(token_id, secret))
    assert identity == Identity(7, True, NOW_US + DAY_US, token_id)
    assert auth(worker, credentials.token_text(other_id, other_secret)) == Identity(8, False, 0, other_id)


def test_wrong_tokens(accounts: Accounts) -> None:
    token_id, secret = accounts.add(7)
    key_id, key_secret = accounts.add(7, "api_key")
    worker = accounts.worker()
    right = credentials.token_text(token_id, secret)
    wrong = [
        "",
        right[:-1],
        right + "0",
        right.upper(),
        right.replace("vxt", "vxu"),
        right + "\n",
        credentials.token_text(token_id, credentials.new_secret()),
        credentials.token_text(new_id(), secret),
        credentials.token_text(token_id, credentials.digest(secret)),  # what a thief of the file has
        credentials.token_text(key_id, key_secret),  # a key is no token
        "٣" * 85,
    ]
    assert [auth(worker, token) for token in wrong] == ["token_refused"] * len(wrong)
    assert auth(worker, right) == Identity(7, False, 0, token_id)


def test_store_holds_no_secret(accounts: Accounts) -> None:
    token_id, secret = accounts.add(7)
    stored = b"".join(path.read_bytes() for path in accounts.path.parent.iterdir())
    assert token_id.encode() in stored
    assert secret not in stored and secret.hex().encode() not in stored
    assert hashlib.sha256(secret).digest() in stored
    assert accounts.path.stat().st_mode & 0o077 == 0


def test_signature_as_the_documentation_has_it(accounts: Accounts) -> None:
    access_id, secret = accounts.add(9, "api_key")
    worker = accounts.worker()
    stored = hashlib.sha256(secret).digest()
    message = f"access_id={access_id}&tonce={NOW_MS}".encode()
    mac = hmac.new(stored, message, hashlib.sha256).digest()
    proof = bytes(a ^ b for a, b in zip(secret, mac, strict=True)).hex()
    assert proof == credentials.sign(access_id, secret, NOW_MS)
    assert sign(worker, access_id, proof, NOW_MS) == Identity(9, False, 0, access_id)


def test_wrong_signatures(accounts: Accounts) -> None:
    access_id, secret = accounts.add(9, "api_key")
    token_id, token_secret = accounts.add(9)
    worker = accounts.worker()
    right = credentials.sign(access_id, secret, NOW_MS)
    stored = credentials.digest(secret)
    mac = hmac.digest(stored, f"access_id={access_id}&tonce={NOW_MS}".encode(), "sha256")
    wrong = [
        (access_id, "", NOW_MS),
        (access_id, right[:-2], NOW_MS),
        (access_id, right.upper(), NOW_MS),
        (access_id, right, NOW_MS + 1),  # signed for another tonce
        (access_id, mac.hex(), NOW_MS),  # a plain HMAC with what the file holds: the thief's
        (access_id, credentials.sign(access_id, stored, NOW_MS), NOW_MS),
        (access_id, credentials.sign(access_id, credentials.new_secret(), NOW_MS), NOW_MS),
        (token_id, credentials.sign(token_id, token_secret, NOW_MS), NOW_MS),  # a token is no key
        (new_id(), right, NOW_MS),
        ("", "", 0),
    ]
    for access, proof, tonce in wrong:
        assert sign(worker, access, proof, tonce) == "signature_refused", (access, proof, tonce)
    assert isinstance(sign(worker, access_id, right, NOW_MS), Identity)


def test_tonce_is_fresh_and_rising_in_all_workers(accounts: Accounts) -> None:
    access_id, secret = accounts.add(9, "api_key")
    other_id, other_secret = accounts.add(10, "api_key")
    first, second = accounts.worker(), accounts.worker()

    def login(worker: AccountAuthenticator, tonce: int, name: str = access_id, key: bytes = secret) -> object:
        answer = sign(worker, name, credentials.sign(name, key, tonce), tonce)
        return answer if isinstance(answer, str) else "in"

    assert login(first, NOW_MS) == "in"
    assert login(first, NOW_MS) == "tonce_used"  # replayed
    assert login(second, NOW_MS) == "tonce_used"  # at another worker
    assert login(second, NOW_MS - 1) == "tonce_used"
    assert login(second, NOW_MS + 1) == "in"
    assert login(first, NOW_MS, other_id, other_secret) == "in"  # each key has its own
    for tonce in (NOW_MS - 60_001, NOW_MS + 60_001, 0, -1, 2**63 - 1):
        assert login(first, tonce) == "tonce_out_of_window"
    assert login(first, NOW_MS + 60_000) == "in"
    assert login(accounts.worker(), NOW_MS + 60_000) == "tonce_used"  # after a restart


def test_revocation_reaches_running_workers(accounts: Accounts) -> None:
    token_id, secret = accounts.add(7)
    other_id, other_secret = accounts.add(8)
    worker = accounts.worker()
    text, other = credentials.token_text(token_id, secret), credentials.token_text(other_id, other_secret)
    identity, kept = auth(worker, text), auth(worker, other)
    assert isinstance(identity, Identity) and isinstance(kept, Identity)
    assert worker.is_valid(identity) and worker.is_valid(kept)
    accounts.revoke(token_id)
    worker.poll()
    assert not worker.is_valid(identity) and worker.is_valid(kept)
    assert auth(worker, text) == "token_refused"
    assert accounts.ended == 1
    worker.poll()
    assert accounts.ended == 1


def test_revocation_by_another_process(accounts: Accounts) -> None:
    token_id, secret = accounts.add(7)
    worker = accounts.worker()
    identity = auth(worker, credentials.token_text(token_id, secret))
    assert isinstance(identity, Identity)
    command = [sys.executable, "-m", "gateways.cli", "token", "revoke", token_id]
    subprocess.run(
        [*command, "--data-dir", str(accounts.path.parent)], check=True, capture_output=True, timeout=30
    )
    assert worker.is_valid(identity)
    worker.poll()
    assert not worker.is_valid(identity)


def test_expiry(accounts: Accounts) -> None:
    token_id, secret = accounts.add(7, expires_us=NOW_US + 5_000_000)
    worker = accounts.worker()
    text = credentials.token_text(token_id, secret)
    identity = auth(worker, text)
    assert isinstance(identity, Identity)
    accounts.clock.advance(4_999_999)
    worker.poll()
    assert worker.is_valid(identity) and not accounts.ended
    accounts.clock.advance(1)
    assert not worker.is_valid(identity)  # before any poll
    assert auth(worker, text) == "token_refused"
    worker.poll()
    assert accounts.ended == 1


def test_new_accounts_are_found_while_running(accounts: Accounts) -> None:
    worker = accounts.worker()
    assert auth(worker, "vxt_0_0") == "token_refused"  # no file yet: a system without accounts
    token_id, secret = accounts.add(7)
    worker.poll()
    assert auth(worker, credentials.token_text(token_id, secret)) == Identity(7, False, 0, token_id)
    assert not accounts.ended


def test_file_gone_or_replaced(accounts: Accounts, caplog: pytest.LogCaptureFixture) -> None:
    token_id, secret = accounts.add(7)
    text = credentials.token_text(token_id, secret)
    worker = accounts.worker()
    identity = auth(worker, text)
    assert isinstance(identity, Identity)
    for path in list(accounts.path.parent.iterdir()):
        path.unlink()
    for _ in range(3):
        worker.poll()
    assert auth(worker, text) == "authentication_failed"  # ours to mend: nobody is refused as a stranger
    assert worker.is_valid(identity)
    assert [one.levelno for one in caplog.records if "nobody can log in" in one.message] == [logging.CRITICAL]
    new_token_id, new_secret = accounts.add(8)
    worker.poll()
    assert isinstance(auth(worker, credentials.token_text(new_token_id, new_secret)), Identity)
    assert auth(worker, text) == "token_refused" and not worker.is_valid(identity)
    assert accounts.ended == 1


@pytest.mark.parametrize("content", [b"", b"no database at all, but long enough to be looked at" * 100])
def test_foreign_file_is_refused(accounts: Accounts, content: bytes) -> None:
    accounts.path.write_bytes(content)
    with pytest.raises(AccountsUnusable, match=str(accounts.path)):
        AccountStore(accounts.path)
    worker = accounts.worker()
    assert auth(worker, "vxt") == "authentication_failed"
    assert accounts.path.read_bytes() == content


def test_wrong_attempts_are_limited_per_address(accounts: Accounts, caplog: pytest.LogCaptureFixture) -> None:
    token_id, secret = accounts.add(7)
    text = credentials.token_text(token_id, secret)
    worker = accounts.worker()
    wrong = credentials.token_text(token_id, credentials.new_secret())
    answers = [auth(worker, wrong, "192.0.2.1") for _ in range(30)]
    assert answers[0] == "token_refused" and answers[-1] == "too_many_wrong_attempts"
    assert auth(worker, text, "192.0.2.1") == "too_many_wrong_attempts"
    assert isinstance(auth(worker, text, "192.0.2.2"), Identity)
    accounts.clock.advance(60_000_000)
    assert isinstance(auth(worker, text, "192.0.2.1"), Identity)
    assert len([one for one in caplog.records if "token_refused" in one.message]) == 1  # a line a second
    assert wrong not in caplog.text and "192.0.2.1" in caplog.text


def test_what_ended_long_ago_is_forgotten(accounts: Accounts) -> None:
    old_id, _ = accounts.add(7, expires_us=NOW_US - 31 * DAY_US)
    recent_id, _ = accounts.add(7, expires_us=NOW_US - 29 * DAY_US)
    lasting_id, _ = accounts.add(7)
    accounts.revoke(lasting_id)
    with closing(AccountStore(accounts.path)) as store:
        assert {one.id for one in store.changed_since(-1)} == {recent_id, lasting_id}
        assert old_id not in {one.id for one in store.changed_since(-1)}


def test_a_failed_change_changes_nothing(accounts: Accounts) -> None:
    accounts.add(7)
    with closing(AccountStore(accounts.path)) as store:
        (known,) = store.changed_since(-1)
        with pytest.raises(AccountsUnusable, match="UNIQUE"):
            store.add(known)
        assert store.changed_since(-1) == [known] and store.revision() == known.revision
        assert store.revoke("unknown", NOW_US) is None
    with closing(sqlite3.connect(accounts.path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
