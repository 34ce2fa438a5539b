"""Small forests of three features, registered with a contract or without, for the tests of scripts.serving."""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow
import numpy as np
from mlflow.tracking import MlflowClient
from sklearn.ensemble import RandomForestClassifier

MODEL_NAME = "rfc_tune"
FEATURES = ("height", "visits", "age")
GOLDEN_ROWS = 16


def register(tracking_uri: str, seed: int, contract: str = "right") -> str:
    """A new version's number; `contract` is "right", "wrong" (its golden rows have other labels), "none", or "alone" (without
    a model).
    """
    mlflow.set_tracking_uri(tracking_uri)
    mlflow.set_experiment(MODEL_NAME)
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(400, len(FEATURES)))
    labels = (rows[:, 0] + rng.normal(scale=0.3, size=len(rows)) > 0).astype(int)
    forest = RandomForestClassifier(20, random_state=seed).fit(rows, labels)
    with mlflow.start_run() as run, TemporaryDirectory() as folder:
        if contract != "alone":
            mlflow.sklearn.log_model(forest, "model", pip_requirements=["scikit-learn==1.2.2"])
        if contract != "none":
            file = Path(folder) / "contract.json"
            file.write_text(json.dumps(small_contract(forest, run.info.run_id, rng, flip=contract == "wrong")))
            mlflow.log_artifact(str(file), "contract")
    return str(mlflow.register_model(f"runs:/{run.info.run_id}/model", MODEL_NAME).version)


def small_contract(forest: RandomForestClassifier, run_id: str, rng: np.random.Generator, flip: bool) -> dict:
    """What scripts.serving reads of a contract: raw values are a hundred times the model's, plus five."""
    vectors = rng.normal(size=(GOLDEN_ROWS, len(FEATURES)))
    labels = forest.predict(vectors)
    raw = (vectors * 100 + 5).tolist()
    return {
        "model": {"name": MODEL_NAME, "version": None, "runId": run_id},
        "features": [{"name": name, "scaling": {"mean": 5, "scale": 100}} for name in FEATURES],
        "goldenRows": [
            {"features": dict(zip(FEATURES, row, strict=True)), "label": int(label) ^ int(flip)}
            for row, label in zip(raw, labels, strict=True)
        ],
    }


def promote(tracking_uri: str, version: str) -> None:
    """Into Production, and whatever was there out of it."""
    MlflowClient(tracking_uri).transition_model_version_stage(
        MODEL_NAME, version, "Production", archive_existing_versions=True,
    )


if __name__ == "__main__":
    print(register(sys.argv[1], int(sys.argv[2]), *sys.argv[3:]))
