"""Phase 2, preprocessing: text cells to numbers, refusing a table with faults and naming every one."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from scripts.training.acquire import TABLE_COLUMNS, RawTable
from scripts.training.feature_catalogue import (
    FEATURE_NAMES, FEATURES, ID_COLUMN, LABEL_COLUMN, LABELS, Feature,
)
from scripts.training.table_faults import TableFaults

NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
HEADER_LINES = 1


@dataclass(frozen=True)
class Table:
    """`features`: float64 [rows, features] in the tables' units; `labels`: int64 [rows] of label codes."""

    name: str
    features: np.ndarray
    labels: np.ndarray


def preprocess(raw: RawTable) -> Table:
    """Checks and converts a table; row numbers in faults count the header as row 1.

    Raises TableFaults with all faults at once: missing columns; missing, non-numeric, fractional or
    forbidden values; missing or repeated customer ids; columns with one value only.
    """
    missing = [name for name in TABLE_COLUMNS if name not in raw.cells.columns]
    if missing:
        raise TableFaults(raw.name, [f"column '{name}': missing" for name in missing])
    if raw.cells.empty:
        raise TableFaults(raw.name, ["no rows"])
    cells = raw.cells[list(TABLE_COLUMNS)].applymap(str.strip)
    faults = list(id_faults(cells[ID_COLUMN]))
    for feature in FEATURES:
        faults += column_faults(cells[feature.name], feature)
    faults += label_faults(cells[LABEL_COLUMN])
    if faults:
        raise TableFaults(raw.name, faults)
    features = cells[list(FEATURE_NAMES)].applymap(float).to_numpy(np.float64)
    return Table(raw.name, features, cells[LABEL_COLUMN].map(int).to_numpy(np.int64))


def numbered(column: pd.Series) -> Iterator[tuple[int, str]]:
    """The cells of a column, each with its row number in the file."""
    return enumerate(column, start=1 + HEADER_LINES)


def id_faults(column: pd.Series) -> Iterator[str]:
    """One sentence for each missing or repeated customer id."""
    first_row: dict[str, int] = {}
    for row, cell in numbered(column):
        if not cell:
            yield f"column '{ID_COLUMN}', row {row}: missing"
        elif cell in first_row:
            yield f"column '{ID_COLUMN}', row {row}: '{cell}' stands in row {first_row[cell]} already"
        else:
            first_row[cell] = row


def column_faults(column: pd.Series, feature: Feature) -> Iterator[str]:
    """One sentence for each cell that `feature` does not allow, and for a constant column."""
    for row, cell in numbered(column):
        problem = cell_problem(cell, feature)
        if problem:
            yield f"column '{feature.name}', row {row}: {problem}"
    if column.nunique() == 1:
        yield f"column '{feature.name}': the same value in every row"


def cell_problem(cell: str, feature: Feature) -> str | None:
    """What is wrong with one cell, or None."""
    if not cell:
        return "missing"
    if not NUMBER.fullmatch(cell) or not math.isfinite(float(cell)):
        return f"'{cell}' is not a number"
    value = float(cell)
    if feature.is_whole and not value.is_integer():
        return f"{cell} is not a whole number"
    allowed = feature.allowed
    if value not in allowed.get("values", [value]):
        return f"{cell} is none of {allowed['values']}"
    if value < allowed.get("minimum", value):
        return f"{cell} is below {allowed['minimum']}"
    return None


def label_faults(column: pd.Series) -> Iterator[str]:
    """One sentence for each cell that is no label code, and for a label that never occurs."""
    codes = {str(label["code"]) for label in LABELS}
    for row, cell in numbered(column):
        if cell not in codes:
            yield f"column '{LABEL_COLUMN}', row {row}: '{cell}' is none of {sorted(codes)}"
    for code in sorted(codes - set(column)):
        yield f"column '{LABEL_COLUMN}': label {code} never occurs"
