"""Two versions on the same customers."""

from dataclasses import asdict, dataclass

import numpy as np
from scipy.stats import binom

from scripts.evaluation.confusion import DRAWS, confusion_matrix, f1, percentiles, resample
from scripts.evaluation.labelled_table import LabelledTable
from scripts.evaluation.model_contract import ModelContract
from scripts.evaluation.model_version import ModelVersion
from scripts.evaluation.refusal import Refused


@dataclass(frozen=True)
class McNemar:
    """Customers that only one of two versions labels rightly, and the two-sided p values that chance does as much."""

    only_candidate_right: int
    only_other_right: int
    exact_p: float
    mid_p: float


@dataclass(frozen=True)
class Comparison:
    """`difference` is F1 of the candidate less F1 of the other version, with its paired bootstrap interval.

    `better_share` of the draws have a positive difference.
    """

    other: str
    rows: int
    fewest_of_a_label: int
    candidate_f1: float
    other_f1: float
    difference: float
    low: float
    high: float
    better_share: float
    differing_labels: int
    mcnemar: McNemar
    draws: np.ndarray
    notes: tuple[str, ...]

    def as_json(self) -> dict:
        """As evaluation.json has it."""
        return {name: value for name, value in asdict(self).items() if name != "draws"}


def mcnemar(only_candidate: int, only_other: int) -> McNemar:
    """The exact test and its mid-p variant (Fagerland, Lydersen, Laake, 2013)."""
    n, fewer = only_candidate + only_other, min(only_candidate, only_other)
    exact = min(1.0, 2 * binom.cdf(fewer, n, 0.5))
    mid = min(1.0, 2 * binom.cdf(fewer, n, 0.5) - binom.pmf(fewer, n, 0.5))
    return McNemar(only_candidate, only_other, float(exact), float(mid))


def check_comparable(candidate: ModelVersion, other: ModelVersion) -> None:
    """Raises Refused when the versions' labels are not the same."""
    ours, theirs = ([label.code for label in one.contract.labels] for one in (candidate, other))
    if set(ours) != set(theirs):
        raise Refused(
            f"{other.title} has other labels ({', '.join(map(str, theirs))}) than {candidate.title} "
            f"({', '.join(map(str, ours))})"
        )


def compare(
    candidate: ModelVersion, table: LabelledTable, answered: np.ndarray, other: ModelVersion,
    other_table: LabelledTable, rng: np.random.Generator, notes: tuple[str, ...] = (),
) -> Comparison:
    """Both versions on the rows that both tables have; `answered` [n] are the candidate's labels.

    Raises Refused where there is no such row.
    """
    contract = candidate.contract
    _, ours, theirs = np.intersect1d(table.rows, other_table.rows, return_indices=True)
    if not len(ours):
        raise Refused(f"no customer of {table.name} is left to compare with {other.title}")
    truth, said = table.labels[ours], answered[ours]
    other_said = translate(other.contract, contract)[other.labels(other_table.features[theirs])]
    size = len(contract.labels)
    joint = np.bincount((truth * size + said) * size + other_said, minlength=size**3).reshape(size, size, size)
    draws = f1_difference(resample(joint, rng, DRAWS), contract.focus)
    low, high = percentiles(draws)
    right, other_right = said == truth, other_said == truth
    return Comparison(
        other=other.title, rows=len(truth), fewest_of_a_label=int(np.bincount(truth, minlength=size).min()),
        candidate_f1=float(f1(confusion_matrix(truth, said, size), contract.focus)),
        other_f1=float(f1(confusion_matrix(truth, other_said, size), contract.focus)),
        difference=float(f1_difference(joint, contract.focus)), low=low, high=high,
        better_share=float((draws > 0).mean()), differing_labels=int((said != other_said).sum()),
        mcnemar=mcnemar(int((right & ~other_right).sum()), int((~right & other_right).sum())),
        draws=draws, notes=notes,
    )


def translate(other: ModelContract, contract: ModelContract) -> np.ndarray:
    """Index of a label in `contract` by its index in `other`."""
    codes = [label.code for label in contract.labels]
    return np.array([codes.index(label.code) for label in other.labels])


def f1_difference(joint: np.ndarray, focus: list[int]) -> np.ndarray:
    """F1 of the first less F1 of the second, from counts [..., truth, first, second]."""
    return f1(joint.sum(axis=-1), focus) - f1(joint.sum(axis=-2), focus)
