"""The blocking client: one connection, kept between calls, one call at a time.

It may be shared between threads, which then wait for each other. It owns its connection.
"""

from __future__ import annotations

import select
import socket
import ssl
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from vxutils.client.attempts import Attempts, check_retries
from vxutils.client.errors import ExchangeError, KeptConnectionGone, NoAnswer, Outcome, WireError
from vxutils.client.place import Place, parse_place
from vxutils.client.reply import Reply, result_of
from vxutils.client.request import Parameter, Request, make_encoded_request, make_request
from vxutils.protocol import codes

TIMEOUT_S: Final = 2.0
REPLY_BYTES_MAX: Final = 16 * 1024 * 1024

_READ_BYTES: Final = 256 * 1024


class Client:
    """Calls to `url`: `http://host:port`, `https://host:port`, or raw RPC at `tcp@ip:port` or `stream@path`.

    `timeout_s` bounds one attempt as a whole, connecting included. `retries` is how often more a call is
    attempted when that can do no harm; see `attempts`. Connects at the first call. A context manager.

    `ca`: PEM file of the authorities whose certificates are believed; None for those of the system.

    Raises: ValueError for a URL, token, file or number that makes no sense.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        timeout_s: float = TIMEOUT_S,
        retries: int = 0,
        reply_bytes_max: int = REPLY_BYTES_MAX,
        ca: Path | None = None,
    ) -> None:
        if not timeout_s > 0:
            raise ValueError(f"timeout_s must be more than 0, but is {timeout_s}")
        self._place = parse_place(url, token, reply_bytes_max, ca)
        self._timeout_s = timeout_s
        self._retries = check_retries(retries)
        self._lock = threading.Lock()
        self._connection: _Connection | None = None
        self._last_id = 0

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self._place.shown!r})"

    def close(self) -> None:
        """Close the connection; a later call makes a new one."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    def call(self, method: str, *parameters: Parameter, idempotency_key: str | None = None) -> Any:
        """The result of `method`, a name such as `order.put_limit`.

        Amounts and prices are texts or Decimal. A repeat with the same key gets the first outcome.

        Raises: ExchangeError; NoAnswer. Before anything is sent: TypeError (a float), ValueError.
        """
        return self._call(make_request(method, parameters, idempotency_key))

    def call_json(self, method: str, parameters: bytes, *, idempotency_key: str | None = None) -> Any:
        """As `call`; `parameters` is the text of a JSON array and sent as it is."""
        return self._call(make_encoded_request(method, parameters, idempotency_key))

    def _call(self, request: Request) -> Any:
        if self._place.is_rpc and request.command is None:
            unknown = codes.METHOD_NOT_FOUND
            raise ExchangeError(unknown.code, unknown.message, {}, Outcome.NOT_SENT)
        attempts = Attempts(request, self._retries)
        while True:
            try:
                with self._lock:
                    return self._attempt(request, time.monotonic() + self._timeout_s)
            except ExchangeError as error:
                pause_s = attempts.pause_after(error)
            time.sleep(pause_s)

    def _attempt(self, request: Request, deadline: float) -> Any:
        connection = self._take_connection(deadline)
        self._last_id += 1
        is_sound = False
        try:
            reply = connection.exchange(request, self._last_id, deadline)
            is_sound = connection.is_reusable
            return result_of(reply, self._last_id)
        except NoAnswer:
            is_sound = False
            raise
        finally:
            if is_sound:
                self._connection = connection
            else:
                connection.close()

    def _take_connection(self, deadline: float) -> _Connection:
        """The kept one, unless the peer has closed it or said something unasked meanwhile; or a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            if not connection.has_input():
                return connection
            connection.close()
        try:
            return _Connection(self._place, deadline)
        except OSError as error:
            reason = connect_failure(error)
            raise NoAnswer(f"{self._place.shown} can not be reached: {reason}", Outcome.NOT_SENT) from error


class _Connection:
    """One open socket and its wire. Raises: OSError (TimeoutError at the deadline)."""

    def __init__(self, place: Place, deadline: float) -> None:
        self._shown = place.shown
        self._wire = place.make_wire()
        self._was_used = False
        if place.path:
            self._socket = socket.socket(socket.AF_UNIX)
            try:
                self._socket.settimeout(_left_s(deadline))
                self._socket.connect(place.path)
            except OSError:
                self._socket.close()
                raise
        else:
            self._socket = socket.create_connection((place.host, place.port), _left_s(deadline))
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if place.tls is not None:
                self._socket = _secured(self._socket, place.tls, place.host, deadline)

    @property
    def is_reusable(self) -> bool:
        return self._wire.is_reusable

    def has_input(self) -> bool:
        """Whether something, the end of the connection for instance, can be read now."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(0))

    def exchange(self, request: Request, request_id: int, deadline: float) -> Reply:
        """Raises: NoAnswer."""
        is_kept, self._was_used = self._was_used, True
        data = self._wire.request(request, request_id)
        try:
            self._socket.settimeout(_left_s(deadline))
            self._socket.sendall(data)
            while True:
                self._socket.settimeout(_left_s(deadline))
                reply = self._wire.receive(self._socket.recv(_READ_BYTES))
                if reply is not None:
                    return reply
        except TimeoutError:
            raise NoAnswer(f"{self._shown} did not answer in time", Outcome.UNKNOWN) from None
        except (OSError, WireError) as error:
            kind = KeptConnectionGone if is_kept else NoAnswer
            raise kind(f"{self._shown}: {error}", Outcome.UNKNOWN) from error

    def close(self) -> None:
        self._socket.close()


def connect_failure(error: OSError) -> str:
    """Why there is no connection, as the end of a sentence."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    return "no connection in time" if isinstance(error, TimeoutError) else str(error)


def _secured(sock: socket.socket, tls: ssl.SSLContext, host: str, deadline: float) -> socket.socket:
    """Raises: OSError, also when the server does not prove to be that host; `sock` is closed then."""
    try:
        sock.settimeout(_left_s(deadline))
        return tls.wrap_socket(sock, server_hostname=host)
    except OSError:
        sock.close()
        raise


def _left_s(deadline: float) -> float:
    left_s = deadline - time.monotonic()
    if left_s <= 0:
        raise TimeoutError("no answer in time")
    return left_s
