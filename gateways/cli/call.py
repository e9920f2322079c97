"""`vx call`: one request over RPC, its result printed for a person.

The result goes to standard output as indented JSON; whatever prevents one is a sentence on standard error
and exit code 1. A call that makes no sense is refused before anything is sent.
"""

from __future__ import annotations

import argparse
import json
from typing import Any, Final

import msgspec

from gateways.cli import methods
from gateways.cli.methods import MethodError
from vxnet.address import Address, parse_address
from vxnet.errors import AddressError
from vxutils.exits import ExitCode, ProcessExit
from vxutils.protocol import codes
from vxutils.protocol.commands import Command
from vxutils.rpc.blocking import BlockingClient
from vxutils.rpc.packet import PacketError

DEFAULT_ADDRESS: Final = "tcp@127.0.0.1:7316"
KEY_CHARACTERS_MAX: Final = 36
TIMEOUT_S_MAX: Final = 3600.0


def call(options: argparse.Namespace) -> int:
    """`vx call`. Raises: ProcessExit (USAGE for the user's mistakes, FAILURE when there is no answer)."""
    try:
        command = methods.find(options.method)
        body = _body(command, options.raw, options.parameters)
        key = _key(command, options.key)
        address = parse_address(options.address)
    except (MethodError, AddressError) as error:
        raise ProcessExit(ExitCode.USAGE, str(error)) from None
    except UnicodeEncodeError:
        raise ProcessExit(ExitCode.USAGE, "the parameters are not valid UTF-8") from None
    reply = ask(address, command, body, key, options.timeout)
    refusal = reply.get("error")
    if refusal is not None:
        raise ProcessExit(ExitCode.FAILURE, _refusal(command, refusal, by_words=options.raw is None))
    print(json.dumps(reply.get("result"), indent=2, ensure_ascii=False))  # noqa: T201
    return ExitCode.OK


def ask(address: Address, command: Command, body: bytes, key: bytes, timeout_s: float) -> dict[str, Any]:
    """The reply's object. Raises: ProcessExit (FAILURE) with a sentence when there is none."""
    try:
        with BlockingClient(address, timeout_s) as client:
            return client.call(command.id, body, key)
    except (ConnectionRefusedError, FileNotFoundError):
        text = (
            f"nothing listens on {address}; is it running? `vx up` starts it, --address names another place"
        )
    except TimeoutError:
        text = f"no answer from {address} within {timeout_s:g} s"
    except (OSError, PacketError, msgspec.DecodeError) as error:
        text = f"no answer from {address}: {error}"
    raise ProcessExit(ExitCode.FAILURE, text)


def _body(command: Command, raw: str | None, words: list[str]) -> bytes:
    if raw is None:
        return json.dumps(methods.parameters(command, words), ensure_ascii=False).encode()
    if words:
        raise MethodError("give the parameters as words or with --raw, not both")
    try:
        if isinstance(json.loads(raw), list):
            return raw.encode()
    except (ValueError, RecursionError):
        pass
    raise MethodError(f"--raw must be a JSON array, but is '{raw}'")


def _key(command: Command, key: str | None) -> bytes:
    if key is None:
        return b""
    if not command.mutating:
        raise MethodError(f"--key has no meaning for {command.name}, which changes nothing")
    if not (0 < len(key) <= KEY_CHARACTERS_MAX and key.isascii() and key.isprintable()):
        raise MethodError(f"--key must be 1 to {KEY_CHARACTERS_MAX} printable ASCII characters")
    return key.encode()


def _refusal(command: Command, error: Any, by_words: bool) -> str:
    if not isinstance(error, dict):
        return f"{command.name}: {error}"
    text = f"{command.name}: error {error.get('code')}, {error.get('message')}"
    if error.get("code") == codes.INVALID_ARGUMENT.code and by_words:
        text += f"\nusage: {methods.usage(command)}"
    return text
