"""Whether the service could use a version: what it would refuse later is refused here, before anything changes."""

import hashlib
from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow
from mlflow.tracking import MlflowClient

from scripts.evaluation.model_version import ModelVersion
from scripts.evaluation.refusal import Refused

FEWEST_GOLDEN_ROWS = 32


def check_fitness(client: MlflowClient, version: ModelVersion) -> str:
    """What was found, in words. Raises Refused at the first thing that the service would not take."""
    contract = version.contract
    named = contract.body["model"]
    if named.get("runId") not in (None, version.run_id):
        raise Refused(f"{version.title}: its contract is of the run {named['runId'][:8]}, not of its own")
    if version.version and named.get("version") not in (None, version.version):
        raise Refused(
            f"{version.title}: its contract is of version {named['version']}, and server 2 would not serve it under "
            "another number; promote that one"
        )
    rows = len(contract.golden_labels)
    if rows < FEWEST_GOLDEN_ROWS:
        raise Refused(f"{version.title}: its contract has {rows} golden rows, and {FEWEST_GOLDEN_ROWS} are needed")
    if version.model.n_features_in_ != len(contract.features):
        raise Refused(
            f"{version.title}: its model takes {version.model.n_features_in_} features, "
            f"its contract has {len(contract.features)}"
        )
    contract.label_indexes(version.model.classes_)
    differences = version.golden_differences()
    if differences:
        raise Refused(
            f"{version.title}: {differences} of the {rows} golden rows of its contract get another label from its own "
            "model, so the service would refuse every answer of it; train it again"
        )
    check_onnx(client, version)
    return f"its own model gives all {rows} golden rows of its contract their labels"


def check_onnx(client: MlflowClient, version: ModelVersion) -> None:
    """The ONNX copy is there and is the contract's. Raises Refused otherwise."""
    onnx = version.contract.body.get("onnx")
    if onnx is None:
        return
    path = f"contract/{onnx['file']}"
    if path not in {entry.path for entry in client.list_artifacts(version.run_id, "contract")}:
        raise Refused(f"{version.title}: its contract names the ONNX copy {onnx['file']}, which its run does not have")
    with TemporaryDirectory() as target:
        file = mlflow.artifacts.download_artifacts(run_id=version.run_id, artifact_path=path, dst_path=target)
        digest = hashlib.sha256(Path(file).read_bytes()).hexdigest()
    if digest != onnx["sha256"]:
        raise Refused(f"{version.title}: the ONNX copy of its run is not the one of its contract")
