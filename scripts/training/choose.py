"""Phase 4: the parameters, searched or taken from an earlier contract, beside a default forest."""

import logging
from dataclasses import dataclass

from optuna.trial import FrozenTrial, TrialState

from scripts.training import registry
from scripts.training.catalogue import Catalogue
from scripts.training.contract import read_contract
from scripts.training.cross_validation import cross_validated_f1, f1_of
from scripts.training.forest import Parameters, default_parameters
from scripts.training.options import TrainingOptions
from scripts.training.preprocess import Table
from scripts.training.progress import trial_progress
from scripts.training.search import Search, best_of, mean_f1, search_parameters
from scripts.training.split import Split
from scripts.training.study_log import study_csv

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Choice:
    """The parameters, and the cross-validated F1 of them and of a default forest on the same folds."""

    parameters: Parameters
    scores: dict[str, float]


def choose_parameters(options: TrainingOptions, catalogue: Catalogue, table: Table, split: Split) -> Choice:
    """Looks at the training part only; logs the trials of a search with the run."""
    f1 = f1_of(catalogue)
    default = cross_validated_f1(default_parameters(options.seed), split, options.seed, f1)
    logger.info("default forest: cross-validated F1 %.4f", default)
    if options.parameters_from:
        parameters = read_contract(options.parameters_from)["training"]["parameters"]
        best = cross_validated_f1(parameters, split, options.seed, f1)
    else:
        parameters, best = best_of(search(options, catalogue, table, split))
    return Choice(parameters, {"crossValidatedF1": best, "defaultForestCrossValidatedF1": default})


def search(options: TrainingOptions, catalogue: Catalogue, table: Table, split: Split) -> list[FrozenTrial]:
    """The trials of the study, each told to the tracking server and to whoever looks on."""
    options.out.mkdir(parents=True, exist_ok=True)
    asked = Search(
        options.storage, options.model_name, table.sha256, catalogue, options.trials, options.seed,
    )
    with trial_progress(options.trials) as advance:

        def tell(trial: FrozenTrial) -> None:
            registry.log_trial(trial.number, trial.user_attrs["parameters"], trial_metrics(trial))
            advance(trial)

        trials = search_parameters(asked, split, tell)
    registry.log_study(study_csv(trials))
    return trials


def trial_metrics(trial: FrozenTrial) -> dict[str, float]:
    """The trial's mean F1, under another name where not all folds are in it."""
    if trial.state == TrialState.PRUNED:
        return {"prunedAtF1": mean_f1(trial), "folds": trial.last_step}
    return {"crossValidatedF1": trial.value, "folds": trial.last_step}
