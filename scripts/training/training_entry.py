"""The contract's account of how its model was made."""

import platform
from datetime import datetime, timezone
from importlib.metadata import version as installed_version

from scripts.training.forest import Parameters
from scripts.training.options import TrainingOptions
from scripts.training.preprocess import Table
from scripts.training.split import Split

LIBRARIES = ("scikit-learn", "numpy", "pandas", "optuna", "mlflow", "skl2onnx", "onnx", "onnxruntime")


def training_entry(
    options: TrainingOptions, table: Table, split: Split, parameters: Parameters, scores: dict[str, float],
    model_sha256: str,
) -> dict:
    """Data, split, parameters, scores and libraries of a run."""
    return {
        "trainedAt": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "data": table.name,
        "dataSha256": table.sha256,
        "rows": len(table.labels),
        "trainingRows": len(split.train_labels),
        "seed": options.seed,
        "parameters": parameters,
        "trials": 0 if options.parameters_from else options.trials,
        "modelSha256": model_sha256,
        "scores": scores,
        "libraries": {"python": platform.python_version()}
        | {name: installed_version(name) for name in LIBRARIES},
    }
