"""The section `[authentication]`: what makes sense, and what a config.json of the C system becomes."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from msgspec import UNSET

from gateways.common.account_authenticator import AccountAuthenticator
from gateways.common.authentication import make_authenticator
from gateways.common.service_authenticator import ServiceAuthenticator
from gateways.common.settings import AuthenticationSettings, authentication_problems
from gateways.common.settings_c import authentication_table
from vxnet.loop import new_event_loop

URL = "https://auth.example:8443/check?v=1"

# mode, auth_url, sign_url, what is wrong
SECTIONS = [
    ("accounts", None, None, ""),
    ("service", URL, None, ""),
    ("service", None, "http://[::1]/sign", ""),
    ("service", None, None, 'authentication: mode "service" needs auth_url or sign_url'),
    ("accounts", URL, None, "authentication.auth_url: is not used with mode"),
    ("service", "auth.example/check", None, "is no URL such as http://"),
    ("service", "ftp://auth.example/", None, "is no URL such as http://"),
    ("service", "http:///check", None, "is no URL such as http://"),
    ("service", "http://a:0/", None, "is no URL such as http://"),
    ("service", "http://a:99999/", None, "is no valid URL"),
    ("service", "http://[::1/", None, "is no valid URL"),
    ("service", "http://a/\r\nX: 1", None, "printable ASCII"),
    ("service", "http://a/ b", None, "printable ASCII"),
    ("service", URL, "http://user:hunter2@a/", "authentication.sign_url: a name or password in a URL"),
]


@pytest.mark.parametrize(("mode", "auth_url", "sign_url", "problem"), SECTIONS)
def test_sections(mode: str, auth_url: str | None, sign_url: str | None, problem: str) -> None:
    section = msgspec.convert(
        {"mode": mode, "auth_url": auth_url, "sign_url": sign_url}, AuthenticationSettings
    )
    problems = authentication_problems(section, {})
    assert "hunter2" not in str(problems)
    if problem:
        (found,) = problems
        assert problem in found
    else:
        assert not problems


def test_c_keys() -> None:
    table = authentication_table("http://a/auth", "http://a/sign", 0.5)
    section = msgspec.convert(table, AuthenticationSettings)
    assert section == AuthenticationSettings(
        mode="service", auth_url="http://a/auth", sign_url="http://a/sign", timeout_s=0.5
    )
    assert "timeout_s" not in authentication_table("http://a/auth", "http://a/sign", UNSET)
    wrong = msgspec.structs.replace(section, auth_url="a")
    (problem,) = authentication_problems(wrong, {"authentication.auth_url": "auth_url"})
    assert problem.startswith("auth_url: ")


def test_settings_choose_the_authenticator(tmp_path: Path) -> None:
    loop = new_event_loop()
    made = [
        type(make_authenticator(loop, section, tmp_path, lambda: None))
        for section in (AuthenticationSettings(), AuthenticationSettings(mode="service", auth_url=URL))
    ]
    assert made == [AccountAuthenticator, ServiceAuthenticator]
    loop.close()
