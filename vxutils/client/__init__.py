"""A small client of the exchange, over HTTP or raw RPC, blocking or with `await`. For tools and tests.

    with Client("http://127.0.0.1:8080") as client:
        order = client.call("order.put_limit", 1, "BTCUSDT", 1, "0.5", Decimal(60000), "0.002", "0.001", "me")

    call -> attempt --> connection -> wire (HTTP or RPC) -> bytes ... bytes -> reply -> result
              ^   failed?                                                         -> ExchangeError
              +-- once more, if that can do no harm

Laws:

* A call that changes something leaves at most once, unless it has an idempotency key and retries were
  asked for.
* An answer belongs to the request it is given to: anything doubtful closes the connection.
* No answer is not "no": `ExchangeError.outcome` says what is known.
* Amounts are exact: texts or Decimal, never floats.

Not for a process of ours with its own event loop and service connections: that one uses `vxutils.rpc.client`.
"""

from __future__ import annotations

from vxutils.client.asynchronous import AsyncClient
from vxutils.client.blocking import Client
from vxutils.client.errors import ExchangeError, NoAnswer, Outcome

__all__ = ["AsyncClient", "Client", "ExchangeError", "NoAnswer", "Outcome"]
