"""Rows as JSON text: column rounding in the C system's style, exact decimals in plain style."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateways.readhistory.replies import Replies, column_text, exact_text
from gateways.readhistory.store import (
    AsOf,
    BalanceHistory,
    FinishedOrder,
    FinishedOrders,
    OrderDeals,
    Page,
    UserDeals,
)
from vxutils.protocol.codes import INTERNAL_ERROR
from vxutils.store.embedded.schema import BalanceRow, DealRow, OrderRow

LONG = "123456789012345678901234567890.12345678901234567"  # and three decimals more

# text, scale of the column, as MySQL gives it stripped, exact
DECIMALS = [
    ("0", 8, "0", "0"),
    ("0e-8", 8, "0", "0"),
    ("0e-20", 16, "0", "0"),
    ("0.000000", 8, "0", "0"),
    ("1.00000000", 8, "1", "1"),
    ("100", 8, "100", "100"),
    ("5.0e-7", 8, "0.0000005", "0.0000005"),
    ("1e-8", 8, "0.00000001", "0.00000001"),
    ("4e-9", 8, "0", "0.000000004"),
    ("5e-9", 8, "0.00000001", "0.000000005"),
    ("-5e-9", 8, "-0.00000001", "-0.000000005"),
    ("-4e-9", 8, "0", "-0.000000004"),
    ("0.123456785", 8, "0.12345679", "0.123456785"),
    ("0.999999995", 8, "1", "0.999999995"),
    ("-1.0000000049", 8, "-1", "-1.0000000049"),
    ("0.00205", 4, "0.0021", "0.00205"),
    ("0.00204999", 4, "0.002", "0.00204999"),
    ("1e+5", 8, "100000", "100000"),
    (LONG + "890", 16, LONG[:-2] + "7", LONG + "89"),
]


@pytest.mark.parametrize(("text", "scale", "column", "exact"), DECIMALS)
def test_decimals(text: str, scale: int, column: str, exact: str) -> None:
    assert column_text(text, scale) == column
    assert exact_text(text) == exact


class Rows:
    """A store that has one row of each kind."""

    as_of = AsOf(17, 1_500_000_000_250_000)
    change = BalanceRow(
        1, 1, 1_500_000_000_000_000, 7, "BTC", "trade", "5e-9", "1.5", '{"a": "1e-8", "i": 3}'
    )
    finished = OrderRow(
        3, 1, 1_492_697_636_238_869, 1_492_697_636_238_870, 7, "M", 'a"\x1f', 1, 2, *"1234567"
    )
    deal = DealRow(1, 1, 250_000, 7, 14, 3, 4, 2, 1, "M", "1.50", "2.0", "3.000", "0e-20", "1")

    def balance_history(self, query: BalanceHistory) -> Page[BalanceRow]:
        return Page([self.change], self.as_of)

    def finished_orders(self, query: FinishedOrders) -> Page[OrderRow]:
        return Page([self.finished], self.as_of)

    def order_deals(self, query: OrderDeals) -> Page[DealRow]:
        return Page([self.deal], self.as_of)

    def finished_order(self, query: FinishedOrder) -> OrderRow | None:
        return None

    def user_deals(self, query: UserDeals) -> Page[DealRow]:
        return Page([self.deal, self.deal], self.as_of)

    def position(self) -> AsOf:
        return self.as_of

    def close(self) -> None:
        """Nothing is open."""


ANSWERS: list[tuple[Any, str, str]] = [
    (
        BalanceHistory(7, "", "", 0, 0, 2, 3),
        '{"offset": 2, "limit": 3, "records": [{"time": 1500000000.0, "asset": "BTC", "business": "trade", '
        '"change": "0.00000001", "balance": "1.5", "detail": {"a": "1e-8", "i": 3}}]}',
        '{"offset":2,"limit":3,"records":[{"time":1500000000.000000,"asset":"BTC","business":"trade",'
        '"change":"0.000000005","balance":"1.5","detail":{"a":"0.00000001","i":3}}],'
        '"as_of":{"time":1500000000.250000,"sequence":17}}',
    ),
    (
        FinishedOrders(7, "M", 0, 0, 0, 0, 1),
        '{"offset": 0, "limit": 1, "records": [{"id": 3, "ctime": 1492697636.238869, '
        '"ftime": 1492697636.23887, "user": 7, "market": "M", "source": "a\\"\\u001F", "type": 1, '
        '"side": 2, "price": "1", "amount": "2", '
        '"taker_fee": "3", "maker_fee": "4", "deal_stock": "5", "deal_money": "6", "deal_fee": "7"}]}',
        '{"offset":0,"limit":1,"records":[{"id":3,"ctime":1492697636.238869,"ftime":1492697636.238870,'
        '"user":7,"market":"M","source":"a\\"\\u001F","type":1,"side":2,"price":"1","amount":"2",'
        '"taker_fee":"3","maker_fee":"4","deal_stock":"5","deal_money":"6","deal_fee":"7"}],'
        '"as_of":{"time":1500000000.250000,"sequence":17}}',
    ),
    (
        OrderDeals(3, 0, 1),
        '{"offset": 0, "limit": 1, "records": [{"time": 0.25, "user": 7, "id": 14, "role": 1, '
        '"price": "1.5", "amount": "2", "deal": "3", "fee": "0", "deal_order_id": 4}]}',
        '{"offset":0,"limit":1,"records":[{"time":0.250000,"user":7,"id":14,"role":1,"price":"1.5",'
        '"amount":"2","deal":"3","fee":"0","deal_order_id":4}],"as_of":{"time":1500000000.250000,"sequence":17}}',
    ),
    (FinishedOrder(3), "null", "null"),
]


@pytest.mark.parametrize(("query", "viabtc", "plain"), ANSWERS)
def test_results(query: Any, viabtc: str, plain: str) -> None:
    body = Replies("viabtc", debug=False).answer(Rows(), query, 5).decode()
    # 17 digits of a double may be one off in the last place of the text, never in value.
    assert json.loads(body) == {"error": None, "result": json.loads(viabtc), "id": 5}
    assert body.startswith('{"error": null, "result": ') and body.endswith(', "id": 5}')
    if "1492697636.23887" not in viabtc:
        assert viabtc in body
    body = Replies("plain", debug=False).answer(Rows(), query, 5).decode()
    assert body == f'{{"error":null,"result":{plain},"id":5}}'


def test_members_of_a_deal_of_a_user_are_in_the_order_of_the_c_system() -> None:
    body = Replies("viabtc", debug=False).answer(Rows(), UserDeals(7, "M", 0, 9), 5)
    record = json.loads(body)["result"]["records"][1]
    names = "time,user,id,side,role,price,amount,deal,fee,deal_order_id,market"
    assert ",".join(record) == names


DETAILS = [
    ("", "{}"),
    ("[1]", "{}"),
    ("null", "{}"),
    ('{"a": ', "{}"),
    ("{}", "{}"),
    ('{"b": 1.10, "a": [true, 12345678901234567890]}', '{"b": 1.10, "a": [true, 12345678901234567890]}'),
    ('{"id":7,"t":"\\n/é"}', '{"id": 7, "t": "\\n/é"}'),
]


@pytest.mark.parametrize(("stored", "shown"), DETAILS)
def test_details_are_objects(stored: str, shown: str) -> None:
    rows = Rows()
    rows.change = BalanceRow(1, 1, 0, 7, "BTC", "deposit", "1", "1", stored)
    body = Replies("viabtc", debug=False).answer(rows, BalanceHistory(7, "", "", 0, 0, 0, 1), 5).decode()
    assert f'"detail": {shown}}}' in body


def test_a_clients_own_detail_is_left_as_it_is() -> None:
    rows = Rows()
    rows.change = BalanceRow(1, 1, 0, 7, "BTC", "deposit", "1", "1", '{"a": "1e-8", "id": 1}')
    body = Replies("plain", debug=False).answer(rows, BalanceHistory(7, "", "", 0, 0, 0, 1), 5).decode()
    assert '"detail":{"a":"1e-8","id":1}' in body


def test_errors() -> None:
    viabtc = Replies("viabtc", debug=False).error(INTERNAL_ERROR, 2**64 - 1)
    assert viabtc == b'{"error": {"code": 2, "message": "internal error"}, "result": null, "id": -1}'
    plain = Replies("plain", debug=False).error(INTERNAL_ERROR, 1)
    assert plain == (
        b'{"error":{"code":2,"message":"internal error","data":{"reason":"internal_error","parameter":"",'
        b'"rule":""}},"result":null,"id":1}'
    )


def test_debug_indents() -> None:
    body = Replies("viabtc", debug=True).error(INTERNAL_ERROR, 1).decode()
    assert body.startswith('{\n    "error": {\n        "code": 2,\n')
    assert json.loads(body)["id"] == 1
