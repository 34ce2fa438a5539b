"""How far the search is: a bar on a terminal, a line for each trial elsewhere."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from optuna.trial import FrozenTrial, TrialState
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from scripts.training.search import mean_f1

logger = logging.getLogger(__name__)


class Advance(Protocol):
    """Told of each finished trial."""

    def __call__(self, trial: FrozenTrial) -> None:
        """One trial more."""


@contextmanager
def trial_progress(total: int, is_terminal: bool | None = None) -> Iterator[Advance]:
    """What to call for each of `total` finished trials; a terminal is standard error, unless told otherwise."""
    best = 0.0
    count = 0

    def remember(trial: FrozenTrial) -> None:
        nonlocal best, count
        count += 1
        if trial.state == TrialState.COMPLETE:
            best = max(best, trial.value)

    def line(trial: FrozenTrial) -> None:
        remember(trial)
        logger.info("trial %d of %d: %s, best %.4f", count, total, outcome(trial), best)

    if not (sys.stderr.isatty() if is_terminal is None else is_terminal):
        yield line
        return
    with logging_redirect_tqdm(), tqdm(total=total, unit="trial", file=sys.stderr) as bar:

        def move(trial: FrozenTrial) -> None:
            remember(trial)
            bar.set_postfix_str(f"best F1 {best:.4f}", refresh=False)
            bar.update()

        yield move


def outcome(trial: FrozenTrial) -> str:
    """What came of a trial, in a few words."""
    if trial.state == TrialState.PRUNED:
        return f"pruned after {trial.last_step} folds at {mean_f1(trial):.4f}"
    return f"cross-validated F1 {trial.value:.4f}"
