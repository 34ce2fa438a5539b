"""Phase 1, data acquisition: a table of text cells from a CSV file, a database, OpenML or our own generator."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from scripts.training.generated_table import generate_table
from scripts.training.openml_source import OPENML_DATA_ID, fetch_openml_churn
from scripts.training.sql_source import MAX_ROWS, is_database, read_query
from scripts.training.table_faults import TableFaults


@dataclass(frozen=True)
class RawTable:
    """`cells`: one text per cell, columns as in the source; `name` is written into the contract."""

    name: str
    cells: pd.DataFrame
    file: Path | None = None

    @cached_property
    def sha256(self) -> str:
        """Of the file as it is; without a file, of the cells written as CSV."""
        content = self.file.read_bytes() if self.file else self.cells.to_csv(index=False).encode()
        return hashlib.sha256(content).hexdigest()


def acquire(source: str, query: Path | None = None, max_rows: int = MAX_ROWS) -> RawTable:
    """Reads the table named by `source`: "generated", "openml", the URL of a database, or the path of a CSV file.

    `query` is the file of the SELECT for a database, `max_rows` how many rows it may give.
    Raises FileNotFoundError when it is none of them, TableFaults when it is no table.
    """
    if is_database(source):
        return read_database(source, query, max_rows)
    if query:
        raise TableFaults(source, ["--query goes with the URL of a database"])
    if source == "generated":
        return RawTable("generated", as_text(generate_table()))
    if source == "openml":
        return RawTable(f"openml:{OPENML_DATA_ID}", as_text(fetch_openml_churn()))
    return read_csv(Path(source))


def read_database(url: str, query: Path | None, max_rows: int) -> RawTable:
    """The answer of the SELECT in the file `query`."""
    if query is None:
        raise TableFaults("database", ["--query FILE is missing: the SELECT whose columns are the catalogue's"])
    if not query.is_file():
        raise FileNotFoundError(f"--query {query}: no such file")
    cells = read_query(url, query.read_text(encoding="utf-8"), max_rows)
    # A database may give the same rows in another order each time, and the split goes by it
    return RawTable(f"sql:{query.name}", cells.sort_values(list(cells.columns), kind="stable", ignore_index=True))


def read_csv(path: Path) -> RawTable:
    """A CSV file with a header."""
    if not path.is_file():
        raise FileNotFoundError(f"--data {path}: no such file (or use openml, generated, sql:URL)")
    try:
        cells = pd.read_csv(path, dtype=str, keep_default_na=False)
    except ValueError as error:
        raise TableFaults(path.name, [f"not a CSV file in UTF-8: {error}"]) from error
    return RawTable(path.name, cells.fillna(""), path)


def as_text(table: pd.DataFrame) -> pd.DataFrame:
    """Every cell as the text that reads back as the same number; missing cells become empty."""
    return table.astype(object).where(table.notna(), "").astype(str)
