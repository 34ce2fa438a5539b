"""Which rows of a table a version was trained on, and which were held out."""

import io
from dataclasses import dataclass

import numpy as np
import pandas as pd
from mlflow.tracking import MlflowClient
from sklearn.model_selection import train_test_split

from scripts.evaluation.labelled_table import LabelledTable
from scripts.evaluation.model_contract import ModelContract
from scripts.evaluation.model_version import ModelVersion, read_artifact
from scripts.evaluation.refusal import Refused

SPLIT_ARTIFACT = "split/split.csv"
TEST_SHARE = 0.2
SPLIT_SEED = 42
PRECISION = 1e-9


@dataclass(frozen=True)
class Parts:
    """`training` and `held_out`: places in the table, in the order of training, which decides what a forest learns.

    `how` says in words how they are known.
    """

    training: np.ndarray
    held_out: np.ndarray
    how: str


def parts_of(client: MlflowClient, version: ModelVersion, table: LabelledTable) -> Parts:
    """The parts as the run's split says; for an older run the published split, if its scaling proves it.

    Raises Refused when it cannot be known which rows were held out.
    """
    text = read_artifact(client, version.run_id, SPLIT_ARTIFACT)
    return by_published_split(version, table) if text is None else by_artifact(version, table, text)


def by_artifact(version: ModelVersion, table: LabelledTable, text: str) -> Parts:
    """The parts by the customers' ids, from the columns customer_id and part (train or test)."""
    place = {customer: number for number, customer in enumerate(table.ids)}
    parts = read_split(text)
    training, held_out = (np.array([place[one] for one in part if one in place], dtype=np.int64) for part in parts)
    if not len(training) or not len(held_out):
        raise Refused(f"{table.name} has no customers of both parts of the split of {version.title}")
    missing = sum(map(len, parts)) - len(training) - len(held_out)
    others = len(table) - len(training) - len(held_out)
    how = f"by the run's {SPLIT_ARTIFACT}"
    if missing:
        how += f"; {missing:,} of its customers are not in {table.name}"
    if others:
        how += f"; {others:,} rows of {table.name} are in neither part and left out"
    if not scaling_fits(version.contract, table.features[training]):
        how += "; the contract's scaling is not that of these training rows, so the table has changed since"
    return Parts(training, held_out, how)


def read_split(text: str) -> tuple[list[str], list[str]]:
    """The customers of the training part and those held out, each in the order of training."""
    split = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
    training, held_out = (split.loc[split["part"] == part, "customer_id"].tolist() for part in ("train", "test"))
    return training, held_out


def by_published_split(version: ModelVersion, table: LabelledTable) -> Parts:
    """A fifth held out with the seed 42, as the project did before runs kept their split."""
    training, held_out = train_test_split(np.arange(table.source_rows), test_size=TEST_SHARE, random_state=SPLIT_SEED)
    if len(table) < table.source_rows or not scaling_fits(version.contract, table.features[training]):
        raise Refused(
            f"nobody knows which rows of {table.name} were held out from {version.title}: its run has no "
            f"{SPLIT_ARTIFACT}, and its scaling is not that of the published split of this table; "
            "give customers that it was not trained on with --new"
        )
    how = f"the run has no {SPLIT_ARTIFACT}: the published split (a fifth, seed 42), proved by the contract's scaling"
    return Parts(training, held_out, how)


def scaling_fits(contract: ModelContract, training: np.ndarray) -> bool:
    """Whether the contract's scaling is mean and deviation of these rows [n, features]."""
    near = {"rtol": PRECISION, "atol": PRECISION}
    return bool(
        np.allclose((training.mean(axis=0) - contract.mean) / contract.scale, 0, **near)
        and np.allclose(training.std(axis=0), contract.scale, **near)
    )


def trained_customers(client: MlflowClient, version: ModelVersion, table: LabelledTable) -> int:
    """How many of the table's customers are in the training part of the run's split; 0 where it kept none."""
    text = read_artifact(client, version.run_id, SPLIT_ARTIFACT)
    if text is None:
        return 0
    training, _ = read_split(text)
    return int(np.isin(table.ids, training).sum())


def known_rows(table: LabelledTable, training: LabelledTable) -> np.ndarray:
    """Which rows of the table [n] equal a training row in every feature and in the label, bool [n]."""
    seen = {row.tobytes() for row in with_labels(training)}
    return np.array([row.tobytes() in seen for row in with_labels(table)], dtype=bool)


def with_labels(table: LabelledTable) -> np.ndarray:
    """Features and label side by side [n, features + 1]; adding 0 makes -0 and 0 the same bytes."""
    return np.column_stack([table.features, table.labels]) + 0.0
