"""Versions that were not let in, why, and when they are tried again."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from scripts.serving.registry import Version
from scripts.serving.status_file import now, timestamp
from scripts.serving.waits import GrowingWait

FIRST_WAIT_S = 15
MOST_WAIT_S = 300
REMEMBERED = 5


@dataclass
class Refusal:
    """One version's; `next_try` is by the wall clock, for people."""

    version: Version
    reason: str
    since: datetime
    next_try: datetime
    wait: GrowingWait


class Refusals:
    """A refused version is due again at growing intervals, and at once when the registry's entry of it changes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._by_number: dict[str, Refusal] = {}

    def add(self, version: Version, reason: str) -> float:
        """Remembers it; in how many seconds it is due again."""
        before = self._by_number.pop(version.number, None)
        is_same = before is not None and before.version == version
        wait = before.wait if is_same else GrowingWait(FIRST_WAIT_S, MOST_WAIT_S, self._clock)
        seconds = wait.failed()
        since = before.since if is_same and before.reason == reason else now()
        self._by_number[version.number] = Refusal(version, reason, since, now() + timedelta(seconds=seconds), wait)
        for number in list(self._by_number)[:-REMEMBERED]:
            del self._by_number[number]
        return seconds

    def forget(self, version: Version) -> None:
        """It was let in."""
        self._by_number.pop(version.number, None)

    def is_due(self, version: Version) -> bool:
        """Whether it may be tried now."""
        refusal = self._by_number.get(version.number)
        return refusal is None or refusal.version != version or refusal.wait.is_over()

    def summary(self) -> list[dict]:
        """For status.json, the last one first."""
        return [
            {"version": one.version.number, "reason": one.reason, "attempts": one.wait.failures,
             "since": timestamp(one.since), "nextTry": timestamp(one.next_try)}
            for one in reversed(self._by_number.values())
        ]
