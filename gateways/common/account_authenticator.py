"""Authentication by the built-in accounts: everything valid is held in memory, and re-read when it changes.

    once a second: revision of the file changed? --> what has changed --> memory --> ended()
    auth, sign --> too many wrong ones from there? --> memory, constant-time compare --> done, at once

A file that is not there yet is a system without accounts: everybody is refused. A file that can not be read
any more is our trouble (error 2, one fatal line) and revokes nobody; what is known stays known.

Owns its connection to the file and the table of wrong attempts.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from gateways.common import credentials
from gateways.common.accounts import Account, AccountStore, AccountsUnusable, Kind
from gateways.common.attempts import WrongAttempts
from gateways.common.errors import GatewayError
from gateways.common.identity import UNAVAILABLE, Done, Identity, address_key, refused
from vxnet.clock import Clock, OncePer
from vxnet.timer import Timer

POLL_S: Final = 1.0
BUSY_TIMEOUT_S: Final = 0.2
"""The loop waits for another process that writes at most this long."""

TONCE_WINDOW_MS: Final = 60_000
WRONG_LOG_PERIOD_S: Final = 1.0

WRONG_TOKEN: Final = refused("token_refused", "the token is unknown, revoked or expired", "token")
WRONG_SIGNATURE: Final = refused(
    "signature_refused", "the access id is unknown, revoked or expired, or the signature is wrong"
)
STALE_TONCE: Final = refused(
    "tonce_out_of_window", "tonce must be the unix time in milliseconds, within 60 seconds of ours", "tonce"
)
USED_TONCE: Final = refused(
    "tonce_used", "tonce must be greater than that of every earlier login with this key", "tonce"
)
TOO_MANY: Final = refused(
    "too_many_wrong_attempts", "too many wrong attempts from your address; wait a minute"
)

_log = logging.getLogger("vx.gateways.accounts")


class AccountAuthenticator:
    """`ended()` is called on the loop when identities may have been revoked or have expired."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, path: Path, clock: Clock, ended: Callable[[], None]
    ) -> None:
        self._path = path
        self._clock = clock
        self._ended = ended
        self._store: AccountStore | None = None
        self._accounts: dict[str, Account] = {}
        self._revision = -1
        self._inode = 0
        self._next_expiry_us = 0
        self._is_unusable = False
        self._attempts = WrongAttempts()
        self._wrong_log = OncePer(WRONG_LOG_PERIOD_S)
        self._poll_timer = Timer(loop, POLL_S, self.poll, repeat=True)

    def start(self) -> None:
        self.poll()
        self._poll_timer.start()

    def stop(self) -> None:
        self._poll_timer.stop()
        self._close()

    def auth(self, token: str, source: str, done: Done, *, client: str = "") -> None:
        if not self._may_try(client, done):
            return
        parts = credentials.split_token(token)
        account = None if parts is None else self._valid(parts.id, "token")
        if parts is None or account is None or not credentials.is_secret_of(account.digest, parts.secret):
            self._note_wrong(client, WRONG_TOKEN)
            done(WRONG_TOKEN)
        else:
            done(_identity(account))

    def sign(self, access_id: str, authorisation: str, tonce: int, done: Done, *, client: str = "") -> None:
        if not self._may_try(client, done):
            return
        account = self._valid(access_id, "api_key")
        if account is None or not credentials.is_signed(account.digest, access_id, tonce, authorisation):
            self._note_wrong(client, WRONG_SIGNATURE)
            done(WRONG_SIGNATURE)
        elif abs(tonce - self._clock.wall_us() // 1_000) > TONCE_WINDOW_MS:
            done(STALE_TONCE)
        else:
            done(self._once(account, tonce, client))

    def is_valid(self, identity: Identity) -> bool:
        if not identity.token_id:
            return True
        account = self._accounts.get(identity.token_id)
        return account is not None and account.is_valid_at(self._clock.wall_us())

    def poll(self) -> None:
        """Take over what has changed; called by the timer."""
        try:
            has_ended = self._read_changes()
        except AccountsUnusable as error:
            if not self._is_unusable:
                self._is_unusable = True
                _log.critical("nobody can log in: %s", error)
            self._close()
            return
        if self._is_unusable:
            self._is_unusable = False
            _log.info("%s can be used again", self._path)
        now_us = self._clock.wall_us()
        if 0 < self._next_expiry_us <= now_us:
            has_ended = True
            self._drop_expired(now_us)
        if has_ended:
            self._ended()

    def _read_changes(self) -> bool:
        """Whether anything that was known is so no more. Raises: AccountsUnusable."""
        inode = self._inode_now()
        if not inode:
            return False
        # Opened anew, it may be another file, even with the same number: only an open one keeps its own.
        is_new = inode != self._inode or self._store is None
        if self._store is None or is_new:
            self._close()
            self._store = AccountStore(self._path, busy_timeout_s=BUSY_TIMEOUT_S)
        revision = self._store.revision()
        if revision == self._revision and not is_new:
            return False
        changed = self._store.changed_since(-1 if is_new else self._revision)
        before = self._accounts
        after = {} if is_new else dict(before)
        for account in changed:
            if account.revoked_us:
                after.pop(account.id, None)
            else:
                after[account.id] = account
        self._accounts, self._revision, self._inode = after, revision, inode
        self._drop_expired(self._clock.wall_us())
        return any(known not in self._accounts for known in before)

    def _inode_now(self) -> int:
        """0 while there has never been a file. Raises: AccountsUnusable."""
        try:
            return self._path.stat().st_ino
        except FileNotFoundError:
            if not self._inode:
                return 0
            raise AccountsUnusable(f"{self._path} is gone") from None
        except OSError as error:
            raise AccountsUnusable(f"{self._path}: {error.strerror}") from error

    def _drop_expired(self, now_us: int) -> None:
        self._accounts = {one.id: one for one in self._accounts.values() if one.is_valid_at(now_us)}
        expiries = [one.expires_us for one in self._accounts.values() if one.expires_us]
        self._next_expiry_us = min(expiries, default=0)

    def _close(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None

    def _may_try(self, client: str, done: Done) -> bool:
        """Whether to look at it at all; otherwise it is answered."""
        if self._attempts.are_too_many(address_key(client), self._now_s()):
            done(TOO_MANY)
            return False
        if self._is_unusable:
            done(UNAVAILABLE)
            return False
        return True

    def _note_wrong(self, client: str, error: GatewayError) -> None:
        now_s = self._now_s()
        self._attempts.note(address_key(client), now_s)
        suppressed = self._wrong_log.suppressed
        if self._wrong_log.allows(now_s):
            _log.warning(
                "peer: %s: %s (%d more before this)", client or "unix", error.error.reason, suppressed
            )

    def _valid(self, account_id: str, kind: Kind) -> Account | None:
        account = self._accounts.get(account_id)
        if account is None or account.kind != kind or not account.is_valid_at(self._clock.wall_us()):
            return None
        return account

    def _once(self, account: Account, tonce: int, client: str) -> Identity | GatewayError:
        """The identity, if this tonce is the greatest so far. Every worker asks the same file."""
        assert self._store is not None, "accounts are known from an open file"
        try:
            is_fresh = self._store.take_tonce(account.id, tonce)
        except AccountsUnusable as error:
            _log.critical("a login failed: %s", error)
            return UNAVAILABLE
        if is_fresh:
            return _identity(account)
        self._note_wrong(client, USED_TONCE)
        return USED_TONCE

    def _now_s(self) -> float:
        return self._clock.monotonic_us() / 1e6


def _identity(account: Account) -> Identity:
    return Identity(account.user_id, account.is_read_only, account.expires_us, account.id)
