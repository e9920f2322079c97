"""The built-in accounts: tokens for `server.auth` and API keys for `server.sign`, in one small SQLite file.

    vx token add --> DIR/accounts.db <-- each worker: once a second, what has changed since `revision`

A secret is 256 random bits, shown once when it is made; the file holds its SHA-256 only. That is the right
hash here: a slow one is for passwords, which can be guessed; these can not. Every change gets the next
`revision` and is committed and synced before it is told. How a secret is proved is in `credentials`.

It owns the file; whoever runs `vx token` and the gateways should be the same user of the system.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Literal

import msgspec

FILE_NAME: Final = "accounts.db"
FILE_MODE: Final = 0o600
APPLICATION_ID: Final = 0x56584143  # "VXAC"
SCHEMA_VERSION: Final = 1
ACCOUNTS_MAX: Final = 100_000
"""Rows of one file; each worker holds all that are valid in memory (about 500 bytes each)."""
KEPT_AFTER_END_US: Final = 30 * 86_400_000_000
"""How long a token that was revoked or has expired is still listed."""
USER_ID_MAX: Final = (1 << 32) - 1
BUSY_TIMEOUT_S: Final = 5.0
ID_BYTES: Final = 8

Kind = Literal["token", "api_key"]

_TABLES: Final = """
CREATE TABLE accounts (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, user_id INTEGER NOT NULL, is_read_only INTEGER NOT NULL,
    label TEXT NOT NULL, digest BLOB NOT NULL, created_us INTEGER NOT NULL, expires_us INTEGER NOT NULL,
    revoked_us INTEGER NOT NULL, revision INTEGER NOT NULL
) STRICT;
CREATE INDEX accounts_by_revision ON accounts (revision);
CREATE TABLE tonces (id TEXT PRIMARY KEY, tonce INTEGER NOT NULL) STRICT;
CREATE TABLE revision (number INTEGER NOT NULL) STRICT;
INSERT INTO revision VALUES (0);
"""
_COLUMNS: Final = (
    "id, kind, user_id, is_read_only, label, digest, created_us, expires_us, revoked_us, revision"
)


class AccountsUnusable(Exception):
    """The file can not be read or written, or is something else. The text says why, with the path."""


class Account(msgspec.Struct, frozen=True):
    """One token or API key, without its secret. Times in microseconds since 1970; 0: never, or not."""

    id: str
    kind: Kind
    user_id: int
    is_read_only: bool
    label: str
    digest: bytes
    created_us: int
    expires_us: int
    revoked_us: int
    revision: int

    def is_valid_at(self, now_us: int) -> bool:
        return not self.revoked_us and not 0 < self.expires_us <= now_us


def accounts_path(data_directory: Path) -> Path:
    """Where a data directory keeps its accounts."""
    return data_directory / FILE_NAME


def make_accounts_file(path: Path) -> None:
    """Makes an empty file where there is none; nobody ever sees a half-made one.

    Raises: OSError, AccountsUnusable.
    """
    if path.exists():
        return
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        scratch.touch(mode=FILE_MODE)
        try:
            with closing(_connect(scratch, BUSY_TIMEOUT_S)) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.executescript(
                    f"{_TABLES} PRAGMA application_id = {APPLICATION_ID};"
                    f"PRAGMA user_version = {SCHEMA_VERSION};"
                )
        except sqlite3.Error as error:
            raise AccountsUnusable(f"{path}: {error}") from error
        with suppress(FileExistsError):  # somebody was faster: his file is as good
            os.link(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


class AccountStore:
    """The open file, for one process and thread.

    Raises, as every method: AccountsUnusable.
    """

    def __init__(self, path: Path, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        """`busy_timeout_s`: how long one call may wait for another process."""
        self._path = path
        try:
            self._connection = _connect(path, busy_timeout_s)
        except sqlite3.Error as error:
            raise AccountsUnusable(f"{path}: {error}") from error
        try:
            _check(self._connection)
        except (sqlite3.Error, AccountsUnusable) as error:
            self._connection.close()
            raise AccountsUnusable(f"{path}: {error}") from error

    def close(self) -> None:
        self._connection.close()

    def add(self, account: Account) -> Account:
        """Adds it, synced; as it is now. Rows that ended long ago go. At most ACCOUNTS_MAX."""
        now_us = account.created_us
        with _Change(self._execute) as change:
            change.execute(
                "DELETE FROM accounts WHERE max(revoked_us, expires_us) > 0 AND "
                "min(iif(revoked_us, revoked_us, 1 << 62), iif(expires_us, expires_us, 1 << 62)) < ?",
                (now_us - KEPT_AFTER_END_US,),
            )
            change.execute("DELETE FROM tonces WHERE id NOT IN (SELECT id FROM accounts)", ())
            (count,) = change.execute("SELECT count(*) FROM accounts", ()).fetchone()
            if count >= ACCOUNTS_MAX:
                raise AccountsUnusable(f"{self._path}: {count} tokens and keys are the most there may be")
            added = msgspec.structs.replace(account, revision=change.revision)
            change.execute(
                f"INSERT INTO accounts ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?)",  # noqa: S608
                msgspec.structs.astuple(added),
            )
            return added

    def revoke(self, account_id: str, now_us: int) -> Account | None:
        """Ends it for good, synced; as it was before, None if there is none. Again: nothing changes."""
        with _Change(self._execute) as change:
            row = change.execute(
                f"SELECT {_COLUMNS} FROM accounts WHERE id = ?",  # noqa: S608
                (account_id,),
            ).fetchone()
            if row is None:
                return None
            account = _account(row)
            if not account.revoked_us:
                change.execute(
                    "UPDATE accounts SET revoked_us = ?, revision = ? WHERE id = ?",
                    (now_us, change.revision, account_id),
                )
            return account

    def revision(self) -> int:
        """The number of the last change."""
        return int(self._execute("SELECT number FROM revision", ()).fetchone()[0])

    def changed_since(self, revision: int) -> list[Account]:
        """What was added or revoked after that change, in the order of the changes; with -1 everything."""
        rows = self._execute(
            f"SELECT {_COLUMNS} FROM accounts WHERE revision > ? ORDER BY revision, created_us",  # noqa: S608
            (revision,),
        )
        return [_account(row) for row in rows.fetchall()]

    def take_tonce(self, account_id: str, tonce: int) -> bool:
        """Whether the tonce is above all that any process took for this key before; then it is taken."""
        done = self._execute(
            "INSERT INTO tonces VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET tonce = excluded.tonce "
            "WHERE excluded.tonce > tonce",
            (account_id, tonce),
        )
        return done.rowcount > 0

    def _execute(self, statement: str, values: tuple[object, ...]) -> sqlite3.Cursor:
        try:
            return self._connection.execute(statement, values)
        except sqlite3.Error as error:
            raise AccountsUnusable(f"{self._path}: {error}") from error


class _Change:
    """One synced transaction with a revision of its own; rolled back if anything goes wrong."""

    def __init__(self, execute: Callable[[str, tuple[object, ...]], sqlite3.Cursor]) -> None:
        self.execute = execute
        self.revision = 0

    def __enter__(self) -> _Change:
        self.execute("PRAGMA synchronous = FULL", ())
        self.execute("BEGIN IMMEDIATE", ())
        self.execute("UPDATE revision SET number = number + 1", ())
        self.revision = int(self.execute("SELECT number FROM revision", ()).fetchone()[0])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.execute("COMMIT" if kind is None else "ROLLBACK", ())


def _connect(path: Path, busy_timeout_s: float) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode=rw"
    return sqlite3.connect(uri, uri=True, timeout=busy_timeout_s, isolation_level=None)


def _check(connection: sqlite3.Connection) -> None:
    # Enough for tonces, which age within a minute; a change of the accounts asks for more.
    connection.execute("PRAGMA synchronous = NORMAL")
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application_id != APPLICATION_ID:
        raise AccountsUnusable("this is no file of accounts")
    if version != SCHEMA_VERSION:
        raise AccountsUnusable(f"version {version} of the file is unknown here")


def new_id() -> str:
    """An id that no other token has."""
    return secrets.token_hex(ID_BYTES)


def _account(row: tuple[object, ...]) -> Account:
    return msgspec.convert(dict(zip(_COLUMNS.split(", "), row, strict=True)), Account, strict=False)
