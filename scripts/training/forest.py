"""Phase 4: the forest, its cross-validated score and the search for its parameters."""

from collections.abc import Callable

import numpy as np
import optuna
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import RepeatedStratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from scripts.training.split import Split

FOLDS = 5
FOLD_REPEATS = 2
WEIGHT_SPREAD = 0.01

Parameters = dict[str, int | float | str | None]
TrialReport = Callable[[int, Parameters, float], None]


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
    return forest.fit(standardised, labels, sample_weight=weights)


def default_parameters(seed: int) -> Parameters:
    """scikit-learn's own defaults."""
    return {"random_state": seed}


def suggest_parameters(trial: optuna.Trial, seed: int) -> Parameters:
    """One point of the search space. The number of trees is odd, so that a vote of pure leaves has no tie."""
    return {
        "n_estimators": trial.suggest_int("n_estimators", 51, 151, step=2),
        "criterion": trial.suggest_categorical("criterion", ["gini", "entropy"]),
        "max_depth": trial.suggest_int("max_depth", 6, 24),
        "max_features": trial.suggest_int("max_features", 2, 12),
        "min_samples_split": trial.suggest_int("min_samples_split", 2, 16),
        "min_samples_leaf": trial.suggest_int("min_samples_leaf", 1, 6),
        "class_weight": trial.suggest_categorical("class_weight", [None, "balanced", "balanced_subsample"]),
        "random_state": seed,
    }


def cross_validated_f1(parameters: Parameters, split: Split, seed: int) -> float:
    """Mean F1 over repeated stratified folds of the training part, scaler fitted inside each fold."""
    folds = RepeatedStratifiedKFold(n_splits=FOLDS, n_repeats=FOLD_REPEATS, random_state=seed)
    pipeline = make_pipeline(StandardScaler(), make_forest(parameters))
    scores = cross_val_score(
        pipeline, split.train_features, split.train_labels, scoring="f1", cv=folds, n_jobs=-1,
    )
    return float(scores.mean())


def search_parameters(
    split: Split, trials: int, seed: int, report: TrialReport,
) -> tuple[Parameters, float]:
    """The best of `trials` points of a seeded TPE search, and its cross-validated F1.

    `report` is called after each trial with its number, parameters and F1.
    """
    def objective(trial: optuna.Trial) -> float:
        parameters = suggest_parameters(trial, seed)
        f1 = cross_validated_f1(parameters, split, seed)
        trial.set_user_attr("parameters", parameters)
        report(trial.number, parameters, f1)
        return f1

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    study.optimize(objective, n_trials=trials)
    return study.best_trial.user_attrs["parameters"], study.best_value
