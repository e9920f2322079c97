"""How a server knows who we are, and we that it is the right one: passwords and TLS of all stores.

A password stands in the settings, or in a file of its own, whose only line it is; the file is read each time
a connection is made, so a new password needs no restart of ours. So are certificates. Loads no driver.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

SECRET_BYTES_MAX: Final = 4_096

FilePathText = Annotated[str, Meta(max_length=4_096)]
"""Path of a file; empty: none."""


class TlsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """TLS to a server; all are PEM files.

    `ca`: authorities of which one must have signed its certificate, empty = those that this system trusts.
    `certificate` (with the chain) and `key` (without a password) show the server who we are, if it asks.
    `check_name`: whether its certificate must name the host that the settings name; false is for servers
    found by address, behind an authority of your own.
    """

    ca: FilePathText = ""
    certificate: FilePathText = ""
    key: FilePathText = ""
    check_name: bool = True


class AccessError(Exception):
    """A file that is needed to log in can not be used. The text names it, and no secret."""


def secret(password: str, path: str) -> str:
    """The password: from the file, if there is a path. Raises: AccessError."""
    if not path:
        return password
    try:
        with Path(path).open(encoding="utf-8") as file:
            return file.read(SECRET_BYTES_MAX).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise AccessError(f"the password file {path} can not be read: {error}") from None


def client_context(tls: TlsSettings) -> ssl.SSLContext:
    """What a connection to the server needs. Raises: AccessError."""
    try:
        context = ssl.create_default_context(cafile=tls.ca or None)
        if tls.certificate:
            context.load_cert_chain(tls.certificate, tls.key)
    except (OSError, ValueError) as error:
        files = ", ".join(path for path in (tls.ca, tls.certificate, tls.key) if path)
        raise AccessError(f"TLS with {files} is not possible: {error}") from None
    context.check_hostname = tls.check_name
    return context


def access_problems(
    path: str, password: str, password_file: str, tls: TlsSettings | None, *, prefix: str = ""
) -> list[str]:
    """In words, for the operator; `path`: the section, `prefix`: of the names of the two passwords."""
    problems = []
    if password and password_file:
        problems.append(
            f"{path}.{prefix}password_file: {path}.{prefix}password is given too; give one of the two"
        )
    if tls is not None and bool(tls.certificate) != bool(tls.key):
        missing = "key" if tls.certificate else "certificate"
        problems.append(f"{path}.tls.{missing}: missing, but a certificate needs its key")
    return problems
