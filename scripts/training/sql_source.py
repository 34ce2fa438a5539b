"""A table from the ERP's database: one SELECT, read only, streamed, and no longer than agreed."""

import os
from decimal import Decimal
from pathlib import Path

import pandas as pd
from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import SQLAlchemyError

from scripts.training.table_faults import TableFaults

SQL_PREFIX = "sql:"
PASSWORD_VARIABLE = "DATA_PASSWORD"
MAX_ROWS = 200_000
ROWS_PER_FETCH = 2_000
STATEMENT_TIMEOUT_MS = 600_000
DRIVERS = {"postgresql": "postgresql+psycopg2", "sqlite": "sqlite"}


def is_database(source: str) -> bool:
    """Whether --data names a database: sql:URL."""
    return source.startswith(SQL_PREFIX)


def read_query(source: str, query: str, max_rows: int = MAX_ROWS) -> pd.DataFrame:
    """The answer of `query` as text cells.

    The password stands in DATA_PASSWORD, since others on the machine can read a command line. Raises TableFaults
    for a URL that is not understood, a query that fails or writes, and an answer of more than `max_rows` rows.
    """
    url = database_url(source.removeprefix(SQL_PREFIX))
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            make_read_only(connection)
            return fetch(connection, query, max_rows)
    except SQLAlchemyError as error:
        raise TableFaults("database", [f"the query failed: {reason(error)}"]) from error
    finally:
        engine.dispose()


def database_url(given: str) -> URL:
    """The URL with the driver that is installed and the password of the environment."""
    try:
        url = make_url(given)
    except SQLAlchemyError as error:
        raise TableFaults("database", ["--data sql:URL: this is no URL of a database"]) from error
    if url.password is not None:
        raise TableFaults("database", [f"give the password in {PASSWORD_VARIABLE}, not in --data"])
    if url.drivername not in DRIVERS:
        raise TableFaults("database", [f"'{url.drivername}' is none of {', '.join(DRIVERS)}"])
    if url.drivername == "sqlite" and not Path(url.database or "").is_file():
        raise FileNotFoundError(f"--data {SQL_PREFIX}{given}: no such file")
    password = os.environ.get(PASSWORD_VARIABLE) if url.drivername == "postgresql" else None
    return url.set(drivername=DRIVERS[url.drivername], password=password)


def make_read_only(connection: Connection) -> None:
    """From here on the database itself refuses every write."""
    if connection.dialect.name == "sqlite":
        connection.execute(text("PRAGMA query_only = ON"))
        return
    connection.execute(text("SET TRANSACTION READ ONLY"))
    connection.execute(text("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"))
    connection.execute(text(f"SET statement_timeout = {STATEMENT_TIMEOUT_MS}"))


def fetch(connection: Connection, query: str, max_rows: int) -> pd.DataFrame:
    """The rows, a few thousand at a time, given up at the first one too many."""
    streaming = connection.execution_options(
        stream_results=True, max_row_buffer=ROWS_PER_FETCH, no_parameters=True,
    )
    result = streaming.exec_driver_sql(query.strip().rstrip(";"))
    if not result.returns_rows:
        raise TableFaults("database", ["the query gives no table: it has to be one SELECT"])
    rows: list[list[str]] = []
    for part in result.partitions(ROWS_PER_FETCH):
        rows += ([cell_text(cell) for cell in row] for row in part)
        if len(rows) > max_rows:
            raise TableFaults("database", [f"the query gives more than {max_rows:,} rows (--max-rows)"])
    return pd.DataFrame(rows, columns=list(result.keys()), dtype=str)


def cell_text(cell: object) -> str:
    """A value of the database as a CSV file would have it: NULL empty, true 1, numbers so that they read back."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return str(int(cell))
    if isinstance(cell, Decimal):
        return format(cell, "f")
    return str(cell)


def reason(error: SQLAlchemyError) -> str:
    """What the database said, without the statement and its parameters."""
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0]
