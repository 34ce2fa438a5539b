"""Phase 7: rows whose labels prove which model answered and that the columns arrived as they should."""

from dataclasses import dataclass

import numpy as np
from sklearn.ensemble import RandomForestClassifier

from scripts.training.catalogue import Catalogue
from scripts.training.golden_variants import variant_labels
from scripts.training.split import Scaling, equals_any

SAMPLED_ROWS = 200_000
SENSITIVE_SHARE = 0.1
FIRST_ROWS = 8
COVERING_ROWS = 24
ORDINARY_ROWS = 8
MIN_LEAD = 0.04
WORTH_OF_REPEATED_DETECTION = 0.01


@dataclass(frozen=True)
class GoldenRows:
    """`features` [32, features] in raw units and `labels` [32].

    `mistakes` counts those tried, `undetectable` names those that change no sensitive row's label,
    `shown_by_first` and `shown` count those that the first 8 and all rows show.
    """

    features: np.ndarray
    labels: np.ndarray
    mistakes: int
    undetectable: list[str]
    shown_by_first: int
    shown: int


def choose_golden_rows(
    catalogue: Catalogue,
    forest: RandomForestClassifier,
    scaling: Scaling,
    sampled: np.ndarray,
    table_rows: np.ndarray,
    other_models: dict[str, RandomForestClassifier],
) -> GoldenRows:
    """Picks 32 of the sampled rows [n, features]: 8 that show the most mistakes, 16 that show them again,
    and 8 ordinary ones, from fairly to very sure.

    No row of the table is taken, and none whose label leads by less than 0.04 (within 0.02 of the cut
    between two labels). The tenth with the smallest lead is the most sensitive to mistakes.
    """
    sampled = sampled[~equals_any(sampled, table_rows)]
    lead = label_leads(forest.predict_proba(scaling.apply(sampled)))
    by_lead = np.argsort(lead, kind="stable")
    by_lead = by_lead[lead[by_lead] > MIN_LEAD]
    sensitive, sure = np.split(by_lead, [round(SENSITIVE_SHARE * len(by_lead))])

    rows = sampled[sensitive]
    labels = forest.predict(scaling.apply(rows))
    by_mistake = variant_labels(catalogue, forest, scaling, rows, other_models)
    shows = np.stack([wrong != labels for wrong in by_mistake.values()], axis=1)
    covering = cover(shows, labels)

    ordinary = sure[np.linspace(0, len(sure) - 1, ORDINARY_ROWS).astype(int)]
    features = np.concatenate([rows[covering], sampled[ordinary]])
    return GoldenRows(
        features=features,
        labels=forest.predict(scaling.apply(features)),
        mistakes=len(by_mistake),
        undetectable=[name for name, shown in zip(by_mistake, shows.any(axis=0), strict=True) if not shown],
        shown_by_first=int(shows[covering[:FIRST_ROWS]].any(axis=0).sum()),
        shown=int(shows[covering].any(axis=0).sum()),
    )


def label_leads(probabilities: np.ndarray) -> np.ndarray:
    """By how much the best label leads the second [n], from probabilities [n, labels]."""
    ranked = np.sort(probabilities, axis=1)
    return ranked[:, -1] - ranked[:, -2]


def cover(shows: np.ndarray, labels: np.ndarray) -> list[int]:
    """Greedy cover: indices of 24 rows, given what mistake each row shows, bool [n, mistakes].

    A mistake is worth 1 until it is shown and then a hundredth each time, so new ones come first.
    Every label stands among the first 8.
    """
    chosen: list[int] = []
    times_shown = np.zeros(shows.shape[1])
    while len(chosen) < COVERING_ROWS:
        gain = shows @ WORTH_OF_REPEATED_DETECTION**times_shown
        gain[chosen] = -1
        missing = np.setdiff1d(labels, labels[chosen])
        if 0 < FIRST_ROWS - len(chosen) <= len(missing):
            gain[~np.isin(labels, missing)] = -1
        best = int(np.argmax(gain))
        chosen.append(best)
        times_shown += shows[best]
    return chosen
