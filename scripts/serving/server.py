"""Server 2: starts MLflow's tracking server, waits for a model, and starts its scoring server."""

import json
import os
import ssl
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import urlopen

from scripts.serving.addresses import bracketed, local_host, public_host, require_free_port, url
from scripts.serving.certificates import TlsFiles, ensure_certificate
from scripts.serving.processes import Processes, ServingFailed

POLL_INTERVAL_S = 0.5
ANSWER_TIMEOUT_S = 5
KEEP_ALIVE_S = 65
TRACKING_WORKERS = 2


@dataclass(frozen=True)
class ServingOptions:
    """What server 2 is asked to serve; `tls` None means a certificate of its own making."""

    home: Path
    host: str
    tracking_port: int
    scoring_port: int
    workers: int
    threads: int
    model_name: str
    stage: str
    tls: TlsFiles | None


def serve(options: ServingOptions) -> None:
    """Runs until a service ends (raises ServingFailed) or the caller is interrupted; leaves no process behind."""
    require_free_port(options.host, options.tracking_port)
    require_free_port(options.host, options.scoring_port)
    options.home.mkdir(parents=True, exist_ok=True)
    tls = options.tls or ensure_certificate(options.home / "certificates", options.host)
    for path in (tls.certificate_file, tls.key_file):
        if any(character.isspace() for character in str(path)):
            raise ServingFailed(f"{path}: gunicorn's settings cannot hold a path with spaces")
    with Processes(options.home / "logs") as processes:
        processes.start("tracking", tracking_command(options), tracking_environment())
        wait_for(processes, lambda: answers(f"{local_tracking_uri(options)}/health"))
        say(f"tracking {url('http', public_host(options.host), options.tracking_port)}")
        wait_for_version(processes, options)
        processes.start("scoring", scoring_command(options), scoring_environment(options, tls))
        context = probe_context(tls)
        ping = f"{url('https', local_host(options.host), options.scoring_port)}/ping"
        wait_for(processes, lambda: answers(ping, context))
        announce_scoring(options, tls)
        wait_for(processes, lambda: False)


def announce_scoring(options: ServingOptions, tls: TlsFiles) -> None:
    """Says where the model answers and what the ERP host has to set."""
    address = url("https", public_host(options.host), options.scoring_port)
    say(f"scoring {address}/invocations  ({model_uri(options)})")
    say(f"CA file {tls.ca_file or 'of whoever signed ' + str(tls.certificate_file)}")
    say(f"on the ERP host set MODEL_SERVER_URL={address}")
    say(f"               and MODEL_SERVER_CA_FILE={tls.ca_file or 'that CA file'} (elsewhere: a copy of it)")


def tracking_command(options: ServingOptions) -> list[str]:
    """MLflow's tracking server and registry on SQLite, handing artifacts through to other machines."""
    return [
        sys.executable, "-m", "mlflow", "server",
        "--backend-store-uri", f"sqlite:///{options.home / 'mlflow.db'}",
        "--serve-artifacts", "--artifacts-destination", (options.home / "artifacts").as_uri(),
        "--host", bracketed(options.host), "--port", str(options.tracking_port),
        "--workers", str(TRACKING_WORKERS),
    ]


def scoring_command(options: ServingOptions) -> list[str]:
    """MLflow's scoring server for the model's stage."""
    return [
        sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", model_uri(options),
        "--port", str(options.scoring_port), "--host", bracketed(options.host),
        "--workers", str(options.workers), "--env-manager", "local",
    ]


def tracking_environment() -> dict[str, str]:
    """The environment with this interpreter's commands first, since MLflow looks gunicorn up by name."""
    inherited = {name: value for name, value in os.environ.items() if name != "GUNICORN_CMD_ARGS"}
    commands = os.path.dirname(sys.executable)
    return inherited | {"PATH": os.pathsep.join([commands, inherited.get("PATH", os.defpath)])}


def scoring_environment(options: ServingOptions, tls: TlsFiles) -> dict[str, str]:
    """TLS, threads and connections that stay open, none of which MLflow has options for."""
    arguments = [
        "--worker-class=gthread", f"--threads={options.threads}", f"--keep-alive={KEEP_ALIVE_S}",
        f"--certfile={tls.certificate_file}", f"--keyfile={tls.key_file}",
    ]
    return tracking_environment() | {
        "GUNICORN_CMD_ARGS": " ".join(arguments), "MLFLOW_TRACKING_URI": local_tracking_uri(options),
    }


def wait_for_version(processes: Processes, options: ServingOptions) -> None:
    """Waits until the model has a version in its stage, and says so once if it has to."""
    if not has_version(options):
        say(f"waiting for a version of {options.model_name} in {options.stage}: run scripts.training")
        wait_for(processes, lambda: has_version(options))


def has_version(options: ServingOptions) -> bool:
    """Whether the registry has the model in its stage."""
    query = urlencode({"name": options.model_name, "stages": options.stage})
    path = "/api/2.0/mlflow/registered-models/get-latest-versions"
    try:
        with urlopen(f"{local_tracking_uri(options)}{path}?{query}", timeout=ANSWER_TIMEOUT_S) as reply:
            return bool(json.load(reply).get("model_versions"))
    except (HTTPError, URLError, OSError):
        return False


def wait_for(processes: Processes, condition: Callable[[], bool]) -> None:
    """Returns when the condition holds; raises ServingFailed when a service ends first."""
    while not condition():
        processes.check()
        time.sleep(POLL_INTERVAL_S)


def answers(address: str, context: ssl.SSLContext | None = None) -> bool:
    """Whether a GET is answered with a success."""
    try:
        with urlopen(address, timeout=ANSWER_TIMEOUT_S, context=context):
            return True
    except (URLError, OSError):
        return False


def probe_context(tls: TlsFiles) -> ssl.SSLContext:
    """Checks our own certificate; somebody else's need not name the address that the probe calls."""
    if tls.ca_file:
        return ssl.create_default_context(cafile=tls.ca_file)
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def local_tracking_uri(options: ServingOptions) -> str:
    """The tracking server as this machine calls it."""
    return url("http", local_host(options.host), options.tracking_port)


def model_uri(options: ServingOptions) -> str:
    """The model's stage, as MLflow names it."""
    return f"models:/{options.model_name}/{options.stage}"


def say(line: str) -> None:
    """A line that is seen at once, also through a pipe."""
    print(line, flush=True)
