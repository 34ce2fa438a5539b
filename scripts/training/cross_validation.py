"""Phase 4: how good parameters are, judged within the training part."""

from collections.abc import Callable, Iterator

import numpy as np
from sklearn.metrics import f1_score
from sklearn.model_selection import RepeatedStratifiedKFold

from scripts.training.catalogue import Catalogue
from scripts.training.forest import Parameters, fit_on_all_cores, make_forest
from scripts.training.split import Split, fit_scaling

FOLDS = 5
FOLD_REPEATS = 2

F1 = Callable[[np.ndarray, np.ndarray], float]


def f1_of(catalogue: Catalogue) -> F1:
    """F1 of labels and predictions: of the positive one of two labels, else the mean over all labels."""
    if len(catalogue.labels) == 2 and catalogue.positive is not None:
        return lambda labels, predicted: float(f1_score(labels, predicted, pos_label=catalogue.positive))
    codes = list(catalogue.codes.values())
    return lambda labels, predicted: float(
        f1_score(labels, predicted, labels=codes, average="macro", zero_division=0)
    )


def fold_scores(parameters: Parameters, split: Split, seed: int, f1: F1) -> Iterator[float]:
    """F1 on each fold of the training part, five folds twice; the scaler is fitted inside each fold."""
    folds = RepeatedStratifiedKFold(n_splits=FOLDS, n_repeats=FOLD_REPEATS, random_state=seed)
    for fit, judge in folds.split(split.train_features, split.train_labels):
        scaling = fit_scaling(split.train_features[fit])
        forest = fit_on_all_cores(
            make_forest(parameters), scaling.apply(split.train_features[fit]), split.train_labels[fit],
        )
        yield f1(split.train_labels[judge], forest.predict(scaling.apply(split.train_features[judge])))


def cross_validated_f1(parameters: Parameters, split: Split, seed: int, f1: F1) -> float:
    """Mean F1 over the folds."""
    return float(np.mean(list(fold_scores(parameters, split, seed, f1))))
