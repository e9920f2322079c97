"""The real engine without a process around it: requests in, decoded replies out."""

from __future__ import annotations

import json
from typing import Any, cast

import msgspec

from matchengine.core.commands import ChangeRules
from matchengine.core.engine import Engine
from matchengine.core.invariants import broken_laws
from matchengine.core.order import Order
from matchengine.core.refusals import Refusal
from matchengine.core.rules import AssetRule, MarketRule, Rules, check_rules
from matchengine.core.views import Views
from matchengine.requests import Requests


def rules_of(assets: list[dict[str, Any]], markets: list[dict[str, Any]], repeat_age_s: int = 86400) -> Rules:
    """`Rules` from the lists of a C configuration."""
    rules = Rules(
        assets=tuple(
            AssetRule(a["name"], a["prec_save"], a.get("prec_show", a["prec_save"])) for a in assets
        ),
        markets=tuple(
            MarketRule(
                name=m["name"],
                stock=m["stock"]["name"],
                stock_prec=m["stock"]["prec"],
                money=m["money"]["name"],
                money_prec=m["money"]["prec"],
                fee_prec=m.get("fee_prec", 4),
                min_amount=m.get("min_amount", "0.01"),
            )
            for m in markets
        ),
        repeat_age_s=repeat_age_s,
        key_age_s=86400,
        keys_max=1_000_000,
    )
    assert check_rules(rules) == []
    return rules


class InProcessEngine:
    """Parameters, engine and views as the process wires them, without sockets and journal."""

    def __init__(
        self,
        assets: list[dict[str, Any]],
        markets: list[dict[str, Any]],
        repeat_age_s: int = 86400,
        style: str = "viabtc",
    ) -> None:
        self.engine = Engine()
        self.engine.apply(ChangeRules(0, msgspec.to_builtins(rules_of(assets, markets, repeat_age_s))))
        self.views = Views(self.engine, style)
        self.requests = Requests(self.engine, self.views)

    def call(self, command: int, params: list[Any], now_us: int, key: str = "") -> dict[str, Any]:
        """The reply of one request as {"error": ..., "result": ...}."""
        make = self.requests.operations.get(command)
        if make is None:
            text = self.requests.queries[command](params)
            return _error(1, "invalid argument") if isinstance(text, Refusal) else _success(text)
        made = make(params, now_us, key)
        if isinstance(made, Refusal):
            return _error(1, "invalid argument")
        result = self.engine.apply(made)
        if type(result) is Refusal:
            return _error(result.code, result.message)
        return _success(self.views.success if result is None else self.views.order(cast(Order, result)))

    def check_laws(self) -> None:
        """Raises AssertionError when an invariant of the state is broken."""
        broken = broken_laws(self.engine)
        assert not broken, broken


def _error(code: int, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message}, "result": None}


def _success(text: str) -> dict[str, Any]:
    return {"error": None, "result": json.loads(text)}
