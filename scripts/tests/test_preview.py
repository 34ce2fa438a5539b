"""Who would change label: on the service's own tables in a real PostgreSQL, and on a results file."""

import copy
import csv
import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import mlflow
import numpy as np
import psycopg2
import pytest

from scripts.evaluation.model_version import ModelVersion, open_run, use_tracking
from scripts.evaluation.refusal import Refused
from scripts.promotion import postgres_store
from scripts.promotion.preview import preview
from scripts.promotion.show_preview import open_store, show_preview
from scripts.tests.service_store import NoPeer, keep_contract, keep_labels, service_store
from scripts.tests.toy_versions import BINARY, NAMES, STRONG, WEAK, make_toy, train_run

CUSTOMERS = 600


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> tuple[ModelVersion, ModelVersion, np.ndarray]:
    """An old and a new model with different scalings, and raw features [600, 4]."""
    folder = tmp_path_factory.mktemp("tracking")
    client = use_tracking(f"sqlite:///{folder / 'mlflow.db'}")
    mlflow.create_experiment("toy", artifact_location=(folder / "artifacts").as_uri())
    toy = make_toy(folder / "toy.csv", BINARY, rows=CUSTOMERS)
    old = train_run(client, "toy", toy, WEAK, split_seed=1)
    new = train_run(client, "toy", toy, STRONG, split_seed=2)
    return open_run(client, "toy", old), open_run(client, "toy", new), toy.features


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    """An empty store of the service; skips, or fails where real peers are required."""
    try:
        with service_store() as url:
            yield url
    except NoPeer as error:
        if os.environ.get("REAL_PEERS") == "required":
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def expected(store: str, versions: tuple[ModelVersion, ModelVersion, np.ndarray]) -> Counter:
    """The store filled in every way that the service knows; the true label-to-label counts of 590 customers."""
    old, new, raw = versions
    before = old.labels(raw).astype(str)
    ids = [f"C{number:04d}" for number in range(CUSTOMERS)]
    body = old.contract.body
    backwards = list(reversed(body["features"]))
    without = copy.deepcopy(body["features"][1:])
    by_old, by_backwards = keep_contract(store, body["features"], body["labels"]), keep_contract(
        store, backwards, body["labels"],
    )
    by_new = keep_contract(store, new.contract.body["features"], body["labels"])
    by_less = keep_contract(store, without, body["labels"])
    for contract, rows, inputs, scale in (
        (by_old, slice(0, 200), raw, "raw"),
        (by_old, slice(200, 400), old.contract.standardise(raw), "standardized"),
        (by_backwards, slice(400, 500), raw[:, ::-1], "raw"),
        (by_new, slice(500, 590), new.contract.standardise(raw), "standardized"),
        (by_less, slice(590, 597), raw[:, 1:], "raw"),
    ):
        keep_labels(store, contract, ids[rows], inputs[rows], before[rows].tolist(), scale)
    forbidden = raw[597:600].copy()
    forbidden[:, 2] = [0.5, 2, 1e39]
    keep_labels(store, by_old, ids[597:600], forbidden, before[597:600].tolist())
    after = new.labels(raw).astype(str)
    return Counter(zip(before[:590], after[:590], strict=True))


def test_matrix_is_what_both_models_say_however_the_inputs_are_kept(
    store: str, versions: tuple[ModelVersion, ModelVersion, np.ndarray], expected: Counter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(postgres_store, "ROWS_AT_ONCE", 64)
    told: list[str] = []
    found = preview(versions[1], open_store(store), lambda _, changes: told.extend(one.customer_id for one in changes))
    assert found.matrix == expected
    assert found.changed > 10
    assert found.customers == CUSTOMERS
    assert found.converted == 200
    assert found.unusable == {"stored without minutes": 7, "plan is not allowed": 3}
    assert found.unusable_ids["plan is not allowed"] == ["C0597", "C0598", "C0599"]
    assert told == sorted(told) and len(told) == found.changed + 10


def test_list_names_every_customer_that_changes_and_nothing_is_changed(
    store: str, versions: tuple[ModelVersion, ModelVersion, np.ndarray], expected: Counter, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = everything(store)
    show_preview(versions[1], store, tmp_path / "changes.csv")
    assert everything(store) == before
    with (tmp_path / "changes.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    changed = [row for row in rows if not row["reason"]]
    assert Counter((row["label"], row["new_label"]) for row in changed) == {
        pair: count for pair, count in expected.items() if pair[0] != pair[1]
    }
    assert {(row["label"], row["name"]) for row in rows} == {("0", "stays"), ("1", "leaves")}
    shown = capsys.readouterr().out
    assert "600 customers in the store, labelled by version 1 600" in shown
    assert "would be stays (0)" in shown and "now leaves (1)" in shown
    assert "stored without minutes: C0590, C0591" in shown


def test_store_cannot_be_written_by_the_preview(store: str) -> None:
    session = postgres_store.connect(store)
    try:
        with pytest.raises(psycopg2.errors.ReadOnlySqlTransaction), session.cursor() as cursor:
            cursor.execute("DELETE FROM current_labels")
    finally:
        session.close()


@pytest.mark.parametrize("url", [
    "postgres://someone:ver%40borgen@127.0.0.1:9/labels", "postgres://someone:ver%40borgen@127.0.0.1:port/labels",
])
def test_no_password_in_what_is_said(url: str) -> None:
    with pytest.raises(Refused) as refused:
        next(open_store(url))
    assert "no connection to 127.0.0.1" in str(refused.value)
    assert "borgen" not in str(refused.value)


def test_results_file_serves_where_only_the_service_reads_the_store(
    versions: tuple[ModelVersion, ModelVersion, np.ndarray], tmp_path: Path,
) -> None:
    old, new, raw = versions
    before = old.labels(raw)
    lines = [
        {
            "line": row + 1, "customerId": f"C{row}", "label": int(before[row]), "text": "Se va", "version": "1",
            "input": {"id": f"C{row}", "features": dict(zip(NAMES, raw[row].tolist(), strict=True))},
        }
        for row in range(50)
    ]
    lines.append({"line": 51, "customerId": "C50", "input": {"id": "C50", "features": {}}, "error": "…"})
    lines.append({**lines[0], "customerId": "C51", "input": {"id": "C51", "features": [0, 0, 0, 0], "scale": "raw"}})
    file = tmp_path / "results.ndjson"
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    found = preview(new, open_store(str(file)), lambda *_: None)
    assert found.matrix == Counter(zip(before[:50].astype(str), new.labels(raw[:50]).astype(str), strict=True))
    assert sum(found.unusable.values()) == 2


@pytest.mark.parametrize(("store_given", "sentence"), [
    ("missing.ndjson", "no such file"), (".", "with PGlite only the running service"), ("mysql://x", "is neither"),
])
def test_other_stores_are_refused_with_advice(store_given: str, sentence: str) -> None:
    with pytest.raises(Refused, match=sentence):
        next(iter(open_store(store_given)))


def everything(url: str) -> tuple:
    """A fingerprint of all that the store keeps of customers."""
    with psycopg2.connect(url) as store, store.cursor() as cursor:
        cursor.execute("""
            SELECT (SELECT md5(string_agg(c::text, '|' ORDER BY customer_id)) FROM current_labels c),
                (SELECT count(*) FROM label_history), (SELECT count(*) FROM contracts)""")
        return cursor.fetchone()
