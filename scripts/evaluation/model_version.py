"""A version or a run in MLflow, with its model and its contract."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mlflow
import numpy as np
from mlflow.entities.model_registry import ModelVersion as RegisteredVersion
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from scripts.evaluation.model_contract import ModelContract, parse_contract
from scripts.evaluation.refusal import Refused
from scripts.training.registry import DEFAULT_TRACKING_URI, use_server

CONTRACT_ARTIFACT = "contract/contract.json"
MODEL_ARTIFACT = "model"
STAGES = ("Production", "Staging", "Archived")


@dataclass(frozen=True)
class ModelVersion:
    """What was trained: `version` and `stage` are None for a run that is not registered."""

    name: str
    version: str | None
    stage: str | None
    run_id: str
    model: Any
    contract: ModelContract

    @property
    def title(self) -> str:
        """How people call it."""
        return f"version {self.version}" if self.version else f"run {self.run_id[:8]}"

    def labels(self, raw: np.ndarray) -> np.ndarray:
        """Indexes of the labels [n] that the model gives to rows [n, features] in the ERP's units."""
        return self.labels_of_standardised(self.contract.standardise(raw))

    def labels_of_standardised(self, rows: np.ndarray) -> np.ndarray:
        """The same for rows as the model takes them."""
        return self.contract.label_indexes(self.model.predict(rows))

    def probabilities(self, raw: np.ndarray) -> np.ndarray:
        """Probabilities [n, labels] in the contract's order. Raises Refused when the model knows none."""
        if not hasattr(self.model, "predict_proba"):
            raise Refused(f"{self.title}: its model knows no probabilities")
        given = self.model.predict_proba(self.contract.standardise(raw))
        columns = self.contract.label_indexes(self.model.classes_)
        ordered = np.zeros((len(raw), len(self.contract.labels)))
        ordered[:, columns] = given
        return ordered

    def golden_differences(self) -> int:
        """How many of its contract's golden rows get another label from this very model."""
        return int((self.labels(self.contract.golden_features) != self.contract.golden_labels).sum())


def use_tracking(uri: str) -> MlflowClient:
    """Makes MLflow use this server. Raises ConnectionError when nobody answers there."""
    use_server(uri)
    return MlflowClient()


def in_stage(client: MlflowClient, name: str, stage: str) -> RegisteredVersion | None:
    """The newest version of the model in this stage, None where there is none."""
    try:
        found = client.get_latest_versions(name, [stage])
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise
    return found[0] if found else None


def versions_of(client: MlflowClient, name: str) -> list[RegisteredVersion]:
    """Every version of the model, the newest first."""
    return sorted(client.search_model_versions(f"name='{name}'"), key=lambda one: -int(one.version))


def find_version(client: MlflowClient, name: str, wanted: str) -> ModelVersion:
    """`wanted` is a version's number, a stage, or run:ID. Raises Refused when it is not there or has no contract."""
    if wanted.startswith("run:"):
        return open_run(client, name, wanted.removeprefix("run:"))
    if wanted in STAGES:
        found = in_stage(client, name, wanted)
        if found is None:
            raise Refused(f"no version of {name} is in {wanted}")
        return open_registered(client, found)
    if not re.fullmatch(r"\d+", wanted):
        raise Refused(f"'{wanted}' is no version: give a number, {', '.join(STAGES)} or run:ID")
    for one in versions_of(client, name):
        if str(one.version) == wanted:
            return open_registered(client, one)
    raise Refused(f"{name} has no version {wanted}")


def open_run(client: MlflowClient, name: str, run_id: str) -> ModelVersion:
    """A run, as the version that was registered from it if there is one; of several the one that its contract names."""
    try:
        client.get_run(run_id)
    except MlflowException as error:
        raise Refused(f"there is no run {run_id} at {mlflow.get_tracking_uri()}") from error
    contract = download_contract(client, name, run_id)
    registered = [one for one in versions_of(client, name) if one.run_id == run_id]
    if registered:
        named = contract.body["model"].get("version")
        return open_registered(client, next((one for one in registered if str(one.version) == named), registered[0]))
    model = load_model(f"runs:/{run_id}/{MODEL_ARTIFACT}", f"run {run_id[:8]}")
    return ModelVersion(name, None, None, run_id, model, contract)


def open_registered(client: MlflowClient, one: RegisteredVersion) -> ModelVersion:
    """A registered version with the model that server 2 would serve."""
    title = f"version {one.version}"
    if not one.run_id:
        raise Refused(f"{title} of {one.name} names no run, so it has no contract")
    contract = download_contract(client, one.name, one.run_id)
    model = load_model(f"models:/{one.name}/{one.version}", title)
    return ModelVersion(one.name, str(one.version), one.current_stage, one.run_id, model, contract)


def load_model(uri: str, title: str) -> Any:
    """The scikit-learn model."""
    try:
        return mlflow.sklearn.load_model(uri)
    except Exception as error:  # any library may fail in its own way while unpickling
        raise Refused(f"{title}: its model cannot be loaded with scikit-learn here: {error}") from error


def download_contract(client: MlflowClient, name: str, run_id: str) -> ModelContract:
    """The contract that was logged with a run."""
    text = read_artifact(client, run_id, CONTRACT_ARTIFACT)
    if text is None:
        raise Refused(
            f"run {run_id[:8]} has no {CONTRACT_ARTIFACT}, so nobody knows its features: "
            "train with scripts.training, or log the file of 'customer-labels contract adopt'"
        )
    try:
        body = json.loads(text)
    except ValueError as error:
        raise Refused(f"run {run_id[:8]}: {CONTRACT_ARTIFACT} is no JSON") from error
    contract = parse_contract(body)
    named = body.get("model", {}).get("name")
    if named != name:
        raise Refused(f"run {run_id[:8]}: its contract is of the model {named}, not of {name}")
    return contract


def read_artifact(client: MlflowClient, run_id: str, path: str) -> str | None:
    """The text of a run's artifact, None where the run has none of that name."""
    folder = path.rpartition("/")[0]
    if path not in {entry.path for entry in client.list_artifacts(run_id, folder)}:
        return None
    with TemporaryDirectory() as target:
        file = mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=path, dst_path=target)
        return Path(file).read_text(encoding="utf-8")
