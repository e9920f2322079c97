"""The certificates of a gateway's listeners, loaded at the start and read again on SIGHUP.

Connections are accepted by the listener process, which sees no byte of them; the TLS is the worker's, so each
worker has its own copy. Two listeners with the same files share one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from vxnet.tls import TlsCertificate, TlsUnusable
from vxutils.settings import SettingsError


class Secured(Protocol):
    """A listener of the settings: two PEM files, or none."""

    @property
    def tls_certificate(self) -> str | None: ...

    @property
    def tls_key(self) -> str | None: ...


class Certificates:
    """Raises: SettingsError naming every pair of files that can not be used."""

    def __init__(self, listeners: Sequence[Secured]) -> None:
        self._loaded: dict[tuple[str, str], TlsCertificate] = {}
        self._of: list[TlsCertificate | None] = []
        problems: list[str] = []
        for index, listener in enumerate(listeners):
            files = (listener.tls_certificate or "", listener.tls_key or "")
            if files[0] and files not in self._loaded:
                try:
                    self._loaded[files] = TlsCertificate(Path(files[0]), Path(files[1]))
                except TlsUnusable as error:
                    problems.append(f"listener[{index}]: {error}")
            self._of.append(self._loaded.get(files))
        if problems:
            raise SettingsError(problems)

    def of(self, listener: int) -> TlsCertificate | None:
        """That of a listener, by its place in the settings; None: it speaks plain text."""
        return self._of[listener]

    @property
    def are_used(self) -> bool:
        return bool(self._loaded)

    def reload(self) -> None:
        """Read all files again, for connections to come. A bad file: a fatal line, and the old one stays."""
        for certificate in self._loaded.values():
            certificate.reload()


def has_tls(listeners: Sequence[Secured]) -> bool:
    """Whether a gateway with these listeners reads files again on SIGHUP (and so does not end by it)."""
    return any(listener.tls_certificate for listener in listeners)
