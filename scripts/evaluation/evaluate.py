"""The evaluation, step by step: from a version and its tables to figures and a verdict."""

import json
import logging
from dataclasses import dataclass, field

import numpy as np
from mlflow.entities.model_registry import ModelVersion as RegisteredVersion
from mlflow.tracking import MlflowClient

from scripts.evaluation.comparison import Comparison, check_comparable, compare
from scripts.evaluation.held_out import known_rows, parts_of, trained_customers
from scripts.evaluation.importance import Importance, importances
from scripts.evaluation.labelled_table import Cells, Columns, LabelledTable, read_by_contract, read_cells
from scripts.evaluation.measures import Measures, measure
from scripts.evaluation.model_version import ModelVersion, find_version, in_stage, open_registered, read_artifact
from scripts.evaluation.refusal import Refused
from scripts.evaluation.seeds import FOREST_SEEDS, SeedScores, score_seeds
from scripts.evaluation.segments import Segment, check_segments, default_segments, segment
from scripts.evaluation.verdict import Evidence, Verdict, best_constant_f1, decide

CATALOGUE_ARTIFACT = "catalogue/catalogue.json"
HELD_OUT = "heldOut"
NEW = "new"
PRODUCTION = "Production"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class EvaluationOptions:
    """What to evaluate, and on what: `data` is the version's own table, `new` one that it was not trained on."""

    model_name: str
    version: str
    data: str | None = None
    new: str | None = None
    segments: tuple[str, ...] = ()
    columns: Columns = Columns()
    seeds: int = FOREST_SEEDS
    seed: int = 42


@dataclass(frozen=True)
class TableResult:
    """What was found on one table; `key` names it in metrics, `title` in words."""

    key: str
    title: str
    table: LabelledTable
    notes: tuple[str, ...]
    measures: Measures
    segments: list[Segment]
    comparison: Comparison | str | None


@dataclass(frozen=True)
class Evaluation:
    """Everything that was found; `importances` are of the first table."""

    version: ModelVersion
    production: str | None
    tables: list[TableResult]
    importances: list[Importance]
    seeds: SeedScores | None
    verdict: Verdict


@dataclass
class Given:
    """A table to evaluate on, with what is needed to read it by another contract."""

    key: str
    title: str
    cells: Cells
    table: LabelledTable
    notes: list[str] = field(default_factory=list)


def evaluate(client: MlflowClient, options: EvaluationOptions) -> Evaluation:
    """Raises Refused with one sentence when the version or a table cannot be used."""
    version = find_version(client, options.model_name, options.version)
    check_segments(version.contract, list(options.segments))
    logger.info("%s of %s%s", version.title, version.name, f", in {version.stage}" if version.stage else "")
    rng = np.random.default_rng(options.seed)
    given, training = read_tables(client, version, options)
    production = in_stage(client, options.model_name, PRODUCTION)
    is_in_production = production is not None and str(production.version) == version.version
    other: ModelVersion | str | None = None
    if production is not None and not is_in_production:
        other = open_other(client, version, production)

    by_importance = importances(version, given[0].table, rng)
    names = list(options.segments) or default_segments(version.contract, [one.feature for one in by_importance])
    results = []
    for one in given:
        measures = measure(version, one.table, rng)
        compared = None if other is None else compare_on(client, version, one, measures, other, rng)
        parts = segment(version.contract, one.table, measures.answered, names, rng)
        results.append(TableResult(one.key, one.title, one.table, tuple(one.notes), measures, parts, compared))
    seeds = None
    if training is not None and options.seeds > 1:
        logger.info("fitting the forest with %d seeds", options.seeds)
        seeds = score_seeds(version, training, given[0].table, options.seeds)
    title = f"version {production.version}" if production is not None else None
    verdict = decide(gather(version, title, is_in_production, results, seeds))
    return Evaluation(version, None if is_in_production else title, results, by_importance, seeds, verdict)


def read_tables(
    client: MlflowClient, version: ModelVersion, options: EvaluationOptions,
) -> tuple[list[Given], LabelledTable | None]:
    """The held-out part and the new table, as far as given, and the training part where it is known."""
    given: list[Given] = []
    training = None
    usual = usual_columns(client, version)
    if options.data is not None:
        cells = read_cells(options.data, version.contract, options.columns, usual)
        table = read_by_contract(cells, version.contract)
        parts = parts_of(client, version, table)
        training = table.take(parts.training)
        held_out = table.take(parts.held_out)
        notes = [f"held out: {parts.how}", *map(left_out, table.left_out), *data_note(client, version, cells)]
        given.append(Given(HELD_OUT, f"the held-out part of {table.name}", cells, held_out, notes))
    if options.new is not None:
        cells = read_cells(options.new, version.contract, options.columns, usual)
        table = read_by_contract(cells, version.contract)
        notes = list(map(left_out, table.left_out))
        if training is None:
            trained = trained_customers(client, version, table)
            if trained:
                raise Refused(
                    f"{version.title} was trained on {trained:,} customers of {table.name}: give the table that it was "
                    "trained on with --data too, so that the rows which it knows are left out"
                )
            notes.append("without --data nobody knows whether the version was trained on some of these customers")
        else:
            seen = known_rows(table, training)
            if seen.all():
                raise Refused(f"every row of {table.name} is a training row of {version.title}")
            if seen.any():
                notes.append(f"left out, being training rows of the version: {int(seen.sum()):,} rows")
            table = table.take(~seen)
        given.append(Given(NEW, f"new data {table.name}", cells, table, notes))
    for one in given:
        logger.info("%s: %s customers", one.title, f"{len(one.table):,}")
        for note in one.notes:
            logger.info("  %s", note)
    return given, training


def usual_columns(client: MlflowClient, version: ModelVersion) -> Columns:
    """The columns of the table that the version was trained on, where its run kept the catalogue."""
    text = read_artifact(client, version.run_id, CATALOGUE_ARTIFACT)
    catalogue = json.loads(text) if text else {}
    return Columns(catalogue.get("idColumn"), catalogue.get("labelColumn"))


def left_out(reason: str) -> str:
    """A reason as a note."""
    return f"left out, {reason}"


def data_note(client: MlflowClient, version: ModelVersion, cells: Cells) -> list[str]:
    """Whether the file is, byte by byte, the one that the run was trained on, where the run says so."""
    trained_on = client.get_run(version.run_id).data.params.get("dataSha256")
    if not trained_on or cells.sha256 is None:
        return []
    same = trained_on == cells.sha256
    return [f"{cells.name} is {'the very file' if same else 'not the very file'} that the run was trained on (SHA-256)"]


def open_other(client: MlflowClient, version: ModelVersion, production: RegisteredVersion) -> ModelVersion | str:
    """The version in Production, or why it cannot be compared."""
    try:
        other = open_registered(client, production)
        check_comparable(version, other)
    except Refused as error:
        return str(error)
    return other


def compare_on(
    client: MlflowClient, version: ModelVersion, given: Given, measures: Measures, other: ModelVersion | str,
    rng: np.random.Generator,
) -> Comparison | str:
    """The comparison on the rows that neither version was trained on, or why there is none."""
    if isinstance(other, str):
        return other
    notes: tuple[str, ...] = ()
    try:
        other_table = read_by_contract(read_cells_again(given.cells, other), other.contract)
        if given.key == HELD_OUT:
            other_table, notes = not_trained_on(client, other, other_table)
        return compare(version, given.table, measures.answered, other, other_table, rng, notes)
    except Refused as error:
        return str(error)


def read_cells_again(cells: Cells, other: ModelVersion) -> Cells:
    """The same cells. Raises Refused when they lack a feature of the other version."""
    missing = [name for name in other.contract.names if name not in cells.cells.columns]
    if missing:
        raise Refused(f"{cells.name} has no column {', '.join(missing)}, which {other.title} needs")
    return cells


def not_trained_on(
    client: MlflowClient, other: ModelVersion, table: LabelledTable,
) -> tuple[LabelledTable, tuple[str, ...]]:
    """The rows that the other version was not trained on, as far as that is known."""
    try:
        return table.take(np.setdiff1d(np.arange(len(table)), parts_of(client, other, table).training)), ()
    except Refused:
        return table, (f"{other.title} may have been trained on some of these customers, which would flatter it",)


def gather(
    version: ModelVersion, production: str | None, is_in_production: bool, results: list[TableResult],
    seeds: SeedScores | None,
) -> Evidence:
    """What the verdict needs."""
    contract = version.contract
    return Evidence(
        title=version.title,
        golden_differences=version.golden_differences(),
        golden_rows=len(contract.golden_labels),
        is_in_production=is_in_production,
        production=production,
        tables={
            one.title: (
                one.measures.figures["f1"],
                best_constant_f1(one.table.labels, len(contract.labels), contract.focus),
            )
            for one in results
        },
        comparisons={one.title: one.comparison for one in results if one.comparison is not None},
        seeds=(results[0].title, seeds.mean) if seeds else None,
    )
