"""What server 2 is asked to do, from its command line and environment."""

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

from scripts.serving.certificates import TlsFiles

MOST_SCORING_WORKERS = 8
MOST_TRACKING_WORKERS = 4
FRONTS = ("auto", "haproxy", "none")


@dataclass(frozen=True)
class ServingOptions:
    """`tls` None means a certificate of its own making, `registry_port` None no reading of the registry over TLS.

    Times are in seconds. `backend_store` is a database URI and may hold a password: it is never printed.
    """

    home: Path
    host: str
    tracking_port: int
    scoring_port: int
    workers: int
    threads: int
    model_name: str
    stage: str
    tls: TlsFiles | None
    front: str = "auto"
    poll_seconds: float = 2
    start_timeout_seconds: float = 120
    drain_timeout_seconds: float = 60
    serve_unproved: bool = False
    tracking_workers: int = 2
    tracking_tls: bool = False
    registry_port: int | None = None
    backend_store: str | None = None
    artifacts: str | None = None
    certificate_names: tuple[str, ...] = ()


def parse_options(arguments: list[str] | None = None) -> ServingOptions:
    """Options from the command line; relative paths become absolute."""
    parser = make_parser()
    given = parser.parse_args(arguments)
    if bool(given.certfile) != bool(given.keyfile):
        parser.error("--certfile and --keyfile go together")
    for file in (given.certfile, given.keyfile):
        if file and not file.is_file():
            parser.error(f"{file}: no such file")
    if min(given.workers, given.threads, given.tracking_workers) < 1:
        parser.error("--workers, --threads and --tracking-workers must be at least 1")
    if min(given.poll_seconds, given.start_timeout_seconds, given.drain_timeout_seconds) <= 0:
        parser.error("--poll-seconds, --start-timeout-seconds and --drain-timeout-seconds must be more than 0")
    if given.registry_port and given.tracking_tls:
        parser.error("--registry-port is for a tracking server in clear text; with --tracking-tls read it at its own port")
    if given.registry_port and given.front == "none":
        parser.error("--registry-port needs haproxy; without it use --tracking-tls")
    own = {"home", "certfile", "keyfile", "certificate_name"}
    return ServingOptions(
        home=given.home.absolute(),
        tls=TlsFiles(given.certfile.absolute(), given.keyfile.absolute(), None) if given.certfile else None,
        certificate_names=tuple(given.certificate_name),
        backend_store=os.environ.get("MLFLOW_BACKEND_STORE_URI"),
        artifacts=os.environ.get("MLFLOW_ARTIFACTS_DESTINATION"),
        **{name: value for name, value in vars(given).items() if name not in own},
    )


def make_parser() -> argparse.ArgumentParser:
    """Every option with its default."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.serving",
        description="server 2: MLflow's tracking server and registry, and the version in Production, served over TLS",
        epilog="MLFLOW_BACKEND_STORE_URI names another database than <home>/mlflow.db, such as postgresql://…, and "
               "MLFLOW_ARTIFACTS_DESTINATION another place for artifacts; both only as environment variables.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
    parser.add_argument("--home", type=Path, default=Path("server-2"),
                        help="database, artifacts, certificates, logs, status.json (default server-2)")
    tracking = parser.add_argument_group("tracking server and registry")
    tracking.add_argument("--tracking-port", type=int, default=5000, help="http, or https with --tracking-tls (default 5000)")
    tracking.add_argument("--tracking-tls", action="store_true", help="TLS on --tracking-port, for servers 1 and 3")
    tracking.add_argument("--tracking-workers", type=int, default=min(max(2, cores()), MOST_TRACKING_WORKERS),
                          help="processes (default: one a core, 2 to 4)")
    tracking.add_argument("--registry-port", type=int, help="TLS for server 3, which may only read there; needs haproxy")
    scoring = parser.add_argument_group("scoring server")
    scoring.add_argument("--scoring-port", type=int, default=8124, help="https (default 8124)")
    scoring.add_argument("--model-name", default="rfc_tune")
    scoring.add_argument("--stage", default="Production")
    scoring.add_argument("--workers", type=int, default=min(cores(), MOST_SCORING_WORKERS),
                         help="processes (default: one a core, at most 8)")
    scoring.add_argument("--threads", type=int, default=2, help="threads of each (default 2)")
    scoring.add_argument("--certificate-name", action="append", default=[], metavar="NAME",
                         help="name or address that others call this machine by, for the certificate made here (may be repeated)")
    scoring.add_argument("--certfile", type=Path, help="PEM certificate (default: made here)")
    scoring.add_argument("--keyfile", type=Path, help="PEM key of --certfile")
    promotions = parser.add_argument_group("promotions")
    promotions.add_argument("--front", choices=FRONTS, default="auto",
                            help="what callers connect to: haproxy, or none for gunicorn itself (default: haproxy where it is)")
    promotions.add_argument("--poll-seconds", type=float, default=2, help="time between two looks at the registry (default 2)")
    promotions.add_argument("--start-timeout-seconds", type=float, default=120,
                            help="a version that does not answer within this is refused (default 120)")
    promotions.add_argument("--drain-timeout-seconds", type=float, default=60,
                            help="time that the version before has for its last calls (default 60)")
    promotions.add_argument("--serve-unproved", action="store_true",
                            help="serve a version without a contract too, though no golden row proves it")
    return parser


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))
