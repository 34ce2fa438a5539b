"""The forest: its parameters, its training and its fingerprint."""

import hashlib

import numpy as np
from sklearn.ensemble import RandomForestClassifier

WEIGHT_SPREAD = 0.01

Parameters = dict[str, int | float | str | None]


def make_forest(parameters: Parameters, seed: int | None = None) -> RandomForestClassifier:
    """A forest on one core, so that threads of a server do not multiply; `seed` replaces the parameters' own."""
    forest = RandomForestClassifier(n_jobs=1, **parameters)
    return forest if seed is None else forest.set_params(random_state=seed)


def fit_forest(
    parameters: Parameters, standardised: np.ndarray, labels: np.ndarray, seed: int | None = None,
) -> RandomForestClassifier:
    """A forest fitted to rows [n, features] and labels [n], each row weighing between 0.99 and 1.01.

    With equal weights, leaves of a few customers have simple fractions whose mean is often exactly 0.5. The
    label is then a matter of rounding, in which float32 and float64 disagree. The weights follow the seed.
    """
    forest = make_forest(parameters, seed)
    rng = np.random.default_rng(forest.random_state)
    weights = rng.uniform(1 - WEIGHT_SPREAD, 1 + WEIGHT_SPREAD, len(labels))
    return fit_on_all_cores(forest, standardised, labels, weights)


def fit_on_all_cores(
    forest: RandomForestClassifier, rows: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None,
) -> RandomForestClassifier:
    """Fits with a thread a core, which gives the same trees, and leaves the forest on one core for predicting.

    Predicting on several adds the trees up in whatever order they finish, hence with other last bits each time.
    """
    return forest.set_params(n_jobs=-1).fit(rows, labels, sample_weight=weights).set_params(n_jobs=1)


def default_parameters(seed: int) -> Parameters:
    """scikit-learn's own defaults."""
    return {"random_state": seed}


def forest_sha256(forest: RandomForestClassifier) -> str:
    """The fingerprint of a fitted forest: its labels and every tree, to the last bit, and nothing else."""
    digest = hashlib.sha256(repr(forest.classes_.tolist()).encode())
    for tree in (estimator.tree_ for estimator in forest.estimators_):
        for part in (tree.children_left, tree.children_right, tree.feature, tree.threshold, tree.value):
            digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()
