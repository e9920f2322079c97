"""`vx call --http`: what is sent, what is printed, and the exit code."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from gateways.cli.main import main
from tests.vxutils.client.serving import Seen, Silent, Step, error, http, result, scripted

Output = pytest.CaptureFixture[str]

TOKEN = "a-secret-of-the-back-office"


def test_a_call_and_its_token(capfd: Output, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(f"{TOKEN}\n")
    with scripted(result({"id": 5})) as server:
        words = shlex.split("call order.put_limit 1 BTCUSDT sell 0.10 60000 0 0 me --key k-1")
        assert main([*words, "--http", server.url, "--token-file", str(token)]) == 0
    assert capfd.readouterr().out == '{\n  "id": 5\n}\n'
    (seen,) = server.seen
    assert f"\r\nAuthorization: Bearer {TOKEN}\r\n" in seen.head + "\r\n"
    assert seen.body["params"] == [1, "BTCUSDT", 1, "0.10", "60000", "0", "0", "me"]
    assert (seen.body["method"], seen.body["idempotency_key"]) == ("order.put_limit", "k-1")


def test_raw_parameters_are_sent_as_they_are(capfd: Output) -> None:
    with scripted(result(None)) as server:
        assert main(["call", "balance.query", "--raw", '[1.5, "x"]', "--http", server.url]) == 0
    assert server.seen[0].body["params"] == [1.5, "x"]


RULE = {"reason": "invalid_side", "parameter": "side", "rule": "1 (ask, sell) or 2 (bid, buy)"}
USAGE = "usage: vx call order.cancel USER MARKET ORDER_ID"

FAILURES: list[tuple[Step, str]] = [
    (error(10), "order.cancel: error 10, as scripted"),
    (error(1), f"order.cancel: error 1, as scripted\n{USAGE}"),
    (error(1, RULE), f"error 1, as scripted (side: 1 (ask, sell) or 2 (bid, buy))\n{USAGE}"),
    (error(3, {"rule": "try again later"}), "error 3, as scripted (try again later)"),
    (error(6, status="401 Unauthorized"), "order.cancel: error 6, as scripted"),
    (http(b"", "400 Bad Request"), "HTTP status 400 and no body"),
    (None, "closed the connection; it may have been executed"),
    (Silent(), "did not answer in time; it may have been executed"),
]


@pytest.mark.parametrize(("step", "sentence"), FAILURES)
def test_failures_are_sentences(capfd: Output, step: Step, sentence: str) -> None:
    timeout = "0.2" if isinstance(step, Silent) else "10"
    with scripted(step) as server:
        words = ["call", "order.cancel", "1", "BTCUSDT", "7", "--timeout", timeout, "--http", server.url]
        assert main(words) == 1
        assert len(server.seen) == 1, "nothing is ever sent twice"
    shown = capfd.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("vx: ") and shown.err.endswith(f"{sentence}\n")


def test_nobody_there(capfd: Output) -> None:
    with scripted() as server:
        url = server.url
    assert main(["call", "market.list", "--http", url]) == 1
    assert "is it running? `vx up` starts it" in capfd.readouterr().err


def test_a_query_without_an_answer_says_no_more_than_that(capfd: Output) -> None:
    def answer(seen: Seen) -> bytes:
        return http(b"", "502 Bad Gateway")

    with scripted(answer) as server:
        assert main(["call", "market.list", "--http", server.url]) == 1
    assert "executed" not in capfd.readouterr().err


WRONG = [
    ("--http ftp://127.0.0.1", "begins with http:// or https://, not ftp://"),
    ("--http http://127.0.0.1 --ca ca.pem", "a file of authorities is for https:// only"),
    ("--http https://127.0.0.1 --ca missing.pem", "missing.pem can not be used: No such file or directory"),
    ("--ca ca.pem", "--ca is for --http with https://"),
    ("--http 127.0.0.1:8080", "the form is tcp@"),
    ("--http http://a --address tcp@127.0.0.1:1", "give --http or --address, not both"),
    ("--token-file t", "--token-file is for --http"),
    ("--http http://a --token-file none", "--token-file none: No such file or directory"),
    ("--http http://a --token-file empty", "--token-file empty is empty"),
    ("--http http://a --token-file two", "a token is printable ASCII"),
    ("--http http://a --token-file binary", "a token is printable ASCII"),
]


@pytest.mark.parametrize(("line", "sentence"), WRONG)
def test_what_makes_no_sense_is_not_sent(
    capfd: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").write_text("\n")
    Path("two").write_text(f"{TOKEN}\n{TOKEN}\n")
    Path("binary").write_bytes(b"\xff" + TOKEN.encode())
    assert main(["call", "market.list", *shlex.split(line)]) == 64
    shown = capfd.readouterr().err
    assert sentence in shown and TOKEN not in shown
