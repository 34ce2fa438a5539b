"""Phase 6: the forest as ONNX, and the proof that it answers as scikit-learn does."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnxruntime
from sklearn.ensemble import RandomForestClassifier

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType

TARGET_OPSET = {"": 15, "ai.onnx.ml": 3}
MAX_BYTES = 10 * 1024 * 1024
PROBABILITY_TOLERANCE = 1e-6
ROWS_PER_CALL = 16_384


class ExportFailed(RuntimeError):
    """The exported model is too large or answers otherwise than scikit-learn."""


@dataclass(frozen=True)
class Parity:
    """Rows compared, labels that differ, and the largest difference of a probability."""

    rows: int
    different_labels: int
    largest_probability_difference: float


def export_onnx(forest: RandomForestClassifier, name: str) -> bytes:
    """The forest as an ONNX file of at most 10 MB.

    Input `input` float32 [n, features] (standardised); outputs `label` int64 [n] and `probabilities`
    float32 [n, labels]. Raises ExportFailed when the file would be larger.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = convert_sklearn(
            forest,
            name=name,
            initial_types=[("input", FloatTensorType([None, forest.n_features_in_]))],
            options={id(forest): {"zipmap": False}},
            target_opset=TARGET_OPSET,
        )
    onnx_bytes = model.SerializeToString()
    if len(onnx_bytes) > MAX_BYTES:
        raise ExportFailed(
            f"the ONNX file has {len(onnx_bytes):,} bytes, at most {MAX_BYTES:,} are allowed: a forest grows with its table, "
            "so give fewer rows, or with --parameters fewer or shallower trees"
        )
    return onnx_bytes


def compare(forest: RandomForestClassifier, onnx_bytes: bytes, standardised: np.ndarray) -> Parity:
    """Both models on the same standardised float64 rows [rows, features]."""
    session = onnxruntime.InferenceSession(onnx_bytes, providers=["CPUExecutionProvider"])
    different_labels, largest = 0, 0.0
    for rows in in_calls(standardised):
        labels, probabilities = session.run(["label", "probabilities"], {"input": rows.astype(np.float32)})
        different_labels += int(np.sum(labels != forest.predict(rows)))
        largest = max(largest, float(np.abs(probabilities - forest.predict_proba(rows)).max()))
    return Parity(len(standardised), different_labels, largest)


def assert_parity(parity: Parity) -> None:
    """Raises ExportFailed when a label differs or a probability is off by more than 1e-6."""
    if parity.different_labels or parity.largest_probability_difference > PROBABILITY_TOLERANCE:
        raise ExportFailed(
            f"ONNX and scikit-learn disagree: {parity.different_labels} of {parity.rows:,} labels, "
            f"probabilities by up to {parity.largest_probability_difference:.1e}; try another --seed"
        )


def in_calls(rows: np.ndarray) -> Iterator[np.ndarray]:
    """The rows in pieces small enough to keep memory flat."""
    return (rows[start:start + ROWS_PER_CALL] for start in range(0, len(rows), ROWS_PER_CALL))
