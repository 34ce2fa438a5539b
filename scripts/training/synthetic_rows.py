"""Rows that belong to nobody: sampled feature by feature within the range seen in training."""

import numpy as np

from scripts.training.feature_catalogue import FEATURES

DECIMALS = 1


def sample_rows(rng: np.random.Generator, count: int, train_features: np.ndarray) -> np.ndarray:
    """`count` rows [count, features] in raw units, each feature uniform between its training extremes.

    Whole numbers where the feature takes whole numbers, else one decimal.
    """
    columns = [
        rng.integers(int(low), int(high), count, endpoint=True).astype(np.float64)
        if feature.is_whole
        else np.clip(np.round(rng.uniform(low, high, count), DECIMALS), low, high)
        for feature, low, high in zip(
            FEATURES, train_features.min(axis=0), train_features.max(axis=0), strict=True,
        )
    ]
    return np.stack(columns, axis=1)
