"""Keeps one service running: one that ends by itself is started again, at growing intervals."""

import time
from collections.abc import Callable

from scripts.serving.console import say
from scripts.serving.processes import Child, Processes
from scripts.serving.waits import GrowingWait

FIRST_WAIT_S = 1
MOST_WAIT_S = 60
HEALTHY_AFTER_S = 60


class Keeper:
    """A service that `start` starts and that its neighbours do not notice when it has to be started again."""

    def __init__(self, processes: Processes, start: Callable[[], Child]):
        self._processes, self._start = processes, start
        self._wait = GrowingWait(FIRST_WAIT_S, MOST_WAIT_S)
        self._ended = False
        self._started = time.monotonic()
        self.child = start()

    def check(self) -> None:
        """Starts it again when it has ended and its wait is over."""
        if not self._ended and self.child.status() is not None:
            self._ended = True
            if time.monotonic() - self._started > HEALTHY_AFTER_S:
                self._wait.succeeded()
            wait = self._wait.failed()
            say(f"the {self.child.name} server ended with status {self.child.status()}; it is started again in {wait:g} s")
        if self._ended and self._wait.is_over():
            self._processes.stop(self.child)
            self.child = self._start()
            self._ended = False
            self._started = time.monotonic()
