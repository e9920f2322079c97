"""The event loop: uvloop, with its own readiness watch and without swallowed exceptions.

    uvloop (timers, callbacks, signals)
       `-- one epoll descriptor --> up to 256 ready sockets per pass --> their callbacks, one after another

Two things differ from plain uvloop. An exception in a callback is our fault: `run_forever` raises it instead
of logging it and going on. And `add_reader`/`add_writer` watch sockets in an epoll set of this loop, because
uvloop 0.23 calls the callbacks once when a socket reports an error and then silently stops watching: a client
that sends a request and resets its connection left a session that was never closed
(tests/vxnet/test_reset_after_data_closes_session.py).
"""

from __future__ import annotations

import asyncio
import functools
import logging
import select
from collections.abc import Callable
from typing import Any, Final, TypeVarTuple, Unpack

import uvloop

PASS_SOCKETS_MAX: Final = 256
"""Ready sockets served in one pass, the others in the next one. Bounds the length of a turn."""

_log = logging.getLogger("vx.vxnet.loop")
_Callback = Callable[[], object]
_Args = TypeVarTuple("_Args")

_READ_EVENTS: Final = select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR
_WRITE_EVENTS: Final = select.EPOLLOUT | select.EPOLLHUP | select.EPOLLERR


class EventLoop(uvloop.Loop):
    """uvloop's loop; a descriptor must leave by `remove_reader` and `remove_writer` before it is closed."""

    def __init__(self) -> None:
        super().__init__()
        self._fault: BaseException | None = None
        self._readers: dict[int, _Callback] = {}
        self._writers: dict[int, _Callback] = {}
        self._epoll = select.epoll()
        super().add_reader(self._epoll.fileno(), self.serve_ready_sockets)
        self.set_exception_handler(self._stop_on_fault)

    def run_forever(self) -> None:
        """Run until `stop`. Raises: whatever a callback raised; the loop is stopped then."""
        super().run_forever()
        fault, self._fault = self._fault, None
        if fault is not None:
            raise fault

    def close(self) -> None:
        if not self.is_closed():
            super().remove_reader(self._epoll.fileno())
            self._epoll.close()
            self._readers.clear()
            self._writers.clear()
        super().close()

    def add_reader(self, fd: Any, callback: Callable[[Unpack[_Args]], Any], *args: *_Args) -> None:
        """Call back whenever the descriptor is readable or has an error (level triggered)."""
        self._watch(fd, self._readers, functools.partial(callback, *args) if args else callback)

    def add_writer(self, fd: Any, callback: Callable[[Unpack[_Args]], Any], *args: *_Args) -> None:
        """Call back whenever the descriptor is writable or has an error (level triggered)."""
        self._watch(fd, self._writers, functools.partial(callback, *args) if args else callback)

    def remove_reader(self, fd: Any) -> bool:  # type: ignore[override]  # asyncio says bool
        return self._unwatch(fd, self._readers)

    def remove_writer(self, fd: Any) -> bool:  # type: ignore[override]
        return self._unwatch(fd, self._writers)

    def _watch(self, fileobj: Any, callbacks: dict[int, _Callback], callback: _Callback) -> None:
        fd = _descriptor(fileobj)
        known = fd in self._readers or fd in self._writers
        callbacks[fd] = callback
        if known:
            self._epoll.modify(fd, self._interest(fd))
        else:
            try:
                self._epoll.register(fd, self._interest(fd))
            except OSError:
                del callbacks[fd]
                raise

    def _unwatch(self, fileobj: Any, callbacks: dict[int, _Callback]) -> bool:
        fd = _descriptor(fileobj)
        if callbacks.pop(fd, None) is None:
            return False
        interest = self._interest(fd)
        if interest:
            self._epoll.modify(fd, interest)
        else:
            self._epoll.unregister(fd)
        return True

    def _interest(self, fd: int) -> int:
        return (select.EPOLLIN if fd in self._readers else 0) | (
            select.EPOLLOUT if fd in self._writers else 0
        )

    def serve_ready_sockets(self) -> int:
        """One pass now: the callbacks of at most PASS_SOCKETS_MAX ready sockets; how many were ready.

        For an owner inside a callback who must know what has arrived before he goes on.
        """
        # A callback may remove any descriptor, and a new socket may get its number within the pass. The worst
        # that comes of it is a call for a socket that is not ready, which a non-blocking socket answers with
        # "not now".
        readers = self._readers
        writers = self._writers
        ready = self._epoll.poll(0, PASS_SOCKETS_MAX)
        for fd, events in ready:
            if events & _READ_EVENTS:
                callback = readers.get(fd)
                if callback is not None:
                    callback()
            if events & _WRITE_EVENTS:
                callback = writers.get(fd)
                if callback is not None:
                    callback()
        return len(ready)

    def _stop_on_fault(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        fault = context.get("exception")
        if fault is None:
            _log.error("%s", context.get("message"))
            return
        if self._fault is None:
            self._fault = fault
        self.stop()


def new_event_loop() -> EventLoop:
    """A new loop; the caller owns it, runs it and closes it."""
    return EventLoop()


def _descriptor(fileobj: Any) -> int:
    return fileobj if isinstance(fileobj, int) else int(fileobj.fileno())
