"""The runs of the experiment by F1, and the best of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone

from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion as RegisteredVersion
from mlflow.tracking import MlflowClient

from scripts.evaluation.model_version import CONTRACT_ARTIFACT, read_artifact, versions_of
from scripts.evaluation.refusal import Refused

METRICS = ("crossValidatedF1", "testF1", "f1_score", "f1")
MODEL_TAG = "mlflow.log-model.history"
PARENT_TAG = "mlflow.parentRunId"
RUNS_AT_ONCE = 1000


@dataclass(frozen=True)
class Candidate:
    """A run with a model: its F1, what other F1 it has, and the version that was registered from it."""

    run_id: str
    started: datetime
    f1: float
    metrics: dict[str, float]
    data: str
    version: str | None
    stage: str | None
    verdict: str | None


def list_runs(
    client: MlflowClient, model_name: str, experiment: str, metric: str | None = None,
) -> tuple[str, list[Candidate]]:
    """The metric's name, and the finished runs that logged a model and have it, the best first.

    Cross-validated F1 decides where there is one: it comes from the training part alone, so that choosing by it
    leaves the held-out part honest. Raises Refused when there is no experiment or no such run.
    """
    found = client.get_experiment_by_name(experiment)
    if found is None:
        raise Refused(f"there is no experiment {experiment}: train first, or name it with --experiment")
    runs = [
        run for run in finished_runs(client, found.experiment_id)
        if MODEL_TAG in run.data.tags and PARENT_TAG not in run.data.tags
    ]
    names = [metric] if metric else [name for name in METRICS if any(name in run.data.metrics for run in runs)]
    scored = [run for run in runs if names and names[0] in run.data.metrics]
    if not scored:
        raise Refused(f"no finished run of {experiment} has a model and {metric or 'an F1'}")
    registered = {one.run_id: one for one in reversed(versions_of(client, model_name))}
    candidates = [as_candidate(run, names[0], registered.get(run.info.run_id)) for run in scored]
    return names[0], sorted(candidates, key=lambda one: (-one.f1, -one.started.timestamp()))


def finished_runs(client: MlflowClient, experiment_id: str) -> Iterator[Run]:
    """All of them, page by page: each search has as many runs as trials."""
    token = None
    while True:
        page = client.search_runs(
            [experiment_id], "attributes.status = 'FINISHED'", max_results=RUNS_AT_ONCE, page_token=token,
        )
        yield from page
        token = page.token
        if not token:
            return


def as_candidate(run: Run, metric: str, registered: RegisteredVersion | None) -> Candidate:
    """A run as the list shows it."""
    parameters = run.data.params
    return Candidate(
        run.info.run_id, datetime.fromtimestamp(run.info.start_time / 1000, timezone.utc), run.data.metrics[metric],
        {name: run.data.metrics[name] for name in METRICS if name in run.data.metrics},
        parameters.get("dataSha256", "")[:8],
        str(registered.version) if registered else None, registered.current_stage if registered else None,
        run.data.tags.get("evaluation.verdict"),
    )


def best_run(client: MlflowClient, candidates: list[Candidate]) -> Candidate:
    """The first that has a contract. Raises Refused when none has."""
    for one in candidates:
        if read_artifact(client, one.run_id, CONTRACT_ARTIFACT) is not None:
            return one
    raise Refused(f"none of the {len(candidates)} runs has {CONTRACT_ARTIFACT}, which the service needs")
