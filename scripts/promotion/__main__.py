"""python -m scripts.promotion: the best run, promotion to Production with a preview, and the way back.

Ends with 0, or with 1 and one sentence when it cannot be done. The store's URL may stand in STORE_URL.
"""

import argparse
import logging
import os
import sys
from pathlib import Path

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from scripts.evaluation.model_version import (
    DEFAULT_TRACKING_URI, ModelVersion, find_version, open_registered, open_run, use_tracking,
)
from scripts.evaluation.refusal import Refused
from scripts.promotion.best_run import Candidate, best_run, list_runs
from scripts.promotion.fitness import check_fitness
from scripts.promotion.show_preview import show_preview
from scripts.promotion.stages import find_previous, in_production, promote, roll_back

RUNS_SHOWN = 20


def parse_options(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m scripts.promotion", description=__doc__)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--model-name", default="rfc_tune")
    choosing = argparse.ArgumentParser(add_help=False)
    choosing.add_argument("--experiment", help="default: the model's name")
    choosing.add_argument("--metric", help="which F1 decides (default crossValidatedF1, else testF1, f1_score, f1)")
    looking = argparse.ArgumentParser(add_help=False)
    looking.add_argument("--preview", action="store_true", help="only show who would change label; change nothing")
    looking.add_argument(
        "--store", default=os.environ.get("STORE_URL"), metavar="postgres://…|FILE.ndjson",
        help="the service's database, or the results of a list (default: STORE_URL)",
    )
    looking.add_argument("--list", type=Path, metavar="FILE", help="write who would change label as CSV")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("best", parents=[shared, choosing], help="list the runs by F1")
    promoting = commands.add_parser("promote", parents=[shared, choosing, looking], help="bring one to Production")
    which = promoting.add_mutually_exclusive_group()
    which.add_argument("--run", default="best", metavar="ID|best", help="default best")
    which.add_argument("--version", metavar="N")
    commands.add_parser("rollback", parents=[shared, looking], help="bring back the version before")
    given = parser.parse_args(arguments)
    if given.command != "best" and given.preview and not given.store:
        parser.error("--preview needs --store or STORE_URL: where the customers are")
    if given.command != "best" and given.list and not given.preview:
        parser.error("--list goes with --preview")
    return given


def show_runs(metric: str, candidates: list[Candidate]) -> None:
    """The list."""
    names = [name for name in candidates[0].metrics if name != metric]
    print(f"{len(candidates)} runs with a model, by {metric}")
    print(f"{'run':<34}{'started (UTC)':<18}{metric:<18}" + "".join(f"{name:<10}" for name in names) + "version")
    for one in candidates[:RUNS_SHOWN]:
        others = "".join(f"{one.metrics[name]:<10.4f}" if name in one.metrics else f"{'–':<10}" for name in names)
        standing = f"{one.version} {one.stage}" if one.version else "not registered"
        verdict = f", evaluation says {one.verdict}" if one.verdict else ""
        print(f"{one.run_id:<34}{one.started:%Y-%m-%d %H:%M}  {one.f1:<18.4f}{others}{standing}{verdict}")
    if len({one.data for one in candidates[:RUNS_SHOWN]}) > 1:
        print("not all were trained on the same table, so their F1 cannot be compared as it stands")


def choose(client: MlflowClient, given: argparse.Namespace) -> ModelVersion:
    """The version that is meant."""
    if given.version:
        return find_version(client, given.model_name, given.version)
    if given.run != "best":
        return open_run(client, given.model_name, given.run)
    metric, candidates = list_runs(client, given.model_name, given.experiment or given.model_name, given.metric)
    best = best_run(client, candidates)
    print(f"the best of {len(candidates)} runs by {metric} is {best.run_id}: {best.f1:.4f}")
    return open_run(client, given.model_name, best.run_id)


def run(given: argparse.Namespace) -> None:
    """Does what was asked for."""
    client = use_tracking(os.environ.get("MLFLOW_TRACKING_URI", DEFAULT_TRACKING_URI))
    if given.command == "best":
        metric, candidates = list_runs(client, given.model_name, given.experiment or given.model_name, given.metric)
        show_runs(metric, candidates)
        print(f"best: {best_run(client, candidates).run_id}")
        return
    if given.preview:
        if given.command == "rollback":
            previous, _ = find_previous(client, in_production(client, given.model_name))
            version = open_registered(client, previous)
        else:
            version = choose(client, given)
        print(f"{version.title}: {check_fitness(client, version)}")
        show_preview(version, given.store, given.list)
        print("nothing was changed")
    elif given.command == "rollback":
        roll_back(client, given.model_name)
    else:
        promote(client, choose(client, given))


def main() -> None:
    """Exit code 0, or 1 with one clear message."""
    given = parse_options()
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stdout)
    logging.getLogger("scripts").setLevel(logging.INFO)
    try:
        run(given)
    except (Refused, MlflowException, OSError) as error:
        sys.exit(f"{given.command} failed: {error}")


if __name__ == "__main__":
    main()
