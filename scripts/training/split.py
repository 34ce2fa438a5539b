"""Phase 3: the split of the table and the scaling learnt from the training part."""

from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from scripts.training.preprocess import Table

TEST_SHARE = 0.2
SPLIT_SEED = 42


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
    """Training and held-out part: features [rows, features] in raw units, labels [rows]."""

    train_features: np.ndarray
    test_features: np.ndarray
    train_labels: np.ndarray
    test_labels: np.ndarray


def split_table(table: Table) -> Split:
    """Holds out a fifth of the rows, always the same ones (not stratified, as published)."""
    return Split(*train_test_split(
        table.features, table.labels, test_size=TEST_SHARE, random_state=SPLIT_SEED,
    ))


def fit_scaling(train_features: np.ndarray) -> Scaling:
    """Mean and population standard deviation of each training column.

    Column order in memory decides the order of summation, hence the last bits of the result:
    column-major gives the figures of a scaler that was fitted on a pandas table.
    """
    scaler = StandardScaler().fit(np.asfortranarray(train_features))
    return Scaling(scaler.mean_, scaler.scale_)
