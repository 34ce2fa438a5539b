"""A table of customers whose label is known, read by a version's contract."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from scripts.evaluation.model_contract import ModelContract
from scripts.evaluation.refusal import Refused
from scripts.training.acquire import acquire

ID_COLUMN = "customer_id"
IDS_SHOWN = 3


@dataclass(frozen=True)
class Columns:
    """The names of the columns that hold the customer's id and the label, as far as they are known."""

    id: str | None = None
    label: str | None = None


@dataclass(frozen=True)
class Cells:
    """Text cells of a table with the columns that hold the customer's id and the label."""

    name: str
    cells: pd.DataFrame
    id_column: str
    label_column: str
    sha256: str | None


@dataclass(frozen=True)
class LabelledTable:
    """`features` float64 [n, features] in the contract's order, `labels` indexes of the contract's labels [n].

    `rows` [n] are places in the source; `left_out` says in words what could not be used.
    """

    name: str
    ids: np.ndarray
    features: np.ndarray
    labels: np.ndarray
    rows: np.ndarray
    source_rows: int
    left_out: tuple[str, ...]

    def take(self, places: np.ndarray) -> "LabelledTable":
        """The rows at these places, or where a mask [n] is true."""
        return LabelledTable(
            self.name, self.ids[places], self.features[places], self.labels[places], self.rows[places],
            self.source_rows, self.left_out,
        )

    def __len__(self) -> int:
        return len(self.rows)


def read_cells(source: str, contract: ModelContract, named: Columns, usual: Columns = Columns()) -> Cells:
    """Reads a CSV file, or what scripts.training can acquire.

    `named` are the columns that the caller names, `usual` those of the version's own table. Else the id is in
    customer_id or the first column, and the label in the one that is left. Raises Refused or OSError.
    """
    path = Path(source)
    if path.is_file():
        try:
            cells = pd.read_csv(path, dtype=str, keep_default_na=False).fillna("")
        except ValueError as error:
            raise Refused(f"{path.name} is not a CSV file in UTF-8: {error}") from error
        name, digest = path.name, hashlib.sha256(path.read_bytes()).hexdigest()
    else:
        raw = acquire(source)
        name, cells, digest = raw.name, raw.cells, None
    missing = [feature for feature in contract.names if feature not in cells.columns]
    if missing:
        raise Refused(f"{name} has no column {', '.join(missing)}, which the contract needs")
    present = [one for one in (usual.id, ID_COLUMN) if one in cells.columns]
    id_column = named.id or (present[0] if present else str(cells.columns[0]))
    if id_column not in cells.columns or id_column in contract.names:
        raise Refused(f"{name} has no column '{id_column}' for the customer's id: name it with --id-column")
    others = [column for column in cells.columns if column not in {*contract.names, id_column}]
    label_column = named.label or (usual.label if usual.label in others else None)
    if label_column is None and len(others) == 1:
        label_column = others[0]
    if label_column not in others:
        raise Refused(
            f"{name}: which column holds the label? Name it with --label-column; "
            f"besides id and features there is {', '.join(others) or 'none'}"
        )
    return Cells(name, cells, id_column, label_column, digest)


def read_by_contract(given: Cells, contract: ModelContract) -> LabelledTable:
    """The rows that the contract can read: the first of each customer, with a known label and allowed values."""
    cells = given.cells
    numbers = cells[contract.names].apply(lambda column: pd.to_numeric(column.str.strip(), errors="coerce"))
    features = numbers.to_numpy(np.float64)
    ids = cells[given.id_column].str.strip()
    labels = label_places(cells[given.label_column].str.strip(), contract)
    faults = list(row_faults(features, ids, labels, contract))
    used = ~np.any([mask for _, mask in faults], axis=0)
    if not used.any():
        raise Refused(f"{given.name}: no row can be used; {'; '.join(describe(faults, ids.to_numpy()))}")
    rows = np.flatnonzero(used)
    return LabelledTable(
        given.name, ids.to_numpy()[rows], features[rows], labels[rows], rows, len(cells),
        tuple(describe(faults, ids.to_numpy())),
    )


def label_places(column: pd.Series, contract: ModelContract) -> np.ndarray:
    """Label cells [n] as indexes of labels, by code (also 1.0 for 1) or by name; -1 where it is none."""
    places = {label.name: place for place, label in enumerate(contract.labels)}
    for place, label in enumerate(contract.labels):
        if isinstance(label.code, int):
            places[f"{label.code}.0"] = place
        places[str(label.code)] = place
    return column.map(places).fillna(-1).to_numpy(np.int64)


def row_faults(
    features: np.ndarray, ids: pd.Series, labels: np.ndarray, contract: ModelContract,
) -> Iterator[tuple[str, np.ndarray]]:
    """Each reason to leave rows out, with the rows that it concerns, bool [n]."""
    yield "no customer id", (ids == "").to_numpy()
    yield "customer id seen before", (ids.duplicated() & (ids != "")).to_numpy()
    yield "no label of the contract", labels < 0
    for place, feature in enumerate(contract.features):
        column = features[:, place]
        missing = ~np.isfinite(column)
        yield f"no number in {feature.name}", missing
        yield f"{feature.name} not allowed", ~missing & feature.faulty(np.where(missing, 0, column))


def describe(faults: list[tuple[str, np.ndarray]], ids: np.ndarray) -> Iterator[str]:
    """What was left out and why, with the first customers."""
    for reason, mask in faults:
        if mask.any():
            shown = ", ".join(str(one) for one in ids[mask][:IDS_SHOWN])
            more = ", …" if mask.sum() > IDS_SHOWN else ""
            yield f"{reason}: {mask.sum():,} rows ({shown}{more})"
