"""Figures of how well probabilities order the customers, for one label against the rest, with bootstrap draws.

`weights` [draws, n] says how often each customer was drawn; one row of ones is the sample itself.
"""

from collections.abc import Callable, Iterator

import numpy as np

CELLS_AT_ONCE = 4_000_000
CELLS_IN_ALL = 200_000_000
MOST_DRAWS, FEWEST_DRAWS = 1000, 200

Measure = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def area_under_roc(score: np.ndarray, happened: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The chance that a customer with the label scores higher than one without, ties counting half [draws]."""
    with_label, without = tied_sums(score, happened, weights)
    below = without.cumsum(axis=1) - without
    won = (with_label * (below + without / 2)).sum(axis=1)
    return won / (with_label.sum(axis=1) * without.sum(axis=1))


def average_precision(score: np.ndarray, happened: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Sum over the thresholds of precision times the gain in recall, without interpolation [draws]."""
    with_label, without = tied_sums(-score, happened, weights)
    found = with_label.cumsum(axis=1)
    taken = found + without.cumsum(axis=1)
    precision = np.divide(found, taken, out=np.zeros(found.shape), where=taken > 0)
    return (with_label * precision).sum(axis=1) / found[:, -1]


def brier_score(score: np.ndarray, happened: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean squared distance between probability and what happened [draws]."""
    return weights @ (score - happened) ** 2 / weights.sum(axis=1)


def tied_sums(score: np.ndarray, happened: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weight of customers with and without the label at each distinct score, ascending: two [draws, scores]."""
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.diff(score[order], prepend=-np.inf))
    ordered, with_label = weights[:, order].astype(float), happened[order]
    return (
        np.add.reduceat(ordered * with_label, starts, axis=1),
        np.add.reduceat(ordered * ~with_label, starts, axis=1),
    )


def draw_weights(truth: np.ndarray, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Stratified bootstrap as weights, in blocks [some draws, n] that fit into memory.

    A thousand draws; fewer, down to 200, for more than 200,000 customers.
    """
    draws = int(np.clip(CELLS_IN_ALL // len(truth), FEWEST_DRAWS, MOST_DRAWS))
    strata = [np.flatnonzero(truth == label) for label in np.unique(truth)]
    block = max(1, CELLS_AT_ONCE // len(truth))
    for start in range(0, draws, block):
        weights = np.zeros((min(block, draws - start), len(truth)), dtype=np.int32)
        for row in weights:
            for places in strata:
                row[places] = np.bincount(rng.integers(len(places), size=len(places)), minlength=len(places))
        yield weights


def mean_over(
    measure: Measure, probabilities: np.ndarray, truth: np.ndarray, focus: list[int], weights: np.ndarray,
) -> np.ndarray:
    """The measure of each label in focus that occurs and is not everyone's, mean over them [draws]."""
    present = [label for label in focus if 0 < (truth == label).sum() < len(truth)]
    values = [measure(probabilities[:, label], truth == label, weights) for label in present]
    return np.mean(values, axis=0) if values else np.full(len(weights), np.nan)
