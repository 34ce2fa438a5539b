"""python -m scripts.evaluation: how good a version is, and whether it should be promoted.

Needs --data, --new or both. Ends with 0 for either verdict, with 1 and one sentence when it cannot be done.
"""

import argparse
import logging
import os
import sys

from mlflow.exceptions import MlflowException

from scripts.evaluation.comparison import Comparison
from scripts.evaluation.evaluate import Evaluation, EvaluationOptions, evaluate
from scripts.evaluation.labelled_table import Columns
from scripts.evaluation.model_version import DEFAULT_TRACKING_URI, use_tracking
from scripts.evaluation.refusal import Refused
from scripts.evaluation.report import FIGURE_TITLES, focus_in_words
from scripts.evaluation.seeds import FOREST_SEEDS
from scripts.evaluation.tracking import FOLDER, log_evaluation
from scripts.evaluation.verdict import told
from scripts.training.table_faults import TableFaults


def parse_options(arguments: list[str] | None = None) -> EvaluationOptions:
    """Options from the command line, with CHURN_CSV from the environment."""
    parser = argparse.ArgumentParser(prog="python -m scripts.evaluation", description=__doc__)
    parser.add_argument(
        "--version", required=True, metavar="N|Production|Staging|run:ID", help="what is evaluated",
    )
    parser.add_argument(
        "--data", metavar="FILE|openml|generated",
        help="the table that it was trained on: its held-out part is used, the rest for the seeds",
    )
    parser.add_argument("--new", metavar="FILE", help="labelled customers that it was not trained on, as CSV")
    parser.add_argument(
        "--segment", action="append", default=[], metavar="FEATURE",
        help="show its parts (by value, else quarters); may be repeated (default: flags and the two most important)",
    )
    parser.add_argument("--id-column", metavar="NAME", help="default customer_id, else the first column")
    parser.add_argument("--label-column", metavar="NAME", help="default that of its own table, else the one left")
    parser.add_argument("--seeds", type=int, default=FOREST_SEEDS, help=f"forest seeds to try (default {FOREST_SEEDS})")
    parser.add_argument("--model-name", default="rfc_tune")
    parser.add_argument("--seed", type=int, default=42, help="of bootstrap and shuffling")
    given = parser.parse_args(arguments)
    data = given.data or (None if given.new else os.environ.get("CHURN_CSV"))
    if data is None and given.new is None:
        parser.error("give --data, --new or both")
    return EvaluationOptions(
        model_name=given.model_name, version=given.version, data=data, new=given.new,
        segments=tuple(given.segment), columns=Columns(given.id_column, given.label_column),
        seeds=given.seeds, seed=given.seed,
    )


def show(evaluation: Evaluation) -> None:
    """The figures as text."""
    print(f"F1 and its like are of {focus_in_words(evaluation)}; intervals hold 95 %")
    for result in evaluation.tables:
        print(f"\n{result.title}, {len(result.table):,} customers")
        for name, figure in result.measures.figures.items():
            print(f"  {FIGURE_TITLES[name]:<24}{figure}  ({figure.interval})")
        for label, one in result.measures.calibration.items():
            print(f"  calibration error of {label}: {one.error:.4f}; chance alone gives {one.error_if_calibrated:.4f}")
        for label, found in result.measures.gains.items():
            first = next(one for one in found if one.share == 0.1)
            print(f"  the tenth with the highest probability has {first.found:.1%} of {label}: lift {first.lift:.2f}")
        for part in result.segments:
            if part.stands_out:
                interval = f"[{part.low:.4f}, {part.high:.4f}]"
                print(f"  stands out: {part.title}, {part.n:,} customers: F1 {part.f1:.4f} {interval}")
        if isinstance(result.comparison, Comparison):
            print(f"  against {evaluation.production} in Production {told('these customers', result.comparison)}")
            for note in result.comparison.notes:
                print(f"    {note}")
        elif result.comparison is not None:
            print(f"  cannot be compared with {evaluation.production} in Production: {result.comparison}")
    top = ", ".join(f"{one.feature} {one.loss:.3f}" for one in evaluation.importances[:4])
    print(f"\nF1 lost when a feature is shuffled: {top}")
    if evaluation.seeds:
        one = evaluation.seeds
        print(
            f"{len(one.f1_by_seed)} forest seeds: mean F1 {one.mean:.4f} [{one.low:.4f}, {one.high:.4f}], "
            f"from {min(one.f1_by_seed.values()):.4f} to {max(one.f1_by_seed.values()):.4f}; "
            f"its own seed gives {one.same_labels} of {one.held_out_rows} customers the version's label"
        )


def main() -> None:
    """Exit code 0 with a verdict, or 1 with one clear message."""
    options = parse_options()
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stdout)
    logging.getLogger("scripts").setLevel(logging.INFO)
    try:
        client = use_tracking(os.environ.get("MLFLOW_TRACKING_URI", DEFAULT_TRACKING_URI))
        evaluation = evaluate(client, options)
        show(evaluation)
        log_evaluation(client, evaluation)
    except (Refused, TableFaults, MlflowException, OSError) as error:
        sys.exit(f"evaluation failed: {error}")
    print(f"logged with run {evaluation.version.run_id}: {FOLDER}/report.html, {FOLDER}/evaluation.json")
    print(f"verdict: {evaluation.verdict.word}: {evaluation.verdict.reason}")


if __name__ == "__main__":
    main()
