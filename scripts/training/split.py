"""Phase 3: the split of the table and the scaling learnt from the training part."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from scripts.training.preprocess import Table
from scripts.training.table_faults import TableFaults

TEST_SHARE = 0.2
SPLIT_SEED = 42
FEWEST_TRAINING_ROWS = 5
SPLIT_COLUMNS = ("customer_id", "part")


@dataclass(frozen=True)
class Scaling:
    """The StandardScaler's figures: `mean` and `scale`, float64 [features] each."""

    mean: np.ndarray
    scale: np.ndarray

    def apply(self, features: np.ndarray) -> np.ndarray:
        """Standardised rows [rows, features]: (x - mean) / scale in float64."""
        return (features - self.mean) / self.scale


@dataclass(frozen=True)
class Split:
    """Training and held-out part: features [rows, features] in raw units, labels [rows], customers [rows].

    `moved` counts the rows that would have been held out, but whose twin is in the training part.
    """

    train_features: np.ndarray
    test_features: np.ndarray
    train_labels: np.ndarray
    test_labels: np.ndarray
    train_customers: np.ndarray
    test_customers: np.ndarray
    moved: int


def split_table(table: Table) -> Split:
    """Holds out a fifth of the rows, always the same ones (not stratified, as published).

    A row to be held out whose features all stand in a training row joins the training part: it would be asked
    for what was learnt by heart. Raises TableFaults when a label has too few rows in a part.
    """
    train, test = train_test_split(np.arange(len(table.labels)), test_size=TEST_SHARE, random_state=SPLIT_SEED)
    twins = equals_any(table.features[test], table.features[train])
    train, test = np.concatenate([train, test[twins]]), test[~twins]
    faults = list(too_few(table.labels, table.labels[train], "training", FEWEST_TRAINING_ROWS))
    faults += too_few(table.labels, table.labels[test], "held-out", 1)
    if faults:
        raise TableFaults(table.name, faults)
    return Split(
        table.features[train], table.features[test], table.labels[train], table.labels[test],
        table.customers[train], table.customers[test], int(twins.sum()),
    )


def too_few(labels: np.ndarray, part: np.ndarray, name: str, fewest: int) -> Iterator[str]:
    """One sentence for each label with fewer rows than `fewest` in a part."""
    for label in np.unique(labels):
        count = int((part == label).sum())
        if count < fewest:
            yield f"label {label} has {count} rows in the {name} part, and needs {fewest}: the table is too small"


def equals_any(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Which rows [n] equal one of the others."""
    known = {tuple(row) for row in others.tolist()}
    return np.array([tuple(row) in known for row in rows.tolist()], dtype=bool)


def split_csv(split: Split) -> str:
    """Who is in which part, as CSV with the columns customer_id and part (train or test)."""
    parts = ["train"] * len(split.train_customers) + ["test"] * len(split.test_customers)
    customers = np.concatenate([split.train_customers, split.test_customers])
    return pd.DataFrame(zip(customers, parts, strict=True), columns=list(SPLIT_COLUMNS)).to_csv(index=False)


def fit_scaling(train_features: np.ndarray) -> Scaling:
    """Mean and population standard deviation of each training column.

    Column order in memory decides the order of summation, hence the last bits of the result:
    column-major gives the figures of a scaler that was fitted on a pandas table.
    """
    scaler = StandardScaler().fit(np.asfortranarray(train_features))
    return Scaling(scaler.mean_, scaler.scale_)
