"""The verdict: promote or keep (docs/decisions/0020).

The rule, in this order:

1. keep, when the version's golden rows do not come out of its own model: the service would refuse all its labels.
2. keep, when it is in Production already.
3. No version in Production: promote when F1 is surely above that of the best constant answer (the lower end of
   its 95 % interval), else keep.
4. keep, when it cannot be compared with the version in Production, or some label has fewer than ten customers.
5. keep, when it is surely worse on any table: the whole 95 % paired bootstrap interval of the F1 difference is below 0.
6. keep, when its F1 on the held-out part owes to a lucky seed: the mean over the seeds is not above the F1 of the
   version in Production there.
7. promote, when it is surely better on some table: the whole interval is above 0.
8. keep otherwise: a change that cannot be told from chance moves customers' labels for nothing.

F1 is that of the contract's positive label, or the mean over the labels where none is positive.
"""

from dataclasses import dataclass

import numpy as np

from scripts.evaluation.comparison import Comparison
from scripts.evaluation.confusion import confusion_matrix, f1
from scripts.evaluation.measures import Figure

FEWEST_OF_A_LABEL = 10


@dataclass(frozen=True)
class Verdict:
    """`word` is promote or keep."""

    word: str
    reason: str


@dataclass(frozen=True)
class Evidence:
    """What the verdict is made of. `tables`: by title, F1 and the F1 of the best constant answer.

    `comparisons`: by table, what came of comparing, or why it could not be done; empty without a version in Production.
    `seeds`: title of the table on which several seeds were tried, and their mean F1.
    """

    title: str
    golden_differences: int
    golden_rows: int
    is_in_production: bool
    production: str | None
    tables: dict[str, tuple[Figure, float]]
    comparisons: dict[str, Comparison | str]
    seeds: tuple[str, float] | None


def decide(evidence: Evidence) -> Verdict:
    """Applies the rule."""
    if evidence.golden_rows == 0 or evidence.golden_differences:
        return Verdict("keep", (
            f"{evidence.golden_differences} of its {evidence.golden_rows} golden rows get another label "
            "from its own model"
        ))
    if evidence.is_in_production:
        return Verdict("keep", f"{evidence.title} is in Production already")
    if evidence.production is None:
        return without_production(evidence)
    return against_production(evidence, evidence.production)


def without_production(evidence: Evidence) -> Verdict:
    """Rule 3."""
    for title, (figure, constant) in evidence.tables.items():
        if figure.low <= constant:
            return Verdict("keep", (
                f"no version is in Production, but on {title} F1 {figure} is not surely above {constant:.4f}, "
                "which the best constant answer gets"
            ))
    told = "; ".join(f"{figure} on {title}" for title, (figure, _) in evidence.tables.items())
    return Verdict("promote", f"no version is in Production, and F1 is surely above any constant answer's: {told}")


def against_production(evidence: Evidence, production: str) -> Verdict:
    """Rules 4 to 8."""
    found = evidence.comparisons
    for title, one in found.items():
        if isinstance(one, str):
            return Verdict("keep", f"it cannot be compared with {production} on {title}: {one}")
        if one.fewest_of_a_label < FEWEST_OF_A_LABEL:
            return Verdict("keep", (
                f"on {title} a label has only {one.fewest_of_a_label} customers, and {FEWEST_OF_A_LABEL} are needed"
            ))
    compared = {title: one for title, one in found.items() if isinstance(one, Comparison)}
    worse = [told(title, one) for title, one in compared.items() if one.high < 0]
    if worse:
        return Verdict("keep", f"surely worse than {production} {'; '.join(worse)}")
    better = {title: one for title, one in compared.items() if one.low > 0}
    if not better:
        unclear = "; ".join(told(title, one) for title, one in compared.items())
        return Verdict("keep", f"not surely better than {production} {unclear}")
    if evidence.seeds is not None:
        title, mean = evidence.seeds
        if mean <= compared[title].other_f1:
            return Verdict("keep", (
                f"on {title} it owes its F1 to its seed: the mean over several seeds is {mean:.4f}, not above the "
                f"{compared[title].other_f1:.4f} of {production}"
            ))
    return Verdict("promote", f"surely better than {production} {'; '.join(told(*pair) for pair in better.items())}")


def told(title: str, one: Comparison) -> str:
    """A comparison in words."""
    test = one.mcnemar
    return (
        f"on {title}: F1 {one.candidate_f1:.4f} against {one.other_f1:.4f}, difference {one.difference:+.4f} "
        f"[{one.low:+.4f}, {one.high:+.4f}]; only it is right for {test.only_candidate_right} customers, "
        f"only the other for {test.only_other_right} (McNemar mid-p {test.mid_p:.2g})"
    )


def best_constant_f1(truth: np.ndarray, labels: int, focus: list[int]) -> float:
    """The F1 of saying the same label to everybody, for the best such label."""
    return max(
        float(f1(confusion_matrix(truth, np.full(len(truth), label), labels), focus)) for label in range(labels)
    )
