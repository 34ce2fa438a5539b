"""What callers connect to, and how they are moved from one scoring server to the next."""

from typing import Protocol

from scripts.serving.scoring import Scoring, ScoringServers


class Front(Protocol):
    """Callers' side of the scoring servers."""

    name: str

    def check(self) -> None:
        """Starts again what ended by itself."""

    def move_to(self, served: Scoring, before: Scoring | None) -> Scoring:
        """New calls go to `served`; the server that answers from now on. Raises FrontFailed, and then nothing moved."""

    def take_back(self, served: Scoring) -> None:
        """One that was started again takes calls once more."""

    def close(self, served: Scoring) -> None:
        """No call goes to it any more: it has ended, or will be."""

    def in_flight(self, served: Scoring) -> int:
        """Calls that it still computes."""


class FrontFailed(Exception):
    """Callers could not be moved; the message says why."""


class DirectFront:
    """No front: gunicorn itself listens where callers call. A promotion costs them the time of a restart."""

    name = "none"

    def __init__(self, servers: ScoringServers):
        self._servers = servers

    def check(self) -> None:
        """There is nothing beside the scoring server."""

    def move_to(self, served: Scoring, before: Scoring | None) -> Scoring:
        """Stops both, the one before and the private one, and starts the version where callers call."""
        self._servers.stop(served)
        if before:
            self._servers.stop(before)
        return self._servers.start_public(served.version, served.golden)

    def take_back(self, served: Scoring) -> None:
        """It listens already."""

    def close(self, served: Scoring) -> None:
        """Whoever stops it closes it."""

    def in_flight(self, served: Scoring) -> int:
        """gunicorn ends its calls itself when it is stopped."""
        return 0
