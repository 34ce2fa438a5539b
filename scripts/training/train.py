"""The training run, phase by phase: from a table to a registered model with its contract."""

import logging

import mlflow
import numpy as np
from sklearn.ensemble import RandomForestClassifier

from scripts.training import registry
from scripts.training.acquire import acquire
from scripts.training.catalogue import Catalogue, read_catalogue
from scripts.training.choose import Choice, choose_parameters
from scripts.training.contract import build_contract, write_contract
from scripts.training.eda.report import eda_report
from scripts.training.forest import default_parameters, fit_forest, forest_sha256, make_forest
from scripts.training.golden_rows import FIRST_ROWS, GoldenRows, choose_golden_rows
from scripts.training.leakage import refuse_leaks
from scripts.training.onnx_export import assert_parity, compare, export_onnx
from scripts.training.options import TrainingOptions
from scripts.training.preprocess import Table, preprocess
from scripts.training.score import FOREST_SEEDS, held_out_scores
from scripts.training.split import Scaling, Split, fit_scaling, split_csv, split_table
from scripts.training.synthetic_rows import sample_rows
from scripts.training.training_entry import training_entry

PARITY_ROWS = 100_000
SIBLINGS_TOLD_APART = 4

logger = logging.getLogger(__name__)


def train(options: TrainingOptions) -> dict:
    """Runs every phase and returns the contract, as written to `options.out`.

    Raises TableFaults, ExportFailed, MlflowException, or OSError for a file or server that is not there.
    """
    catalogue = read_catalogue(options.catalogue)
    raw = acquire(options.data, options.query, options.max_rows)
    table = preprocess(raw, catalogue, options.drop_incomplete)
    refuse_leaks(table, catalogue, options.accept)
    split = split_table(table)
    scaling = fit_scaling(split.train_features)
    report_table(table, split)
    registry.connect(options.tracking_uri, options.model_name)
    with mlflow.start_run() as run:
        registry.log_data(options.catalogue, table, split_csv(split), eda_report(table, split, catalogue))
        choice = choose_parameters(options, catalogue, table, split)
        chosen, siblings, default = fit_forests(choice, split, scaling, options.seed)
        scores = choice.scores | held_out_scores(
            catalogue, chosen, siblings, default, scaling.apply(split.test_features), split.test_labels,
        )
        rng = np.random.default_rng(options.seed)
        onnx_bytes = export_checked(chosen, options.model_name, catalogue, table, split, scaling, rng)
        known = registry.known_forests(options.model_name, chosen.n_features_in_) if options.register else {}
        golden = choose_golden_rows(
            catalogue, chosen, scaling,
            sample_rows(catalogue, rng, options.golden_samples, split.train_features), table.features,
            {"default forest": default} | by_seed(siblings[:SIBLINGS_TOLD_APART]) | known,
        )
        report(scores, golden)
        sha256 = forest_sha256(chosen)
        logger.info("model hash %s", sha256)
        registry.log_model(chosen, choice.parameters, scores, sha256)
        contract = build_contract(
            catalogue, {"name": options.model_name, "version": None, "runId": run.info.run_id},
            scaling, split.train_features, golden, onnx_bytes,
            training_entry(options, table, split, choice.parameters, scores, sha256),
        )
        registry.log_contract(write_contract(options.out, contract, onnx_bytes))
        if options.register:
            contract["model"]["version"] = registry.register(options.model_name, run.info.run_id)
            registry.log_contract(write_contract(options.out, contract, onnx_bytes))
            registry.promote(options.model_name, contract["model"]["version"])
    return contract


def report_table(table: Table, split: Split) -> None:
    """Says what there is to learn from."""
    logger.info("%s: %d rows, SHA-256 %s", table.name, len(table.labels), table.sha256)
    logger.info(
        "%d rows to learn from, %d held out; %d moved to the first, since they stand there under another id",
        len(split.train_labels), len(split.test_labels), split.moved,
    )


def fit_forests(
    choice: Choice, split: Split, scaling: Scaling, seed: int,
) -> tuple[RandomForestClassifier, list[RandomForestClassifier], RandomForestClassifier]:
    """The chosen forest, forests that differ from it by their seed only, and a default forest."""
    standardised = scaling.apply(split.train_features)
    chosen = fit_forest(choice.parameters, standardised, split.train_labels)
    siblings = [
        fit_forest(choice.parameters, standardised, split.train_labels, chosen.random_state + step)
        for step in range(1, FOREST_SEEDS)
    ]
    default = make_forest(default_parameters(seed)).fit(standardised, split.train_labels)
    return chosen, siblings, default


def by_seed(forests: list[RandomForestClassifier]) -> dict[str, RandomForestClassifier]:
    """The forests by a name that says their seed."""
    return {f"same parameters, seed {forest.random_state}": forest for forest in forests}


def export_checked(
    forest: RandomForestClassifier, name: str, catalogue: Catalogue, table: Table, split: Split,
    scaling: Scaling, rng: np.random.Generator,
) -> bytes:
    """The ONNX file, once it agreed with the forest on every row of the table and on generated rows."""
    onnx_bytes = export_onnx(forest, name)
    generated = sample_rows(catalogue, rng, PARITY_ROWS, split.train_features)
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
