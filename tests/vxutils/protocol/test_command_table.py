"""The command table agrees with its constants and with itself. Source: protocol.md 2.1."""

from __future__ import annotations

from vxutils.protocol import commands
from vxutils.protocol.commands import BY_ID, BY_NAME, COMMANDS, Service


def test_every_constant_names_its_row() -> None:
    constants = {
        name: value for name, value in vars(commands).items() if name.isupper() and isinstance(value, int)
    }
    assert {name.lower().replace("_", ".", 1): value for name, value in constants.items()} == {
        command.name: command.id for command in COMMANDS
    }


def test_lookups_are_complete() -> None:
    assert list(BY_ID.values()) == list(BY_NAME.values()) == list(COMMANDS)
    assert len(COMMANDS) == 24


def test_who_serves_and_what_changes() -> None:
    ids = {service: [c.id for c in COMMANDS if c.served_by is service] for service in Service}
    assert ids == {
        Service.ALL: [0],
        Service.MATCHENGINE: [101, 102, 104, 105, 201, 202, 203, 204, 205, 206, 207, 307, 308],
        Service.MARKETPRICE: [301, 302, 303, 304, 305],
        Service.READHISTORY: [103, 208, 209, 210, 306],
    }
    assert [command.id for command in COMMANDS if command.mutating] == [102, 201, 202, 204]
