"""Whether probabilities mean what they say, for one label against the rest."""

from dataclasses import asdict, dataclass

import numpy as np

from scripts.evaluation.confusion import wilson

BINS = 10
SIMULATIONS = 2000


@dataclass(frozen=True)
class Bin:
    """Customers with about the same probability: the mean of it, and the share to whom it happened."""

    n: int
    said: float
    happened: float
    low: float
    high: float


@dataclass(frozen=True)
class Calibration:
    """`error`: expected calibration error, the bins' mean distance between said and happened, by customers.

    `error_if_calibrated` is what 95 % of samples this large stay below when every probability is right: the error
    is above 0 for chance alone.
    """

    error: float
    error_if_calibrated: float
    bins: tuple[Bin, ...]

    def as_json(self) -> dict:
        """As evaluation.json has it."""
        return {
            "expectedCalibrationError": self.error,
            "expectedCalibrationErrorIfCalibrated95": self.error_if_calibrated,
            "bins": [asdict(one) for one in self.bins],
        }


def calibrate(said: np.ndarray, happened: np.ndarray, rng: np.random.Generator) -> Calibration:
    """Ten bins with about as many customers each, from probabilities [n] and what happened, bool [n]."""
    groups = np.array_split(np.argsort(said, kind="stable"), min(BINS, len(said)))
    sizes = np.array([len(group) for group in groups])
    bins = tuple(make_bin(said[group], happened[group]) for group in groups)
    means = np.array([one.said for one in bins])
    gaps = np.abs(means - np.array([one.happened for one in bins]))
    by_chance = np.stack([bin_draws(said[group], rng) for group in groups], axis=1)
    chance_errors = (np.abs(by_chance - means) * sizes).sum(axis=1) / sizes.sum()
    return Calibration(
        float((gaps * sizes).sum() / sizes.sum()), float(np.quantile(chance_errors, 0.95)), bins,
    )


def make_bin(said: np.ndarray, happened: np.ndarray) -> Bin:
    """One bin, with Wilson's interval of its share."""
    hits = int(happened.sum())
    low, high = wilson(hits, len(said))
    return Bin(len(said), float(said.mean()), hits / len(said), low, high)


def bin_draws(said: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Shares [simulations] in a bin whose probabilities [n] are right; a normal law stands for a large bin."""
    if len(said) <= 1000:
        return (rng.random((SIMULATIONS, len(said))) < said).mean(axis=1)
    deviation = np.sqrt((said * (1 - said)).sum()) / len(said)
    return rng.normal(said.mean(), deviation, SIMULATIONS)
