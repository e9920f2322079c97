"""What each RPC method takes, and words of a command line turned into its parameters.

One table says the names and kinds of the parameters; the usage lines and the conversion are made from it.
Only what the shell takes away is put back here (on the wire amounts are texts, ids are numbers); whether a
market exists or an amount is large enough is for the server to say. Nothing is sent from here.

Source: protocol.md 2.7, 6.6, 7.2.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import msgspec

from vxutils import fixed
from vxutils.protocol import commands
from vxutils.protocol.commands import Command, Service

_SIDES: Final[Mapping[str, int]] = MappingProxyType({"1": 1, "ask": 1, "sell": 1, "2": 2, "bid": 2, "buy": 2})
_WHOLE_NUMBER: Final = re.compile(r"-?\d{1,19}", re.ASCII)  # whether it fits 64 bits is for the server to say


class MethodError(Exception):
    """The words are not a call; the text is a sentence, with the usage line where that helps."""


class Parameter(msgspec.Struct, frozen=True):
    """One position: `name` as usage lines show it; `read` makes the wire value of a word.

    `read` answers None when the word is not `expected`. `repeated`: none, one or more of it at the end.
    """

    name: str
    expected: str
    read: Callable[[str], Any]
    repeated: bool = False

    def __str__(self) -> str:
        return f"[{self.name}...]" if self.repeated else self.name


def _integer(name: str) -> Parameter:
    return Parameter(
        name, "a whole number", lambda word: int(word) if _WHOLE_NUMBER.fullmatch(word) else None
    )


def _text(name: str, repeated: bool = False) -> Parameter:
    return Parameter(name, "text", str, repeated)


def _decimal(name: str) -> Parameter:
    """A number that travels as text, exactly as it was typed."""
    return Parameter(name, "a decimal number", lambda word: word if fixed.parse_exact(word) else None)


def _object(name: str) -> Parameter:
    return Parameter(name, "a JSON object such as {}", _read_object)


def _read_object(word: str) -> dict[str, Any] | None:
    try:
        return msgspec.json.decode(word, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return None


_USER: Final = _integer("USER")
_MARKET: Final = _text("MARKET")
_SIDE: Final = Parameter("SIDE", "1, ask or sell, or 2, bid or buy", lambda word: _SIDES.get(word.lower()))
_ANY_SIDE: Final = Parameter(
    "SIDE",
    "0 or both, 1, ask or sell, or 2, bid or buy",
    lambda word: 0 if word.lower() in ("0", "both") else _SIDES.get(word.lower()),
)
_AMOUNT: Final = _decimal("AMOUNT")
_TAKER_FEE: Final = _decimal("TAKER_FEE")
_SOURCE: Final = _text("SOURCE")
_PAGE: Final = (_integer("OFFSET"), _integer("LIMIT"))
_ORDER_ID: Final = _integer("ORDER_ID")
_TIMES: Final = (_integer("START"), _integer("END"))

PARAMETERS: Final[Mapping[int, tuple[Parameter, ...]]] = MappingProxyType(
    {
        commands.BALANCE_QUERY: (_USER, _text("ASSET", repeated=True)),
        commands.BALANCE_UPDATE: (
            _USER,
            _text("ASSET"),
            _text("BUSINESS"),
            _integer("BUSINESS_ID"),
            _decimal("CHANGE"),
            _object("DETAIL"),
        ),
        commands.ASSET_LIST: (),
        commands.ASSET_SUMMARY: (_text("ASSET", repeated=True),),
        commands.ORDER_PUT_LIMIT: (
            _USER,
            _MARKET,
            _SIDE,
            _AMOUNT,
            _decimal("PRICE"),
            _TAKER_FEE,
            _decimal("MAKER_FEE"),
            _SOURCE,
        ),
        commands.ORDER_PUT_MARKET: (_USER, _MARKET, _SIDE, _AMOUNT, _TAKER_FEE, _SOURCE),
        commands.ORDER_PENDING: (_USER, _MARKET, *_PAGE),
        commands.ORDER_CANCEL: (_USER, _MARKET, _ORDER_ID),
        commands.ORDER_BOOK: (_MARKET, _SIDE, *_PAGE),
        commands.ORDER_DEPTH: (_MARKET, _integer("LIMIT"), _decimal("INTERVAL")),
        commands.ORDER_PENDING_DETAIL: (_MARKET, _ORDER_ID),
        commands.BALANCE_HISTORY: (_USER, _text("ASSET"), _text("BUSINESS"), *_TIMES, *_PAGE),
        commands.ORDER_FINISHED: (_USER, _MARKET, *_TIMES, *_PAGE, _ANY_SIDE),
        commands.ORDER_DEALS: (_ORDER_ID, *_PAGE),
        commands.ORDER_FINISHED_DETAIL: (_ORDER_ID,),
        commands.MARKET_USER_DEALS: (_USER, _MARKET, *_PAGE),
        commands.MARKET_STATUS: (_MARKET, _integer("SECONDS")),
        commands.MARKET_KLINE: (_MARKET, *_TIMES, _integer("INTERVAL")),
        commands.MARKET_DEALS: (_MARKET, _integer("LIMIT"), _integer("LAST_ID")),
        commands.MARKET_LAST: (_MARKET,),
        commands.MARKET_STATUS_TODAY: (_MARKET,),
        commands.MARKET_LIST: (),
        commands.MARKET_SUMMARY: (_text("MARKET", repeated=True),),
    }
)


def find(name: str) -> Command:
    """The command with this name. Raises: MethodError if there is none."""
    command = commands.BY_NAME.get(name)
    if command is None or command.served_by is Service.ALL:
        names = [known.name for known in available()]
        begun = [known for known in names if name and known.startswith(name)]
        near = begun or difflib.get_close_matches(name, names, 1)
        hint = f"did you mean {' or '.join(near)}?" if near else "`vx call --help` lists them"
        raise MethodError(f"there is no method {name}; {hint}")
    return command


def available() -> list[Command]:
    """The commands that can be called by name, in the order of their ids."""
    return [command for command in commands.COMMANDS if command.served_by is not Service.ALL]


def usage(command: Command) -> str:
    """The call as it is typed, with the names of the parameters."""
    return " ".join(["vx call", command.name, *map(str, PARAMETERS[command.id])])


def parameters(command: Command, words: Sequence[str]) -> list[Any]:
    """The wire parameters of the words. Raises: MethodError naming the parameter that is wrong."""
    expected = list(PARAMETERS[command.id])
    if expected and expected[-1].repeated:
        last = expected.pop()
        expected += [last] * (len(words) - len(expected))
    if len(words) != len(expected):
        counted = f"{len(words)} parameter{'' if len(words) == 1 else 's'}"
        raise MethodError(f"{counted} given for {command.name}\nusage: {usage(command)}")
    return [_read(command, parameter, word) for parameter, word in zip(expected, words, strict=True)]


def _read(command: Command, parameter: Parameter, word: str) -> Any:
    value = parameter.read(word)
    if value is None:
        raise MethodError(
            f"{parameter.name} must be {parameter.expected}, but is '{word}'\nusage: {usage(command)}"
        )
    return value
