"""What the forest's seed alone does to F1: the same parameters fitted again on the training part, with other seeds."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import t
from sklearn.ensemble import RandomForestClassifier

from scripts.evaluation.confusion import CONFIDENCE, confusion_matrix, f1
from scripts.evaluation.labelled_table import LabelledTable
from scripts.evaluation.model_version import ModelVersion
from scripts.training.forest import fit_forest

FOREST_SEEDS = 10


@dataclass(frozen=True)
class SeedScores:
    """F1 on the held-out part by forest seed; `low` and `high`: Student's 95 % interval of the mean over seeds.

    `same_labels` of `held_out_rows` get from the forest with the version's own seed the label of the version itself.
    """

    f1_by_seed: dict[int, float]
    mean: float
    low: float
    high: float
    same_labels: int
    held_out_rows: int

    def as_json(self) -> dict:
        """As evaluation.json has it."""
        return {
            "f1BySeed": {str(seed): value for seed, value in self.f1_by_seed.items()},
            "mean": self.mean, "low": self.low, "high": self.high, "interval": "Student's t over the seeds",
            "sameLabelsWithItsOwnSeed": self.same_labels, "heldOutRows": self.held_out_rows,
        }


def score_seeds(
    version: ModelVersion, training: LabelledTable, held_out: LabelledTable, seeds: int = FOREST_SEEDS,
) -> SeedScores | None:
    """Fits `seeds` forests, the version's own seed first; None where the model is no forest or has no seed."""
    parameters = forest_parameters(version)
    if parameters is None or parameters.get("random_state") is None or seeds < 2:
        return None
    contract = version.contract
    codes = np.array([label.code for label in contract.labels])[training.labels]
    fitted_to, asked = contract.standardise(training.features), contract.standardise(held_out.features)
    itself = version.labels(held_out.features)
    first = int(parameters["random_state"])
    scores: dict[int, float] = {}
    same_labels = 0
    for seed in range(first, first + seeds):
        answered = contract.label_indexes(fit_forest(parameters, fitted_to, codes, seed).predict(asked))
        if seed == first:
            same_labels = int((answered == itself).sum())
        scores[seed] = float(f1(confusion_matrix(held_out.labels, answered, len(contract.labels)), contract.focus))
    values = np.array(list(scores.values()))
    half = t.ppf((1 + CONFIDENCE) / 2, seeds - 1) * values.std(ddof=1) / np.sqrt(seeds)
    mean = float(values.mean())
    return SeedScores(scores, mean, mean - half, mean + half, same_labels, len(held_out))


def forest_parameters(version: ModelVersion) -> dict | None:
    """The parameters in the contract, else the model's own; None where the model is no random forest."""
    if not isinstance(version.model, RandomForestClassifier):
        return None
    named = (version.contract.body.get("training") or {}).get("parameters")
    if named:
        return dict(named)
    return {name: value for name, value in version.model.get_params().items() if name != "n_jobs"}
