"""`vx call` against a real engine: what is typed, what is printed, and the exit code."""

from __future__ import annotations

import json
import shlex
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateways.cli.main import main
from tests.support.configs import toml_config
from tests.support.processes import EngineProcess

Output = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    with EngineProcess(tmp_path_factory.mktemp("engine"), toml_config()) as running:
        yield running


class Caller:
    """Types one line at a time."""

    def __init__(self, engine: EngineProcess, output: Output) -> None:
        self.engine = engine
        self.output = output

    def result(self, line: str, kind: str = "tcp") -> Any:
        code, out, err = self.type(line, kind)
        assert (code, err) == (0, "")
        return json.loads(out)

    def type(self, line: str, kind: str = "tcp") -> tuple[int, str, str]:
        words = ["call", "--address", str(self.engine.address(kind)), *shlex.split(line)]
        code = main(words)
        return code, *self.output.readouterr()


@pytest.fixture
def caller(engine: EngineProcess, capfd: Output) -> Caller:
    return Caller(engine, capfd)


def test_an_order_from_deposit_to_cancel(caller: Caller) -> None:
    assert caller.result("balance.update 7 BTC deposit 1 2.50 '{}'") == {"status": "success"}
    assert caller.result('balance.update 7 BTC withdraw 2 -0.5 \'{"note": "x"}\'') == {"status": "success"}
    order = caller.result("order.put_limit 7 BTCCNY sell 1.5 8000 0.001 0 'the desk'")
    assert (order["user"], order["side"], order["amount"], order["source"]) == (7, 1, "1.5", "the desk")
    assert caller.result("balance.query 7 BTC") == {"BTC": {"available": "0.5", "freeze": "1.5"}}
    assert caller.result("order.depth BTCCNY 5 0")["asks"] == [["8000", "1.5"]]
    assert caller.result(f"order.cancel 7 BTCCNY {order['id']}")["id"] == order["id"]
    assert caller.result(f"order.pending_detail BTCCNY {order['id']}") is None


def test_the_result_is_indented(caller: Caller) -> None:
    code, out, _ = caller.type("balance.query 8 BTC")
    assert code == 0
    assert out == '{\n  "BTC": {\n    "available": "0",\n    "freeze": "0"\n  }\n}\n'


def test_a_key_makes_a_repeat_harmless(caller: Caller) -> None:
    caller.result("balance.update 9 BTC deposit 1 5 {}")
    line = "order.put_limit 9 BTCCNY 1 1 9000 0 0 me --key first-order"
    assert caller.result(line)["id"] == caller.result(line)["id"]
    assert caller.result("order.pending 9 BTCCNY 0 10")["total"] == 1


def test_raw_parameters_are_sent_as_they_are(caller: Caller) -> None:
    assert caller.result("balance.query --raw '[8,\"BTC\"]'")["BTC"]["available"] == "0"
    code, out, err = caller.type("balance.query --raw '[\"8\"]'")
    assert (code, out) == (1, "")
    assert err == "vx: balance.query: error 1, invalid argument (user_id: an integer from 1 to 4294967295)\n"


def test_datagrams_are_answered_too(caller: Caller) -> None:
    assert caller.result("market.list", "udp") == caller.result("market.list", "tcp")


def test_a_refusal_goes_to_standard_error(caller: Caller) -> None:
    code, out, err = caller.type("order.put_limit 5 BTCCNY buy 1 1 0 0 me")
    assert (code, out) == (1, "")
    assert err.startswith("vx: order.put_limit: error 10, balance not enough (amount: ")
    code, out, err = caller.type("order.depth NOSUCH 5 0")
    assert (code, out) == (1, "")
    assert err == (
        "vx: order.depth: error 1, invalid argument "
        "(market: the name of a configured market, see market.list)\n"
        "usage: vx call order.depth MARKET LIMIT INTERVAL\n"
    )


USAGE = [
    ("order.dept BTCCNY 5 0", "did you mean order.depth?"),
    ("order.depth BTCCNY five 0", "LIMIT must be a whole number, but is 'five'"),
    ("balance.query --raw '{}'", "--raw must be a JSON array, but is '{}'"),
    ("balance.query 1 --raw '[1]'", "not both"),
    ("balance.query 1 --key k", "--key has no meaning for balance.query"),
    (f"order.cancel 1 BTCCNY 1 --key {'k' * 37}", "--key must be 1 to 36 printable ASCII characters"),
    ("order.cancel 1 BTCCNY 1 --key ''", "--key must be 1 to 36"),
    ("balance.query 1 --address localhost:7316", "the form is tcp@"),
    ("balance.query 1 '\udcff'", "not valid UTF-8"),
]


@pytest.mark.parametrize(("line", "sentence"), USAGE)
def test_a_call_that_makes_no_sense_is_not_sent(caller: Caller, line: str, sentence: str) -> None:
    code, out, err = caller.type(line)
    assert (code, out) == (64, "")
    assert err.startswith("vx: ") and sentence in err


def test_nobody_there_is_one_sentence(capfd: Output, tmp_path: Path) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # bound, but it does not listen
        places = [f"tcp@127.0.0.1:{reserved.getsockname()[1]}", f"stream@{tmp_path}/none.sock"]
        for place in places:
            assert main(["call", "market.list", "--address", place]) == 1
            assert capfd.readouterr().err == (
                f"vx: nothing listens on {place}; is it running? "
                "`vx up` starts it, --address names another place\n"
            )


def test_silence_ends_after_the_timeout(capfd: Output) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        place = f"tcp@127.0.0.1:{silent.getsockname()[1]}"
        assert main(["call", "market.list", "--address", place, "--timeout", "0.1"]) == 1
        assert capfd.readouterr().err == f"vx: no answer from {place} within 0.1 s\n"
