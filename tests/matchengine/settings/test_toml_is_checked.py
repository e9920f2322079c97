"""What a well-formed TOML file may not say: unknown names, addresses, rules, sizes that do not fit."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from matchengine.settings import MatchengineSettings
from tests.matchengine.settings.samples import RULES_TOML, load, problems


def test_file_with_rules_only_has_all_defaults(tmp_path: Path) -> None:
    settings = load(tmp_path, RULES_TOML, embedded=False).settings
    assert msgspec.structs.replace(settings, asset=(), market=()) == MatchengineSettings()
    assert settings.rules.assets[0].prec_show == 14
    assert (settings.rules.markets[0].fee_prec, settings.rules.markets[0].min_amount) == (4, "0.01")
    assert settings.rules.repeat_age_s == 90 * 86_400


CASES = [
    (
        "[svr]\nmax_pkg_siez = 300\n",
        "svr.max_pkg_siez: unknown setting; did you mean svr.max_pkg_size?",
    ),
    ("[journal]\ndurability = 'always'\n", "journal.durability: 'always' is not one of"),
    ("[journal]\nsegment_size_bytes = 1\n", "journal.segment_size_bytes: 1 is outside 65536..1073741824"),
    ("slice_records = 999\n", "slice_records: 999 is outside 1000..1000000000"),
    ("wire_style = 'C'\n", "wire_style: 'C' is not one of plain, viabtc"),
    ("repeat_age_s = 0\n", "repeat_age_s: 0 is outside 1..315360000"),
    ("keys_max = 0\n", "keys_max: 0 is outside 1..100000000"),
    ("[log]\nflag = ['loud']\n", "log.flag[0]: 'loud' is not one of"),
    ("[svr]\nbind = ['tcp@localhost:1']\n", "svr.bind: address 'tcp@localhost:1': "),
    ("[svr]\nbind = ['tcp@[::1]:1', 'tcp@[::1]:1']\n", "svr.bind: tcp@[::1]:1 is given twice"),
    ("[svr]\nbuf_limit = 0\n", "svr.buf_limit: 0 is outside 1..100000"),
    ("[cli]\naddress = 'here'\n", "cli.address: address 'here': "),
    (
        "[cli]\naddress = 'udp@127.0.0.1:1'\n",
        "cli.address: udp@127.0.0.1:1 must be an address of kind tcp or",
    ),
    (
        "[cli]\naddress = 'tcp@0.0.0.0:7317'\n",
        "cli.address: tcp@0.0.0.0:7317 can be reached from other machines",
    ),
    ("[cli]\naddress = 'tcp@[::]:7317'\n", "cli.address: tcp@[::]:7317 can be reached from other machines"),
    ("[alert]\naddress = 'somewhere'\n", "alert.address: 'somewhere' is not \"ip:port\""),
    ("[alert]\naddress = '127.0.0.1:0'\n", "alert.address: '127.0.0.1:0' has port 0"),
    ("[log]\npath = 'host:port'\n", "log.path: 'host:port' is not \"ip:port\""),
    (
        "[svr]\nmax_pkg_size = 10241\n[journal]\nsegment_size_bytes = 65536\n",
        "svr.max_pkg_size: 10241 needs journal.segment_size_bytes of 65540 or more, but it is 65536",
    ),
]


@pytest.mark.parametrize(("text", "sentence"), CASES)
def test_refused(tmp_path: Path, text: str, sentence: str) -> None:
    (problem,) = problems(tmp_path, text + RULES_TOML)
    assert problem.startswith(sentence)


@pytest.mark.parametrize(
    "text",
    [
        "[cli]\naddress = ''\n",
        "[cli]\naddress = 'stream@/run/vx/console.sock'\n",
        "[cli]\naddress = 'tcp@[::1]:0'\n",
        "[svr]\nbind = ['tcp@127.0.0.1:0', 'tcp@127.0.0.1:0', 'stream@/run/vx.sock', 'udp@[::1]:1']\n",
        "[alert]\naddress = '127.0.0.1:4444'\n",
        "[log]\npath = '127.0.0.1:5140'\n",
        "[journal]\nsegment_size_bytes = 65536\n",
        "cache_timeout_s = 0.45\n",
    ],
)
def test_accepted(tmp_path: Path, text: str) -> None:
    load(tmp_path, text + RULES_TOML, embedded=False)


def test_empty_console_address_is_no_console(tmp_path: Path) -> None:
    assert load(tmp_path, "[cli]\naddress = ''\n" + RULES_TOML).settings.cli.address is None


ASSET = '[[asset]]\nname = "BTC"\nprec_save = 14\n'
MARKET = '[[market]]\nname = "BTCUSDT"\nstock = "BTC"\nstock_prec = 6\nmoney = "USDT"\nmoney_prec = 2\n'


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "no asset is configured"),
        (RULES_TOML + ASSET, "asset BTC: configured twice"),
        (RULES_TOML + MARKET, "market BTCUSDT: configured twice"),
        (RULES_TOML.replace("stock_prec = 6", "stock_prec = 11"), "market BTCUSDT: "),
        (RULES_TOML + MARKET.replace("USDT", "CNY"), "market BTCCNY: money asset CNY is not configured"),
        (RULES_TOML.replace("prec_show = 8", "prec_show = 13"), "asset USDT: prec_show 13 is outside"),
        (RULES_TOML + 'min_amount = "much"\n', "market BTCUSDT: min_amount 'much' is not a decimal number"),
        (RULES_TOML.replace("= 14", "= 10000000000000000000000000"), "asset BTC: prec_save 10000000000000"),
    ],
)
def test_rules_are_checked(tmp_path: Path, text: str, sentence: str) -> None:
    found = problems(tmp_path, text)
    assert any(problem.startswith(sentence) for problem in found), found


def test_problems_of_settings_and_rules_are_told_together(tmp_path: Path) -> None:
    text = "[cli]\naddress = 'here'\n[svr]\nbind = ['there']\n" + RULES_TOML + ASSET
    assert len(problems(tmp_path, text)) == 3
