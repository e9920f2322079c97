"""Ctrl-C for us alone when another program, `make` for instance, has started us in its process group.

The terminal sends INT to the whole foreground group. `make` would wait for our orderly stop and then die of
its own INT, so `make run` would fail although everything went well. So we become the foreground group, as a
job of a shell does, and give the terminal back at the end. A shell gives each job its own group: then, and
without a terminal, there is nothing to do.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from types import TracebackType
from typing import Final

_STANDARD_INPUT: Final = 0


class OwnForeground:
    """A context manager; what the terminal and the groups were is restored at the end.

    TSTP (Ctrl-Z) is ignored meanwhile: nobody waits for us who could continue us.
    """

    def __init__(self) -> None:
        self._group_before = 0

    def __enter__(self) -> OwnForeground:
        group = os.getpgrp()
        with suppress(OSError):  # no terminal, or not ours: as it was
            if group != os.getpid() and os.tcgetpgrp(_STANDARD_INPUT) == group:
                os.setpgid(0, 0)
                signal.signal(signal.SIGTSTP, signal.SIG_IGN)
                # Asking for the terminal from the background is answered by TTOU, which would stop us.
                signal.signal(signal.SIGTTOU, signal.SIG_IGN)
                os.tcsetpgrp(_STANDARD_INPUT, os.getpgrp())
                self._group_before = group
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._group_before:
            with suppress(OSError):  # the terminal or the group is gone
                os.tcsetpgrp(_STANDARD_INPUT, self._group_before)
                os.setpgid(0, self._group_before)
