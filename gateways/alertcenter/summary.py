"""What has to be told to people: alerts grouped by host and kind, as one message.

Lines that differ only in their numbers are one group; so a crash loop is one line with a count, however long
it lasted. Bounded: with more than GROUPS_MAX groups the rest is counted. Pure.
"""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import Any, Final

import msgspec

from gateways.alertcenter.lines import Alert
from gateways.alertcenter.minute import shape

GROUPS_MAX: Final = 50
HOSTS_NAMED_MAX: Final = 3
TEXT_CHARACTERS_MAX: Final = 2_000  # of one group; the whole line is in the store


class Group(msgspec.Struct):
    """Lines of one host and kind; `text` is the first of them."""

    host: str
    text: str
    count: int
    first_us: int
    last_us: int


class Message(msgspec.Struct, frozen=True):
    """What an outlet sends."""

    subject: str
    text: str
    count: int
    groups: tuple[Group, ...]

    def as_json(self) -> dict[str, Any]:
        """For programs; times in ISO format, UTC."""
        alerts = [
            {
                "host": group.host,
                "text": group.text,
                "count": group.count,
                "first": time_text(group.first_us, UTC),
                "last": time_text(group.last_us, UTC),
            }
            for group in self.groups
        ]
        return {"subject": self.subject, "text": self.text, "count": self.count, "alerts": alerts}


class Summary:
    """Groups that wait to be told. `last_us`: the time of the newest line in it."""

    def __init__(self) -> None:
        self.count = 0
        self.last_us = 0
        self._groups: dict[tuple[str, str], Group] = {}
        self._others = 0

    def add(self, alert: Alert, count: int, first_us: int, last_us: int) -> None:
        """Notes `count` lines."""
        self.count += count
        self.last_us = max(self.last_us, last_us)
        key = (alert.host, shape(alert.text))
        group = self._groups.get(key)
        if group is not None:
            group.count += count
            group.first_us = min(group.first_us, first_us)
            group.last_us = max(group.last_us, last_us)
        elif len(self._groups) < GROUPS_MAX:
            self._groups[key] = Group(alert.host, alert.text[:TEXT_CHARACTERS_MAX], count, first_us, last_us)
        else:
            self._others += count

    def include(self, later: Summary) -> None:
        """Takes over what another one, begun later, has."""
        self._others += later._others
        self.count += later._others
        self.last_us = max(self.last_us, later.last_us)
        for group in later._groups.values():
            self.add(Alert(group.host, group.text), group.count, group.first_us, group.last_us)

    def message(self) -> Message:
        """As it is now. Cost: grows with the number of groups, at most GROUPS_MAX."""
        groups = tuple(msgspec.structs.replace(group) for group in self._groups.values())
        hosts = list(dict.fromkeys(group.host for group in groups))
        shown = ", ".join(hosts[:HOSTS_NAMED_MAX])
        if len(hosts) > HOSTS_NAMED_MAX:
            shown += f" and {len(hosts) - HOSTS_NAMED_MAX} more"
        subject = f"[VX alert] {self.count} fatal {'line' if self.count == 1 else 'lines'} from {shown}"
        lines = [_line(group) for group in groups]
        if self._others:
            lines.append(f"and {self._others} lines of other kinds: `alertcenter list` has them")
        return Message(subject, "\n".join(lines) + "\n", self.count, groups)


def time_text(time_us: int, zone: tzinfo | None = None) -> str:
    """ISO date and time of a zone (None: of this machine), to the second."""
    moment = datetime.fromtimestamp(time_us // 1_000_000, tz=zone)
    return (moment if zone is not None else moment.astimezone()).isoformat(sep=" ")


def _line(group: Group) -> str:
    times = time_text(group.first_us)
    if group.count > 1:
        times += f", {group.count} times until {time_text(group.last_us)}"
    return f"{times}\n  {group.host}: {group.text}"
