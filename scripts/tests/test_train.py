"""The whole training run, small, with MLflow on files."""

import hashlib
import re
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow.tracking import MlflowClient

from scripts.training.catalogue import CHURN_CATALOGUE
from scripts.training.contract import contract_scaling, golden_matrix, read_contract
from scripts.training.forest import forest_sha256
from scripts.training.onnx_export import ExportFailed, Parity, assert_parity
from scripts.training.options import TrainingOptions
from scripts.training.train import train


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> TrainingOptions:
    """Two trials on the generated table."""
    folder = tmp_path_factory.mktemp("training")
    return TrainingOptions(
        data="generated", tracking_uri=f"sqlite:///{folder / 'mlflow.db'}", out=folder / "out", trials=2,
        golden_samples=20_000,
    )


@pytest.fixture(scope="module")
def contract(options: TrainingOptions, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """The contract of a registered first run, its artifacts in a folder of the test's own."""
    artifacts = tmp_path_factory.mktemp("artifacts")
    mlflow.set_tracking_uri(options.tracking_uri)
    mlflow.create_experiment(options.model_name, artifact_location=artifacts.as_uri())
    return train(options)


def test_contract_is_written_with_its_version(options: TrainingOptions, contract: dict) -> None:
    assert read_contract(options.out / "contract.json") == contract
    assert contract["model"]["version"] == "1"
    assert contract["training"]["trials"] == 2
    onnx_bytes = (options.out / "model.onnx").read_bytes()
    assert contract["onnx"]["sha256"] == hashlib.sha256(onnx_bytes).hexdigest()


def test_run_holds_trials_scores_and_contract(contract: dict, tmp_path: Path) -> None:
    client = MlflowClient()
    run = client.get_run(contract["model"]["runId"])
    trials = client.search_runs(
        [run.info.experiment_id], f"tags.mlflow.parentRunId = '{run.info.run_id}'",
    )
    assert len(trials) == 2
    judged = [trial.data.metrics.keys() - {"folds"} for trial in trials]
    assert {"crossValidatedF1"} in judged and all(found <= {"crossValidatedF1", "prunedAtF1"} for found in judged)
    assert run.data.metrics == pytest.approx(contract["training"]["scores"])
    logged = client.download_artifacts(run.info.run_id, "contract/contract.json", str(tmp_path))
    assert read_contract(Path(logged)) == contract


def test_run_keeps_data_split_catalogue_and_reports(contract: dict, tmp_path: Path) -> None:
    client, run_id = MlflowClient(), contract["model"]["runId"]
    parameters = client.get_run(run_id).data.params
    assert parameters["dataSha256"] == contract["training"]["dataSha256"]
    assert parameters["modelSha256"] == contract["training"]["modelSha256"]

    def artifact(path: str) -> str:
        return Path(client.download_artifacts(run_id, path, str(tmp_path))).read_text(encoding="utf-8")

    parts = [line.split(",")[1] for line in artifact("split/split.csv").splitlines()]
    assert (parts[0], parts.count("train"), parts.count("test")) == ("part", 960, 240)
    assert artifact("catalogue/catalogue.json") == CHURN_CATALOGUE.read_text(encoding="utf-8")
    assert len(artifact("study/trials.csv").splitlines()) == 3
    page = artifact("eda/report.html")
    assert page.count("<svg") == 5 and "International plan" in page
    assert re.findall(r"""(?:src|href)=["'](?!#|data:)[^"']*""", page) == []


def test_the_same_seed_makes_the_same_model(options: TrainingOptions, contract: dict, tmp_path: Path) -> None:
    again = train(replace(options, register=False, out=tmp_path))
    assert again["training"]["modelSha256"] == contract["training"]["modelSha256"]
    assert again["onnx"] == contract["onnx"]
    assert again["training"]["scores"] == contract["training"]["scores"]
    loaded = mlflow.sklearn.load_model("models:/rfc_tune/1")
    assert forest_sha256(loaded) == contract["training"]["modelSha256"]


def test_production_model_takes_a_bare_matrix_and_gives_the_golden_labels(contract: dict) -> None:
    model = mlflow.pyfunc.load_model("models:/rfc_tune/Production")
    assert model.metadata.signature is None
    features, labels = golden_matrix(contract)
    assert model.predict(contract_scaling(contract).apply(features)).tolist() == labels.tolist()


def test_parameters_of_a_contract_make_the_same_forest_again(
    options: TrainingOptions, contract: dict, tmp_path: Path,
) -> None:
    again = train(replace(
        options, parameters_from=options.out / "contract.json", register=False, out=tmp_path,
    ))
    assert again["training"]["modelSha256"] == contract["training"]["modelSha256"]
    assert again["training"]["trials"] == 0
    assert again["model"]["version"] is None


def test_next_version_replaces_the_first_and_is_told_apart(
    options: TrainingOptions, contract: dict, tmp_path: Path,
) -> None:
    second = train(replace(options, trials=1, seed=7, out=tmp_path))
    assert second["model"]["version"] == "2"
    versions = MlflowClient().search_model_versions("name='rfc_tune'")
    stages = {str(entry.version): entry.current_stage for entry in versions}
    assert stages == {"1": "Archived", "2": "Production"}
    features, labels = golden_matrix(second)
    first_model = mlflow.sklearn.load_model("models:/rfc_tune/1")
    standardised = contract_scaling(second).apply(features[:8])
    assert np.any(first_model.predict(standardised) != labels[:8])


def test_a_missing_tracking_server_is_said(options: TrainingOptions, tmp_path: Path) -> None:
    with pytest.raises(ConnectionError, match="no MLflow at http://127.0.0.1:9"):
        train(replace(options, tracking_uri="http://127.0.0.1:9", out=tmp_path))


@pytest.mark.parametrize("parity", [Parity(10, 1, 0.0), Parity(10, 0, 2e-6)])
def test_disagreement_of_the_onnx_file_fails(parity: Parity) -> None:
    with pytest.raises(ExportFailed, match="disagree"):
        assert_parity(parity)
