"""How much the answers owe to each feature: what is lost when its column is shuffled among the customers."""

from dataclasses import dataclass

import numpy as np

from scripts.evaluation.confusion import confusion_matrix, f1
from scripts.evaluation.labelled_table import LabelledTable
from scripts.evaluation.model_version import ModelVersion

REPEATS = 10
MOST_ROWS = 5000


@dataclass(frozen=True)
class Importance:
    """Mean loss of F1 over ten shufflings, with the smallest and largest loss."""

    feature: str
    title: str
    loss: float
    least: float
    most: float

    def as_json(self) -> dict:
        """As evaluation.json has it."""
        return {"feature": self.feature, "lossOfF1": self.loss, "least": self.least, "most": self.most}


def importances(version: ModelVersion, table: LabelledTable, rng: np.random.Generator) -> list[Importance]:
    """One entry a feature, the most important first; of a large table 5,000 rows are taken."""
    if len(table) > MOST_ROWS:
        table = table.take(np.sort(rng.choice(len(table), MOST_ROWS, replace=False)))
    whole = score(version, table.features, table.labels)
    found = []
    for place, feature in enumerate(version.contract.features):
        losses = [whole - score(version, shuffled(table.features, place, rng), table.labels) for _ in range(REPEATS)]
        found.append(Importance(
            feature.name, feature.title, float(np.mean(losses)), float(min(losses)), float(max(losses)),
        ))
    return sorted(found, key=lambda one: -one.loss)


def shuffled(features: np.ndarray, place: int, rng: np.random.Generator) -> np.ndarray:
    """The rows [n, features] with one column in another order."""
    changed = features.copy()
    changed[:, place] = rng.permutation(changed[:, place])
    return changed


def score(version: ModelVersion, features: np.ndarray, truth: np.ndarray) -> float:
    """F1 on these rows."""
    contract = version.contract
    return float(f1(confusion_matrix(truth, version.labels(features), len(contract.labels)), contract.focus))
