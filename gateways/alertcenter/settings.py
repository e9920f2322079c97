"""Settings of the alert centre: one frozen Struct, loaded once at start, passed down in parts.

The fields carry the names of the TOML file, their bounds and their units; a C `config.json` gives the same
Struct through `settings_c`. Nothing here opens a socket or a file other than the settings.

Source: protocol.md 10.1, 10.3, 10.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from gateways.alertcenter import settings_c
from vxnet.address import parse_address
from vxnet.errors import AddressError
from vxutils.alert import ALERT_BYTES_MAX
from vxutils.entry import LoadedSettings
from vxutils.log import LogSettings
from vxutils.settings import AlertSettings, ProcessSettings, stores
from vxutils.settings.addresses import loopback_problems, outgoing_problems
from vxutils.settings.loading import SettingsFile, load
from vxutils.settings.sections import Addresses, AddressText, SocketBufferBytes
from vxutils.store.redis.settings import RedisSettings, redis_problems

PathText = Annotated[str, Meta(min_length=1, max_length=4_096)]
HostText = Annotated[str, Meta(min_length=1, max_length=255)]
MailAddress = Annotated[str, Meta(min_length=3, max_length=255)]
TimeoutS = Annotated[float, Meta(ge=0.1, le=600)]


class LineServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where alerts are taken. `max_pkg_size`: bytes of one line; `connections_max`: TCP sessions."""

    bind: Addresses = ("tcp@127.0.0.1:4444", "udp@127.0.0.1:4444")
    max_pkg_size: Annotated[int, Meta(ge=256, le=1 << 20)] = ALERT_BYTES_MAX
    read_mem: SocketBufferBytes = 0
    connections_max: Annotated[int, Meta(ge=1, le=100_000)] = 1_000


class MonitorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where `GET /health` and `GET /metrics` are answered; None = nowhere."""

    address: AddressText | None = "tcp@127.0.0.1:4445"


class StoreSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How long and how many rows of alerts are kept."""

    keep_days: Annotated[int, Meta(ge=1, le=36_500)] = 365
    rows_max: Annotated[int, Meta(ge=1_000, le=100_000_000)] = 100_000


class SmtpSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Alerts as mail; `host` None = no mail. `password_file`: a file whose only line is the password."""

    host: HostText | None = None
    port: Annotated[int, Meta(ge=1, le=65_535)] = 25
    security: Literal["none", "starttls", "tls"] = "none"
    user: Annotated[str, Meta(max_length=255)] = ""
    password_file: PathText | None = None
    sender: MailAddress | None = None
    recipients: Annotated[tuple[MailAddress, ...], Meta(max_length=64)] = ()
    timeout_s: TimeoutS = 10.0


class WebhookSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Alerts as a POST of JSON; `url` None = none. `token_file`: a file whose only line is a bearer token."""

    url: Annotated[str, Meta(min_length=1, max_length=2_048)] | None = None
    token_file: PathText | None = None
    timeout_s: TimeoutS = 10.0


class CommandSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Alerts to a program of the operator, run without a shell; no `arguments` = none."""

    arguments: Annotated[tuple[PathText, ...], Meta(max_length=64)] = ()
    timeout_s: TimeoutS = 30.0


class ListSettings(RedisSettings, frozen=True, kw_only=True):
    """The list in Redis, and which end of it is ours: lines are pushed onto it, or taken from it."""

    end: Literal["push", "take"] = "push"


class AlertcenterSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the alert centre is told at start.

    `interval_s`: seconds between two messages of one outlet; what comes meanwhile is summarised.
    `alert`: another alert centre, which hears of the end of this one.
    """

    process: ProcessSettings = ProcessSettings(title="alertcenter")
    log: LogSettings = LogSettings()
    alert: AlertSettings = AlertSettings(address=None)
    svr: LineServerSettings = LineServerSettings()
    monitor: MonitorSettings = MonitorSettings()
    interval_s: Annotated[float, Meta(ge=0.1, le=86_400)] = 60.0
    store: StoreSettings = StoreSettings()
    smtp: SmtpSettings = SmtpSettings()
    webhook: WebhookSettings = WebhookSettings()
    command: CommandSettings = CommandSettings()
    redis: ListSettings = ListSettings()


def load_settings(path: Path, embedded: bool) -> LoadedSettings[AlertcenterSettings]:
    """The settings in the file at `path`: our TOML, or a `config.json` of the C system.

    `embedded`: the operator said `--embedded`, so a server which the file names is not used, with a warning.

    Raises: SettingsError with all problems of the file in words.
    """
    file = SettingsFile(
        kind=AlertcenterSettings,
        translate=settings_c.translate,
        check=lambda settings, names: _problems(settings, names, embedded),
        c_names=settings_c.C_NAMES,
    )
    settings, warnings = load(file, path, embedded)
    if embedded and settings.redis.name:
        warnings.append(stores.warning(stores.NamedStore("redis", "Redis", settings.redis.name)))
        settings = msgspec.structs.replace(settings, redis=ListSettings())
    return LoadedSettings(settings, warnings)


def _problems(settings: AlertcenterSettings, names: Mapping[str, str], embedded: bool) -> list[str]:
    problems: list[str] = []
    if not embedded:
        problems += redis_problems("redis", settings.redis)
        if names and not settings.redis.name:
            problems.append(stores.missing("redis"))  # the C system requires it
    for text in settings.svr.bind:
        try:
            kind = parse_address(text).kind
        except AddressError as error:
            problems.append(f"svr.bind: {error}")
            continue
        if kind == "seqpacket":
            problems.append(f"svr.bind: {text} must be an address of kind tcp, udp, stream or dgram")
    problems += outgoing_problems(settings.alert, settings.log, names)
    problems += loopback_problems("monitor.address", settings.monitor.address)
    return problems + _outlet_problems(settings)


def _outlet_problems(settings: AlertcenterSettings) -> list[str]:
    problems = []
    smtp = settings.smtp
    if smtp.host is not None:
        if smtp.sender is None:
            problems.append("smtp.sender: missing, but required for mail")
        if not smtp.recipients:
            problems.append("smtp.recipients: empty, but mail needs somebody to go to")
        problems += [
            f"smtp: {text!r} is no mail address"
            for text in (smtp.sender or "a@b", *smtp.recipients)
            if "@" not in text or not text.isprintable() or " " in text
        ]
        if smtp.user and smtp.password_file is None:
            problems.append("smtp.password_file: missing, but smtp.user is given")
        if smtp.user and smtp.security == "none":
            problems.append("smtp.security: a password is not sent in the clear; use starttls or tls")
    if settings.webhook.url is not None:
        problems += _url_problems(settings.webhook.url)
    return problems


def _url_problems(url: str) -> list[str]:
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_good = False
    if not is_good or not url.isascii() or not url.isprintable() or " " in url:
        return ["webhook.url: must be http://host[:port]/path or https://..."]
    if parts.username is not None:
        return ["webhook.url: holds a name or password; give webhook.token_file instead"]
    return []
