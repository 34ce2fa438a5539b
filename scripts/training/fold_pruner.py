"""When a trial is given up: as soon as its folds are worse than those of the best trial, more often than by chance."""

import warnings

import optuna
from optuna.trial import FrozenTrial, TrialState
from scipy.stats import wilcoxon

FEWEST_FOLDS = 4
LEAST_PROBABILITY = 0.1


class FoldPruner(optuna.pruners.BasePruner):
    """Wilcoxon's signed-rank test of a trial's folds against the same folds of the best complete trial.

    Intermediate values are F1 on a fold, steps are folds. Judged from the fourth fold on.
    """

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Whether the trial would hardly be the best one."""
        complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if not complete or len(trial.intermediate_values) < FEWEST_FOLDS:
            return False
        best = max(complete, key=lambda other: other.value).intermediate_values
        differences = [score - best[fold] for fold, score in sorted(trial.intermediate_values.items())]
        if not any(differences):
            return False
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return wilcoxon(differences, alternative="less", zero_method="zsplit").pvalue < LEAST_PROBABILITY
