"""Tokens and signatures: how a secret is written, hashed and proved. Pure.

    token      vxt_<id>_<secret>        the file holds SHA-256(secret)
    API key    access id, secret        the file holds stored = SHA-256(secret)
    signature  proof = secret XOR HMAC-SHA256(stored, "access_id=<access id>&tonce=<tonce>"), as hex
    check      SHA-256(proof XOR HMAC-SHA256(stored, ...)) == stored

A secret is 32 random bytes, written as 64 hex digits. With a plain HMAC the checking side must be able to
make the signature itself, so that its file would be as good as the key. With this one, the client's half of
SCRAM, the file alone signs nothing: whoever read it can make no proof, because he does not know the secret.

Source: RFC 5802 section 3 (ClientProof, StoredKey); RFC 2104.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from typing import Final

import msgspec

SECRET_BYTES: Final = 32
TOKEN_PREFIX: Final = "vxt"  # noqa: S105  # a name, to be found by those who look for leaked secrets

_TOKEN = re.compile(r"vxt_([0-9a-f]{16})_([0-9a-f]{64})", re.ASCII)
_PROOF = re.compile(r"[0-9a-f]{64}", re.ASCII)


class TokenParts(msgspec.Struct, frozen=True):
    """A token that has the right form."""

    id: str
    secret: bytes


def new_secret() -> bytes:
    """32 random bytes."""
    return secrets.token_bytes(SECRET_BYTES)


def digest(secret: bytes) -> bytes:
    """What is stored of a secret."""
    return hashlib.sha256(secret).digest()


def token_text(account_id: str, secret: bytes) -> str:
    """What the client gets, and gives to `server.auth`."""
    return f"{TOKEN_PREFIX}_{account_id}_{secret.hex()}"


def split_token(text: str) -> TokenParts | None:
    """None for what can be no token."""
    found = _TOKEN.fullmatch(text)
    return TokenParts(found[1], bytes.fromhex(found[2])) if found else None


def is_secret_of(stored: bytes, secret: bytes) -> bool:
    """Whether this is the secret behind a stored digest; in constant time."""
    return hmac.compare_digest(stored, digest(secret))


def sign(access_id: str, secret: bytes, tonce: int) -> str:
    """What a client gives to `server.sign` as `authorisation`. `tonce`: unix time in milliseconds."""
    return _xor(secret, _mac(digest(secret), access_id, tonce)).hex()


def is_signed(stored: bytes, access_id: str, tonce: int, authorisation: str) -> bool:
    """Whether whoever made this signature knows the secret behind a stored digest; in constant time."""
    if not _PROOF.fullmatch(authorisation):
        return False
    secret = _xor(bytes.fromhex(authorisation), _mac(stored, access_id, tonce))
    return is_secret_of(stored, secret)


def _mac(stored: bytes, access_id: str, tonce: int) -> bytes:
    return hmac.digest(stored, f"access_id={access_id}&tonce={tonce}".encode(), "sha256")


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))
