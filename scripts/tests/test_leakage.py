"""Leaks are refused by name, and nobody who is held out has a twin in the training part."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from scripts.training.acquire import RawTable, acquire
from scripts.training.catalogue import read_catalogue
from scripts.training.leakage import refuse_leaks
from scripts.training.preprocess import Table, preprocess
from scripts.training.split import equals_any, split_csv, split_table
from scripts.training.table_faults import TableFaults

CATALOGUE = read_catalogue()
MINUTES = CATALOGUE.feature_names.index("total_day_minutes")
LENGTH = CATALOGUE.feature_names.index("account_length")


@pytest.fixture
def table() -> Table:
    """The generated table, which has no leak."""
    return preprocess(acquire("generated"), CATALOGUE)


def with_column(table: Table, index: int, values: np.ndarray) -> Table:
    """The table with other values in one column."""
    features = table.features.copy()
    features[:, index] = values
    return replace(table, features=features)


def test_a_table_without_leaks_passes(table: Table) -> None:
    refuse_leaks(table, CATALOGUE)


def test_a_feature_that_nearly_is_the_label_is_refused(table: Table) -> None:
    rng = np.random.default_rng(1)
    flipped = np.where(rng.random(len(table.labels)) < 0.005, 1 - table.labels, table.labels)
    leaking = with_column(table, MINUTES, 50 + 100 * flipped + rng.uniform(0, 9, len(flipped)))
    with pytest.raises(TableFaults, match="'total_day_minutes': alone it gives 9[89].* of the labels"):
        refuse_leaks(leaking, CATALOGUE)
    refuse_leaks(leaking, CATALOGUE, ["total_day_minutes"])


def test_an_id_among_the_features_is_refused(table: Table) -> None:
    numbers = np.random.default_rng(1).permutation(len(table.labels)) + 70_000
    with pytest.raises(TableFaults, match="'account_length': it has another whole number in every row"):
        refuse_leaks(with_column(table, LENGTH, numbers), CATALOGUE)
    refuse_leaks(with_column(table, LENGTH, numbers * 3), CATALOGUE)


def test_only_features_can_be_accepted(table: Table) -> None:
    with pytest.raises(TableFaults, match="--accept churn: no such feature"):
        refuse_leaks(table, CATALOGUE, ["churn"])


def test_twins_of_training_rows_are_not_held_out(table: Table) -> None:
    rows = np.random.default_rng(2).integers(0, len(table.labels), len(table.labels))
    repeated = replace(table, features=table.features[rows], labels=table.labels[rows])
    split = split_table(repeated)
    assert split.moved > 100
    assert len(split.train_labels) + len(split.test_labels) == len(table.labels)
    assert not equals_any(split.test_features, split.train_features).any()
    assert split_table(table).moved == 0


def test_the_split_is_written_customer_by_customer(table: Table) -> None:
    split = split_table(table)
    lines = split_csv(split).splitlines()
    assert lines[0] == "customer_id,part"
    parts = dict(line.split(",") for line in lines[1:])
    assert len(parts) == len(table.labels)
    assert {customer for customer, part in parts.items() if part == "test"} == set(split.test_customers)


def test_a_table_that_is_too_small_is_said(table: Table) -> None:
    few = np.concatenate([np.flatnonzero(table.labels == 0)[:60], np.flatnonzero(table.labels == 1)[:3]])
    small = replace(table, features=table.features[few], labels=table.labels[few], customers=table.customers[few])
    with pytest.raises(TableFaults, match="label 1 has . rows in the training part, and needs 5"):
        split_table(small)


def test_incomplete_rows_are_left_out_when_asked(table: Table) -> None:
    cells: pd.DataFrame = acquire("generated").cells.copy()
    cells.loc[[3, 5], "total_day_minutes"] = ""
    cells.loc[9, "total_eve_minutes"] = "x"
    raw = RawTable("gaps.csv", cells)
    with pytest.raises(TableFaults) as refused:
        preprocess(raw, CATALOGUE, drop_incomplete=True)
    assert refused.value.faults == ["column 'total_eve_minutes', row 11: 'x' is not a number"]
    cells.loc[9, "total_eve_minutes"] = "5"
    kept = preprocess(raw, CATALOGUE, drop_incomplete=True)
    assert (kept.incomplete, len(kept.labels)) == (2, len(table.labels) - 2)
    assert "G00004" not in kept.customers and "G00005" in kept.customers
