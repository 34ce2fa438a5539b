"""Registers another version beside the one in Production: `python second_version.py CONTRACT_JSON OUT`.

It is made from the first one in seconds: another forest with another scaler, which gives some customers another label.
"""

import copy
import hashlib
import json
import sys
from pathlib import Path

import mlflow
import numpy as np
from sklearn.ensemble import RandomForestClassifier

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scripts.training.onnx_export import export_onnx  # noqa: E402

ROWS = 3_000
SURE = 0.3


def sample(features: list[dict], rng: np.random.Generator) -> np.ndarray:
    """Made-up customers [ROWS, features] in raw units, within what the first version saw."""
    columns = []
    for feature in features:
        known = feature["allowed"].get("values")
        seen = feature["trainingRange"]
        column = rng.choice(known, ROWS) if known else rng.uniform(seen["minimum"], seen["maximum"], ROWS)
        columns.append(column if feature["type"] == "number" else np.round(column))
    return np.stack(columns, axis=1)


def standardised(features: list[dict], rows: np.ndarray) -> np.ndarray:
    """Raw rows [n, features] as a version's scaler gives them to its model."""
    scalings = [feature["scaling"] for feature in features]
    return (rows - [one["mean"] for one in scalings]) / [one["scale"] for one in scalings]


def main() -> None:
    contract = json.loads(Path(sys.argv[1]).read_text())
    first = mlflow.sklearn.load_model(f"models:/{contract['model']['name']}/1")
    rng = np.random.default_rng(11)
    rows = sample(contract["features"], rng)
    labels = first.predict(standardised(contract["features"], rows))
    labels = np.where(rng.random(ROWS) < 0.25, 1 - labels, labels)

    second = copy.deepcopy(contract)
    for feature in second["features"]:
        feature["scaling"]["mean"] += feature["scaling"]["scale"] / 4
    vectors = standardised(second["features"], rows)
    forest = RandomForestClassifier(60, random_state=11).fit(vectors, labels)
    given = forest.predict(vectors)
    lead = np.abs(forest.predict_proba(vectors)[:, 1] - 0.5) * 2
    telling = np.flatnonzero((given != first.predict(vectors)) & (lead > SURE))
    golden = [index for pair in zip(*(telling[given[telling] == label][:16] for label in (0, 1))) for index in pair]
    names = [feature["name"] for feature in contract["features"]]
    shown = contract["goldenRows"][:8]
    seen = np.array([[row["features"][name] for name in names] for row in shown])
    assert len(golden) == 32, "too few customers are labelled otherwise by the first version"
    assert any(forest.predict(standardised(contract["features"], seen)) != [row["label"] for row in shown])

    onnx_bytes = export_onnx(forest, contract["model"]["name"])
    second["goldenRows"] = [
        {"features": dict(zip(names, rows[index].tolist(), strict=True)), "label": int(given[index])} for index in golden
    ]
    second["onnx"]["sha256"] = hashlib.sha256(onnx_bytes).hexdigest()
    out = Path(sys.argv[2])
    with mlflow.start_run() as run:
        second["model"] |= {"version": None, "runId": run.info.run_id}
        mlflow.sklearn.log_model(forest, "model", pip_requirements=["scikit-learn==1.2.2"])
        (out / "contract.json").write_text(json.dumps(second))
        (out / second["onnx"]["file"]).write_bytes(onnx_bytes)
        mlflow.log_artifacts(str(out), "contract")
    mlflow.register_model(f"runs:/{run.info.run_id}/model", contract["model"]["name"])


main()
