"""python -m scripts.serving: server 2 in the foreground."""

import signal
import sys

from scripts.serving.options import parse_options
from scripts.serving.processes import ServingFailed
from scripts.serving.server import serve


class StopRequested(BaseException):
    """SIGTERM or SIGINT arrived."""


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
