"""python -m scripts.training: trains, registers and promotes the model."""

import argparse
import logging
import os
import sys
from pathlib import Path

import optuna
from mlflow.exceptions import MlflowException

from scripts.training.onnx_export import ExportFailed
from scripts.training.registry import DEFAULT_TRACKING_URI
from scripts.training.table_faults import TableFaults
from scripts.training.train import TrainingOptions, train


def parse_options(arguments: list[str] | None = None) -> TrainingOptions:
    """Options from the command line, with MLFLOW_TRACKING_URI and CHURN_CSV from the environment."""
    parser = argparse.ArgumentParser(prog="python -m scripts.training", description=__doc__)
    parser.add_argument(
        "--data", default=os.environ.get("CHURN_CSV", "generated"), metavar="FILE|openml|generated",
        help="the churn table (default: the file named by CHURN_CSV, else generated)",
    )
    parser.add_argument("--trials", type=int, default=50, help="points of the parameter search (default 50)")
    parser.add_argument(
        "--parameters", type=Path, metavar="CONTRACT_JSON",
        help="take the parameters from an earlier contract instead of searching",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("config/rfc_tune"),
        help="folder for contract.json and model.onnx (default config/rfc_tune)",
    )
    parser.add_argument("--model-name", default="rfc_tune")
    parser.add_argument("--no-register", action="store_true", help="track the run, but register no version")
    parser.add_argument("--seed", type=int, default=42)
    given = parser.parse_args(arguments)
    if given.trials < 1:
        parser.error("--trials must be at least 1")
    if given.parameters and not given.parameters.is_file():
        parser.error(f"--parameters {given.parameters}: no such file")
    return TrainingOptions(
        data=given.data,
        tracking_uri=os.environ.get("MLFLOW_TRACKING_URI", DEFAULT_TRACKING_URI),
        out=given.out,
        trials=given.trials,
        parameters_from=given.parameters,
        model_name=given.model_name,
        register=not given.no_register,
        seed=given.seed,
    )


def main() -> None:
    """Exit code 0, or 1 with one clear message."""
    options = parse_options()
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stdout)
    logging.getLogger("scripts").setLevel(logging.INFO)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        contract = train(options)
    except (TableFaults, ExportFailed, MlflowException, OSError) as error:
        sys.exit(f"training failed: {error}")
    version = contract["model"]["version"]
    outcome = f"version {version} is in Production" if version else "no version registered"
    print(f"{options.model_name}: {outcome}; contract and model in {options.out}")


if __name__ == "__main__":
    main()
