"""Growing waits between attempts at something that keeps failing."""

import time
from collections.abc import Callable


class GrowingWait:
    """A wait that doubles with each failure, from `first` to `most` seconds, and begins again after a success."""

    def __init__(self, first: float, most: float, clock: Callable[[], float] = time.monotonic):
        self._first, self._most, self._clock = first, most, clock
        self.failures = 0
        self._over_at = clock()

    def failed(self) -> float:
        """Counts a failure; how many seconds from now the next attempt is due."""
        wait = min(self._first * 2**self.failures, self._most)
        self.failures += 1
        self._over_at = self._clock() + wait
        return wait

    def succeeded(self) -> None:
        """The next failure is a first one."""
        self.failures = 0
        self._over_at = self._clock()

    def is_over(self) -> bool:
        """Whether the next attempt is due."""
        return self._clock() >= self._over_at
