"""The rule of the verdict, case by case."""

from dataclasses import replace

import numpy as np
import pytest

from scripts.evaluation.comparison import Comparison, mcnemar
from scripts.evaluation.measures import Figure
from scripts.evaluation.verdict import Evidence, best_constant_f1, decide

HELD_OUT = "the held-out part"


def compared(low: float, high: float, fewest: int = 50) -> Comparison:
    """A comparison with this interval, 0.80 against 0.75."""
    return Comparison("version 1", 600, fewest, 0.8, 0.75, 0.05, low, high, 0.97, 30, mcnemar(20, 10), np.zeros(1), ())


BETTER, WORSE, UNCLEAR = compared(0.01, 0.09), compared(-0.09, -0.01), compared(-0.01, 0.1)
EVIDENCE = Evidence(
    title="version 2", golden_differences=0, golden_rows=32, is_in_production=False, production="version 1",
    tables={HELD_OUT: (Figure(0.8, 0.75, 0.85, "bootstrap"), 0.26)}, comparisons={HELD_OUT: BETTER},
    seeds=(HELD_OUT, 0.79),
)


@pytest.mark.parametrize(("changes", "word", "reason"), [
    ({}, "promote", "surely better than version 1 on the held-out part: F1 0.8000 against 0.7500"),
    ({"golden_differences": 2}, "keep", "2 of its 32 golden rows"),
    ({"golden_rows": 0}, "keep", "0 of its 0 golden rows"),
    ({"is_in_production": True}, "keep", "in Production already"),
    ({"comparisons": {HELD_OUT: UNCLEAR}}, "keep", "not surely better"),
    ({"comparisons": {HELD_OUT: WORSE}}, "keep", "surely worse"),
    ({"comparisons": {HELD_OUT: BETTER, "new data": UNCLEAR}}, "promote", "surely better"),
    ({"comparisons": {HELD_OUT: UNCLEAR, "new data": BETTER}}, "promote", "on new data"),
    ({"comparisons": {HELD_OUT: BETTER, "new data": WORSE}}, "keep", "surely worse than version 1 on new data"),
    ({"comparisons": {HELD_OUT: "it has other labels"}}, "keep", "cannot be compared"),
    ({"comparisons": {HELD_OUT: compared(0.01, 0.1, fewest=9)}}, "keep", "only 9 customers"),
    ({"seeds": (HELD_OUT, 0.75)}, "keep", "owes its F1 to its seed"),
    ({"seeds": None}, "promote", "surely better"),
    ({"production": None, "comparisons": {}}, "promote", "no version is in Production"),
    (
        {"production": None, "comparisons": {}, "tables": {HELD_OUT: (Figure(0.3, 0.2, 0.4, "bootstrap"), 0.26)}},
        "keep", "not surely above 0.2600",
    ),
])
def test_rule(changes: dict, word: str, reason: str) -> None:
    verdict = decide(replace(EVIDENCE, **changes))
    assert verdict.word == word
    assert reason in verdict.reason


def test_best_constant_answer_is_the_positive_label_for_everybody() -> None:
    truth = np.array([0] * 85 + [1] * 15)
    assert best_constant_f1(truth, 2, [1]) == pytest.approx(2 * 15 / 115)
    assert best_constant_f1(truth, 2, [0, 1]) == pytest.approx(2 * 85 / 185 / 2)
