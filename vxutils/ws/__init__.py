"""A websocket server (RFC 6455, RFC 7692) on vxnet sessions: messages in, shared frames out, all bounded.

`limits` and `frames` are values, `handshake` decides who may come in, `reader` and `message` turn
bytes into messages, `deadlines` keeps all times with one timer, `connection` carries one client, `service` is
what is served, `server` listens or adopts sockets. Frames are read by the sans-IO part of `websockets`; the
socket is the session of `vxutils.http`. It knows no methods or subscriptions: those belong to the service.
"""

from __future__ import annotations

from vxutils.ws.connection import WsConnection
from vxutils.ws.frames import Frame, binary_frame, text_frame
from vxutils.ws.handshake import HandshakeRules
from vxutils.ws.limits import WsLimits
from vxutils.ws.server import WsServer
from vxutils.ws.service import WsService

__all__ = [
    "Frame",
    "HandshakeRules",
    "WsConnection",
    "WsLimits",
    "WsServer",
    "WsService",
    "binary_frame",
    "text_frame",
]
