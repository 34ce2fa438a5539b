"""Small versions in a real MLflow: forests on a made table, binary or with three labels in words."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from mlflow.tracking import MlflowClient
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split

from scripts.training.forest import fit_forest

NAMES = ["minutes", "calls", "plan", "noise"]
TYPES = ["number", "integer", "binary", "number"]
BINARY = [{"code": 0, "name": "stays", "positive": False}, {"code": 1, "name": "leaves", "positive": True}]
WORDS = [{"code": code, "name": code.title(), "positive": False} for code in ("bronze", "silver", "gold")]
STRONG = {"n_estimators": 31, "max_depth": 8, "random_state": 3}
WEAK = {"n_estimators": 31, "max_depth": 2, "max_features": 1, "random_state": 3}
GOLDEN_ROWS = 32


@dataclass
class Toy:
    """A table and where it stands; `labels` are those of a contract."""

    path: Path
    features: np.ndarray
    answers: np.ndarray
    labels: list[dict]
    ids: list[str] = field(default_factory=list)


def make_toy(path: Path, labels: list[dict], rows: int = 1500, seed: int = 1) -> Toy:
    """Writes a table whose label follows from three of four features, with some noise."""
    rng = np.random.default_rng(seed)
    features = np.column_stack([
        rng.gamma(4, 50, rows).round(1), rng.poisson(3, rows), rng.random(rows) < 0.3, rng.normal(0, 1, rows).round(3),
    ]).astype(float)
    features[:, 3] = np.abs(features[:, 3])
    score = features[:, 0] / 200 + (features[:, 1] > 4) + 0.8 * features[:, 2] + rng.normal(0, 0.12, rows)
    cuts = np.quantile(score, [0.7]) if len(labels) == 2 else np.quantile(score, [0.4, 0.75])
    answers = np.array([label["code"] for label in labels])[np.searchsorted(cuts, score)]
    ids = [f"T{number:05d}" for number in range(rows)]
    pd.DataFrame(features, columns=NAMES).assign(customer_id=ids, outcome=answers).to_csv(path, index=False)
    return Toy(path, features, answers, labels, ids)


def contract_body(name: str, labels: list[dict], mean: np.ndarray, scale: np.ndarray) -> dict:
    """A contract without golden rows."""
    return {
        "contractVersion": 1,
        "model": {"name": name, "version": None, "runId": None},
        "features": [
            {
                "name": feature, "names": {"en": feature, "es": feature}, "meaning": {"en": feature, "es": feature},
                "unit": None, "type": kind, "allowed": {"values": [0, 1]} if kind == "binary" else {"minimum": 0},
                "trainingRange": None, "scaling": {"mean": mean[place], "scale": scale[place]}, "reference": None,
            }
            for place, (feature, kind) in enumerate(zip(NAMES, TYPES, strict=True))
        ],
        "labels": [label | {"text": {"en": label["name"], "es": label["name"]}} for label in labels],
        "goldenRows": [],
        "onnx": None,
        "training": None,
    }


def train_run(
    client: MlflowClient, name: str, toy: Toy, parameters: dict, with_split: bool = True, split_seed: int = 42,
    wrong_golden: bool = False, f1: float = 0.5,
) -> str:
    """A finished run of the experiment `name` with model and contract; its id."""
    rows = np.arange(len(toy.answers))
    training, held_out = train_test_split(rows, test_size=0.2, random_state=split_seed)
    mean, scale = toy.features[training].mean(axis=0), toy.features[training].std(axis=0)
    forest = fit_forest(parameters, (toy.features[training] - mean) / scale, toy.answers[training])
    body = contract_body(name, toy.labels, mean.tolist(), scale.tolist())
    body["goldenRows"] = golden_rows(forest, toy, mean, scale, wrong_golden)
    body["training"] = {"parameters": parameters, "rows": len(rows)}
    mlflow.set_experiment(name)
    with mlflow.start_run() as run:
        mlflow.sklearn.log_model(forest, "model", pip_requirements=["scikit-learn"])
        body["model"]["runId"] = run.info.run_id
        mlflow.log_text(json.dumps(body), "contract/contract.json")
        mlflow.log_metric("crossValidatedF1", f1)
        if with_split:
            parts = [f"{toy.ids[row]},train" for row in training] + [f"{toy.ids[row]},test" for row in held_out]
            mlflow.log_text("\n".join(["customer_id,part", *parts]) + "\n", "split/split.csv")
            mlflow.log_text('{"idColumn": "customer_id", "labelColumn": "outcome"}', "catalogue/catalogue.json")
    return run.info.run_id


def golden_rows(
    forest: RandomForestClassifier, toy: Toy, mean: np.ndarray, scale: np.ndarray, wrong: bool,
) -> list[dict]:
    """32 rows with the forest's labels; with `wrong`, one has another."""
    rows = toy.features[:GOLDEN_ROWS]
    answers = forest.predict((rows - mean) / scale).tolist()
    if wrong:
        answers[5] = next(label["code"] for label in toy.labels if label["code"] != answers[5])
    return [
        {"features": dict(zip(NAMES, row, strict=True)), "label": answer}
        for row, answer in zip(rows.tolist(), answers, strict=True)
    ]


def register(client: MlflowClient, name: str, run_id: str, stage: str | None = None) -> str:
    """A version of the run, in a stage."""
    version = str(mlflow.register_model(f"runs:/{run_id}/model", name).version)
    if stage:
        client.transition_model_version_stage(name, version, stage, archive_existing_versions=stage == "Production")
    return version
