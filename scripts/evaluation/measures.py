"""The figures of one version on one table, with 95 % intervals."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from scripts.evaluation import ranking
from scripts.evaluation.calibration import Calibration, calibrate
from scripts.evaluation.confusion import (
    Interval, accuracy, confusion_matrix, f1, percentiles, precision, recall, resample, wilson,
)
from scripts.evaluation.gains import Gain, gains
from scripts.evaluation.gains import as_json as gains_json
from scripts.evaluation.labelled_table import LabelledTable
from scripts.evaluation.model_contract import ModelContract
from scripts.evaluation.model_version import ModelVersion


@dataclass(frozen=True)
class Figure:
    """A value with its interval and how the interval was made."""

    value: float
    low: float
    high: float
    interval: str

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


@dataclass(frozen=True)
class Measures:
    """`figures` by name; `matrix` [labels, labels], row what happened, column what the model said.

    `answered` [n] are label indexes, `probabilities` [n, labels]; `calibration` and `gains` have an entry for
    each label in focus that occurs.
    """

    matrix: np.ndarray
    figures: dict[str, Figure]
    answered: np.ndarray
    probabilities: np.ndarray
    calibration: dict[str, Calibration]
    gains: dict[str, tuple[Gain, ...]]

    def as_json(self) -> dict:
        """As evaluation.json has it."""
        return {
            "confusionMatrix": self.matrix.tolist(),
            "figures": {
                name: {"value": one.value, "low": one.low, "high": one.high, "interval": one.interval}
                for name, one in self.figures.items()
            },
            "calibration": {name: one.as_json() for name, one in self.calibration.items()},
            "gains": {name: gains_json(one) for name, one in self.gains.items()},
        }


def measure(version: ModelVersion, table: LabelledTable, rng: np.random.Generator) -> Measures:
    """Every figure. Those of one label are its own, those of several the mean over them (see ModelContract.focus)."""
    contract = version.contract
    answered = version.labels(table.features)
    probabilities = version.probabilities(table.features)
    matrix = confusion_matrix(table.labels, answered, len(contract.labels))
    present = {
        contract.labels[label].name: label for label in contract.focus if 0 < (table.labels == label).sum() < len(table)
    }
    return Measures(
        matrix, label_figures(matrix, contract, rng) | ranking_figures(probabilities, table.labels, contract, rng),
        answered, probabilities,
        {name: calibrate(probabilities[:, one], table.labels == one, rng) for name, one in present.items()},
        {name: gains(probabilities[:, one], table.labels == one) for name, one in present.items()},
    )


def label_figures(matrix: np.ndarray, contract: ModelContract, rng: np.random.Generator) -> dict[str, Figure]:
    """Figures of the labels: Wilson's interval for a proportion of customers, bootstrap for the others."""
    draws = resample(matrix, rng)
    focus = contract.focus

    def figure(measured: Callable[..., np.ndarray]) -> Figure:
        return Figure(float(measured(matrix, focus)), *percentiles(measured(draws, focus)), "bootstrap")

    right = int(np.trace(matrix))
    figures = {
        "f1": figure(f1), "precision": figure(precision), "recall": figure(recall),
        "accuracy": Figure(float(accuracy(matrix)), *wilson(right, int(matrix.sum())), "Wilson"),
    }
    if contract.positive is not None:
        one = contract.positive
        hits, said, is_so = int(matrix[one, one]), int(matrix[:, one].sum()), int(matrix[one].sum())
        figures["precision"] = proportion(figures["precision"], wilson(hits, said))
        figures["recall"] = proportion(figures["recall"], wilson(hits, is_so))
    return figures


def proportion(figure: Figure, interval: Interval) -> Figure:
    """The figure with Wilson's interval."""
    return Figure(figure.value, *interval, "Wilson")


def ranking_figures(
    probabilities: np.ndarray, truth: np.ndarray, contract: ModelContract, rng: np.random.Generator,
) -> dict[str, Figure]:
    """Figures of the probabilities, with bootstrap intervals; none where no label in focus can be told apart."""
    measures = {
        "auc": ranking.area_under_roc, "averagePrecision": ranking.average_precision, "brier": ranking.brier_score,
    }
    if not any(0 < (truth == label).sum() < len(truth) for label in contract.focus):
        return {}
    drawn: dict[str, list[np.ndarray]] = {name: [] for name in measures}
    for weights in ranking.draw_weights(truth, rng):
        for name, one in measures.items():
            drawn[name].append(ranking.mean_over(one, probabilities, truth, contract.focus, weights))
    itself = np.ones((1, len(truth)), dtype=np.int32)
    return {
        name: Figure(
            float(ranking.mean_over(one, probabilities, truth, contract.focus, itself)[0]),
            *percentiles(np.concatenate(drawn[name])), "bootstrap",
        )
        for name, one in measures.items()
    }
