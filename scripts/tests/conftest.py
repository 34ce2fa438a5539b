"""What several tests share."""

import os
from pathlib import Path

import pytest

from scripts.training.acquire import acquire
from scripts.training.catalogue import Catalogue, read_catalogue
from scripts.training.contract import CONTRACT_FILE, ONNX_FILE, read_contract
from scripts.training.preprocess import Table, preprocess

CONFIG = Path(__file__).resolve().parents[2] / "config" / "rfc_tune"
HOW_TO_GET_IT = (
    "CHURN_CSV is not set: it names the churn table as CSV (customer_id, the twelve features, churn; "
    "3,333 rows), the first 3,333 rows of mlc_churn in the R package modeldata"
)


@pytest.fixture(scope="session")
def churn_csv() -> str:
    """The path of the real table; skips, or fails where real peers are required."""
    path = os.environ.get("CHURN_CSV")
    if path:
        return path
    if os.environ.get("REAL_PEERS") == "required":
        pytest.fail(HOW_TO_GET_IT)
    pytest.skip(HOW_TO_GET_IT)


@pytest.fixture(scope="session")
def churn_catalogue() -> Catalogue:
    """config/rfc_tune/catalogue.json."""
    return read_catalogue()


@pytest.fixture(scope="session")
def real_table(churn_csv: str, churn_catalogue: Catalogue) -> Table:
    """The real table, checked."""
    return preprocess(acquire(churn_csv), churn_catalogue)


@pytest.fixture(scope="session")
def committed_contract() -> dict:
    """config/rfc_tune/contract.json."""
    return read_contract(CONFIG / CONTRACT_FILE)


@pytest.fixture(scope="session")
def committed_onnx() -> bytes:
    """config/rfc_tune/model.onnx."""
    return (CONFIG / ONNX_FILE).read_bytes()
