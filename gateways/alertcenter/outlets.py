"""Where messages to people go: mail, webhook, command. Each `send` blocks, so it has a thread of its own.

Everything has a time limit. Nothing here retries or queues: that is `delivery`. Passwords and tokens come
from files, are read at start, and are never shown.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import smtplib
import ssl
import subprocess
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import urlsplit

import msgspec

from gateways.alertcenter.settings import AlertcenterSettings, CommandSettings, SmtpSettings, WebhookSettings
from gateways.alertcenter.summary import Message
from vxutils.exits import ExitCode, ProcessExit

_SECRET_BYTES_MAX: Final = 4_096
_GOOD_STATUS: Final = range(200, 300)


class OutletFailed(Exception):
    """A message was not taken; the text says why."""


class Outlet(Protocol):
    """One way to people."""

    name: str

    def send(self, message: Message) -> None:
        """Raises: OutletFailed."""

    def abort(self) -> None:
        """Called from another thread when the process stops: end what would outlive it."""


def make_outlets(settings: AlertcenterSettings) -> list[Outlet]:
    """The outlets that are configured. Raises: ProcessExit for a secret that can not be read."""
    outlets: list[Outlet] = []
    if settings.smtp.host is not None:
        outlets.append(Mail(settings.smtp))
    if settings.webhook.url is not None:
        outlets.append(Webhook(settings.webhook))
    if settings.command.arguments:
        outlets.append(Command(settings.command))
    return outlets


class Mail:
    """One mail per message, to all recipients."""

    name = "smtp"

    def __init__(self, settings: SmtpSettings) -> None:
        self._settings = settings
        self._password = _secret("smtp.password_file", settings.password_file)

    def send(self, message: Message) -> None:
        settings = self._settings
        mail = EmailMessage()
        mail["Subject"] = message.subject
        mail["From"] = settings.sender
        mail["To"] = ", ".join(settings.recipients)
        mail["Date"] = formatdate()
        mail["Message-ID"] = make_msgid(domain="vx-alertcenter")
        mail.set_content(message.text)
        assert settings.host is not None
        try:
            with self._connect(settings.host) as server:
                if settings.security == "starttls":
                    server.starttls(context=ssl.create_default_context())
                if settings.user:
                    server.login(settings.user, self._password)
                refused = server.send_message(mail, settings.sender, settings.recipients)
        except (OSError, smtplib.SMTPException) as error:
            raise OutletFailed(f"{settings.host}:{settings.port}: {error}") from error
        if refused:
            raise OutletFailed(f"{settings.host}:{settings.port}: refused for {', '.join(refused)}")

    def abort(self) -> None:
        """Its socket has a time limit, and ends with the process."""

    def _connect(self, host: str) -> smtplib.SMTP:
        settings = self._settings
        if settings.security == "tls":
            context = ssl.create_default_context()
            return smtplib.SMTP_SSL(host, settings.port, timeout=settings.timeout_s, context=context)
        return smtplib.SMTP(host, settings.port, timeout=settings.timeout_s)


class Webhook:
    """One POST of JSON per message: `subject`, `text`, `count`, `alerts`."""

    name = "webhook"

    def __init__(self, settings: WebhookSettings) -> None:
        assert settings.url is not None
        self._timeout_s = settings.timeout_s
        self._url = urlsplit(settings.url)
        self._token = _secret("webhook.token_file", settings.token_file)

    def send(self, message: Message) -> None:
        url = self._url
        headers = {"Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        connection = self._connect()
        try:
            connection.request("POST", path, msgspec.json.encode(message.as_json()), headers)
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            raise OutletFailed(f"{url.hostname}: {error!r}") from error
        finally:
            connection.close()
        if status not in _GOOD_STATUS:
            raise OutletFailed(f"{url.hostname}: HTTP status {status}")

    def abort(self) -> None:
        """Its socket has a time limit, and ends with the process."""

    def _connect(self) -> http.client.HTTPConnection:
        host = self._url.hostname or ""
        if self._url.scheme == "https":
            return http.client.HTTPSConnection(host, self._url.port, timeout=self._timeout_s)
        return http.client.HTTPConnection(host, self._url.port, timeout=self._timeout_s)


class Command:
    """One run of a program per message: the text on its standard input, the subject in VX_ALERT_SUBJECT."""

    name = "command"

    def __init__(self, settings: CommandSettings) -> None:
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    def send(self, message: Message) -> None:
        arguments = list(self._settings.arguments)
        try:
            process = subprocess.Popen(  # noqa: S603 - the operator's own program
                arguments,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=os.environ | {"VX_ALERT_SUBJECT": message.subject, "VX_ALERT_COUNT": str(message.count)},
                process_group=0,  # so that what it started ends with it
            )
        except OSError as error:
            raise OutletFailed(f"{arguments[0]}: {error}") from error
        self._process = process
        try:
            process.communicate(message.text.encode(), timeout=self._settings.timeout_s)
        except subprocess.TimeoutExpired as error:
            raise OutletFailed(f"{arguments[0]}: not done in {self._settings.timeout_s:g} s") from error
        finally:
            self._process = None
            _end(process)
        if process.returncode:
            raise OutletFailed(f"{arguments[0]}: ended with {process.returncode}")

    def abort(self) -> None:
        process = self._process
        if process is not None:
            _kill_group(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends the program and what it has left behind in its group."""
    _kill_group(process)
    process.wait()
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _secret(name: str, path: str | None) -> str:
    """The only line of a file. Raises: ProcessExit."""
    if path is None:
        return ""
    try:
        with Path(path).open(encoding="utf-8") as file:
            return file.read(_SECRET_BYTES_MAX).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ProcessExit(ExitCode.CONFIG, f"{name}: {path} can not be read: {error}") from None
