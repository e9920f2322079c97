"""What the shell takes away is put back: amounts are texts on the wire, ids numbers."""

from __future__ import annotations

import pytest

from gateways.cli import methods
from gateways.cli.methods import MethodError
from vxutils.protocol import commands

CALLS = [
    ("balance.query 1", [1]),
    ("balance.query 1 BTC 10", [1, "BTC", "10"]),
    ("balance.update 1 BTC deposit 7 -0.50 {}", [1, "BTC", "deposit", 7, "-0.50", {}]),
    ('balance.update 0 BTC 9 -7 1e3 {"a":[1,null]}', [0, "BTC", "9", -7, "1e3", {"a": [1, None]}]),
    ("asset.list", []),
    ("asset.summary", []),
    ("market.summary A B", ["A", "B"]),
    ("order.put_limit 1 M 1 0.1 8000 0 0.001 me", [1, "M", 1, "0.1", "8000", "0", "0.001", "me"]),
    ("order.put_market 1 M BUY .5 0 2", [1, "M", 2, ".5", "0", "2"]),
    ("order.put_market 1 M ask 5 0 true", [1, "M", 1, "5", "0", "true"]),
    ("order.pending 1 M 0 100", [1, "M", 0, 100]),
    ("order.book M sell 0 100", ["M", 1, 0, 100]),
    ("order.depth M 5 0.01", ["M", 5, "0.01"]),
    ("order.cancel 1 M 18446744073709551", [1, "M", 18446744073709551]),
    ("order.pending_detail M 3", ["M", 3]),
    ("balance.history 1 BTC deposit 0 9 0 50", [1, "BTC", "deposit", 0, 9, 0, 50]),
    ("order.finished 1 M 0 0 0 50 both", [1, "M", 0, 0, 0, 50, 0]),
    ("order.finished 1 M 0 0 0 50 sell", [1, "M", 0, 0, 0, 50, 1]),
    ("order.deals 7 0 50", [7, 0, 50]),
    ("order.finished_detail 7", [7]),
    ("market.user_deals 1 M 0 50", [1, "M", 0, 50]),
    ("market.status M 86400", ["M", 86400]),
    ("market.kline M 1 2 3600", ["M", 1, 2, 3600]),
    ("market.deals M 100 0", ["M", 100, 0]),
    ("market.last M", ["M"]),
    ("market.status_today M", ["M"]),
]


@pytest.mark.parametrize(("line", "expected"), CALLS)
def test_words_become_what_the_method_takes(line: str, expected: list[object]) -> None:
    name, *words = line.split()
    assert methods.parameters(methods.find(name), words) == expected


REFUSED = [
    ("balance.query", "0 parameters given for balance.query\nusage: vx call balance.query USER [ASSET...]"),
    ("balance.query x", "USER must be a whole number, but is 'x'"),
    ("balance.query 1.0", "USER must be a whole number"),
    ("balance.query ٣", "USER must be a whole number"),
    ("market.list BTC", "1 parameter given"),
    ("order.depth M 5", "usage: vx call order.depth MARKET LIMIT INTERVAL"),
    ("order.depth M 5 0 0", "4 parameters given"),
    ("order.depth M 5 NaN", "INTERVAL must be a decimal number, but is 'NaN'"),
    ("order.book M 3 0 1", "SIDE must be 1, ask or sell, or 2, bid or buy, but is '3'"),
    ("balance.update 1 BTC b 1 1 []", "DETAIL must be a JSON object such as {}, but is '[]'"),
    ("balance.update 1 BTC b 1 1 {", "DETAIL must be a JSON object"),
    ('balance.update 1 BTC b 1 1 {"a":NaN}', "DETAIL must be a JSON object"),
]


@pytest.mark.parametrize(("line", "sentence"), REFUSED)
def test_other_words_are_refused_with_the_usage(line: str, sentence: str) -> None:
    name, *words = line.split()
    command = methods.find(name)
    with pytest.raises(MethodError) as refused:
        methods.parameters(command, words)
    assert sentence in str(refused.value)
    assert methods.usage(command) in str(refused.value)


UNKNOWN = [
    ("order.put_limt", "there is no method order.put_limt; did you mean order.put_limit?"),
    ("order.put", "did you mean order.put_limit or order.put_market?"),
    ("balance.querry", "did you mean balance.query?"),
    ("zzz", "there is no method zzz; `vx call --help` lists them"),
    ("", "`vx call --help` lists them"),
    ("heartbeat", "there is no method heartbeat"),
]


@pytest.mark.parametrize(("name", "sentence"), UNKNOWN)
def test_unknown_methods_get_the_nearest_name(name: str, sentence: str) -> None:
    with pytest.raises(MethodError) as refused:
        methods.find(name)
    assert sentence in str(refused.value)


def test_every_method_is_described() -> None:
    ids = {command.id for command in methods.available()}
    assert ids == set(methods.PARAMETERS)
    assert commands.ORDER_PUT_LIMIT in ids
