"""The customers of a store, piece by piece, as the preview reads them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class StoredContract:
    """By what stored inputs are understood: names of the features in their order, label names by code as text.

    `mean` and `scale` [features] are None where the store does not say how standardised inputs were made.
    """

    names: tuple[str, ...]
    mean: np.ndarray | None
    scale: np.ndarray | None
    label_names: dict[str, str]


@dataclass(frozen=True)
class StoredLabels:
    """Customers [n] whose inputs [n, features] were read by one contract and came in one scale.

    `scale` is raw or standardized; `labels` are codes as text, `versions` who gave them.
    """

    contract: StoredContract
    scale: str
    ids: list[str]
    labels: list[str]
    versions: list[str]
    inputs: np.ndarray


@dataclass(frozen=True)
class Unreadable:
    """Customers of a piece whose inputs cannot even be read, with the reason."""

    reason: str
    ids: list[str]
    labels: list[str]


Piece = list[StoredLabels | Unreadable]
Pieces = Iterator[Piece]
