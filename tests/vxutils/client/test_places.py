"""Which places are understood, and that a token is never shown."""

from __future__ import annotations

import pytest

from vxutils.client import AsyncClient, Client
from vxutils.client.place import parse_place

SECRET = "s3cret-token"

PLACES = [
    ("http://127.0.0.1:8080", "http://127.0.0.1:8080", False, ("127.0.0.1", 8080, "")),
    ("http://localhost", "http://localhost:80", False, ("localhost", 80, "")),
    ("HTTP://[::1]:9/rpc?x=1", "http://[::1]:9", False, ("::1", 9, "")),
    ("tcp@127.0.0.1:7316", "tcp@127.0.0.1:7316", True, ("127.0.0.1", 7316, "")),
    ("unix@/run/vx.sock", "stream@/run/vx.sock", True, ("", 0, "/run/vx.sock")),
]


@pytest.mark.parametrize(("text", "shown", "is_rpc", "where"), PLACES)
def test_places(text: str, shown: str, is_rpc: bool, where: tuple[str, int, str]) -> None:
    place = parse_place(text, None, 1000)
    assert (place.shown, place.is_rpc, (place.host, place.port, place.path)) == (shown, is_rpc, where)


REFUSED = [
    ("ftp://127.0.0.1", None, "begins with http:// or https://, not ftp://"),
    ("http://:80", None, "names no host"),
    ("http://a:0", None, "names no host and port"),
    ("http://a:99999", None, "not valid"),
    ("http://[::1", None, "not valid"),
    (f"http://me:{SECRET}@a", None, "user or password"),
    ("http://a/b c", None, "without spaces"),
    ("http://a/\r\nX: y", None, "printable ASCII"),
    ("127.0.0.1:8080", None, "the form is tcp@"),
    ("udp@127.0.0.1:1", None, "is no stream socket"),
    ("tcp@127.0.0.1:1", SECRET, "a token is for http"),
    ("http://a", f"{SECRET}\r\nX: y", "a token is printable ASCII"),
    ("http://a", "", "a token is printable ASCII"),
]


@pytest.mark.parametrize(("text", "token", "sentence"), REFUSED)
def test_what_is_no_place_is_refused_in_words(text: str, token: str | None, sentence: str) -> None:
    for kind in (Client, AsyncClient):
        with pytest.raises(ValueError, match=sentence) as refused:
            kind(text, token=token)
        assert SECRET not in str(refused.value)


BOUNDS = [{"retries": -1}, {"retries": 1001}, {"timeout_s": 0.0}, {"timeout_s": float("nan")}]


@pytest.mark.parametrize("options", BOUNDS)
def test_numbers_have_bounds(options: dict[str, float]) -> None:
    for kind in (Client, AsyncClient):
        with pytest.raises(ValueError, match=next(iter(options))):
            kind("http://a", **options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="connections_max"):
        AsyncClient("http://a", connections_max=0)


def test_a_client_shown_hides_its_token() -> None:
    for kind in (Client, AsyncClient):
        assert repr(kind("http://a:8080/x", token=SECRET)) == f"{kind.__name__}('http://a:8080')"
