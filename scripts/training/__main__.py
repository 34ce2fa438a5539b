"""python -m scripts.training: trains, registers and promotes the model."""

import argparse
import logging
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

import optuna
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from scripts.training.catalogue import CHURN_CATALOGUE
from scripts.training.onnx_export import ExportFailed
from scripts.training.options import STUDY_FILE, TrainingOptions
from scripts.training.registry import DEFAULT_TRACKING_URI
from scripts.training.sql_source import MAX_ROWS, PASSWORD_VARIABLE
from scripts.training.table_faults import TableFaults
from scripts.training.train import train

STOPPED_BY_SIGINT = 130


def parse_options(arguments: list[str] | None = None) -> TrainingOptions:
    """Options from the command line, with MLFLOW_TRACKING_URI and CHURN_CSV from the environment."""
    given = build_parser().parse_args(arguments)
    return TrainingOptions(
        tracking_uri=os.environ.get("MLFLOW_TRACKING_URI", DEFAULT_TRACKING_URI),
        accept=tuple(given.accept),
        **{name: value for name, value in vars(given).items() if name != "accept"},
    )


def build_parser() -> argparse.ArgumentParser:
    """What the command line takes."""
    parser = argparse.ArgumentParser(prog="python -m scripts.training", description=__doc__)
    parser.add_argument(
        "--data", default=os.environ.get("CHURN_CSV", "generated"), metavar="FILE|sql:URL|openml|generated",
        help="the table: a CSV file, or a database such as sql:postgresql://reader@erp/crm with its password in "
        f"{PASSWORD_VARIABLE} (default: the file named by CHURN_CSV, else generated)",
    )
    parser.add_argument("--query", type=Path, metavar="FILE", help="the SELECT for sql:URL")
    parser.add_argument(
        "--max-rows", type=positive, default=MAX_ROWS, help=f"refuse a longer answer (default {MAX_ROWS})",
    )
    parser.add_argument(
        "--catalogue", type=Path, default=CHURN_CATALOGUE, metavar="FILE",
        help="what the table's columns mean (default config/rfc_tune/catalogue.json)",
    )
    parser.add_argument(
        "--drop-incomplete", action="store_true", help="leave rows with empty cells out, instead of refusing them",
    )
    parser.add_argument(
        "--accept", action="append", default=[], metavar="FEATURE",
        help="keep a feature that looks like the label or like an id (may be repeated)",
    )
    parser.add_argument("--trials", type=positive, default=50, help="points of the parameter search (default 50)")
    parser.add_argument(
        "--study", type=without_password, metavar="FILE|URL",
        help=f"database of the search, which goes on where it was interrupted (default {STUDY_FILE} in --out)",
    )
    parser.add_argument(
        "--parameters", type=existing_file, dest="parameters_from", metavar="CONTRACT_JSON",
        help="take the parameters from an earlier contract instead of searching",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("config/rfc_tune"),
        help="folder for contract.json and model.onnx (default config/rfc_tune)",
    )
    parser.add_argument("--model-name", default="rfc_tune")
    parser.add_argument(
        "--no-register", action="store_false", dest="register", help="track the run, but register no version",
    )
    parser.add_argument("--seed", type=int, default=42)
    return parser


def positive(text: str) -> int:
    """A whole number above 0."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no whole number above 0")
    return int(text)


def without_password(text: str) -> str:
    """A file or a URL that others on the machine may read."""
    if "://" in text and urlsplit(text).password is not None:
        raise argparse.ArgumentTypeError("others can read a command line: leave the password to PGPASSWORD or ~/.pgpass")
    return text


def existing_file(text: str) -> Path:
    """The path of a file that is there."""
    if not Path(text).is_file():
        raise argparse.ArgumentTypeError(f"{text}: no such file")
    return Path(text)


def main() -> None:
    """Exit code 0, or 1 with one clear message; 130 when interrupted."""
    options = parse_options()
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stdout)
    logging.getLogger("scripts").setLevel(logging.INFO)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        contract = train(options)
    except (TableFaults, ExportFailed, MlflowException, OSError) as error:
        sys.exit(f"training failed: {error}")
    except SQLAlchemyError as error:
        sys.exit(f"training failed: the study's database: {str(error).splitlines()[0]}")
    except KeyboardInterrupt:
        print("training stopped: the same command goes on with the search where it is", file=sys.stderr)
        sys.exit(STOPPED_BY_SIGINT)
    version = contract["model"]["version"]
    outcome = f"version {version} is in Production" if version else "no version registered"
    print(f"{options.model_name}: {outcome}; contract and model in {options.out}")


if __name__ == "__main__":
    main()
