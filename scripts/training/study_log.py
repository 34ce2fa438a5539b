"""The log of a search: what was tried, fold by fold."""

import pandas as pd
from optuna.trial import FrozenTrial


def study_csv(trials: list[FrozenTrial]) -> str:
    """One row a trial: its outcome, its time in seconds, its parameters and F1 on each fold."""
    rows = [
        {
            "trial": trial.number,
            "state": trial.state.name.lower(),
            "f1": trial.value,
            "seconds": round(trial.duration.total_seconds(), 2),
            **trial.params,
            **{f"f1OnFold{fold}": value for fold, value in sorted(trial.intermediate_values.items())},
        }
        for trial in trials
    ]
    return pd.DataFrame(rows).to_csv(index=False)
