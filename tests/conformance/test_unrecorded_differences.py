"""Differences from the C system that no recorded request shows, tried with its kind of configuration.

Those of the network are tried in tests/processes, durability in the crash tests.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from tests.support.configs import c_config
from tests.support.processes import EngineProcess
from vxutils.exits import ExitCode
from vxutils.rpc.blocking import BlockingClient
from vxutils.rpc.packet import KIND_REQUEST, encode_packet

BALANCE_QUERY, BALANCE_UPDATE, PUT_LIMIT, PENDING, DEPTH, PENDING_DETAIL = 101, 102, 201, 203, 206, 207
MARKET_LIST = 307
INVALID_ARGUMENT = {"code": 1, "message": "invalid argument"}
REPEAT_UPDATE = {"code": 10, "message": "repeat update"}


def config_with_odd_market() -> dict[str, Any]:
    """Whole units only, the minimum written with an exponent, and no cache_timeout."""
    config = c_config()
    del config["cache_timeout"]
    config["markets"].append(
        {
            "name": "WHOLE",
            "stock": {"name": "LTC", "prec": 0},
            "money": {"name": "BCH", "prec": 0},
            "min_amount": "1e2",
        }
    )
    return config


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    with EngineProcess(tmp_path_factory.mktemp("engine"), config_with_odd_market()) as engine:
        yield engine


@pytest.fixture
def client(engine: EngineProcess) -> Iterator[BlockingClient]:
    with engine.client() as client:
        yield client


def credit(
    client: BlockingClient, user: int, asset: str, change: str, business_id: int = 1
) -> dict[str, Any]:
    return client.call(BALANCE_UPDATE, [user, asset, "deposit", business_id, change, {}])


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("0." + "0" * 61 + "1", True),
        ("0." + "0" * 62 + "1", False),
        ("1e29", True),
        ("0.1e30", True),
        ("999999999999999999999999999999.9", True),
        ("1000000000000000000000000000000", False),
        ("1e60", False),
        ("1e-60", True),
        ("1e-61", False),
        ("0e61", False),
    ],
)
def test_decimal_text_is_bounded(client: BlockingClient, text: str, taken: bool) -> None:
    user = crc32(text.encode())  # its own, so that cases do not meet
    error = credit(client, user, "BTC", text)["error"]
    assert error == (None if taken else INVALID_ARGUMENT)


def test_precision_of_0_cuts_to_whole_units(client: BlockingClient) -> None:
    assert credit(client, 1, "LTC", "1000")["error"] is None
    order = client.call(PUT_LIMIT, [1, "WHOLE", 1, "150.9", "3.9", "0", "0", "api"])["result"]
    assert (order["amount"], order["price"], order["left"]) == ("150", "3", "150")
    below_one = client.call(PUT_LIMIT, [1, "WHOLE", 1, "0.9", "3", "0", "0", "api"])
    assert below_one["error"] == INVALID_ARGUMENT


def test_min_amount_is_shown_positional(client: BlockingClient) -> None:
    markets = {market["name"]: market for market in client.call(MARKET_LIST, [])["result"]}
    assert markets["WHOLE"]["min_amount"] == "100"


def test_depth_is_never_older_than_the_last_reply(client: BlockingClient) -> None:
    assert credit(client, 2, "BTC", "10")["error"] is None
    for number in range(1, 4):
        client.call(PUT_LIMIT, [2, "BTCBCH", 1, "1", "50", "0", "0", "api"])
        depth = client.call(DEPTH, ["BTCBCH", 10, "0"])["result"]
        assert depth["asks"] == [["50", str(number)]]


def test_ext_of_a_mutating_command_is_an_idempotency_key(client: BlockingClient) -> None:
    assert credit(client, 3, "BTC", "10")["error"] is None
    order = [3, "BTCBCH", 1, "1", "60", "0", "0", "api"]
    first = client.call(PUT_LIMIT, order, ext=b"k" * 36)
    again = client.call(PUT_LIMIT, order, ext=b"k" * 36)
    assert first["error"] is None and again["result"] == first["result"]
    assert client.call(PENDING, [3, "BTCBCH", 0, 100])["result"]["total"] == 1
    for ext in (b"k" * 37, b"\n", b"\xff"):
        assert client.call(PUT_LIMIT, order, ext=ext)["error"] == INVALID_ARGUMENT
    assert client.call(BALANCE_QUERY, [3, "BTC"], ext=b"x" * 200)["error"] is None, (
        "a query may carry anything"
    )


def test_heartbeat_with_an_empty_last_option_is_answered(client: BlockingClient) -> None:
    assert client.roundtrip(encode_packet(0, KIND_REQUEST, 5, 5, b"\x09\x00\x00\x00")).sequence == 5


def test_nesting_of_900_is_taken(client: BlockingClient) -> None:
    reply = client.call(BALANCE_QUERY, b"[1," + b"[" * 899 + b"]" * 899 + b"]")
    assert reply["error"] == INVALID_ARGUMENT


def test_restart_keeps_times_source_and_repeats(tmp_path: Path) -> None:
    with EngineProcess(tmp_path, c_config()) as engine:
        with engine.client() as client:
            assert credit(client, 7, "BTC", "10")["error"] is None
            order = client.call(PUT_LIMIT, [7, "BTCBCH", 1, "1", "50", "0.002", "0.001", "web"])["result"]
        engine.kill()
        engine.start()
        with engine.client() as client:
            assert client.call(PENDING_DETAIL, ["BTCBCH", order["id"]])["result"] == order
            assert credit(client, 7, "BTC", "10")["error"] == REPEAT_UPDATE
            assert credit(client, 7, "BTC", "10", business_id=2)["error"] is None


def test_rules_that_can_not_be_right_are_refused(tmp_path: Path) -> None:
    config = c_config()
    config["assets"][0]["prec_show"] = 21
    config["markets"].append(config["markets"][0])
    words = refusal(tmp_path, config)
    assert "BCH" in words and "prec_show" in words
    assert "BTCBCH" in words


def test_no_empty_exchange_begins_beside_databases_that_can_not_be_seen(tmp_path: Path) -> None:
    nowhere = {"host": "127.0.0.1", "port": 1, "user": "nobody", "pass": "none"}
    config = c_config(db_log={**nowhere, "name": "log"}, db_history={**nowhere, "name": "history"})
    words = refusal(tmp_path, config, embedded=False)
    assert "whether they are new can not be seen" in words


def refusal(directory: Path, config: dict[str, Any], embedded: bool = True) -> str:
    """The words of a start that is refused for its settings."""
    engine = EngineProcess(directory, config, embedded=embedded)
    try:
        engine.launch()
        assert engine.wait() == ExitCode.CONFIG, engine.output
        return engine.stderr
    finally:
        engine.end()
