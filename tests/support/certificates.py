"""Certificates for tests: self-signed, for localhost, made by the openssl command. Its own authority each."""

from __future__ import annotations

import subprocess
from pathlib import Path

import msgspec


class Pair(msgspec.Struct, frozen=True):
    """A certificate and its key, PEM files."""

    certificate: Path
    key: Path


def make_certificate(directory: Path, name: str, *, password: str = "") -> Pair:
    """A new pair; with a password its key is encrypted."""
    pair = Pair(directory / f"{name}.crt", directory / f"{name}.key")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-passout", f"pass:{password}"] if password else ["-nodes"]
    command += ["-keyout", str(pair.key), "-out", str(pair.certificate), "-days", "2"]
    command += ["-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run(command, check=True, capture_output=True)
    return pair
