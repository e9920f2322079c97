"""Authentication by an external HTTP service, asked as the C system asks it.

    auth(token)      --> GET auth_url                               Authorization: token
    sign(access id)  --> GET sign_url?access_id=...&tonce=...       Authorization: signature
         |                  in one of 10 (5) threads, queue bounded
         +-- timer: timeout_s after the request, queueing included --> error 5, a later answer is ignored

    {"code": 0, "message": null, "data": {"user_id": 7}} --> Identity
    {"code": 9, "message": "text", ...}                  --> error 11 with that message
    anything else                                        --> error 2 and a fatal line, without the credential

HTTP status codes are not looked at, redirects not followed. It trusts the service's word and revokes nothing.

Source: protocol.md 9.9.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final
from urllib.parse import quote

import msgspec

from gateways.common.errors import GatewayError
from gateways.common.identity import NOT_CONFIGURED, TIMED_OUT, UNAVAILABLE, Done, Identity, refused
from gateways.common.settings import AuthenticationSettings
from vxnet.clock import OncePer
from vxnet.job import JobDropped, JobPool
from vxutils.client.fetch import FetchFailed, fetch

AUTH_THREADS: Final = 10
SIGN_THREADS: Final = 5
QUEUE_MAX: Final = 1_000
"""Requests of one kind that wait for a thread; more get error 2."""

BODY_BYTES_MAX: Final = 64 * 1024
SHOWN_BYTES: Final = 512
CREDENTIAL_CHARACTERS_MAX: Final = 4_096
USER_ID_MAX: Final = (1 << 32) - 1
STOP_TIMEOUT_S: Final = 0.2
LOG_PERIOD_S: Final = 1.0

_LANGUAGE_AND_TYPE: Final = (("Accept-Language", "en_US"), ("Content-Type", "application/json"))
NO_CREDENTIAL: Final = refused("credential_malformed", "authentication failed")

_log = logging.getLogger("vx.gateways.auth_service")


class _Question:
    """One request under way. `done` is None once it is answered."""

    __slots__ = ("deadline", "done", "secret", "timer", "url")

    def __init__(self, url: str, secret: str, done: Done, deadline: float) -> None:
        self.url = url
        self.secret = secret
        self.done: Done | None = done
        self.deadline = deadline
        self.timer: asyncio.TimerHandle | None = None


_Pool = JobPool[None, _Question, bytes]


class ServiceAuthenticator:
    """One per worker; `start` starts its threads."""

    def __init__(self, loop: asyncio.AbstractEventLoop, settings: AuthenticationSettings) -> None:
        self._loop = loop
        self._settings = settings
        self._pools: list[_Pool] = []
        self._auth = self._pool(settings.auth_url, AUTH_THREADS, "auth")
        self._sign = self._pool(settings.sign_url, SIGN_THREADS, "sign")
        self._bad_log = OncePer(LOG_PERIOD_S)
        self._late_log = OncePer(LOG_PERIOD_S)

    def start(self) -> None:
        for pool in self._pools:
            pool.start()

    def stop(self) -> None:
        for pool in self._pools:
            pool.stop(drain=False, deadline_s=STOP_TIMEOUT_S)

    def auth(self, token: str, source: str, done: Done, *, client: str = "") -> None:
        self._ask(self._auth, self._settings.auth_url, token, done)

    def sign(self, access_id: str, authorisation: str, tonce: int, done: Done, *, client: str = "") -> None:
        url = self._settings.sign_url
        if len(access_id) > CREDENTIAL_CHARACTERS_MAX:
            done(NO_CREDENTIAL)
            return
        if url is not None:
            joint = "&" if "?" in url else "?"
            # Unsigned 64 bit, as the C system prints it.
            url = f"{url}{joint}access_id={quote(access_id, safe='')}&tonce={tonce & 0xFFFF_FFFF_FFFF_FFFF}"
        self._ask(self._sign, url, authorisation, done)

    def is_valid(self, identity: Identity) -> bool:
        return True

    def _pool(self, url: str | None, threads: int, name: str) -> _Pool | None:
        if url is None:
            return None
        pool = _Pool(
            self._loop,
            threads,
            init=lambda: None,
            work=lambda _, question: _get(question),
            finish=self._answered,
            release=lambda _: None,
            queue_max=QUEUE_MAX,
            name=name,
        )
        self._pools.append(pool)
        return pool

    def _ask(self, pool: _Pool | None, url: str | None, secret: str, done: Done) -> None:
        if pool is None or url is None:
            done(NOT_CONFIGURED)
            return
        if len(secret) > CREDENTIAL_CHARACTERS_MAX or not secret.isprintable():
            done(NO_CREDENTIAL)  # a line end in it would be a header of its own
            return
        timeout_s = self._settings.timeout_s
        question = _Question(url, secret, done, time.monotonic() + timeout_s)
        if not pool.submit(question):
            self._trouble("too many requests wait for the service")
            done(UNAVAILABLE)
            return
        question.timer = self._loop.call_later(timeout_s, self._expired, question)

    def _expired(self, question: _Question) -> None:
        if self._late_log.allows(self._loop.time()):
            _log.error("authentication service: %s: no answer in time", _place(question.url))
        _settle(question, TIMED_OUT)

    def _answered(self, question: _Question, outcome: bytes | Exception) -> None:
        if question.done is None:
            return
        if isinstance(outcome, bytes):
            _settle(question, self._read(question, outcome))
        elif isinstance(outcome, TimeoutError):
            self._expired(question)
        elif isinstance(outcome, OSError | FetchFailed):
            self._trouble(f"{_place(question.url)}: {outcome}")
            _settle(question, UNAVAILABLE)
        elif isinstance(outcome, JobDropped):
            _settle(question, UNAVAILABLE)
        else:
            raise outcome

    def _read(self, question: _Question, body: bytes) -> Identity | GatewayError:
        answer = read_answer(body)
        if answer is None:
            shown = body.decode("utf-8", "replace")
            if question.secret:
                shown = shown.replace(question.secret, "***")
            self._trouble(f"{_place(question.url)}: unusable answer: {shown[:SHOWN_BYTES]!r}")
            return UNAVAILABLE
        if isinstance(answer, str):
            return refused("authentication_refused", answer)
        return Identity(answer)

    def _trouble(self, sentence: str) -> None:
        suppressed = self._bad_log.suppressed
        if self._bad_log.allows(self._loop.time()):
            _log.critical("authentication service: %s (%d more before this)", sentence, suppressed)


def read_answer(body: bytes) -> int | str | None:
    """The user id, or the message of a refusal, or None for what is neither."""
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(answer, dict) or type(answer.get("code")) is not int:
        return None
    if answer["code"] != 0:
        message = answer.get("message")
        return message if isinstance(message, str) else None
    data = answer.get("data")
    user_id = data.get("user_id") if isinstance(data, dict) else None
    return user_id if type(user_id) is int and 0 < user_id <= USER_ID_MAX else None


def _get(question: _Question) -> bytes:
    """In a thread. Raises: TimeoutError, OSError, FetchFailed."""
    headers = (("Authorization", question.secret), *_LANGUAGE_AND_TYPE)
    return fetch(question.url, headers, question.deadline, BODY_BYTES_MAX)


def _settle(question: _Question, outcome: Identity | GatewayError) -> None:
    done, question.done = question.done, None
    if question.timer is not None:
        question.timer.cancel()
    if done is not None:
        done(outcome)


def _place(url: str) -> str:
    return url.partition("?")[0]
