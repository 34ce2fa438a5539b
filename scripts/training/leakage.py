"""Columns that look like the answer or like a customer's number: good figures today, useless ones tomorrow."""

from collections.abc import Iterable, Iterator

import numpy as np
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.tree import DecisionTreeClassifier

from scripts.training.catalogue import Catalogue
from scripts.training.preprocess import Table
from scripts.training.table_faults import TableFaults

LEAK_ACCURACY = 0.98
TREE_DEPTH = 4
FOLDS = 3
FEWEST_ROWS = 100
DENSE = 2


def refuse_leaks(table: Table, catalogue: Catalogue, accepted: Iterable[str] = ()) -> None:
    """Raises TableFaults for features that alone (nearly) give the label, and for numbered rows.

    `accepted` names features that somebody vouches for.
    """
    unknown = sorted(set(accepted) - set(catalogue.feature_names))
    if unknown:
        raise TableFaults(table.name, [f"--accept {name}: no such feature" for name in unknown])
    if len(table.labels) < FEWEST_ROWS:
        return
    faults = [
        f"column '{name}': {suspicion}. Leave it out of the catalogue, or say --accept {name}"
        for name, suspicion in suspicions(table, catalogue)
        if name not in accepted
    ]
    if faults:
        raise TableFaults(table.name, faults)


def suspicions(table: Table, catalogue: Catalogue) -> Iterator[tuple[str, str]]:
    """Each suspicious feature with the reason."""
    for name, values in zip(catalogue.feature_names, table.features.T, strict=True):
        accuracy = alone(values, table.labels)
        if accuracy >= LEAK_ACCURACY:
            yield name, f"alone it gives {accuracy:.1%} of the labels, so it may be known only afterwards"
        if counts_rows(values):
            yield name, "it has another whole number in every row without a gap, as an id has"


def alone(values: np.ndarray, labels: np.ndarray) -> float:
    """Balanced accuracy, cross-validated, of a small tree that sees this feature [rows] only."""
    fewest = np.unique(labels, return_counts=True)[1].min()
    if fewest < FOLDS:
        return 0.0
    tree = DecisionTreeClassifier(max_depth=TREE_DEPTH, class_weight="balanced", random_state=0)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    return float(balanced_accuracy_score(labels, cross_val_predict(tree, values[:, None], labels, cv=folds)))


def counts_rows(values: np.ndarray) -> bool:
    """Whether a feature [rows] looks like running numbers: whole, all different, and nearly without gaps."""
    is_whole = bool((values == np.floor(values)).all())
    return is_whole and len(np.unique(values)) == len(values) and np.ptp(values) < DENSE * len(values)
