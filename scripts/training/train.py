"""The training run, phase by phase: from a table to a registered model with its contract."""

import logging
import platform
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import version as installed_version
from pathlib import Path

import mlflow
import numpy as np
from sklearn.ensemble import RandomForestClassifier

from scripts.training import registry
from scripts.training.acquire import acquire
from scripts.training.contract import build_contract, read_contract, write_contract
from scripts.training.forest import (
    Parameters, cross_validated_f1, default_parameters, fit_forest, make_forest, search_parameters,
)
from scripts.training.golden_rows import FIRST_ROWS, SAMPLED_ROWS, GoldenRows, choose_golden_rows
from scripts.training.onnx_export import assert_parity, compare, export_onnx
from scripts.training.preprocess import Table, preprocess
from scripts.training.score import FOREST_SEEDS, held_out_scores
from scripts.training.split import Scaling, Split, fit_scaling, split_table
from scripts.training.synthetic_rows import sample_rows

LIBRARIES = ("scikit-learn", "numpy", "pandas", "optuna", "mlflow", "skl2onnx", "onnx", "onnxruntime")
PARITY_ROWS = 100_000

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingOptions:
    """What a training run is asked to do; `parameters_from` is an earlier contract instead of a search."""

    data: str
    tracking_uri: str
    out: Path
    trials: int = 50
    parameters_from: Path | None = None
    model_name: str = "rfc_tune"
    register: bool = True
    seed: int = 42
    golden_samples: int = SAMPLED_ROWS


def train(options: TrainingOptions) -> dict:
    """Runs every phase and returns the contract, as written to `options.out`.

    Raises TableFaults, ExportFailed, MlflowException, or OSError for a file or server that is not there.
    """
    table = preprocess(acquire(options.data))
    logger.info("%s: %d rows", table.name, len(table.labels))
    split = split_table(table)
    scaling = fit_scaling(split.train_features)
    registry.connect(options.tracking_uri, options.model_name)
    with mlflow.start_run() as run:
        parameters, f1 = choose_parameters(options, split)
        chosen, siblings, default = fit_forests(parameters, split, scaling, options.seed)
        scores = {"crossValidatedF1": f1} | held_out_scores(
            chosen, siblings, default, scaling.apply(split.test_features), split.test_labels,
        )
        rng = np.random.default_rng(options.seed)
        onnx_bytes = export_checked(chosen, options.model_name, table, split, scaling, rng)
        known = registry.known_forests(options.model_name, chosen.n_features_in_) if options.register else {}
        golden = choose_golden_rows(
            chosen, scaling, sample_rows(rng, options.golden_samples, split.train_features), table.features,
            {"default forest": default} | by_seed(siblings) | known,
        )
        report(scores, golden)
        mlflow.log_params(parameters)
        mlflow.log_metrics(scores)
        registry.log_forest(chosen)
        contract = build_contract(
            {"name": options.model_name, "version": None, "runId": run.info.run_id},
            scaling, split.train_features, golden, onnx_bytes,
            training_entry(options, table, split, parameters, scores),
        )
        registry.log_contract(write_contract(options.out, contract, onnx_bytes))
        if options.register:
            contract["model"]["version"] = registry.register(options.model_name, run.info.run_id)
            registry.log_contract(write_contract(options.out, contract, onnx_bytes))
            registry.promote(options.model_name, contract["model"]["version"])
    return contract


def choose_parameters(options: TrainingOptions, split: Split) -> tuple[Parameters, float]:
    """From an earlier contract, or searched; with their cross-validated F1."""
    if options.parameters_from:
        parameters = read_contract(options.parameters_from)["training"]["parameters"]
        return parameters, cross_validated_f1(parameters, split, options.seed)

    def log_trial(number: int, parameters: Parameters, f1: float) -> None:
        registry.log_trial(f"trial {number + 1}", parameters, {"crossValidatedF1": f1})
        logger.info("trial %d of %d: cross-validated F1 %.4f", number + 1, options.trials, f1)

    return search_parameters(split, options.trials, options.seed, log_trial)


def fit_forests(
    parameters: Parameters, split: Split, scaling: Scaling, seed: int,
) -> tuple[RandomForestClassifier, list[RandomForestClassifier], RandomForestClassifier]:
    """The chosen forest, forests that differ from it by their seed only, and a default forest."""
    standardised = scaling.apply(split.train_features)
    chosen = fit_forest(parameters, standardised, split.train_labels)
    siblings = [
        fit_forest(parameters, standardised, split.train_labels, chosen.random_state + step)
        for step in range(1, FOREST_SEEDS)
    ]
    default = make_forest(default_parameters(seed)).fit(standardised, split.train_labels)
    return chosen, siblings, default


def by_seed(forests: list[RandomForestClassifier]) -> dict[str, RandomForestClassifier]:
    """The forests by a name that says their seed."""
    return {f"same parameters, seed {forest.random_state}": forest for forest in forests}


def export_checked(
    forest: RandomForestClassifier, name: str, table: Table, split: Split, scaling: Scaling,
    rng: np.random.Generator,
) -> bytes:
    """The ONNX file, once it agreed with the forest on every row of the table and on generated rows."""
    onnx_bytes = export_onnx(forest, name)
    generated = sample_rows(rng, PARITY_ROWS, split.train_features)
    parity = compare(forest, onnx_bytes, scaling.apply(np.concatenate([table.features, generated])))
    assert_parity(parity)
    logger.info(
        "ONNX: %s bytes, labels equal on %s of %s rows, probabilities within %.1e",
        f"{len(onnx_bytes):,}", f"{parity.rows - parity.different_labels:,}", f"{parity.rows:,}",
        parity.largest_probability_difference,
    )
    return onnx_bytes


def report(scores: dict[str, float], golden: GoldenRows) -> None:
    """Says what was measured."""
    for name, value in scores.items():
        logger.info("%s %.4f", name, value)
    logger.info(
        "golden rows: of %d mistakes tried, the first %d rows show %d, all %d rows %d",
        golden.mistakes, FIRST_ROWS, golden.shown_by_first, len(golden.labels), golden.shown,
    )
    for name in golden.undetectable:
        logger.info("golden rows: no row shows the mistake '%s'", name)


def training_entry(
    options: TrainingOptions, table: Table, split: Split, parameters: Parameters, scores: dict[str, float],
) -> dict:
    """The contract's account of how the model was made."""
    return {
        "trainedAt": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "data": table.name,
        "rows": len(table.labels),
        "trainingRows": len(split.train_labels),
        "seed": options.seed,
        "parameters": parameters,
        "trials": 0 if options.parameters_from else options.trials,
        "scores": scores,
        "libraries": {"python": platform.python_version()}
        | {name: installed_version(name) for name in LIBRARIES},
    }
