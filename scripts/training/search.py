"""Phase 4: the search for the forest's parameters, a study in a database that can be gone on with."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version as installed_version

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from scripts.training.catalogue import Catalogue
from scripts.training.cross_validation import FOLD_REPEATS, FOLDS, f1_of, fold_scores
from scripts.training.fold_pruner import FoldPruner
from scripts.training.forest import Parameters
from scripts.training.split import Split

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
SEARCH_VERSION = 1
RANDOM_TRIALS = 10

TrialReport = Callable[[FrozenTrial], None]


@dataclass(frozen=True)
class Search:
    """What a search is about; `storage` is the URL of its database, `data_sha256` of the table."""

    storage: str
    name: str
    data_sha256: str
    catalogue: Catalogue
    trials: int
    seed: int


def suggest_parameters(trial: optuna.Trial, seed: int, features: int) -> Parameters:
    """One point of the search space. The number of trees is odd, so that a vote of pure leaves has no tie."""
    return {
        "n_estimators": trial.suggest_int("n_estimators", 51, 151, step=2),
        "criterion": trial.suggest_categorical("criterion", ["gini", "entropy"]),
        "max_depth": trial.suggest_int("max_depth", 6, 24),
        "max_features": trial.suggest_int("max_features", min(2, features), features),
        "min_samples_split": trial.suggest_int("min_samples_split", 2, 16),
        "min_samples_leaf": trial.suggest_int("min_samples_leaf", 1, 6),
        "class_weight": trial.suggest_categorical("class_weight", [None, "balanced", "balanced_subsample"]),
        "random_state": seed,
    }


def search_parameters(search: Search, split: Split, report: TrialReport) -> list[FrozenTrial]:
    """The first `search.trials` finished trials of the study, those that were there before included.

    A trial that an interruption cut short is made again. Every trial draws from a seed of its own and looks at
    the finished ones only, so that a search in two goes ends where one in one go does. `report` is called for
    each finished trial. One process at a time works on a study.
    """
    study = open_study(search)
    for left in study.get_trials(deepcopy=False, states=(TrialState.RUNNING, TrialState.WAITING)):
        study.tell(left.number, state=TrialState.FAIL)
    done = finished(study)[:search.trials]
    for trial in done:
        report(trial)
    while len(done) < search.trials:
        study.sampler = optuna.samplers.TPESampler(
            n_startup_trials=RANDOM_TRIALS, seed=seed_of(search.seed, len(done)),
        )
        run_trial(study, search, split)
        done = finished(study)
        report(done[-1])
    return done


def open_study(search: Search) -> optuna.Study:
    """The study of this very search: other data, seed or catalogue make another study in the same database."""
    return optuna.create_study(
        storage=search.storage,
        study_name=f"{search.name}-{fingerprint(search)[:16]}",
        direction="maximize",
        pruner=FoldPruner(),
        load_if_exists=True,
    )


def fingerprint(search: Search) -> str:
    """SHA-256 of all that decides what the trials of a search find."""
    decisive = {
        "data": search.data_sha256,
        "columns": search.catalogue.columns,
        "labels": [[label.code, label.positive] for label in search.catalogue.labels],
        "seed": search.seed,
        "search": [SEARCH_VERSION, RANDOM_TRIALS],
        "folds": [FOLDS, FOLD_REPEATS],
        "libraries": [installed_version(name) for name in ("optuna", "scikit-learn", "numpy")],
    }
    return hashlib.sha256(json.dumps(decisive).encode()).hexdigest()


def seed_of(seed: int, number: int) -> int:
    """A seed for each trial."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def run_trial(study: optuna.Study, search: Search, split: Split) -> None:
    """One trial, fold by fold: complete with its mean F1, or pruned."""
    trial = study.ask()
    parameters = suggest_parameters(trial, search.seed, split.train_features.shape[1])
    trial.set_user_attr("parameters", parameters)
    scores: list[float] = []
    for score in fold_scores(parameters, split, search.seed, f1_of(search.catalogue)):
        scores.append(score)
        trial.report(score, len(scores))
        if len(scores) < FOLDS * FOLD_REPEATS and trial.should_prune():
            study.tell(trial, state=TrialState.PRUNED)
            return
    study.tell(trial, float(np.mean(scores)))


def finished(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that ran to their end or were pruned, in their order."""
    return study.get_trials(deepcopy=False, states=FINISHED)


def mean_f1(trial: FrozenTrial) -> float:
    """Over the folds that the trial came to."""
    return float(np.mean(list(trial.intermediate_values.values())))


def best_of(trials: list[FrozenTrial]) -> tuple[Parameters, float]:
    """Parameters and cross-validated F1 of the best trial; of equal ones the first."""
    best = max((trial for trial in trials if trial.state == TrialState.COMPLETE), key=lambda trial: trial.value)
    return best.user_attrs["parameters"], best.value
