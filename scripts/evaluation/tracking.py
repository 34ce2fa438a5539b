"""What an evaluation leaves in MLflow: artifacts, metrics and tags of the version's run."""

import json
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow.tracking import MlflowClient

from scripts.evaluation.comparison import Comparison
from scripts.evaluation.evaluate import Evaluation, TableResult
from scripts.evaluation.figures import draw
from scripts.evaluation.report import focus_in_words, write_report

FOLDER = "evaluation"
VERDICT_TAG = "evaluation.verdict"
REASON_TAG = "evaluation.reason"
TIME_TAG = "evaluation.at"
LONGEST_TAG = 500


def as_json(evaluation: Evaluation, now: datetime) -> dict:
    """evaluation.json."""
    version, contract = evaluation.version, evaluation.version.contract
    return {
        "evaluatedAt": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "model": {"name": version.name, "version": version.version, "runId": version.run_id, "stage": version.stage},
        "figuresAreOf": focus_in_words(evaluation),
        "labels": [{"code": label.code, "name": label.name} for label in contract.labels],
        "comparedWith": evaluation.production,
        "verdict": {"word": evaluation.verdict.word, "reason": evaluation.verdict.reason},
        "tables": {one.key: table_json(one) for one in evaluation.tables},
        "permutationImportance": [one.as_json() for one in evaluation.importances],
        "forestSeeds": evaluation.seeds.as_json() if evaluation.seeds else None,
    }


def table_json(result: TableResult) -> dict:
    """One table's part of evaluation.json."""
    compared = result.comparison
    return {
        "table": result.title, "customers": len(result.table), "notes": list(result.notes),
        **result.measures.as_json(),
        "segments": [one.as_json() for one in result.segments],
        "comparison": compared.as_json() if isinstance(compared, Comparison) else compared,
    }


def metrics(evaluation: Evaluation) -> dict[str, float]:
    """The figures as metrics of the run, such as evaluation.heldOut.f1 with .low and .high."""
    found: dict[str, float] = {}
    for result in evaluation.tables:
        prefix = f"evaluation.{result.key}"
        for name, figure in result.measures.figures.items():
            named = f"{prefix}.{name}"
            found |= {named: figure.value, f"{named}.low": figure.low, f"{named}.high": figure.high}
        errors = [one.error for one in result.measures.calibration.values()]
        if errors:
            found[f"{prefix}.calibrationError"] = sum(errors) / len(errors)
        if isinstance(result.comparison, Comparison):
            found[f"{prefix}.f1Difference"] = result.comparison.difference
            found[f"{prefix}.mcnemarMidP"] = result.comparison.mcnemar.mid_p
    if evaluation.seeds:
        found["evaluation.heldOut.f1.meanOverSeeds"] = evaluation.seeds.mean
    return found


def log_evaluation(client: MlflowClient, evaluation: Evaluation) -> dict:
    """Logs everything with the version's run, and the verdict as tags of run and version; returns evaluation.json."""
    now = datetime.now(timezone.utc)
    version, body = evaluation.version, as_json(evaluation, now)
    pictures = draw(evaluation)
    client.log_text(version.run_id, write_report(evaluation, pictures, now), f"{FOLDER}/report.html")
    client.log_text(version.run_id, json.dumps(body, indent=2, allow_nan=False) + "\n", f"{FOLDER}/evaluation.json")
    log_figures(client, version.run_id, pictures)
    for name, value in metrics(evaluation).items():
        client.log_metric(version.run_id, name, value)
    tags = {
        VERDICT_TAG: evaluation.verdict.word, REASON_TAG: evaluation.verdict.reason[:LONGEST_TAG],
        TIME_TAG: body["evaluatedAt"],
    }
    for name, text in tags.items():
        client.set_tag(version.run_id, name, text)
        if version.version:
            client.set_model_version_tag(version.name, version.version, name, text)
    return body


def log_figures(client: MlflowClient, run_id: str, pictures: dict[str, bytes]) -> None:
    """The figures as files of their own, for slides and tickets."""
    with TemporaryDirectory() as folder:
        for name, png in pictures.items():
            (Path(folder) / f"{name}.png").write_bytes(png)
        client.log_artifacts(run_id, folder, f"{FOLDER}/figures")
