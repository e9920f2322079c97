"""What a restored exchange finds of its past in a topic, after the point where the backup was taken.

    sequence up to `kept`   in the backup too: it was sent, and is not sent again
    after it                given up: whoever read it has it, and it is only counted

Its epochs tell it from what comes after the restore, which opened a far higher one.
"""

from __future__ import annotations

from vxutils.store.kafka.floor import Floor, GivenUpPast
from vxutils.store.kafka.headers import Origin


class Past:
    """Counts the messages of one topic. `found`: the highest sequence that is kept; `lost`: how many were
    given up, of which `last` is the highest. Without a past it takes none."""

    def __init__(self, given_up: GivenUpPast | None) -> None:
        self.kept = given_up.kept if given_up is not None else 0
        self.found = self.lost = self.last = 0
        self._epoch = given_up.epoch if given_up is not None else -1

    def take(self, origin: Origin, floor: Floor) -> bool:
        """Whether the message is one of these, and not of the batch in flight."""
        if origin.system != floor.system or origin.id.epoch > self._epoch:
            return False
        if floor.in_flight is not None and origin.batch == floor.in_flight.batch:
            return False
        if origin.id.sequence <= self.kept:
            self.found = max(self.found, origin.id.sequence)
        else:
            self.lost += 1
            self.last = max(self.last, origin.id.sequence)
        return True
