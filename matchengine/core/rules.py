"""The rules in force: assets, markets, their scales, and how long repeats are remembered.

Rules are journaled state, not configuration: a settings file only proposes them, the journal's
rules records decide. This module holds their shape and their validation; changing the rules of a
running state is `engine.change_rules`.
"""

from __future__ import annotations

import hashlib

import msgspec

from vxutils import fixed

NAME_BYTES_MAX = 15  # Source: protocol.md 0.2, asset name
PRECISION_MAX = 40  # decimals of one asset; far past the 20 in use, keeps every product finite


class AssetRule(msgspec.Struct, frozen=True):
    """One asset: `prec_save` decimals are kept in balances, `prec_show` decimals are shown."""

    name: str
    prec_save: int
    prec_show: int


class MarketRule(msgspec.Struct, frozen=True):
    """One market: amounts have `stock_prec` decimals, prices `money_prec`, fee rates `fee_prec`.

    `min_amount` is decimal text in units of stock, not rounded to any scale.
    """

    name: str
    stock: str
    stock_prec: int
    money: str
    money_prec: int
    fee_prec: int
    min_amount: str


class Rules(msgspec.Struct, frozen=True):
    """Everything that decides outcomes besides the commands themselves.

    `repeat_age_s`: seconds of journal time for which a balance update is remembered as done.
    `key_age_s`, `keys_max`: the same for idempotency keys, and how many are kept at most; while
    that many are remembered a request with a new key is refused (error 3), never forgotten early.
    """

    assets: tuple[AssetRule, ...]
    markets: tuple[MarketRule, ...]
    repeat_age_s: int
    key_age_s: int
    keys_max: int


def rules_hash(rules: Rules) -> bytes:
    """32 bytes that identify these rules: blake2b-256 of their canonical JSON."""
    text = msgspec.json.encode(msgspec.to_builtins(rules), order="sorted")
    return hashlib.blake2b(text, digest_size=32).digest()


def check_rules(rules: Rules) -> list[str]:
    """All problems of `rules` in words, empty when they may be used.

    Source: protocol.md 3.1 (the C system answered all of these with a bare "-47").
    """
    problems: list[str] = []
    assets: dict[str, AssetRule] = {}
    if not rules.assets:
        problems.append("no asset is configured")
    for asset in rules.assets:
        problems.extend(_check_asset(asset))
        if asset.name in assets:
            problems.append(f"asset {asset.name}: configured twice")
        assets[asset.name] = asset
    names: set[str] = set()
    for market in rules.markets:
        if market.name in names:
            problems.append(f"market {market.name}: configured twice")
        names.add(market.name)
        problems.extend(_check_market(market, assets))
    return problems


def _check_name(what: str, name: str) -> list[str]:
    if not name:
        return [f"{what}: a name is empty"]
    if len(name.encode()) > NAME_BYTES_MAX:
        return [f"{what} {name}: the name is longer than {NAME_BYTES_MAX} bytes"]
    if not name.isprintable() or '"' in name or "\\" in name:
        return [f"{what} {name!r}: the name holds a quote, backslash or control character"]
    return []


def _check_asset(asset: AssetRule) -> list[str]:
    problems = _check_name("asset", asset.name)
    if not 0 <= asset.prec_save <= PRECISION_MAX:
        problems.append(f"asset {asset.name}: prec_save {asset.prec_save} is outside 0..{PRECISION_MAX}")
    if not 0 <= asset.prec_show <= asset.prec_save:
        problems.append(
            f"asset {asset.name}: prec_show {asset.prec_show} is outside 0..prec_save ({asset.prec_save})"
        )
    return problems


def _check_market(market: MarketRule, assets: dict[str, AssetRule]) -> list[str]:
    problems = _check_name("market", market.name)
    where = f"market {market.name}"
    for label, prec in (
        ("stock_prec", market.stock_prec),
        ("money_prec", market.money_prec),
        ("fee_prec", market.fee_prec),
    ):
        if not 0 <= prec <= PRECISION_MAX:
            problems.append(f"{where}: {label} {prec} is outside 0..{PRECISION_MAX}")
    minimum = fixed.parse_exact(market.min_amount)
    if minimum is None or minimum[0] < 0:
        problems.append(f"{where}: min_amount {market.min_amount!r} is not a decimal number of 0 or more")
    if market.stock == market.money:
        problems.append(f"{where}: stock and money are the same asset, {market.stock}")
    stock, money = assets.get(market.stock), assets.get(market.money)
    for label, name, asset in (("stock", market.stock, stock), ("money", market.money, money)):
        if asset is None:
            problems.append(f"{where}: {label} asset {name} is not configured")
    if problems or stock is None or money is None:
        return problems
    for left, right, asset in (
        ("stock_prec", "money_prec", money),
        ("stock_prec", "fee_prec", stock),
        ("money_prec", "fee_prec", money),
    ):
        total = getattr(market, left) + getattr(market, right)
        if total > asset.prec_save:
            problems.append(
                f"{where}: {left} + {right} = {total} is more than prec_save of {asset.name} "
                f"({asset.prec_save})"
            )
    return problems
