"""The results of a list as the service gives them, NDJSON: for a store that only the service can read."""

import json
from collections import defaultdict
from itertools import islice
from pathlib import Path

import numpy as np

from scripts.evaluation.refusal import Refused
from scripts.promotion.stored_labels import Piece, Pieces, StoredContract, StoredLabels, Unreadable

ROWS_AT_ONCE = 16_384
NO_LABEL = "it has no label in the file"
NO_FEATURES = "its features are not given by name, in the ERP's units"


def is_results_file(store: str) -> bool:
    """Whether the store is such a file."""
    return store.endswith(".ndjson")


def read_results(path: Path) -> Pieces:
    """The lines, 16,384 at once. Raises Refused when the file is not there or is no NDJSON."""
    if not path.is_file():
        raise Refused(f"--store {path}: no such file")
    with path.open(encoding="utf-8") as lines:
        number = 0
        while some := list(islice(lines, ROWS_AT_ONCE)):
            try:
                rows = [json.loads(line) for line in some if line.strip()]
            except ValueError as error:
                raise Refused(f"{path.name} is no NDJSON, below line {number}: {error}") from error
            number += len(some)
            yield group(rows)


def group(rows: list[dict]) -> Piece:
    """The rows by what features they name."""
    by_names: dict[tuple[str, ...], list[dict]] = defaultdict(list)
    unreadable: dict[str, list[dict]] = defaultdict(list)
    for row in rows:
        features = named_features(row)
        if "label" not in row:
            unreadable[NO_LABEL].append(row)
        elif features is None:
            unreadable[NO_FEATURES].append(row)
        else:
            by_names[tuple(sorted(features))].append(row)
    piece: Piece = [
        StoredLabels(
            StoredContract(names, None, None, {str(row["label"]): row["text"] for row in some}), "raw",
            [row["customerId"] for row in some], [str(row["label"]) for row in some],
            [row.get("version") or "?" for row in some],
            np.array([[row["input"]["features"][name] for name in names] for row in some], dtype=np.float64),
        )
        for names, some in by_names.items()
    ]
    return piece + [
        Unreadable(reason, [str(row.get("customerId")) for row in some], [str(row.get("label", "")) for row in some])
        for reason, some in unreadable.items()
    ]


def named_features(row: dict) -> dict[str, float] | None:
    """The raw features by name, None where the row has none."""
    given = row.get("input")
    if not isinstance(given, dict) or given.get("scale", "raw") != "raw":
        return None
    features = given.get("features")
    return features if isinstance(features, dict) else None
