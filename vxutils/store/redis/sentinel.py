"""The master of a name: asked of the sentinels each time it is used, and asked itself whether it is one.

    sentinels in order --where?--> server --ROLE--> master: connected
         '- the one that answered is asked first the next time
                                    '- replica: once more, ROUNDS in all; then after a pause

So a use never meets the server of before a fail-over, unless it was at work when that happened: then its
replies stop, or say READONLY. What a master had taken and its replica had not is gone after a fail-over;
whoever writes has to look at what is there.

Source: protocol.md 6.5.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Final

from vxutils.store.redis.connection import Connection, Login
from vxutils.store.redis.errors import RedisAway, RedisError
from vxutils.store.redis.settings import RedisLogin, RedisSettings, place

ROUNDS: Final = 3
RETRY_FIRST_S: Final = 0.1
RETRY_MAX_S: Final = 5.0


class Master:
    """Connects to the master that `settings` name. For one thread at a time."""

    def __init__(self, settings: RedisSettings, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.settings = settings
        self._sentinels = [place(text) for text in settings.addr]
        login = settings.login or RedisLogin()
        password = login.password or settings.password
        self._login = Login(login.user, password, login.password_file, login.tls)
        self._sentinel_login = Login(
            login.sentinel_user, login.sentinel_password, login.sentinel_password_file, login.tls
        )
        self._monotonic = monotonic
        self._failure = ""
        self._pause_s = 0.0
        self._open_at_s = 0.0

    def __str__(self) -> str:
        return str(self.settings)

    @contextmanager
    def session(self) -> Iterator[Connection]:
        """A connection to the master for one use.

        Raises: RedisError; at once, with the reason of the last time, while the pause after it lasts.
        """
        with closing(self._open()) as connection:
            yield connection

    def _open(self) -> Connection:
        if self._monotonic() < self._open_at_s:
            raise RedisAway(self._failure)
        try:
            connection = self._connect()
        except RedisError as error:
            self._failure = str(error)
            self._pause_s = min(max(self._pause_s * 2, RETRY_FIRST_S), RETRY_MAX_S)
            self._open_at_s = self._monotonic() + self._pause_s
            raise
        self._pause_s = 0.0
        return connection

    def _connect(self) -> Connection:
        found = ""
        for _ in range(ROUNDS):
            host, port = self._ask_sentinels()
            connection = Connection(host, port, self.settings.db, self._login)
            try:
                role = connection.ask("ROLE")
                if role[0] == "master":
                    return connection
                found = f"{connection} is a {role[0]}"
            except BaseException:
                connection.close()
                raise
            connection.close()
        raise RedisAway(f"{self}: the sentinels' master {found}")

    def _ask_sentinels(self) -> tuple[str, int]:
        reasons = []
        for sentinel in list(self._sentinels):
            try:
                with closing(Connection(*sentinel, login=self._sentinel_login)) as connection:
                    answer = connection.ask("SENTINEL", "get-master-addr-by-name", self.settings.name)
            except RedisError as error:
                reasons.append(str(error))
                continue
            if answer is None:
                reasons.append(f"{sentinel[0]}:{sentinel[1]} knows no master {self.settings.name}")
                continue
            self._sentinels.remove(sentinel)
            self._sentinels.insert(0, sentinel)
            return answer[0], int(answer[1])
        raise RedisAway(f"{self}: no sentinel says where it is: {'; '.join(reasons)}")
