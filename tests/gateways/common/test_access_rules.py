"""Who is admitted: networks, bearer tokens, origins; and that no secret is ever shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateways.common.access import Access
from gateways.common.errors import TOKEN_REQUIRED
from gateways.common.methods import BY_METHOD, INTERNAL, PUBLIC
from gateways.common.settings import ListenerSettings, TokenSettings, listener_problems
from vxutils.settings import SettingsError

SECRET = "correct-horse-battery"  # not a real one
BIND = ("tcp@127.0.0.1:0",)


def access(**settings: object) -> Access:
    return Access(ListenerSettings(bind=BIND, **settings))  # type: ignore[arg-type]


PEERS = [
    ((), "8.8.8.8", True),
    (("10.0.0.0/8",), "10.1.2.3", True),
    (("10.0.0.0/8",), "11.1.2.3", False),
    (("10.0.0.0/8", "192.168.1.1/32"), "192.168.1.1", True),
    (("10.0.0.0/8",), "::ffff:10.0.0.1", True),
    (("fd00::/8",), "fd00::1", True),
    (("fd00::/8",), "fe80::1%eth0", False),
    (("10.0.0.0/8",), "", True),  # a unix socket: who may open it is the file's business
]


@pytest.mark.parametrize(("networks", "host", "admitted"), PEERS)
def test_peer(networks: tuple[str, ...], host: str, admitted: bool) -> None:
    assert access(allow_cidrs=networks).admits_peer(host) is admitted


@pytest.mark.parametrize(
    ("authorization", "accepted"),
    [
        (f"Bearer {SECRET}", True),
        (f"bearer   {SECRET} ", True),
        (f"Bearer {SECRET}x", False),
        (f"Bearer {SECRET[:-1]}", False),
        (f"Basic {SECRET}", False),
        (SECRET, False),
        ("Bearer", False),
        ("", False),
        ("Bearer \xff", False),
        (None, False),
    ],
)
def test_token(authorization: str | None, accepted: bool) -> None:
    one = access(token=(TokenSettings(name="a", token="x" * 16), TokenSettings(name="b", token=SECRET)))
    assert one.refusal(authorization) is (None if accepted else TOKEN_REQUIRED)


def test_without_tokens_none_is_needed() -> None:
    assert access().refusal(None) is None


def test_token_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(SECRET + "\n")
    one = access(token=(TokenSettings(name="a", file=str(tmp_path / "token")),))
    assert one.refusal(f"Bearer {SECRET}") is None
    assert one.refusal("Bearer other") is TOKEN_REQUIRED


def test_token_file_that_can_not_be_used_is_told_by_name(tmp_path: Path) -> None:
    (tmp_path / "short").write_text("abc\n")
    tokens = (
        TokenSettings(name="one", file=str(tmp_path / "none")),
        TokenSettings(name="two", file=str(tmp_path / "short")),
    )
    with pytest.raises(SettingsError) as caught:
        access(token=tokens)
    first, second = caught.value.problems
    assert first.startswith("token one: ") and "No such file" in first
    assert second.startswith("token two in ") and "16..512 characters" in second
    assert "abc" not in second


def test_origins() -> None:
    one = access(origins=("https://example.com",))
    assert one.allows_origin("https://example.com")
    assert not one.allows_origin("https://example.com.evil.net")
    assert not access().allows_origin("null")


def test_public_methods_move_nothing_and_name_no_user() -> None:
    assert PUBLIC < INTERNAL == set(BY_METHOD) and len(INTERNAL) == 23
    assert not [name for name in PUBLIC if BY_METHOD[name].mutating]
    assert not [name for name in PUBLIC if name.startswith("balance.") or "user" in name or "pending" in name]
    assert not PUBLIC & {"order.book", "order.deals", "order.finished", "order.finished_detail"}


def test_a_secret_is_in_no_text() -> None:
    token = TokenSettings(name="office", token=SECRET)
    listener = ListenerSettings(bind=("tcp@0.0.0.0:1",), token=(token,))
    assert SECRET not in repr(token) + repr(listener) + str(listener)
    bad = ListenerSettings(bind=BIND, token=(TokenSettings(name="office", token=SECRET[:15]),))
    (problem,) = listener_problems("listener[0]", bad, False)
    assert "office" in problem and SECRET[:15] not in problem
