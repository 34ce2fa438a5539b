"""MLflow's tracking server and registry: its command, its environment and where this machine calls it."""

import os
import sys

from scripts.serving.addresses import bracketed, local_host, url
from scripts.serving.certificates import TlsFiles
from scripts.serving.options import ServingOptions

# Neither may be seen in the list of processes, where everybody on the machine reads command lines
SECRETS = ("MLFLOW_BACKEND_STORE_URI", "MLFLOW_REGISTRY_STORE_URI")
CLEARED = (*SECRETS, "MLFLOW_ARTIFACTS_DESTINATION", "GUNICORN_CMD_ARGS")


def tracking_command(options: ServingOptions, tls: TlsFiles) -> list[str]:
    """MLflow's tracking server, which hands artifacts through to other machines; its stores are in the environment."""
    secured = ["--gunicorn-opts", f"--certfile={tls.certificate_file} --keyfile={tls.key_file}"]
    return [
        sys.executable, "-m", "mlflow", "server", "--serve-artifacts",
        "--host", bracketed(options.host), "--port", str(options.tracking_port),
        "--workers", str(options.tracking_workers), *(secured if options.tracking_tls else []),
    ]


def tracking_environment(options: ServingOptions) -> dict[str, str]:
    """Where runs and artifacts are kept: SQLite and a folder in the home folder, unless told otherwise."""
    return plain_environment() | {
        "MLFLOW_BACKEND_STORE_URI": options.backend_store or f"sqlite:///{options.home / 'mlflow.db'}",
        "MLFLOW_ARTIFACTS_DESTINATION": options.artifacts or (options.home / "artifacts").as_uri(),
    }


def plain_environment() -> dict[str, str]:
    """The environment without stores, with this interpreter's commands first: MLflow looks gunicorn up by name."""
    inherited = {name: value for name, value in os.environ.items() if name not in CLEARED}
    commands = os.path.dirname(sys.executable)
    return inherited | {"PATH": os.pathsep.join([commands, inherited.get("PATH", os.defpath)])}


def client_environment(options: ServingOptions, tls: TlsFiles) -> dict[str, str]:
    """What an MLflow client on this machine needs to reach the tracking server."""
    environment = plain_environment() | {"MLFLOW_TRACKING_URI": local_tracking_uri(options)}
    if not options.tracking_tls:
        return environment
    # A given certificate need not name the loopback address, and to that one it is our own process that answers
    trust = {"MLFLOW_TRACKING_SERVER_CERT_PATH": str(tls.ca_file)} if tls.ca_file else {"MLFLOW_TRACKING_INSECURE_TLS": "true"}
    return environment | trust


def local_tracking_uri(options: ServingOptions) -> str:
    """The tracking server as this machine calls it."""
    return url(tracking_scheme(options), local_host(options.host), options.tracking_port)


def tracking_scheme(options: ServingOptions) -> str:
    """https when it was asked for, else http as the deployment document has it."""
    return "https" if options.tracking_tls else "http"
