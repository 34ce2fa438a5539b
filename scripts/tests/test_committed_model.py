"""config/rfc_tune holds together, and training on the real table makes it again."""

import hashlib
from dataclasses import asdict

import numpy as np
import onnxruntime
import pytest
from sklearn.ensemble import RandomForestClassifier

from scripts.training.catalogue import Catalogue
from scripts.training.contract import contract_scaling, golden_matrix, reference_histogram
from scripts.training.forest import fit_forest
from scripts.training.golden_rows import FIRST_ROWS
from scripts.training.golden_variants import variant_labels
from scripts.training.onnx_export import MAX_BYTES, assert_parity, compare
from scripts.training.preprocess import Table
from scripts.training.split import equals_any, split_table
from scripts.training.synthetic_rows import sample_rows


@pytest.fixture(scope="module")
def retrained(real_table: Table, committed_contract: dict) -> RandomForestClassifier:
    """A forest with the contract's parameters, fitted on the real table's training part."""
    split = split_table(real_table)
    scaling = contract_scaling(committed_contract)
    parameters = committed_contract["training"]["parameters"]
    return fit_forest(parameters, scaling.apply(split.train_features), split.train_labels)


def test_contract_model_file_and_catalogue_belong_together(
    committed_contract: dict, committed_onnx: bytes, churn_catalogue: Catalogue,
) -> None:
    assert committed_contract["onnx"]["sha256"] == hashlib.sha256(committed_onnx).hexdigest()
    assert committed_contract["model"]["version"] is not None
    assert len(committed_onnx) <= MAX_BYTES
    described = [
        {key: value for key, value in feature.items() if key not in ("trainingRange", "scaling", "reference")}
        for feature in committed_contract["features"]
    ]
    assert described == [asdict(feature) for feature in churn_catalogue.features]
    assert committed_contract["labels"] == [asdict(label) for label in churn_catalogue.labels]


def test_model_file_gives_the_golden_labels(committed_contract: dict, committed_onnx: bytes) -> None:
    features, labels = golden_matrix(committed_contract)
    session = onnxruntime.InferenceSession(committed_onnx, providers=["CPUExecutionProvider"])
    standardised = contract_scaling(committed_contract).apply(features).astype(np.float32)
    answer, probabilities = session.run(["label", "probabilities"], {"input": standardised})
    assert answer.tolist() == labels.tolist()
    assert answer.dtype == np.int64
    assert probabilities.shape == (len(labels), len(committed_contract["labels"]))


def test_golden_rows_stay_within_the_training_range(committed_contract: dict, real_table: Table) -> None:
    features, labels = golden_matrix(committed_contract)
    ranges = [feature["trainingRange"] for feature in committed_contract["features"]]
    assert (features >= [found["minimum"] for found in ranges]).all()
    assert (features <= [found["maximum"] for found in ranges]).all()
    assert set(labels[:FIRST_ROWS]) == {0, 1}
    assert len(labels) >= 32
    assert not equals_any(features, real_table.features).any()


def test_reference_is_the_training_part(committed_contract: dict, real_table: Table) -> None:
    split = split_table(real_table)
    for index, feature in enumerate(committed_contract["features"]):
        reference = feature["reference"]
        assert reference == reference_histogram(split.train_features[:, index])
        assert sum(reference["counts"]) == committed_contract["training"]["trainingRows"]
        assert len(reference["edges"]) == len(reference["counts"]) + 1 <= 11
        assert (np.diff(reference["edges"]) > 0).all()


def test_retraining_gives_the_golden_labels(retrained: RandomForestClassifier, committed_contract: dict) -> None:
    features, labels = golden_matrix(committed_contract)
    assert retrained.predict(contract_scaling(committed_contract).apply(features)).tolist() == labels.tolist()


def test_first_golden_rows_show_nearly_every_mistake(
    retrained: RandomForestClassifier, committed_contract: dict, churn_catalogue: Catalogue,
) -> None:
    features, labels = golden_matrix(committed_contract)
    scaling = contract_scaling(committed_contract)
    wrong = variant_labels(churn_catalogue, retrained, scaling, features[:FIRST_ROWS], {})
    unseen = [name for name, answer in wrong.items() if (answer == labels[:FIRST_ROWS]).all()]
    assert len(unseen) <= 2, unseen


def test_model_file_answers_as_the_forest_does(
    retrained: RandomForestClassifier, committed_contract: dict, committed_onnx: bytes, real_table: Table,
    churn_catalogue: Catalogue,
) -> None:
    seen = split_table(real_table).train_features
    generated = sample_rows(churn_catalogue, np.random.default_rng(11), 100_000, seen)
    rows = contract_scaling(committed_contract).apply(np.concatenate([real_table.features, generated]))
    assert_parity(compare(retrained, committed_onnx, rows))
