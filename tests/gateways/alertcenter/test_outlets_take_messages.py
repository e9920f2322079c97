"""Mail, webhook and command against real servers and programs: what arrives, and every way to fail."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from gateways.alertcenter.lines import Alert
from gateways.alertcenter.outlets import Command, Mail, OutletFailed, Webhook, make_outlets
from gateways.alertcenter.settings import AlertcenterSettings, CommandSettings, SmtpSettings, WebhookSettings
from gateways.alertcenter.summary import Message, Summary
from vxutils.exits import ProcessExit


def message() -> Message:
    summary = Summary()
    summary.add(Alert("bo\u00fcx", "[fatal] disk \u20ac full"), 2, 0, 1_000_000)
    return summary.message()


# ---- mail


class MailServer(threading.Thread):
    """Takes one mail, the SMTP of RFC 5321 as far as it is needed; `refuse` is answered to RCPT."""

    def __init__(self, refuse: bytes = b"") -> None:
        super().__init__(daemon=True)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.commands: list[bytes] = []
        self.mail = b""
        self._refuse = refuse

    def run(self) -> None:
        connection, _ = self._listener.accept()
        with connection, connection.makefile("rb") as lines:
            connection.sendall(b"220 test\r\n")
            for line in lines:
                word = line[:4].upper().strip()
                self.commands.append(line.strip())
                if word == b"DATA":
                    connection.sendall(b"354 go on\r\n")
                    while (part := lines.readline()) != b".\r\n":
                        self.mail += part
                    connection.sendall(b"250 taken\r\n")
                elif word == b"RCPT" and self._refuse:
                    connection.sendall(self._refuse + b"\r\n")
                elif word == b"QUIT":
                    connection.sendall(b"221 bye\r\n")
                    return
                else:
                    connection.sendall(b"250 ok\r\n")


def mail_settings(port: int, **changed: Any) -> SmtpSettings:
    given: dict[str, Any] = {
        "sender": "vx@test",
        "recipients": ("a@test", "b@test"),
        "timeout_s": 2.0,
    } | changed
    return SmtpSettings(host="127.0.0.1", port=port, **given)


def test_mail_arrives() -> None:
    server = MailServer()
    server.start()
    Mail(mail_settings(server.port)).send(message())
    server.join(5)
    assert b"mail FROM:<vx@test>" in b" ".join(server.commands)
    assert [line for line in server.commands if line.startswith(b"rcpt")] == [
        b"rcpt TO:<a@test>",
        b"rcpt TO:<b@test>",
    ]
    assert b"\nTo: a@test, b@test\r\n" in server.mail
    assert b"2_fatal_lines" in server.mail or b"2 fatal lines" in server.mail


def test_mail_that_is_not_taken() -> None:
    server = MailServer(refuse=b"550 nobody here")
    server.start()
    with pytest.raises(OutletFailed, match="nobody here"):
        Mail(mail_settings(server.port)).send(message())
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begun = time.monotonic()
        with pytest.raises(OutletFailed, match="timed out"):
            Mail(mail_settings(silent.getsockname()[1], timeout_s=0.2)).send(message())
        assert time.monotonic() - begun < 5
    with pytest.raises(OutletFailed, match="refused"):
        Mail(mail_settings(1)).send(message())


def test_starttls_with_a_server_that_has_none_sends_nothing() -> None:
    server = MailServer()
    server.start()
    with pytest.raises(OutletFailed, match="STARTTLS"):
        Mail(mail_settings(server.port, security="starttls")).send(message())
    assert server.mail == b""


# ---- webhook


class Hook(BaseHTTPRequestHandler):
    """Notes what is posted; the path is the status it answers."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append((self.path, dict(self.headers), json.loads(body)))  # type: ignore[attr-defined]
        status = self.path.strip("/").split("?")[0]
        self.send_response(int(status or "200"))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


@pytest.fixture
def hook() -> Iterator[HTTPServer]:
    server = HTTPServer(("127.0.0.1", 0), Hook)
    server.seen = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def test_webhook_gets_json(hook: HTTPServer, tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("s3cret\n")
    url = f"http://127.0.0.1:{hook.server_port}/204?room=7"
    Webhook(WebhookSettings(url=url, token_file=str(secret))).send(message())
    ((path, headers, body),) = hook.seen  # type: ignore[attr-defined]
    assert path == "/204?room=7"
    assert (headers["Authorization"], headers["Content-Type"]) == ("Bearer s3cret", "application/json")
    assert (body["count"], body["alerts"][0]["host"]) == (2, "bo\u00fcx")
    assert "disk \u20ac full" in body["text"]


def test_webhook_failures(hook: HTTPServer) -> None:
    for status in (302, 404, 500):
        with pytest.raises(OutletFailed, match=f"HTTP status {status}"):
            Webhook(WebhookSettings(url=f"http://127.0.0.1:{hook.server_port}/{status}")).send(message())
    with pytest.raises(OutletFailed, match="refused"):
        Webhook(WebhookSettings(url="http://127.0.0.1:1/")).send(message())
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with pytest.raises(OutletFailed, match="timed out"):
            Webhook(WebhookSettings(url=url, timeout_s=0.2)).send(message())


# ---- command


def command(*arguments: str, timeout_s: float = 5.0) -> Command:
    return Command(CommandSettings(arguments=arguments, timeout_s=timeout_s))


def test_command_gets_the_text_and_no_shell(tmp_path: Path) -> None:
    out = tmp_path / "out $(touch bad)"
    script = 'import os, sys; open(sys.argv[1], "w").write(os.environ["VX_ALERT_SUBJECT"] + sys.stdin.read())'
    command("/usr/bin/env", "python3", "-c", script, str(out)).send(message())
    assert out.read_text() == message().subject + message().text


def test_command_failures(tmp_path: Path) -> None:
    with pytest.raises(OutletFailed, match="ended with 3"):
        command("/bin/sh", "-c", "exit 3").send(message())
    with pytest.raises(OutletFailed, match="No such file"):
        command("/no/such/program").send(message())
    mark = tmp_path / "alive"
    begun = time.monotonic()
    with pytest.raises(OutletFailed, match=r"not done in 0\.3 s"):
        # its child would outlive a kill of the program alone
        command("/bin/sh", "-c", f"(sleep 1; touch {mark}) & sleep 20", timeout_s=0.3).send(message())
    assert time.monotonic() - begun < 10
    time.sleep(1.2)
    assert not mark.exists()


def test_a_command_that_reads_nothing_is_well() -> None:
    command("/bin/true").send(message())


# ---- which ones there are


def test_outlets_are_those_configured(tmp_path: Path) -> None:
    assert make_outlets(AlertcenterSettings()) == []
    settings = AlertcenterSettings(
        smtp=mail_settings(25),
        webhook=WebhookSettings(url="https://hook.test/x"),
        command=CommandSettings(arguments=("/bin/true",)),
    )
    assert [outlet.name for outlet in make_outlets(settings)] == ["smtp", "webhook", "command"]
    missing = WebhookSettings(url="https://hook.test/x", token_file=str(tmp_path / "none"))
    with pytest.raises(ProcessExit, match=r"webhook\.token_file"):
        make_outlets(AlertcenterSettings(webhook=missing))
