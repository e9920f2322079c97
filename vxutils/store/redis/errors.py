"""What can go wrong with a Redis, by what has to be done about it.

    Away      nobody answers, or not now               try again, with a growing pause
    Refused   password, rights                         a person has to look; try again all the same
    Wrong     a key holds what it can not hold         a person has to look; the same fails again

The driver's errors are sorted here and nowhere else. What is not known counts as Away: what is tried again
loses nothing.
"""

from __future__ import annotations

from typing import Final

from redis import exceptions

_REFUSED: Final = (
    exceptions.AuthenticationError,
    exceptions.AuthenticationWrongNumberOfArgsError,
    exceptions.AuthorizationError,
    exceptions.NoPermissionError,
)


class RedisError(Exception):
    """The text names the Redis, and says what it said."""


class RedisAway(RedisError):
    """No master answers, or it can not do it now."""


class RedisRefused(RedisError):
    """The server does not let us in, or not do this."""


class RedisWrong(RedisError):
    """A command does not fit what is there, or the server does not know it."""


def sort_error(error: Exception, where: str) -> RedisError:
    """The error of the driver as one of ours; `where` names the server."""
    text = f"{where}: {error or type(error).__name__}"
    if isinstance(error, _REFUSED):
        return RedisRefused(text)
    if type(error) is exceptions.ResponseError:
        code = str(error).partition(" ")[0]  # the driver has removed it where it was ERR
        if code == "WRONGTYPE" or not code.isupper():
            return RedisWrong(text)
    return RedisAway(text)
