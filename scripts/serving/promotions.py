"""Follows the registry: the version that is promoted is proved beside the one that answers, and then takes its calls.

The live version is `starting` (proved once, and started again where it was) or answers. A candidate starts on a private
port, and becomes live when it has proved itself, or is refused. The version before drains, and is then stopped. Every
step is short, so that whatever else ends meanwhile is noticed.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from scripts.serving.console import say
from scripts.serving.front import Front, FrontFailed
from scripts.serving.options import ServingOptions
from scripts.serving.proof import GoldenRows, golden_rows
from scripts.serving.refusals import Refusals
from scripts.serving.registry import NoContract, Registry, RegistryAway, Version
from scripts.serving.scoring import NotServing, Scoring, ScoringServers
from scripts.serving.status_file import StatusFile, now, timestamp
from scripts.serving.waits import GrowingWait
from scripts.serving.watchdog import Watchdog

FIRST_RESTART_S = 0.5
MOST_RESTART_S = 60


@dataclass
class Live:
    """The version that callers are given; it is not `up` while it starts again."""

    served: Scoring
    since: str
    wait: GrowingWait
    is_up: bool = False
    is_ended: bool = False
    restarts: int = 0


class Promotions:
    """`step` does what is due and returns at once."""

    def __init__(
        self, options: ServingOptions, registry: Registry, servers: ScoringServers, front: Front, status: StatusFile,
        announce: Callable[[Version], None],
    ):
        self._options, self._registry, self._servers, self._front = options, registry, servers, front
        self._status, self._announce = status, announce
        self._refusals = Refusals()
        self._watchdog = Watchdog()
        self._remembered = status.last_live(options.model_name)
        self._wanted: Version | None = None
        self._registry_fault: str | None = "not read yet"
        self._next_look = 0.0
        self._live: Live | None = None
        self._candidate: Scoring | None = None
        self._draining: tuple[Scoring, float] | None = None

    def step(self) -> None:
        """Looks at the registry when that is due, and brings everything one step nearer to what it wants."""
        if time.monotonic() >= self._next_look:
            self._look()
            self._next_look = time.monotonic() + self._options.poll_seconds
        self._tend_live()
        self._tend_draining()
        if self._candidate:
            self._tend_candidate(self._candidate)
        elif not self._draining:
            self._start_candidate()
        self._status.write(self._summary())

    def _look(self) -> None:
        try:
            wanted = self._registry.read_live(self._options.model_name, self._options.stage)
        except RegistryAway as error:
            if self._registry_fault != str(error):
                say(f"{error}; what is served goes on")
            self._registry_fault = str(error)
            return
        if self._registry_fault or (wanted is None) != (self._wanted is None):
            self._say_waiting(wanted)
        self._wanted, self._registry_fault = wanted, None

    def _say_waiting(self, wanted: Version | None) -> None:
        if wanted is None and not self._live:
            say(f"waiting for a version of {self._options.model_name} in {self._options.stage}: run scripts.training")
        elif wanted is None:
            say(f"no version is in {self._options.stage} any more; version {self._live.served.version.number} goes on")

    # The live version

    def _tend_live(self) -> None:
        live = self._live
        if not live:
            return
        if live.is_ended:
            if live.wait.is_over():
                self._servers.stop(live.served)
                live.served = self._servers.start_again(live.served)
                live.is_ended = False
                live.restarts += 1
        elif live.is_up:
            fault = self._watchdog.fault(live.served)
            if fault:
                self._front.close(live.served)
                self._end_live(live, fault)
        else:
            self._bring_back(live)

    def _bring_back(self, live: Live) -> None:
        try:
            if live.served.is_ready(self._options):
                self._front.take_back(live.served)
                live.is_up = True
                self._announce_once(live)
        except (NotServing, FrontFailed) as error:
            self._end_live(live, str(error))

    def _end_live(self, live: Live, reason: str) -> None:
        live.is_up, live.is_ended = False, True
        wait = live.wait.failed()
        say(f"version {live.served.version.number} does not answer any more: {reason}; it is started again in {wait:g} s")

    def _announce_once(self, live: Live) -> None:
        live.wait.succeeded()
        self._watchdog.watch(live.served)
        self._announce(live.served.version)

    # The candidate

    def _start_candidate(self) -> None:
        version = self._next_version()
        if version is None:
            return
        try:
            golden = self._golden_rows(version)
        except (NoContract, RegistryAway) as error:
            self._refuse(version, str(error))
            return
        say(f"version {version.number} is in {self._options.stage}; it is started on a private port")
        self._candidate = self._servers.start_private(version, golden)

    def _next_version(self) -> Version | None:
        """What is promoted; while nothing answers, and that is refused, what answered before the last start."""
        wanted = self._wanted
        if wanted and not (self._live and self._live.served.version.number == wanted.number) and self._refusals.is_due(wanted):
            return wanted
        if self._live or not wanted or self._remembered in (None, wanted.number):
            return None
        try:
            before = self._registry.read_version(self._options.model_name, self._remembered)
        except RegistryAway:
            return None
        if before is None:
            self._remembered = None
        return before if before and self._refusals.is_due(before) else None

    def _golden_rows(self, version: Version) -> GoldenRows | None:
        try:
            contract = self._registry.read_contract(version)
        except NoContract as error:
            if not self._options.serve_unproved:
                raise NoContract(f"{error}; --serve-unproved serves it all the same") from error
            say(f"version {version.number}: {error}; it is served without a proof, as --serve-unproved says")
            return None
        return golden_rows(contract, version)

    def _tend_candidate(self, candidate: Scoring) -> None:
        number = candidate.version.number
        if self._live and not self._registry_fault and (self._wanted is None or self._wanted.number != number):
            say(f"version {number} is not in {self._options.stage} any more; it is not moved to")
            self._drop(candidate)
            return
        try:
            if candidate.is_ready(self._options):
                self._move_to(candidate)
        except (NotServing, FrontFailed) as error:
            self._drop(candidate)
            self._refuse(candidate.version, str(error))

    def _drop(self, candidate: Scoring) -> None:
        self._candidate = None
        self._servers.stop(candidate)

    def _refuse(self, version: Version, reason: str) -> None:
        wait = self._refusals.add(version, reason)
        say(f"version {version.number} is not let in: {reason}. It is tried again in {wait:g} s, or when the registry changes")
        if self._live:
            say(f"version {self._live.served.version.number} goes on")

    def _move_to(self, candidate: Scoring) -> None:
        before = self._live.served if self._live else None
        served = self._front.move_to(candidate, before)
        self._candidate = None
        self._refusals.forget(candidate.version)
        self._live = Live(served, timestamp(now()), GrowingWait(FIRST_RESTART_S, MOST_RESTART_S))
        if served is not candidate:
            return
        self._live.is_up = True
        proof = f"{len(candidate.golden.labels)} golden rows" if candidate.golden else "nothing"
        say(f"version {candidate.version.number} answers, proved by {proof}, {time.monotonic() - candidate.started:.1f} s after its start")
        self._announce_once(self._live)
        if before:
            self._draining = (before, time.monotonic() + self._options.drain_timeout_seconds)

    # The version before

    def _tend_draining(self) -> None:
        if not self._draining:
            return
        served, until = self._draining
        try:
            left = self._front.in_flight(served)
        except FrontFailed:
            left = 1
        is_late = time.monotonic() > until
        if left and not is_late and served.child.status() is None:
            return
        if left and is_late:
            say(f"version {served.version.number} still has {left} calls after "
                f"{self._options.drain_timeout_seconds:g} s; they are cut off")
        self._front.close(served)
        self._servers.stop(served)
        self._draining = None
        say(f"version {served.version.number} has ended")

    def _summary(self) -> dict:
        live, candidate = self._live, self._candidate
        return {
            "model": self._options.model_name,
            "stage": self._options.stage,
            "front": self._front.name,
            "registry": {"version": self._wanted.number if self._wanted else None, "fault": self._registry_fault},
            "live": live and {
                "version": live.served.version.number, "answers": live.is_up, "since": live.since,
                "goldenRows": len(live.served.golden.labels) if live.served.golden else 0, "restarts": live.restarts,
            },
            "lastLive": live.served.version.number if live else self._remembered,
            "candidate": candidate and candidate.version.number,
            "draining": self._draining and self._draining[0].version.number,
            "refused": self._refusals.summary(),
        }
