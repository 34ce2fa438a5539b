"""Figures that follow from the confusion matrix, and their 95 % intervals.

A matrix is int [..., labels, labels]: row what happened, column what the model said. `focus` are the labels that
a figure is about: one gives its own figure, several the mean over them (macro).
"""

import numpy as np
from scipy.stats import norm

CONFIDENCE = 0.95
DRAWS = 2000

Interval = tuple[float, float]


def confusion_matrix(truth: np.ndarray, answered: np.ndarray, labels: int) -> np.ndarray:
    """Counts [labels, labels] of label indexes [n]."""
    return np.bincount(truth * labels + answered, minlength=labels**2).reshape(labels, labels)


def precision(matrix: np.ndarray, focus: list[int]) -> np.ndarray:
    """Of the customers given a label, the share that has it; 0 where it was never given."""
    return mean_ratio(diagonal(matrix), matrix.sum(axis=-2), focus)


def recall(matrix: np.ndarray, focus: list[int]) -> np.ndarray:
    """Of the customers with a label, the share that was given it."""
    return mean_ratio(diagonal(matrix), matrix.sum(axis=-1), focus)


def f1(matrix: np.ndarray, focus: list[int]) -> np.ndarray:
    """Harmonic mean of precision and recall: 2 TP / (2 TP + FP + FN)."""
    return mean_ratio(2 * diagonal(matrix), matrix.sum(axis=-1) + matrix.sum(axis=-2), focus)


def accuracy(matrix: np.ndarray) -> np.ndarray:
    """The share of right labels."""
    return diagonal(matrix).sum(axis=-1) / matrix.sum(axis=(-2, -1))


def diagonal(matrix: np.ndarray) -> np.ndarray:
    """The right labels [..., labels]."""
    return np.diagonal(matrix, axis1=-2, axis2=-1)


def mean_ratio(part: np.ndarray, whole: np.ndarray, focus: list[int]) -> np.ndarray:
    """part / whole (0 where the whole is 0), mean over the labels in focus."""
    ratio = np.divide(part, whole, out=np.zeros(part.shape, dtype=float), where=whole > 0)
    return ratio[..., focus].mean(axis=-1)


def resample(matrix: np.ndarray, rng: np.random.Generator, draws: int = DRAWS) -> np.ndarray:
    """Bootstrap of the customers, stratified by what happened: matrices [draws, ...] as `matrix` [labels, ...].

    To draw rows of one label with replacement and to count their cells is to draw the cells from a multinomial.
    """
    drawn = [
        rng.multinomial(cells.sum(), cells.ravel() / max(cells.sum(), 1), size=draws).reshape(draws, *cells.shape)
        for cells in matrix
    ]
    return np.stack(drawn, axis=1)


def percentiles(values: np.ndarray) -> Interval:
    """The middle 95 % of bootstrap values [draws]."""
    low, high = np.quantile(values, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def wilson(hits: int, n: int) -> Interval:
    """Wilson's score interval of a proportion (E. B. Wilson, 1927); (0, 1) where nothing was counted."""
    if n == 0:
        return 0.0, 1.0
    z = norm.ppf((1 + CONFIDENCE) / 2)
    share = hits / n
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return float(max(0.0, middle - half)), float(min(1.0, middle + half))
