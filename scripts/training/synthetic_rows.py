"""Rows that belong to nobody: sampled feature by feature within the range seen in training."""

import math

import numpy as np

from scripts.training.catalogue import Catalogue, Feature

FEWEST_DECIMALS = 1


def sample_rows(
    catalogue: Catalogue, rng: np.random.Generator, count: int, train_features: np.ndarray,
) -> np.ndarray:
    """`count` rows [count, features] in raw units, each feature uniform between its training extremes."""
    columns = [
        sample_feature(feature, rng, count, values)
        for feature, values in zip(catalogue.features, train_features.T, strict=True)
    ]
    return np.stack(columns, axis=1)


def sample_feature(feature: Feature, rng: np.random.Generator, count: int, values: np.ndarray) -> np.ndarray:
    """`count` values of one feature, of which `values` were seen in training.

    One of the allowed values where they are listed, whole numbers where the feature takes whole numbers, else
    one decimal, and more where the range is narrower than ten.
    """
    low, high = values.min(), values.max()
    if "values" in feature.allowed and feature.type != "binary":
        return rng.choice(np.array(feature.allowed["values"], dtype=np.float64), count)
    if feature.is_whole:
        return rng.integers(int(low), int(high), count, endpoint=True).astype(np.float64)
    decimals = max(FEWEST_DECIMALS, 2 - math.floor(math.log10(high - low)))
    return np.clip(np.round(rng.uniform(low, high, count), decimals), low, high)
