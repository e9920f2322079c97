"""The external authentication service: asked as the C system asks it, and believed only if it makes sense."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from gateways.common import service_authenticator
from gateways.common.errors import GatewayError
from gateways.common.identity import Identity
from gateways.common.service_authenticator import ServiceAuthenticator
from gateways.common.settings import AuthenticationSettings
from tests.gateways.common.auth_service import Script, answering, auth_service
from vxnet.loop import EventLoop, new_event_loop

Answer = Identity | GatewayError


class Asking:
    """A started authenticator on its own loop."""

    def __init__(self, loop: EventLoop, service: ServiceAuthenticator) -> None:
        self.loop = loop
        self.service = service

    def auth(self, token: str = "secret-token") -> Answer:
        return self._one(lambda done: self.service.auth(token, "web", done))

    def sign(self, access_id: str = "id", authorisation: str = "proof", tonce: int = 1) -> Answer:
        return self._one(lambda done: self.service.sign(access_id, authorisation, tonce, done))

    def _one(self, ask: Callable[[Callable[[Answer], None]], None]) -> Answer:
        (answer,) = self.many([ask])
        return answer

    def many(self, asks: list[Callable[[Callable[[Answer], None]], None]]) -> list[Answer]:
        answers: list[Answer] = []

        def done(answer: Answer) -> None:
            answers.append(answer)
            if len(answers) == len(asks):
                self.loop.stop()

        def begin() -> None:
            for ask in asks:
                ask(done)

        self.loop.call_soon(begin)
        late = self.loop.call_later(10, self.loop.stop)
        self.loop.run_forever()
        late.cancel()
        assert len(answers) == len(asks)
        return answers


@contextmanager
def asking(auth_url: str | None, sign_url: str | None = None, timeout_s: float = 5.0) -> Iterator[Asking]:
    loop = new_event_loop()
    settings = AuthenticationSettings(
        mode="service", auth_url=auth_url, sign_url=sign_url, timeout_s=timeout_s
    )
    service = ServiceAuthenticator(loop, settings)
    service.start()
    try:
        yield Asking(loop, service)
    finally:
        service.stop()
        loop.close()


def code(answer: Answer) -> int:
    assert isinstance(answer, GatewayError), answer
    return answer.error.code


GOOD = b'{"code": 0, "message": null, "data": {"user_id": 7}}'


def test_token_is_asked_for_as_the_c_system_does() -> None:
    with auth_service(answering(GOOD)) as service, asking(service.url("/auth?x=1")) as one:
        assert one.auth("ключ token") == Identity(7)
        assert one.service.is_valid(Identity(7))
        (head,) = service.requests
    first, *lines = head.decode().split("\r\n")
    assert first == "GET /auth?x=1 HTTP/1.1"
    assert {"Authorization: ключ token", "Accept-Language: en_US", "Content-Type: application/json"} <= set(
        lines
    )


@pytest.mark.parametrize(
    ("access_id", "tonce", "query"),
    [
        ("id-1_2.~", 1234, "?access_id=id-1_2.~&tonce=1234"),
        ("a b&c=/?%ü", -1, "?access_id=a%20b%26c%3D%2F%3F%25%C3%BC&tonce=18446744073709551615"),
    ],
)
def test_signature_is_asked_for_as_the_c_system_does(access_id: str, tonce: int, query: str) -> None:
    with auth_service(answering(GOOD)) as service, asking(None, service.url("/sign")) as one:
        assert one.sign(access_id, "proof", tonce) == Identity(7)
        (head,) = service.requests
    assert head.startswith(f"GET /sign{query} HTTP/1.1\r\n".encode())
    assert b"\r\nAuthorization: proof\r\n" in head


# body, what comes of it: a user, a message of error 11, or nothing (error 2 and a fatal line)
ANSWERS = [
    (GOOD, 7),
    (b'{"code":0,"data":{"user_id":4294967295,"more":1},"more":[]}', 4294967295),
    (b'{"code": 9, "message": "token expired"}', "token expired"),
    (b'{"code": -1, "message": "", "data": null}', ""),
    (b'{"code": 9, "message": null}', None),
    (b'{"code": 9}', None),
    (b'{"code": 9, "message": 1}', None),
    (b'{"code": "0", "data": {"user_id": 7}}', None),
    (b'{"code": true, "message": "x"}', None),
    (b'{"code": 0.0, "data": {"user_id": 7}}', None),
    (b'{"data": {"user_id": 7}}', None),
    (b'{"code": 0}', None),
    (b'{"code": 0, "data": 7}', None),
    (b'{"code": 0, "data": {"user_id": 0}}', None),
    (b'{"code": 0, "data": {"user_id": -7}}', None),
    (b'{"code": 0, "data": {"user_id": 4294967296}}', None),
    (b'{"code": 0, "data": {"user_id": "7"}}', None),
    (b'{"code": 0, "data": {"user_id": true}}', None),
    (b"[]", None),
    (b"", None),
    (b"\xff\xfe", None),
    (b"<html>", None),
    (b"[" * 60_000, None),
]


@pytest.mark.parametrize(("body", "expected"), ANSWERS, ids=range(len(ANSWERS)))
def test_answers(body: bytes, expected: int | str | None, caplog: pytest.LogCaptureFixture) -> None:
    with auth_service(answering(body)) as service, asking(service.url("/")) as one:
        answer = one.auth()
    if isinstance(expected, int):
        assert answer == Identity(expected)
    elif isinstance(expected, str):
        assert code(answer) == 11 and isinstance(answer, GatewayError) and answer.error.message == expected
    else:
        assert code(answer) == 2
    fatal = [one for one in caplog.records if one.levelno == logging.CRITICAL]
    assert len(fatal) == (expected is None)


def test_status_is_not_looked_at_and_redirects_are_not_followed() -> None:
    with auth_service(answering(GOOD, "500 Oops")) as service, asking(service.url("/")) as one:
        assert one.auth() == Identity(7)
    with auth_service(answering(b"", "302 Found", "Location: /elsewhere\r\n")) as service:
        with asking(service.url("/")) as one:
            assert code(one.auth()) == 2
        assert len(service.requests) == 1


def test_bad_body_is_shown_short_and_without_the_token(caplog: pytest.LogCaptureFixture) -> None:
    body = b"you sent secret-token! " + b"x" * 10_000
    with auth_service(answering(body)) as service, asking(service.url("/auth?key=k")) as one:
        assert code(one.auth("secret-token")) == 2
    assert "you sent ***!" in caplog.text and "secret-token" not in caplog.text
    assert len(caplog.text) < 1_500


def endless(head: bytes, sock: socket.socket) -> None:
    sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        sock.sendall(b" " * 65536)


def endless_head(head: bytes, sock: socket.socket) -> None:
    sock.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        sock.sendall(b"A: " + b"b" * 1000 + b"\r\n")


def no_http(head: bytes, sock: socket.socket) -> None:
    sock.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")


def cut(head: bytes, sock: socket.socket) -> None:
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + GOOD)


def silent_end(head: bytes, sock: socket.socket) -> None:
    pass


@pytest.mark.parametrize("script", [endless, endless_head, no_http, cut, silent_end])
def test_what_is_no_answer(script: Script, caplog: pytest.LogCaptureFixture) -> None:
    with auth_service(script) as service, asking(service.url("/")) as one:
        assert code(one.auth()) == 2
    assert "authentication service" in caplog.text


def test_answer_that_ends_with_the_connection() -> None:
    def script(head: bytes, sock: socket.socket) -> None:
        sock.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + GOOD[:20])
        sock.sendall(GOOD[20:])

    with auth_service(script) as service, asking(service.url("/")) as one:
        assert one.auth() == Identity(7)


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
    with asking(url) as one:
        assert code(one.auth()) == 2


@pytest.mark.parametrize("pause_s", [10.0, 0.05], ids=["silent", "a byte now and then"])
def test_slow_service_is_error_5(pause_s: float) -> None:
    def script(head: bytes, sock: socket.socket) -> None:
        for byte in b"HTTP/1.1 200 OK\r\nServer: " + b"x" * 200:
            time.sleep(pause_s)
            sock.sendall(bytes([byte]))

    with auth_service(script) as service, asking(service.url("/"), timeout_s=0.2) as one:
        began = time.monotonic()
        assert code(one.auth()) == 5
        assert time.monotonic() - began < 2


def test_waiting_for_a_thread_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_authenticator, "AUTH_THREADS", 2)
    released = threading.Event()

    def script(head: bytes, sock: socket.socket) -> None:
        released.wait(5)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(GOOD) + GOOD)

    with auth_service(script) as service, asking(service.url("/"), timeout_s=0.2) as one:
        moments: list[float] = []  # all five are asked at one, however long the loop is kept from it

        def ask(done: Callable[[Answer], None]) -> None:
            moments.append(moments[0] if moments else time.monotonic())
            with monkeypatch.context() as frozen:
                frozen.setattr(service_authenticator, "time", SimpleNamespace(monotonic=lambda: moments[0]))
                one.service.auth("t", "web", done)

        assert [code(answer) for answer in one.many([ask] * 5)] == [5] * 5
        time.sleep(0.05)  # the loop's timers may be some milliseconds early
        released.set()
        assert len(service.requests) == 2  # those that waited too long are not asked any more
        one.loop.call_later(0.1, one.loop.stop)
        one.loop.run_forever()  # late answers are for nobody
        assert one.auth() == Identity(7)


def test_full_queue_is_error_2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_authenticator, "AUTH_THREADS", 1)
    monkeypatch.setattr(service_authenticator, "QUEUE_MAX", 3)
    with (
        auth_service(lambda head, sock: time.sleep(1)) as service,
        asking(service.url("/"), timeout_s=0.3) as one,
    ):
        answers = one.many([lambda done: one.service.auth("t", "web", done)] * 10)
        # One may be in work already when the queue takes its three.
        assert [code(answer) for answer in answers].count(2) in (6, 7)


@pytest.mark.parametrize("token", ["a\r\nX-Admin: 1", "a\nb", "a\x00b", "\ud800", "a" * 5000, "a\u2028b"])
def test_what_can_be_no_header_is_refused_unasked(token: str) -> None:
    with auth_service(answering(GOOD)) as service, asking(service.url("/a"), service.url("/s")) as one:
        assert code(one.auth(token)) == 11
        assert code(one.sign("id", token, 1)) == 11
        assert not service.requests


def test_one_of_the_two_only() -> None:
    with auth_service(answering(GOOD)) as service, asking(service.url("/a")) as one:
        assert one.auth() == Identity(7)
        assert code(one.sign()) == 2


def test_stop_answers_what_is_under_way() -> None:
    loop = new_event_loop()
    with auth_service(lambda head, sock: time.sleep(2)) as service:
        settings = AuthenticationSettings(mode="service", auth_url=service.url("/"), timeout_s=5.0)
        authenticator = ServiceAuthenticator(loop, settings)
        authenticator.start()
        answers: list[Answer] = []
        authenticator.auth("t", "web", answers.append)
        authenticator.stop()
        assert [code(answer) for answer in answers] == [2]
    loop.close()
