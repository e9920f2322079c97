"""An HTTP/1.0 and 1.1 server on vxnet sessions: requests in, answers out in request order, all bounded.

`messages` and `limits` are values, `parser` and `response` turn bytes into messages and back, `exchange` is a
request with the place of its answer, `connection` and `session` carry one client, `server` listens. It knows
no paths, methods or bodies: those belong to the handler.
"""

from __future__ import annotations

from vxutils.http.exchange import BaseHttpHandler, Exchange, HttpHandler
from vxutils.http.limits import HttpLimits
from vxutils.http.messages import HttpFault, Request
from vxutils.http.server import HttpServer

__all__ = [
    "BaseHttpHandler",
    "Exchange",
    "HttpFault",
    "HttpHandler",
    "HttpLimits",
    "HttpServer",
    "Request",
]
