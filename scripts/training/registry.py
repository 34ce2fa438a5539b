"""Server 2 as training sees it: the tracked run, the registered version and its stage."""

import logging
import os
import ssl
from importlib.metadata import version as installed_version
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from sklearn.ensemble import RandomForestClassifier

from scripts.training.forest import Parameters
from scripts.training.preprocess import Table

DEFAULT_TRACKING_URI = "http://127.0.0.1:5000"
ANSWER_TIMEOUT_S = 10
MODEL_ARTIFACT = "model"
CONTRACT_ARTIFACT = "contract"
CATALOGUE_ARTIFACT = "catalogue/catalogue.json"
SPLIT_ARTIFACT = "split/split.csv"
EDA_ARTIFACT = "eda/report.html"
STUDY_ARTIFACT = "study/trials.csv"
MODEL_LIBRARIES = ("mlflow", "scikit-learn", "numpy", "cloudpickle")

logger = logging.getLogger(__name__)


def use_server(tracking_uri: str) -> None:
    """Makes MLflow use this server. Raises ConnectionError when nobody answers there."""
    if tracking_uri.startswith("http"):
        try:
            urlopen(f"{tracking_uri.rstrip('/')}/health", timeout=ANSWER_TIMEOUT_S, context=trust()).close()
        except HTTPError:
            pass
        except (URLError, OSError) as error:
            raise ConnectionError(
                f"no MLflow at {tracking_uri} ({error}): start scripts.serving or set MLFLOW_TRACKING_URI"
            ) from error
    mlflow.set_tracking_uri(tracking_uri)


def trust() -> ssl.SSLContext:
    """Whom MLflow itself trusts by its own variables."""
    if os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("true", "1"):
        return ssl._create_unverified_context()
    return ssl.create_default_context(cafile=os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH"))


def connect(tracking_uri: str, experiment: str) -> None:
    """Makes MLflow use this server and experiment. Raises ConnectionError when nobody answers there."""
    use_server(tracking_uri)
    mlflow.set_experiment(experiment)


def log_data(catalogue_file: Path, table: Table, split_csv: str, eda_html: str) -> None:
    """What the run learns from: fingerprint of the data, catalogue, split and the report on the training part."""
    mlflow.log_params({"data": table.name, "dataSha256": table.sha256})
    mlflow.log_text(catalogue_file.read_text(encoding="utf-8"), CATALOGUE_ARTIFACT)
    mlflow.log_text(split_csv, SPLIT_ARTIFACT)
    mlflow.log_text(eda_html, EDA_ARTIFACT)


def log_trial(number: int, parameters: Parameters, metrics: dict[str, float]) -> None:
    """One nested run of the search."""
    with mlflow.start_run(nested=True, run_name=f"trial {number + 1}"):
        mlflow.log_params(parameters)
        mlflow.log_metrics(metrics)


def log_study(csv: str) -> None:
    """The log of the search."""
    mlflow.log_text(csv, STUDY_ARTIFACT)


def log_model(
    forest: RandomForestClassifier, parameters: Parameters, scores: dict[str, float], sha256: str,
) -> None:
    """The bare forest, without a signature: a signature by column names refuses `{"inputs": [[…]]}`."""
    mlflow.log_params(parameters)
    mlflow.log_param("modelSha256", sha256)
    mlflow.log_metrics(scores)
    mlflow.sklearn.log_model(
        forest, MODEL_ARTIFACT,
        pip_requirements=[f"{name}=={installed_version(name)}" for name in MODEL_LIBRARIES],
    )


def log_contract(files: list[Path]) -> None:
    """The contract and the ONNX file, as artifacts of the run that is open."""
    for file in files:
        mlflow.log_artifact(str(file), CONTRACT_ARTIFACT)


def register(model_name: str, run_id: str) -> str:
    """A new version of the model from the run's forest; its number."""
    return str(mlflow.register_model(f"runs:/{run_id}/{MODEL_ARTIFACT}", model_name).version)


def promote(model_name: str, version: str) -> None:
    """Staging, then Production; the version that was there is archived."""
    client = MlflowClient()
    client.transition_model_version_stage(model_name, version, "Staging")
    client.transition_model_version_stage(model_name, version, "Production", archive_existing_versions=True)


def known_forests(model_name: str, features: int) -> dict[str, RandomForestClassifier]:
    """The latest registered version of each stage, by name, where it takes as many features."""
    try:
        versions = MlflowClient().get_latest_versions(model_name)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return {}
        raise
    forests = {}
    for entry in versions:
        name = f"registered version {entry.version}"
        try:
            forest = mlflow.sklearn.load_model(f"models:/{model_name}/{entry.version}")
        except Exception as error:  # any library may fail in its own way while unpickling
            logger.warning("%s cannot be loaded, so golden rows may not tell it apart: %s", name, error)
            continue
        if getattr(forest, "n_features_in_", None) == features:
            forests[name] = forest
    return forests
