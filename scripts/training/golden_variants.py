"""The mistakes that golden rows must show: mixed-up columns or scaling, no scaling, another model."""

from itertools import combinations

import numpy as np
from sklearn.ensemble import RandomForestClassifier

from scripts.training.catalogue import Catalogue
from scripts.training.split import Scaling


def variant_labels(
    catalogue: Catalogue,
    forest: RandomForestClassifier,
    scaling: Scaling,
    rows: np.ndarray,
    other_models: dict[str, RandomForestClassifier],
) -> dict[str, np.ndarray]:
    """By mistake: the labels [n] that raw rows [n, features] would get if it were made."""
    standardised = scaling.apply(rows)
    labels = {
        "raw vector": forest.predict(rows),
        "columns reversed": forest.predict(standardised[:, ::-1]),
    }
    for first, second in combinations(range(rows.shape[1]), 2):
        exchange = exchanged(rows.shape[1], first, second)
        names = f"{catalogue.feature_names[first]} and {catalogue.feature_names[second]}"
        wrong_scaling = Scaling(scaling.mean[exchange], scaling.scale[exchange])
        labels[f"columns {names} swapped"] = forest.predict(standardised[:, exchange])
        labels[f"scaling of {names} swapped"] = forest.predict(wrong_scaling.apply(rows))
    for name, model in other_models.items():
        labels[name] = model.predict(standardised)
    return labels


def exchanged(count: int, first: int, second: int) -> list[int]:
    """The positions 0 … count-1 with two of them exchanged."""
    order = list(range(count))
    order[first], order[second] = order[second], order[first]
    return order
