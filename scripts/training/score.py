"""Phase 5: the report on the held-out part, which nothing before has looked at."""

import numpy as np
from scipy import stats
from sklearn.ensemble import RandomForestClassifier

from scripts.training.catalogue import Catalogue
from scripts.training.cross_validation import f1_of

FOREST_SEEDS = 10
CONFIDENCE = 0.95
RESAMPLES = 2_000


def held_out_scores(
    catalogue: Catalogue,
    chosen: RandomForestClassifier,
    same_parameters: list[RandomForestClassifier],
    default: RandomForestClassifier,
    standardised: np.ndarray,
    labels: np.ndarray,
) -> dict[str, float]:
    """F1 of the chosen forest, of forests with its parameters and other seeds, and of a default forest.

    `standardised` is [rows, features], `labels` [rows]; the chosen forest is one of the ten seeds. `SeedLow` and
    `SeedHigh` bound the mean over seeds on these customers (Student's t), `CustomerLow` and `CustomerHigh` the mean
    of the ten forests on other customers like these (bootstrap), both at 95 %.
    """
    f1 = f1_of(catalogue)
    predicted = [forest.predict(standardised) for forest in (chosen, *same_parameters)]
    by_seed = [f1(labels, answer) for answer in predicted]
    mean = f"testF1Mean{FOREST_SEEDS}Seeds"
    seed_low, seed_high = mean_interval(by_seed)
    customer_low, customer_high = customer_interval(catalogue, predicted, labels)
    return {
        "testF1": by_seed[0],
        mean: float(np.mean(by_seed)),
        f"testF1Min{FOREST_SEEDS}Seeds": min(by_seed),
        f"testF1Max{FOREST_SEEDS}Seeds": max(by_seed),
        f"{mean}SeedLow": seed_low,
        f"{mean}SeedHigh": seed_high,
        f"{mean}CustomerLow": customer_low,
        f"{mean}CustomerHigh": customer_high,
        "defaultForestTestF1": f1(labels, default.predict(standardised)),
    }


def mean_interval(values: list[float]) -> tuple[float, float]:
    """Student's t interval of the mean; a point where all values are equal."""
    if min(values) == max(values):
        return values[0], values[0]
    spread = stats.sem(values)
    low, high = stats.t.interval(CONFIDENCE, len(values) - 1, loc=np.mean(values), scale=spread)
    return float(low), float(high)


def customer_interval(
    catalogue: Catalogue, predicted: list[np.ndarray], labels: np.ndarray,
) -> tuple[float, float]:
    """Percentile bootstrap over customers of the forests' mean F1; `predicted` and `labels` are [rows]."""
    weights = np.random.default_rng(0).multinomial(len(labels), np.full(len(labels), 1 / len(labels)), RESAMPLES)
    means = np.mean([weighted_f1(catalogue, answer, labels, weights) for answer in predicted], axis=0)
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def weighted_f1(
    catalogue: Catalogue, predicted: np.ndarray, labels: np.ndarray, weights: np.ndarray,
) -> np.ndarray:
    """F1 as cross_validation.f1_of has it, for each weighting of the rows: [weightings, rows] to [weightings]."""
    codes = np.array([label.code for label in catalogue.labels])
    is_label, is_predicted = labels[:, None] == codes, predicted[:, None] == codes
    hits = weights @ (is_label & is_predicted)
    named = weights @ is_label + weights @ is_predicted
    f1 = np.divide(2 * hits, named, out=np.zeros(hits.shape), where=named > 0)
    if len(codes) == 2 and catalogue.positive is not None:
        return f1[:, codes == catalogue.positive][:, 0]
    return f1.mean(axis=1)
