"""A table from the ERP's database is the table of the file, and reading it changes nothing there."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from scripts.training.acquire import acquire
from scripts.training.catalogue import read_catalogue
from scripts.training.generated_table import generate_table
from scripts.training.preprocess import preprocess
from scripts.training.table_faults import TableFaults

CATALOGUE = read_catalogue()
POSTGRES = os.environ.get("TEST_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432/postgres")
SELECT = "SELECT *, 'it''s 100 %' AS note FROM customers ORDER BY customer_id;"


def fill(url: str) -> None:
    """The made-up customers as a table of a database."""
    engine = create_engine(url)
    generate_table().to_sql("customers", engine, index=False)
    engine.dispose()


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An SQLite file with the customers."""
    url = f"sqlite:///{tmp_path_factory.mktemp('erp') / 'erp.db'}"
    fill(url)
    return f"sql:{url}"


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    """A database of its own on a real PostgreSQL, without the password in its URL."""
    server = make_url(POSTGRES).set(drivername="postgresql+psycopg2")
    admin = create_engine(server, isolation_level="AUTOCOMMIT")
    name = f"training_{uuid.uuid4().hex[:12]}"
    try:
        with admin.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
    except OperationalError:
        advice = "no PostgreSQL on 127.0.0.1:5432; TEST_POSTGRES_URL names another"
        if os.environ.get("REAL_PEERS") == "required":
            pytest.fail(advice)
        pytest.skip(advice)
    fill(server.set(database=name).render_as_string(hide_password=False))
    if server.password:
        os.environ["DATA_PASSWORD"] = server.password
    yield "sql:" + server.set(drivername="postgresql", database=name, password=None).render_as_string()
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name}"))
    admin.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> str:
    """Each kind of database."""
    return request.getfixturevalue(request.param)


def query_file(folder: Path, query: str) -> Path:
    """The query as a file."""
    (folder / "customers.sql").write_text(query)
    return folder / "customers.sql"


def refusal(database: str, folder: Path, query: str, max_rows: int = 2_000) -> str:
    """What is said of a query that is refused."""
    with pytest.raises(TableFaults) as refused:
        acquire(database, query_file(folder, query), max_rows)
    return str(refused.value)


def test_is_the_table_of_the_file(database: str, tmp_path: Path) -> None:
    raw = acquire(database, query_file(tmp_path, SELECT))
    assert raw.name == "sql:customers.sql"
    table, expected = preprocess(raw, CATALOGUE), preprocess(acquire("generated"), CATALOGUE)
    assert table.features.tolist() == expected.features.tolist()
    assert table.labels.tolist() == expected.labels.tolist()
    assert table.customers.tolist() == expected.customers.tolist()


def test_null_true_and_exact_numbers(database: str, tmp_path: Path) -> None:
    query = "SELECT NULL AS a, 1.10 AS b, 0.1 + 0.2 AS c, 12 AS d, 'x' AS e"
    cells = acquire(database, query_file(tmp_path, query)).cells
    assert cells.loc[0, ["a", "d", "e"]].tolist() == ["", "12", "x"]
    assert [float(cell) for cell in cells.loc[0, ["b", "c"]]] == pytest.approx([1.1, 0.3])
    if "postgresql" in database:
        cells = acquire(database, query_file(tmp_path, "SELECT true AS yes, 1e-7::numeric AS small")).cells
        assert cells.loc[0].tolist() == ["1", "0.0000001"]


@pytest.mark.parametrize("statement", [
    "DELETE FROM customers",
    "DROP TABLE customers",
    "CREATE TABLE other (a int)",
    "WITH gone AS (DELETE FROM customers RETURNING *) SELECT * FROM gone",
    "SELECT 1; COMMIT; DELETE FROM customers",
])
def test_writes_nothing(database: str, tmp_path: Path, statement: str) -> None:
    assert "database" in refusal(database, tmp_path, statement)
    counted = acquire(database, query_file(tmp_path, "SELECT count(*) AS n FROM customers"))
    assert counted.cells.loc[0, "n"] == "1200"


def test_a_longer_answer_is_refused_not_cut(database: str, tmp_path: Path) -> None:
    assert "more than 1,199 rows" in refusal(database, tmp_path, SELECT, 1_199)
    assert len(acquire(database, query_file(tmp_path, SELECT), 1_200).cells) == 1_200


def test_a_query_that_fails_is_said_without_its_text(database: str, tmp_path: Path) -> None:
    said = refusal(database, tmp_path, "SELECT secret_column FROM nowhere")
    assert "the query failed" in said and "SELECT" not in said


def test_a_password_on_the_command_line_is_refused(tmp_path: Path) -> None:
    said = refusal("sql:postgresql://reader:hush@erp/crm", tmp_path, "SELECT 1")
    assert "DATA_PASSWORD" in said and "hush" not in said


def test_what_is_missing_is_said(tmp_path: Path, sqlite: str) -> None:
    with pytest.raises(TableFaults, match="--query FILE is missing"):
        acquire(sqlite)
    with pytest.raises(FileNotFoundError, match="--query .*: no such file"):
        acquire(sqlite, tmp_path / "none.sql")
    with pytest.raises(FileNotFoundError, match="no such file"):
        acquire("sql:sqlite:///none.db", query_file(tmp_path, "SELECT 1"))
    assert "none of postgresql, sqlite" in refusal("sql:mysql://erp/crm", tmp_path, "SELECT 1")
    with pytest.raises(TableFaults, match="goes with the URL of a database"):
        acquire("generated", query_file(tmp_path, "SELECT 1"))


def test_the_fingerprint_is_that_of_the_table_as_csv(database: str, tmp_path: Path) -> None:
    raw = acquire(database, query_file(tmp_path, SELECT))
    file = tmp_path / "table.csv"
    raw.cells.to_csv(file, index=False)
    again = acquire(str(file))
    assert again.sha256 == raw.sha256
    pd.testing.assert_frame_equal(again.cells, raw.cells)
