"""Notices a scoring server that has ended, or that runs and answers no more."""

import time
from collections.abc import Callable

from scripts.serving.http import answers
from scripts.serving.scoring import Scoring, last_line

PING_EVERY_S = 10
MISSED_PINGS = 3


class Watchdog:
    """Its pings are rare and short: they wait behind running calls, so that a busy server may miss one or two."""

    def __init__(self, ping: Callable[[Scoring], bool] | None = None, clock: Callable[[], float] = time.monotonic):
        self._ping = ping or (lambda served: answers(f"{served.address}/ping", served.context))
        self._clock = clock
        self._next = 0.0
        self._missed = 0

    def watch(self, served: Scoring) -> None:
        """Begins anew: `served` has just answered."""
        self._missed = 0
        self._next = self._clock() + PING_EVERY_S

    def fault(self, served: Scoring) -> str | None:
        """What is wrong with it, None when nothing is."""
        status = served.child.status()
        if status is not None:
            return f"it ended with status {status} ({last_line(served.child)})"
        if self._clock() < self._next:
            return None
        self._missed = 0 if self._ping(served) else self._missed + 1
        self._next = self._clock() + PING_EVERY_S
        return f"it missed {MISSED_PINGS} pings" if self._missed >= MISSED_PINGS else None
