"""Another table, of other features and with three labels that are words, needs a catalogue and no code."""

from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import onnxruntime
import pytest
from mlflow.tracking import MlflowClient

from scripts.tests.payment_model.table import CATALOGUE_FILE, generate_payments
from scripts.training.__main__ import parse_options
from scripts.training.contract import contract_scaling, golden_matrix
from scripts.training.train import train

LABELS = ["on_time", "late", "never"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, Path]:
    """The contract of the registered model and the folder that it is in, as the command line makes them."""
    folder = tmp_path_factory.mktemp("payments")
    generate_payments().to_csv(folder / "payments.csv", index=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        words = ["--data", folder / "payments.csv", "--catalogue", CATALOGUE_FILE, "--model-name", "payments"]
        options = parse_options([str(word) for word in [*words, "--trials", 2, "--out", folder / "out"]])
    mlflow.set_tracking_uri(options.tracking_uri)
    mlflow.create_experiment(options.model_name, artifact_location=(folder / "artifacts").as_uri())
    return train(replace(options, golden_samples=20_000)), folder / "out"


def test_contract_speaks_of_the_other_table(trained: tuple[dict, Path]) -> None:
    contract, _ = trained
    assert contract["model"]["name"] == "payments"
    assert [feature["name"] for feature in contract["features"]] == [
        "open_invoices", "mean_days_overdue", "mean_order_value", "credit_used", "years_customer", "rating_class",
        "pays_by_direct_debit",
    ]
    assert [label["code"] for label in contract["labels"]] == LABELS
    assert [label["text"]["es"] for label in contract["labels"]] == ["Paga a tiempo", "Paga tarde", "No paga"]
    golden = contract["goldenRows"]
    assert {row["label"] for row in golden[:8]} == set(LABELS)
    assert {row["features"]["rating_class"] for row in golden} <= {1, 2, 3, 5}
    assert contract["training"]["scores"]["testF1"] > 0.7


def test_registered_model_and_onnx_copy_give_the_golden_labels(trained: tuple[dict, Path]) -> None:
    contract, out = trained
    [version] = MlflowClient().get_latest_versions("payments", ["Production"])
    assert str(version.version) == contract["model"]["version"]
    features, labels = golden_matrix(contract)
    standardised = contract_scaling(contract).apply(features)
    model = mlflow.pyfunc.load_model("models:/payments/Production")
    assert model.predict(standardised).tolist() == labels.tolist()
    session = onnxruntime.InferenceSession((out / "model.onnx").read_bytes(), providers=["CPUExecutionProvider"])
    answer, probabilities = session.run(["label", "probabilities"], {"input": standardised.astype(np.float32)})
    assert answer.tolist() == labels.tolist()
    assert probabilities.shape == (len(labels), 3)
