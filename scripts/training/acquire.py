"""Phase 1, data acquisition: a table of text cells from a CSV file, OpenML or our own generator."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from sklearn.datasets import fetch_openml

from scripts.training.feature_catalogue import FEATURE_NAMES, ID_COLUMN, LABEL_COLUMN
from scripts.training.generated_table import generate_table
from scripts.training.table_faults import TableFaults

OPENML_DATA_ID = 40701
TABLE_COLUMNS = (ID_COLUMN, *FEATURE_NAMES, LABEL_COLUMN)


@dataclass(frozen=True)
class RawTable:
    """`cells`: one text per cell, columns as in the source; `name` is written into the contract."""

    name: str
    cells: pd.DataFrame


def acquire(source: str) -> RawTable:
    """Reads the table named by `source`: "generated", "openml" or the path of a CSV file.

    Raises FileNotFoundError when it is none of them, TableFaults when the file is no CSV file.
    """
    if source == "generated":
        return RawTable("generated", as_text(generate_table()))
    if source == "openml":
        return RawTable(f"openml:{OPENML_DATA_ID}", as_text(fetch_openml_churn()))
    path = Path(source)
    if not path.is_file():
        raise FileNotFoundError(f"--data {source}: no such file (or use openml, generated)")
    try:
        cells = pd.read_csv(path, dtype=str, keep_default_na=False)
    except ValueError as error:
        raise TableFaults(path.name, [f"not a CSV file in UTF-8: {error}"]) from error
    return RawTable(path.name, cells.fillna(""))


def fetch_openml_churn() -> pd.DataFrame:
    """OpenML's "churn" (5,000 rows) with the columns of the CSV file; customer ids are row numbers."""
    table = fetch_openml(data_id=OPENML_DATA_ID, as_frame=True, parser="auto").frame
    table = table.rename(columns={"class": LABEL_COLUMN})
    table[ID_COLUMN] = [f"C{number:05d}" for number in range(1, len(table) + 1)]
    return table.reindex(columns=list(TABLE_COLUMNS))


def as_text(table: pd.DataFrame) -> pd.DataFrame:
    """Every cell as the text that reads back as the same number; missing cells become empty."""
    return table.astype(object).where(table.notna(), "").astype(str)
