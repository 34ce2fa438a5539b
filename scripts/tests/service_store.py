"""A database of the service's own making on a real PostgreSQL, filled with customers."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import numpy as np
import psycopg2
from psycopg2.extras import execute_values

ROOT = Path(__file__).resolve().parents[2]
SERVER = os.environ.get("TEST_POSTGRES_URL", "postgres://postgres@127.0.0.1:5432/postgres")
HOW_TO_GET_IT = (
    "the store's tests want PostgreSQL on 127.0.0.1:5432 with the user postgres (or TEST_POSTGRES_URL) "
    "and the service's packages (npm ci)"
)
MIGRATE = """
import { createDatabase } from './src/database/database.ts';
const database = createDatabase({ settings: { url: process.env.STORE_URL, dataDir: '' }, logger: console });
await database.migrate();
await database.close();
"""
INSERT = """
    INSERT INTO current_labels (customer_id, inputs, scale, contract_id, label, model_name, model_version, source,
        received_at, labelled_at, confirmed_at)
    VALUES %s"""
ROW = "(%s, %s, %s, %s, %s, 'rfc_tune', %s, 'model-server', now(), now(), now())"


class NoPeer(RuntimeError):
    """What a test needs and does not find."""


@contextmanager
def service_store() -> Iterator[str]:
    """The URL of a new database with the service's tables; it is dropped afterwards. Raises NoPeer."""
    node = node_program()
    name = f"promotion_{uuid4().hex[:12]}"
    administer(f"CREATE DATABASE {name}")
    url = f"{SERVER.rpartition('/')[0]}/{name}"
    try:
        subprocess.run(
            [node, "--input-type=module", "-e", MIGRATE], cwd=ROOT, env=os.environ | {"STORE_URL": url},
            check=True, timeout=60, capture_output=True,
        )
        yield url
    finally:
        administer(f"DROP DATABASE {name} WITH (FORCE)")


def node_program() -> str:
    """The Node that runs the service."""
    node = shutil.which("node", path=f"{ROOT / 'node_modules' / '.bin'}{os.pathsep}{os.environ.get('PATH', '')}")
    if node is None or not (ROOT / "node_modules" / "kysely").is_dir():
        raise NoPeer(HOW_TO_GET_IT)
    return node


def administer(statement: str) -> None:
    """One statement outside a transaction."""
    try:
        server = psycopg2.connect(SERVER, connect_timeout=5)
    except psycopg2.OperationalError as error:
        raise NoPeer(HOW_TO_GET_IT) from error
    try:
        server.autocommit = True
        with server.cursor() as cursor:
            cursor.execute(statement)
    finally:
        server.close()


def keep_contract(url: str, features: list[dict], labels: list[dict]) -> int:
    """A contract as the service keeps it; its id."""
    with psycopg2.connect(url) as store, store.cursor() as cursor:
        cursor.execute(
            "INSERT INTO contracts (fingerprint, body) VALUES (%s, %s) RETURNING id",
            (uuid4().hex, json.dumps({"features": features, "labels": labels})),
        )
        return cursor.fetchone()[0]


def keep_labels(
    url: str, contract_id: int, ids: list[str], inputs: np.ndarray, labels: list[str], scale: str = "raw",
    version: str = "1",
) -> None:
    """Customers with their current labels."""
    rows = zip(ids, inputs.tolist(), labels, strict=True)
    with psycopg2.connect(url) as store, store.cursor() as cursor:
        execute_values(
            cursor, INSERT, [(one, row, scale, contract_id, label, version) for one, row, label in rows], ROW, 5000,
        )
