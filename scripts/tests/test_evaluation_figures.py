"""The figures themselves, against scikit-learn and published examples."""

import numpy as np
import pytest
from sklearn.metrics import (
    average_precision_score, brier_score_loss, f1_score, precision_score, recall_score, roc_auc_score,
)

from scripts.evaluation.calibration import calibrate
from scripts.evaluation.comparison import f1_difference, mcnemar
from scripts.evaluation.confusion import confusion_matrix, f1, percentiles, precision, recall, resample, wilson
from scripts.evaluation.gains import cumulative_gains, gains
from scripts.evaluation.ranking import area_under_roc, average_precision, brier_score, draw_weights, mean_over


@pytest.fixture(scope="module")
def sample() -> tuple[np.ndarray, np.ndarray]:
    """Probabilities with many ties [400], and what happened."""
    rng = np.random.default_rng(0)
    said = rng.random(400).round(1)
    return said, rng.random(400) < said


@pytest.mark.parametrize("focus", [[1], [0, 1, 2]])
def test_label_figures_are_scikit_learns(focus: list[int]) -> None:
    rng = np.random.default_rng(0)
    truth, answered = rng.integers(3, size=300), rng.integers(3, size=300)
    matrix = confusion_matrix(truth, answered, 3)
    for ours, theirs in ((f1, f1_score), (precision, precision_score), (recall, recall_score)):
        assert ours(matrix, focus) == pytest.approx(theirs(truth, answered, labels=focus, average="macro"))


def test_ranking_figures_are_scikit_learns_with_ties_and_weights(sample: tuple[np.ndarray, np.ndarray]) -> None:
    said, happened = sample
    weights = np.vstack([np.ones(400, dtype=np.int32), next(draw_weights(happened, np.random.default_rng(3)))[0]])
    pairs = (
        (area_under_roc, roc_auc_score), (average_precision, average_precision_score), (brier_score, brier_score_loss),
    )
    for ours, theirs in pairs:
        for value, weight in zip(ours(said, happened, weights), weights, strict=True):
            assert value == pytest.approx(theirs(happened, said, sample_weight=weight))


def test_ranking_over_several_labels_is_the_mean_one_against_the_rest() -> None:
    rng = np.random.default_rng(0)
    truth, said = rng.integers(3, size=200), rng.dirichlet([1, 1, 1], 200)
    ours = mean_over(area_under_roc, said, truth, [0, 1, 2], np.ones((1, 200), dtype=np.int32))
    assert ours[0] == pytest.approx(roc_auc_score(truth, said, multi_class="ovr", average="macro"))


def test_wilson_interval_is_the_published_one() -> None:
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)  # Newcombe, 1998, table I
    assert wilson(0, 20) == pytest.approx((0, 0.1611), abs=5e-5)
    assert wilson(0, 0) == (0, 1)


def test_mcnemar_is_the_published_one() -> None:
    test = mcnemar(1, 7)  # Fagerland, Lydersen, Laake, 2013: airway hyper-responsiveness
    assert (test.exact_p, test.mid_p) == pytest.approx((0.0703, 0.0391), abs=5e-5)
    assert mcnemar(4, 4).mid_p == 1
    assert mcnemar(0, 0).exact_p == 1


def test_bootstrap_keeps_how_many_have_each_label_and_finds_the_known_interval() -> None:
    matrix = np.array([[900, 100], [40, 160]])
    draws = resample(matrix, np.random.default_rng(0), 4000)
    assert (draws.sum(axis=2) == [1000, 200]).all()
    recalls = recall(draws, [1])
    assert percentiles(recalls) == pytest.approx((0.745, 0.855), abs=0.006)  # binomial(200, 0.8)


def test_paired_bootstrap_of_equal_labels_is_zero_and_of_one_better_is_above() -> None:
    same = np.zeros((2, 2, 2), dtype=int)
    same[0, 0, 0], same[0, 1, 1], same[1, 1, 1], same[1, 0, 0] = 800, 20, 90, 30
    assert (f1_difference(resample(same, np.random.default_rng(0)), [1]) == 0).all()
    better = same.copy()
    better[1, 1, 0], better[1, 0, 0] = 30, 0
    assert percentiles(f1_difference(resample(better, np.random.default_rng(0)), [1]))[0] > 0.05


def test_calibration_error_of_right_probabilities_is_what_chance_gives() -> None:
    rng = np.random.default_rng(5)
    said = rng.random(3000)
    right = calibrate(said, rng.random(3000) < said, rng)
    wrong = calibrate(said**2, rng.random(3000) < said, rng)
    assert right.error < right.error_if_calibrated
    assert wrong.error > 3 * wrong.error_if_calibrated
    assert sum(one.n for one in right.bins) == 3000


def test_gains_count_ties_as_in_the_mean_over_every_order() -> None:
    said = np.array([0.9, 0.5, 0.5, 0.5, 0.1])
    happened = np.array([True, True, False, False, True])
    assert cumulative_gains(said, happened) * 3 == pytest.approx([0, 1, 4 / 3, 5 / 3, 2, 3])
    assert gains(said, happened)[-1].lift == pytest.approx(1)
