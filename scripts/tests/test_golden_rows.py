"""Golden rows show mistakes, belong to nobody and keep away from the cut between two labels."""

import numpy as np
import pytest

from scripts.training.acquire import acquire
from scripts.training.catalogue import Catalogue
from scripts.training.forest import default_parameters, make_forest
from scripts.training.golden_rows import FIRST_ROWS, MIN_LEAD, choose_golden_rows, label_leads
from scripts.training.golden_variants import exchanged, variant_labels
from scripts.training.preprocess import preprocess
from scripts.training.split import equals_any, fit_scaling, split_table
from scripts.training.synthetic_rows import sample_rows

TREES = {"n_estimators": 31, "random_state": 1}


@pytest.fixture(scope="module")
def trained(churn_catalogue: Catalogue):
    """A small forest on the generated table, with its split and scaling."""
    split = split_table(preprocess(acquire("generated"), churn_catalogue))
    scaling = fit_scaling(split.train_features)
    forest = make_forest(TREES).fit(scaling.apply(split.train_features), split.train_labels)
    return forest, scaling, split


@pytest.fixture(scope="module")
def golden(trained, churn_catalogue: Catalogue):
    """Golden rows of that forest, chosen against a default forest and against itself."""
    forest, scaling, split = trained
    default = make_forest(default_parameters(5)).fit(scaling.apply(split.train_features), split.train_labels)
    sampled = sample_rows(churn_catalogue, np.random.default_rng(3), 20_000, split.train_features)
    return choose_golden_rows(
        churn_catalogue, forest, scaling, sampled, np.concatenate([sampled[:10_000], split.train_features]),
        {"default forest": default, "the same forest": forest},
    )


def test_every_mistake_that_changes_a_label_is_shown(golden) -> None:
    assert golden.mistakes == 2 + 66 + 66 + 2
    assert golden.shown == golden.mistakes - len(golden.undetectable)
    assert "the same forest" in golden.undetectable
    assert golden.shown_by_first >= 0.9 * golden.shown


def test_first_rows_have_both_labels(golden) -> None:
    assert len(golden.labels) == 32
    assert set(golden.labels[:FIRST_ROWS]) == {0, 1}


def test_rows_are_clear_and_stand_in_no_table(golden, trained, churn_catalogue: Catalogue) -> None:
    forest, scaling, split = trained
    probabilities = forest.predict_proba(scaling.apply(golden.features))
    assert label_leads(probabilities).min() > MIN_LEAD
    first_half = sample_rows(churn_catalogue, np.random.default_rng(3), 20_000, split.train_features)[:10_000]
    assert not equals_any(golden.features, first_half).any()


def test_a_swap_of_two_columns_changes_a_golden_label(golden, trained) -> None:
    forest, scaling, _ = trained
    wrong = scaling.apply(golden.features)[:, exchanged(12, 2, 6)]
    assert (forest.predict(wrong) != golden.labels).any()


def test_variants_are_what_they_say(golden, trained, churn_catalogue: Catalogue) -> None:
    forest, scaling, _ = trained
    labels = variant_labels(churn_catalogue, forest, scaling, golden.features, {})
    columns = list(range(12))[::-1]
    assert labels["raw vector"].tolist() == forest.predict(golden.features).tolist()
    assert labels["columns reversed"].tolist() == forest.predict(scaling.apply(golden.features)[:, columns]).tolist()
    mixed = scaling.apply(golden.features)
    mixed[:, [0, 1]] = mixed[:, [1, 0]]
    swapped = labels["columns account_length and number_vmail_messages swapped"]
    assert swapped.tolist() == forest.predict(mixed).tolist()
