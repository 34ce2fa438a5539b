"""python -m scripts.serving: server 2 in the foreground."""

import argparse
import signal
import sys
from pathlib import Path

from scripts.serving.certificates import TlsFiles
from scripts.serving.processes import ServingFailed
from scripts.serving.server import ServingOptions, serve


class StopRequested(BaseException):
    """SIGTERM or SIGINT arrived."""


def parse_options(arguments: list[str] | None = None) -> ServingOptions:
    """Options from the command line; relative paths become absolute."""
    parser = argparse.ArgumentParser(prog="python -m scripts.serving", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
    parser.add_argument("--tracking-port", type=int, default=5000, help="tracking and registry, http (default 5000)")
    parser.add_argument("--scoring-port", type=int, default=8124, help="scoring, https (default 8124)")
    parser.add_argument("--home", type=Path, default=Path("server-2"), help="database, artifacts, certificates, logs")
    parser.add_argument("--certfile", type=Path, help="PEM certificate of the scoring server (default: made here)")
    parser.add_argument("--keyfile", type=Path, help="PEM key of --certfile")
    parser.add_argument("--workers", type=int, default=2, help="scoring processes (default 2)")
    parser.add_argument("--threads", type=int, default=2, help="threads of each (default 2)")
    parser.add_argument("--model-name", default="rfc_tune")
    parser.add_argument("--stage", default="Production")
    given = parser.parse_args(arguments)
    if bool(given.certfile) != bool(given.keyfile):
        parser.error("--certfile and --keyfile go together")
    for file in (given.certfile, given.keyfile):
        if file and not file.is_file():
            parser.error(f"{file}: no such file")
    if min(given.workers, given.threads) < 1:
        parser.error("--workers and --threads must be at least 1")
    own = {"home", "certfile", "keyfile"}
    return ServingOptions(
        home=given.home.absolute(),
        tls=TlsFiles(given.certfile.absolute(), given.keyfile.absolute(), None) if given.certfile else None,
        **{name: value for name, value in vars(given).items() if name not in own},
    )


def request_stop(*_: object) -> None:
    """Interrupts whatever waits, once; a second signal does not disturb the stopping."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    raise StopRequested


def main() -> None:
    """Exit code 0 when stopped by a signal, 1 with one clear message when a service fails."""
    options = parse_options()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, request_stop)
    try:
        serve(options)
    except StopRequested:
        print("server 2 stopped", flush=True)
    except ServingFailed as error:
        sys.exit(f"server 2 failed: {error}")


if __name__ == "__main__":
    main()
