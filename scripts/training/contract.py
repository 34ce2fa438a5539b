"""The model contract: the one file that says what goes into the model and what comes out."""

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path

import numpy as np

from scripts.training.catalogue import Catalogue, Feature
from scripts.training.golden_rows import GoldenRows
from scripts.training.split import Scaling

CONTRACT_FILE = "contract.json"
ONNX_FILE = "model.onnx"
HISTOGRAM_BINS = 10


def build_contract(
    catalogue: Catalogue, model: dict, scaling: Scaling, train_features: np.ndarray, golden: GoldenRows,
    onnx_bytes: bytes, training: dict,
) -> dict:
    """The contract as it is written; `model` holds name, version and runId, `training` how it was made."""
    return {
        "contractVersion": 1,
        "model": model,
        "features": [
            feature_entry(feature, train_features[:, index], scaling.mean[index], scaling.scale[index])
            for index, feature in enumerate(catalogue.features)
        ],
        "labels": [asdict(label) for label in catalogue.labels],
        "goldenRows": [
            {"features": named(catalogue, row), "label": label}
            for row, label in zip(golden.features, golden.labels.tolist(), strict=True)
        ],
        "onnx": {"file": ONNX_FILE, "sha256": hashlib.sha256(onnx_bytes).hexdigest()},
        "training": training,
    }


def feature_entry(feature: Feature, values: np.ndarray, mean: float, scale: float) -> dict:
    """One feature of the contract; `values` [training rows] in raw units."""
    return {
        "name": feature.name,
        "meaning": feature.meaning,
        "names": feature.names,
        "unit": feature.unit,
        "type": feature.type,
        "allowed": feature.allowed,
        "trainingRange": {"minimum": in_unit(feature, values.min()), "maximum": in_unit(feature, values.max())},
        "scaling": {"mean": float(mean), "scale": float(scale)},
        "reference": reference_histogram(values),
    }


def reference_histogram(values: np.ndarray) -> dict:
    """At most ten bins with about as many training values each.

    The outer edges are the extremes; inner edges lie between two values that occur, so that it does not
    matter to which side an edge belongs.
    """
    distinct = np.unique(values)
    deciles = np.quantile(values, np.linspace(0, 1, HISTOGRAM_BINS + 1)[1:-1], method="lower")
    below = np.searchsorted(distinct, np.unique(deciles[deciles < distinct[-1]]))
    edges = np.concatenate([distinct[:1], (distinct[below] + distinct[below + 1]) / 2, distinct[-1:]])
    counts, _ = np.histogram(values, edges)
    return {"edges": edges.tolist(), "counts": counts.tolist()}


def named(catalogue: Catalogue, row: np.ndarray) -> dict:
    """A raw row [features] by feature name."""
    return {feature.name: in_unit(feature, value) for feature, value in zip(catalogue.features, row, strict=True)}


def in_unit(feature: Feature, value: float) -> int | float:
    """The value as JSON shows it: whole numbers without a decimal point."""
    return int(value) if feature.is_whole else float(value)


def golden_matrix(contract: dict) -> tuple[np.ndarray, np.ndarray]:
    """Golden rows of a contract: raw features [n, features] in the model's order, labels [n]."""
    rows = contract["goldenRows"]
    names = [feature["name"] for feature in contract["features"]]
    features = [[row["features"][name] for name in names] for row in rows]
    return np.array(features, dtype=np.float64), np.array([row["label"] for row in rows])


def contract_scaling(contract: dict) -> Scaling:
    """The scaling that a contract holds."""
    entries = [feature["scaling"] for feature in contract["features"]]
    return Scaling(np.array([entry["mean"] for entry in entries]), np.array([entry["scale"] for entry in entries]))


def read_contract(path: Path) -> dict:
    """Reads a contract file."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_contract(out: Path, contract: dict, onnx_bytes: bytes) -> list[Path]:
    """Writes model and contract into `out`, each in one step, so that no reader sees half a file."""
    text = json.dumps(contract, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    out.mkdir(parents=True, exist_ok=True)
    return [replace_file(out / ONNX_FILE, onnx_bytes), replace_file(out / CONTRACT_FILE, text.encode())]


def replace_file(path: Path, content: bytes) -> Path:
    """Puts `content` at `path` in one step."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_bytes(content)
    os.replace(temporary, path)
    return path
