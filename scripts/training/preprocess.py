"""Phase 2, preprocessing: text cells to numbers, refusing a table with faults and naming every one."""

import logging
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from scripts.training.acquire import RawTable
from scripts.training.catalogue import Catalogue, Feature
from scripts.training.table_faults import TableFaults

NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
HEADER_LINES = 1

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Table:
    """`customers` [rows] of ids; `features`: float64 [rows, features] in the table's units; `labels` [rows] of codes.

    `incomplete` counts the rows that were left out because a cell was empty.
    """

    name: str
    sha256: str
    customers: np.ndarray
    features: np.ndarray
    labels: np.ndarray
    incomplete: int = 0


def preprocess(raw: RawTable, catalogue: Catalogue, drop_incomplete: bool = False) -> Table:
    """Checks and converts a table; row numbers in faults count the header as row 1.

    `drop_incomplete` leaves rows with an empty cell out, instead of refusing them: the service labels no such
    customer either. Raises TableFaults with all faults at once: missing columns; missing, non-numeric,
    fractional or forbidden values; missing or repeated customer ids; columns with one value only.
    """
    missing = [name for name in catalogue.columns if name not in raw.cells.columns]
    if missing:
        raise TableFaults(raw.name, [f"column '{name}': missing" for name in missing])
    cells = raw.cells[list(catalogue.columns)].reset_index(drop=True).applymap(str.strip)
    if drop_incomplete:
        cells = complete_rows(cells)
    if cells.empty:
        raise TableFaults(raw.name, ["no rows"])
    faults = list(id_faults(cells[catalogue.id_column]))
    for feature in catalogue.features:
        faults += column_faults(cells[feature.name], feature)
    faults += label_faults(cells[catalogue.label_column], catalogue)
    if faults:
        raise TableFaults(raw.name, faults)
    return Table(
        name=raw.name,
        sha256=raw.sha256,
        customers=cells[catalogue.id_column].to_numpy(object),
        features=cells[list(catalogue.feature_names)].applymap(float).to_numpy(np.float64),
        labels=np.array([catalogue.codes[cell] for cell in cells[catalogue.label_column]]),
        incomplete=len(raw.cells) - len(cells),
    )


def complete_rows(cells: pd.DataFrame) -> pd.DataFrame:
    """The rows without an empty cell, under their old numbers; says how many are left out."""
    is_empty = cells == ""
    for name, count in is_empty.sum().items():
        if count:
            logger.info("column '%s': %d empty cells", name, count)
    complete = cells[~is_empty.any(axis=1)]
    logger.info("%d of %d rows are left out, since a cell is empty", len(cells) - len(complete), len(cells))
    return complete


def numbered(column: pd.Series) -> Iterator[tuple[int, str]]:
    """The cells of a column, each with its row number in the file."""
    return ((index + 1 + HEADER_LINES, cell) for index, cell in column.items())


def id_faults(column: pd.Series) -> Iterator[str]:
    """One sentence for each missing or repeated customer id."""
    first_row: dict[str, int] = {}
    for row, cell in numbered(column):
        if not cell:
            yield f"column '{column.name}', row {row}: missing"
        elif cell in first_row:
            yield f"column '{column.name}', row {row}: '{cell}' stands in row {first_row[cell]} already"
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
    if value > allowed.get("maximum", value):
        return f"{cell} is above {allowed['maximum']}"
    return None


def label_faults(column: pd.Series, catalogue: Catalogue) -> Iterator[str]:
    """One sentence for each cell that is no label code, and for a label that never occurs."""
    codes = catalogue.codes
    for row, cell in numbered(column):
        if cell not in codes:
            yield f"column '{column.name}', row {row}: '{cell}' is none of {sorted(codes)}"
    for code in sorted(codes.keys() - set(column)):
        yield f"column '{column.name}': label {code} never occurs"
