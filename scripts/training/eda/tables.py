"""The figures of the report, as numbers: of each feature, of each label, and of features in pairs."""

from dataclasses import dataclass

import numpy as np
from scipy import stats
from sklearn.metrics import mutual_info_score
from sklearn.tree import DecisionTreeClassifier, export_text

from scripts.training.catalogue import Catalogue, Feature
from scripts.training.leakage import alone
from scripts.training.split import Split

TUKEY_FENCE = 1.5
RULE_DEPTH = 3
FEWEST_IN_RULE = 20
CORRELATED = 0.8
SHARE_BINS = 8
WILSON_Z = stats.norm.ppf(0.975)


@dataclass(frozen=True)
class FeatureFigures:
    """One feature within the training part, in its own unit; `information` is shared with the label, in bits.

    `alone` is the balanced accuracy of a small tree that sees only this feature; shares are 0 to 1.
    """

    feature: Feature
    values: np.ndarray
    quantiles: tuple[float, float, float, float, float]
    mean: float
    deviation: float
    skewness: float
    distinct: int
    zero_share: float
    outlier_share: float
    information: float
    alone: float


@dataclass(frozen=True)
class BinShare:
    """How often a label occurs where the feature is in [low, high], with a 95 % Wilson interval; `count` rows."""

    low: float
    high: float
    share: float
    share_low: float
    share_high: float
    count: int


def feature_figures(split: Split, catalogue: Catalogue) -> list[FeatureFigures]:
    """Every feature, the most informative first."""
    figures = [
        figures_of(feature, values, split.train_labels)
        for feature, values in zip(catalogue.features, split.train_features.T, strict=True)
    ]
    return sorted(figures, key=lambda figure: -figure.information)


def figures_of(feature: Feature, values: np.ndarray, labels: np.ndarray) -> FeatureFigures:
    """The figures of one feature [rows]."""
    quantiles = tuple(float(value) for value in np.quantile(values, [0, 0.25, 0.5, 0.75, 1]))
    reach = TUKEY_FENCE * (quantiles[3] - quantiles[1])
    is_outlier = (values < quantiles[1] - reach) | (values > quantiles[3] + reach)
    return FeatureFigures(
        feature=feature,
        values=values,
        quantiles=quantiles,
        mean=float(values.mean()),
        deviation=float(values.std()),
        skewness=float(stats.skew(values)) if np.ptp(values) else 0.0,
        distinct=len(np.unique(values)),
        zero_share=float((values == 0).mean()),
        outlier_share=0.0 if feature.type == "binary" else float(is_outlier.mean()),
        information=information_on(values, labels),
        alone=alone(values, labels),
    )


def information_on(values: np.ndarray, labels: np.ndarray) -> float:
    """Mutual information in bits of the binned feature and the label, less its bias (Miller and Madow)."""
    bins = bins_of(values)
    in_bin = np.searchsorted([high for _, high in bins], values)
    bias = (len(bins) - 1) * (len(np.unique(labels)) - 1) / (2 * len(values))
    return float(max(0, mutual_info_score(labels, in_bin) - bias) / np.log(2))


def bins_of(values: np.ndarray) -> list[tuple[float, float]]:
    """At most eight ranges of values that occur, of like size; a frequent value is a range of its own."""
    distinct = np.unique(values)
    if len(distinct) <= SHARE_BINS:
        highs = distinct
    else:
        highs = np.unique(np.quantile(values, np.linspace(0, 1, SHARE_BINS + 1)[1:], method="lower"))
    after = np.searchsorted(distinct, highs[:-1], side="right")
    return list(zip([distinct[0], *distinct[after]], highs, strict=True))


def label_shares(values: np.ndarray, is_label: np.ndarray) -> list[BinShare]:
    """The share of a label [rows, bool] in each range of the feature's values [rows]."""
    return [wilson(low, high, is_label[(values >= low) & (values <= high)]) for low, high in bins_of(values)]


def wilson(low: float, high: float, is_label: np.ndarray) -> BinShare:
    """The share of a label with Wilson's score interval."""
    count, share, square = len(is_label), float(is_label.mean()), WILSON_Z**2
    centre = (share + square / (2 * count)) / (1 + square / count)
    reach = WILSON_Z / (1 + square / count) * np.sqrt(share * (1 - share) / count + square / (4 * count**2))
    return BinShare(low, high, share, min(share, centre - reach), max(share, centre + reach), count)


def rank_correlations(split: Split) -> np.ndarray:
    """Spearman's correlation of each feature with each other, [features, features]."""
    return np.corrcoef(stats.rankdata(split.train_features, axis=0), rowvar=False).reshape(
        split.train_features.shape[1], -1,
    )


def correlated_pairs(correlations: np.ndarray, catalogue: Catalogue) -> list[tuple[Feature, Feature, float]]:
    """Pairs of features that say nearly the same."""
    first, second = np.triu_indices(len(correlations), k=1)
    return [
        (catalogue.features[one], catalogue.features[other], float(correlations[one, other]))
        for one, other in zip(first, second, strict=True)
        if abs(correlations[one, other]) >= CORRELATED
    ]


def repeated_rows(split: Split) -> int:
    """How many training rows have all features in common with an earlier one."""
    return len(split.train_features) - len(np.unique(split.train_features, axis=0))


def simple_rules(split: Split, catalogue: Catalogue) -> str:
    """What a tree of three questions says, with the rows of each label at its leaves."""
    tree = DecisionTreeClassifier(max_depth=RULE_DEPTH, min_samples_leaf=FEWEST_IN_RULE, random_state=0)
    tree.fit(split.train_features, split.train_labels)
    return export_text(
        tree, feature_names=[feature.names["en"] for feature in catalogue.features], decimals=1, show_weights=True,
    )
