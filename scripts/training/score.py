"""Phase 5: the report on the held-out part, which nothing before has looked at."""

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import f1_score

FOREST_SEEDS = 5


def held_out_scores(
    chosen: RandomForestClassifier,
    same_parameters: list[RandomForestClassifier],
    default: RandomForestClassifier,
    standardised: np.ndarray,
    labels: np.ndarray,
) -> dict[str, float]:
    """F1 of the chosen forest, of forests with its parameters and other seeds, and of a default forest.

    `standardised` is [rows, features], `labels` [rows]; the chosen forest is one of the five seeds.
    """
    def f1(forest: RandomForestClassifier) -> float:
        return float(f1_score(labels, forest.predict(standardised)))

    by_seed = [f1(forest) for forest in (chosen, *same_parameters)]
    return {
        "testF1": by_seed[0],
        f"testF1Mean{FOREST_SEEDS}Seeds": float(np.mean(by_seed)),
        f"testF1Min{FOREST_SEEDS}Seeds": min(by_seed),
        f"testF1Max{FOREST_SEEDS}Seeds": max(by_seed),
        "defaultForestTestF1": f1(default),
    }
