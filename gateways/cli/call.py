"""`vx call`: one request over RPC or HTTP, its result printed for a person.

The result goes to standard output as indented JSON; whatever prevents one is a sentence on standard error
and exit code 1. A call that makes no sense is refused before anything is sent. Nothing is ever sent twice.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from gateways.cli import methods
from gateways.cli.methods import MethodError
from vxnet.address import Address, parse_address
from vxnet.errors import AddressError
from vxutils.client import Client, ExchangeError, NoAnswer, Outcome
from vxutils.exits import ExitCode, ProcessExit
from vxutils.protocol import codes
from vxutils.protocol.commands import Command, Service
from vxutils.rpc.blocking import BlockingClient
from vxutils.rpc.packet import PacketError

DEFAULT_ADDRESS: Final = "tcp@127.0.0.1:7316"
DEFAULT_ADDRESSES: Final[Mapping[Service, str]] = {
    Service.MATCHENGINE: DEFAULT_ADDRESS,
    Service.MARKETPRICE: "tcp@127.0.0.1:7416",
    Service.READHISTORY: "tcp@127.0.0.1:7424",
}
KEY_CHARACTERS_MAX: Final = 36
TIMEOUT_S_MAX: Final = 3600.0
TOKEN_BYTES_MAX: Final = 4096


def call(options: argparse.Namespace) -> int:
    """`vx call`. Raises: ProcessExit (USAGE for the user's mistakes, FAILURE when there is no answer)."""
    try:
        command = methods.find(options.method)
        body = _body(command, options.raw, options.parameters)
        key = _key(command, options.key)
        if options.http is not None:
            if options.address is not None:
                raise MethodError("give --http or --address, not both")
            token = read_token(options.token_file)
            client = Client(options.http, token, options.timeout, ca=options.ca)
        elif options.token_file is not None:
            raise MethodError("--token-file is for --http: raw RPC asks nobody who he is")
        elif options.ca is not None:
            raise MethodError("--ca is for --http with https://")
        else:
            address = parse_address(options.address or DEFAULT_ADDRESSES[command.served_by])
    except UnicodeEncodeError:
        raise ProcessExit(ExitCode.USAGE, "the parameters are not valid UTF-8") from None
    except (MethodError, AddressError, ValueError) as error:
        raise ProcessExit(ExitCode.USAGE, str(error)) from None
    by_words = options.raw is None
    if options.http is not None:
        with client:
            result = _ask_http(client, command, body, key, by_words)
    else:
        reply = ask(address, command, body, key, options.timeout)
        if reply.get("error") is not None:
            raise ProcessExit(ExitCode.FAILURE, _refusal(command, reply["error"], by_words))
        result = reply.get("result")
    print(json.dumps(result, indent=2, ensure_ascii=False))  # noqa: T201
    return ExitCode.OK


def ask(address: Address, command: Command, body: bytes, key: str | None, timeout_s: float) -> dict[str, Any]:
    """The reply's object. Raises: ProcessExit (FAILURE) with a sentence when there is none."""
    try:
        with BlockingClient(address, timeout_s) as client:
            return client.call(command.id, body, (key or "").encode())
    except (ConnectionRefusedError, FileNotFoundError):
        text = (
            f"nothing listens on {address}; is it running? `vx up` starts it, --address names another place"
        )
    except TimeoutError:
        text = f"no answer from {address} within {timeout_s:g} s"
    except (OSError, PacketError, msgspec.DecodeError) as error:
        text = f"no answer from {address}: {error}"
    raise ProcessExit(ExitCode.FAILURE, text)


def _ask_http(client: Client, command: Command, body: bytes, key: str | None, by_words: bool) -> Any:
    """The result. Raises: ProcessExit (FAILURE) with a sentence when there is none."""
    try:
        return client.call_json(command.name, body, idempotency_key=key)
    except NoAnswer as error:
        text = error.message
        if error.outcome is Outcome.NOT_SENT:
            text += "; is it running? `vx up` starts it"
        elif error.outcome is Outcome.UNKNOWN and command.mutating:
            text += "; it may have been executed"
    except ExchangeError as error:
        fields = {"code": error.code, "message": error.message, "data": error.data}
        text = _refusal(command, fields, by_words)
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


def _key(command: Command, key: str | None) -> str | None:
    if key is None:
        return None
    if not command.mutating:
        raise MethodError(f"--key has no meaning for {command.name}, which changes nothing")
    if not (0 < len(key) <= KEY_CHARACTERS_MAX and key.isascii() and key.isprintable()):
        raise MethodError(f"--key must be 1 to {KEY_CHARACTERS_MAX} printable ASCII characters")
    return key


def read_token(path: Path | None) -> str | None:
    """The only line of the file. Raises: MethodError; it never shows what is in it."""
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            text = file.read(TOKEN_BYTES_MAX).decode("ascii").strip()
    except OSError as error:
        raise MethodError(f"--token-file {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise MethodError(f"--token-file {path}: a token is printable ASCII characters") from None
    if not text:
        raise MethodError(f"--token-file {path} is empty")
    return text


def _refusal(command: Command, error: Any, by_words: bool) -> str:
    if not isinstance(error, dict):
        return f"{command.name}: {error}"
    text = f"{command.name}: error {error.get('code')}, {error.get('message')}"
    data = error.get("data")
    if isinstance(data, dict) and data.get("rule"):
        text += f" ({data['parameter']}: {data['rule']})" if data.get("parameter") else f" ({data['rule']})"
    if error.get("code") == codes.INVALID_ARGUMENT.code and by_words:
        text += f"\nusage: {methods.usage(command)}"
    return text
