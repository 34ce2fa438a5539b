"""The service's own store in PostgreSQL, read as it stands at one moment and never written."""

from collections import defaultdict
from urllib.parse import unquote, urlsplit

import numpy as np
import psycopg2
from psycopg2.extensions import connection as Connection

from scripts.evaluation.model_contract import parse_contract
from scripts.evaluation.refusal import Refused
from scripts.promotion.stored_labels import Piece, Pieces, StoredContract, StoredLabels

SCHEMES = ("postgres://", "postgresql://")
ROWS_AT_ONCE = 16_384
CONNECT_TIMEOUT_S = 10
CUSTOMERS = """
    SELECT customer_id, inputs, scale, contract_id, label, coalesce(model_version, '?')
    FROM current_labels ORDER BY customer_id"""


def is_postgres(store: str) -> bool:
    """Whether the store is the URL of a PostgreSQL database."""
    return store.startswith(SCHEMES)


def place_of(url: str) -> str:
    """Host, port and database of a URL: what may be shown of it."""
    parts = urlsplit(url)
    return f"{(parts.netloc.rpartition('@')[2] or 'localhost')}{parts.path}"


def read_postgres(url: str) -> Pieces:
    """Every customer's current label in the order of their ids, 16,384 at once, by a cursor of the server.

    All of it in one read-only transaction, so that labels stored meanwhile do not matter. Raises Refused when the
    database cannot be reached or is not the service's.
    """
    store = connect(url)
    try:
        contracts = read_contracts(store)
        with store.cursor("preview") as cursor:
            cursor.itersize = ROWS_AT_ONCE
            cursor.execute(CUSTOMERS)
            while rows := cursor.fetchmany(ROWS_AT_ONCE):
                yield group(rows, contracts)
    except psycopg2.errors.UndefinedTable as error:
        raise Refused(f"{place_of(url)} has no labels: it is not the service's database") from error
    except psycopg2.Error as error:
        raise Refused(f"reading {place_of(url)} failed: {without_password(error, url)}") from error
    finally:
        store.close()


def connect(url: str) -> Connection:
    """A read-only session. Raises Refused, and says no password."""
    try:
        store = psycopg2.connect(url, connect_timeout=CONNECT_TIMEOUT_S, application_name="promotion preview")
        store.set_session(isolation_level="REPEATABLE READ", readonly=True)
        return store
    except psycopg2.Error as error:
        raise Refused(f"no connection to {place_of(url)}: {without_password(error, url)}") from error


def without_password(error: Exception, url: str) -> str:
    """The first line of what the driver said."""
    text = str(error).strip().split("\n", 1)[0]
    netloc = urlsplit(url).netloc
    secret = netloc.rpartition("@")[0].partition(":")[2]
    for shown in {url, netloc, secret, unquote(secret)} - {""}:
        text = text.replace(shown, "***")
    return text


def read_contracts(store: Connection) -> dict[int, StoredContract]:
    """Every contract that stored labels refer to."""
    with store.cursor() as cursor:
        cursor.execute("SELECT id, body FROM contracts")
        return {number: stored_contract(body) for number, body in cursor.fetchall()}


def stored_contract(body: dict) -> StoredContract:
    """A contract's body in the store: features and labels."""
    contract = parse_contract(body)
    return StoredContract(
        tuple(contract.names), contract.mean, contract.scale, {str(one.code): one.name for one in contract.labels},
    )


def group(rows: list[tuple], contracts: dict[int, StoredContract]) -> Piece:
    """The rows by contract and scale."""
    by_kind: dict[tuple[int, str], list[tuple]] = defaultdict(list)
    for row in rows:
        by_kind[row[3], row[2]].append(row)
    return [
        StoredLabels(
            contracts[number], scale, [row[0] for row in kind], [row[4] for row in kind], [row[5] for row in kind],
            np.array([row[1] for row in kind], dtype=np.float64),
        )
        for (number, scale), kind in by_kind.items()
    ]
