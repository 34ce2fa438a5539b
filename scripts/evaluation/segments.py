"""How good a version is on parts of the customers."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np

from scripts.evaluation.confusion import DRAWS, confusion_matrix, f1, percentiles, precision, recall, resample
from scripts.evaluation.labelled_table import LabelledTable
from scripts.evaluation.model_contract import Feature, ModelContract
from scripts.evaluation.refusal import Refused

MOST_VALUES = 6
QUANTILES = 4
FEWEST_ROWS = 30
FEWEST_WITH_LABEL = 10


@dataclass(frozen=True)
class Segment:
    """`with_label` counts customers that have a label in focus; figures are None where there are too few.

    Where figures are a mean over labels, it is over those that ten customers of the part have.
    """

    feature: str
    title: str
    n: int
    with_label: int
    f1: float | None
    low: float | None
    high: float | None
    precision: float | None
    recall: float | None
    stands_out: bool

    def as_json(self) -> dict:
        """As evaluation.json has it."""
        return asdict(self)


def default_segments(contract: ModelContract, by_importance: list[str]) -> list[str]:
    """Every flag, and the two most important features besides."""
    flags = [feature.name for feature in contract.features if feature.is_binary]
    return flags + [name for name in by_importance if name not in flags][:2]


def check_segments(contract: ModelContract, names: list[str]) -> None:
    """Raises Refused at a name that is no feature."""
    for name in names:
        if name not in contract.names:
            raise Refused(f"--segment {name}: no such feature; there is {', '.join(contract.names)}")


def segment(
    contract: ModelContract, table: LabelledTable, answered: np.ndarray, names: list[str], rng: np.random.Generator,
) -> list[Segment]:
    """F1, precision and recall on each part; one stands out when its whole interval is below the F1 of all."""
    whole = confusion_matrix(table.labels, answered, len(contract.labels))
    found = []
    for name in names:
        place = contract.names.index(name)
        for title, mask in cut(contract.features[place], table.features[:, place]):
            found.append(measure(contract, name, title, table.labels[mask], answered[mask], whole, rng))
    return found


def cut(feature: Feature, values: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """The parts of the customers [n] by this feature: by value where there are few, else in quarters."""
    distinct = np.unique(values)
    if len(distinct) <= MOST_VALUES:
        for value in distinct:
            yield f"{feature.title} = {value:g}", values == value
        return
    edges = np.unique(np.quantile(values, np.linspace(0, 1, QUANTILES + 1), method="lower"))
    part = np.searchsorted(edges[1:-1], values, side="left")
    for number in np.unique(part):
        inside = values[part == number]
        low, high = inside.min(), inside.max()
        yield f"{feature.title} = {low:g}" if low == high else f"{feature.title} {low:g} to {high:g}", part == number


def measure(
    contract: ModelContract, name: str, title: str, truth: np.ndarray, answered: np.ndarray, whole: np.ndarray,
    rng: np.random.Generator,
) -> Segment:
    """The figures of one part; `whole` is the confusion matrix of all customers."""
    with_label = int(np.isin(truth, contract.focus).sum())
    focus = [label for label in contract.focus if (truth == label).sum() >= FEWEST_WITH_LABEL]
    if len(truth) < FEWEST_ROWS or not focus:
        return Segment(name, title, len(truth), with_label, None, None, None, None, None, False)
    matrix = confusion_matrix(truth, answered, len(contract.labels))
    low, high = percentiles(f1(resample(matrix, rng, DRAWS), focus))
    return Segment(
        name, title, len(truth), with_label, float(f1(matrix, focus)), low, high,
        float(precision(matrix, focus)), float(recall(matrix, focus)), high < float(f1(whole, focus)),
    )
