"""Other hosts on one machine: each with a network and a /dev/shm of its own, and a cable to be unplugged.

    here (tests, engine, servers)                              host
    198.18.x.1  ------------------- cable ------------------- 198.18.x.2
    127.0.0.1:P <------------- relay over the cable --------- 127.0.0.1:P      after `reach(P)`

A host is a thread in namespaces of its own. What is started and opened in it (`do`) lives there, and the
kernel takes all of it away when the thread ends, also when the tests are killed. That needs root; without
it a host is an address of 127.0.0.0/8 that shares everything, and has no cable.
"""

from __future__ import annotations

import ctypes
import ipaddress
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, TypeVar

NETWORK = ipaddress.ip_network("198.18.0.0/15")  # for tests, RFC 2544: nobody's network is hidden by it
ADDRESSES_PER_CABLE = 4
SHARED_MEMORY = b"/dev/shm"
COPIED_BYTES = 65_536

_CLONE_NEWNS, _CLONE_NEWNET = 0x00020000, 0x40000000
_MS_REC, _MS_PRIVATE = 0x4000, 0x40000
_libc = ctypes.CDLL(None, use_errno=True)

_T = TypeVar("_T")


class Host:
    """A host named by one letter. `address` is its own, `here` ours as it sees it."""

    has_cable = False

    def __init__(self, name: str, address: str, here: str) -> None:
        self.name = name
        self.address = address
        self.here = here

    def do(self, work: Callable[[], _T]) -> _T:
        """The result of `work`, done on the host."""
        return work()

    def reach(self, port: int) -> None:
        """From now on our 127.0.0.1:`port` is that of the host too."""

    def unplug(self) -> None:
        raise AssertionError("no cable")

    def plug(self) -> None:
        raise AssertionError("no cable")

    def close(self) -> None:
        """The host ends, with its network."""


class SeparateHost(Host):
    """A host in namespaces of its own."""

    has_cable = True

    def __init__(self, name: str, number: int) -> None:
        """`number`: of the cable among those of this process. Raises: OSError where that is not allowed."""
        cables = NETWORK.num_addresses // ADDRESSES_PER_CABLE
        first = NETWORK[(os.getpid() * 8 + number) % cables * ADDRESSES_PER_CABLE]
        super().__init__(name, str(first + 2), str(first + 1))
        self._cable = f"vx{os.getpid()}{name}"
        self._relays: list[_Relay] = []
        self._thread = ThreadPoolExecutor(1, f"host-{name}")
        try:
            thread_id = self.do(_leave)
            _ip("link", "add", self._cable, "type", "veth", "peer", "name", "eth0", "netns", str(thread_id))
            _ip("addr", "add", f"{self.here}/30", "dev", self._cable)
            self.plug()
            self.do(lambda: _ip("addr", "add", f"{self.address}/30", "dev", "eth0"))
            for device in ("lo", "eth0"):
                self.do(lambda device=device: _ip("link", "set", device, "up"))  # type: ignore[misc]
        except BaseException:
            self.close()
            raise

    def do(self, work: Callable[[], _T]) -> _T:
        return self._thread.submit(work).result()

    def reach(self, port: int) -> None:
        self._relays.append(_Relay((self.here, port), ("127.0.0.1", port)))
        self._relays.append(self.do(lambda: _Relay(("127.0.0.1", port), (self.here, port))))

    def unplug(self) -> None:
        """What is sent from now on is lost; nobody is told."""
        _ip("link", "set", self._cable, "down")

    def plug(self) -> None:
        _ip("link", "set", self._cable, "up")

    def close(self) -> None:
        for relay in self._relays:
            relay.close()
        self._thread.shutdown()
        with suppress(OSError):  # the kernel takes it away as well, but some time later
            _ip("link", "del", self._cable)


@contextmanager
def make_hosts(names: str) -> Iterator[list[Host]]:
    """A host for each letter, separate ones if the machine allows it."""
    with ExitStack() as held:
        found: list[Host] = []
        for number, name in enumerate(names):
            host = _make(name, number)
            held.callback(host.close)
            found.append(host)
        yield found


def _make(name: str, number: int) -> Host:
    if os.geteuid() == 0 and shutil.which("ip"):
        with suppress(OSError):
            return SeparateHost(name, number)
    return Host(name, f"127.77.0.{number + 2}", "127.77.0.1")


def _leave() -> int:
    """Puts the calling thread into namespaces of its own; its id. Raises: OSError."""
    _checked(_libc.unshare(_CLONE_NEWNET | _CLONE_NEWNS))
    _checked(_libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None))  # before: or all would see it
    _checked(_libc.mount(b"tmpfs", SHARED_MEMORY, b"tmpfs", 0, None))
    return threading.get_native_id()


def _checked(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OSError(f"ip {' '.join(words)}: {done.stderr.strip()}")


class _Relay:
    """Passes connections to `listen` on to `target`; in the network of the thread that makes it."""

    def __init__(self, listen: tuple[str, int], target: tuple[str, int]) -> None:
        self._target = target
        self._sockets = [socket.create_server(listen)]
        # A thread is in the namespaces of the one that started it.
        threading.Thread(target=self._accept, args=self._sockets, daemon=True).start()

    def close(self) -> None:
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)  # wakes who waits in it
            one.close()

    def _accept(self, listening: socket.socket) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = listening.accept()
                self._sockets.append(client)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(self._target)
        except OSError:
            client.close()
            return
        self._sockets.append(server)
        threading.Thread(target=_copy, args=(server, client), daemon=True).start()
        _copy(client, server)


def _copy(source: Any, sink: Any) -> None:
    with suppress(OSError):
        while data := source.recv(COPIED_BYTES):
            sink.sendall(data)
    for one in (source, sink):
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
