"""MLflow's scoring server of one registered version: start it, and find out what it is worth."""

import shutil
import ssl
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from scripts.serving.addresses import bracketed, free_loopback_port, local_host, url
from scripts.serving.certificates import TlsFiles
from scripts.serving.http import answers, probe_context
from scripts.serving.options import ServingOptions
from scripts.serving.processes import Child, Processes
from scripts.serving.proof import GoldenRows, NotProved, prove
from scripts.serving.registry import Version
from scripts.serving.tracking import client_environment

KEEP_ALIVE_S = 65
LOOPBACK = "127.0.0.1"


class NotServing(Exception):
    """It did not load, did not answer in time or did not prove its version; the message says which."""


@dataclass(frozen=True)
class Scoring:
    """A running scoring server; `golden` None when no contract came with the version."""

    version: Version
    golden: GoldenRows | None
    child: Child
    port: int
    address: str
    context: ssl.SSLContext | None
    started: float

    def is_ready(self, options: ServingOptions) -> bool:
        """Whether it answers and proved its version in every thread; False while it loads. Raises NotServing."""
        if self.child.status() is not None:
            raise NotServing(f"it ended with status {self.child.status()} before it answered: {last_line(self.child)}")
        if time.monotonic() - self.started > options.start_timeout_seconds:
            raise NotServing(f"it did not answer within {options.start_timeout_seconds:g} s")
        if not answers(f"{self.address}/ping", self.context):
            return False
        if self.golden:
            try:
                prove(self.address, self.golden, 2 * options.workers * options.threads, self.context)
            except NotProved as error:
                raise NotServing(str(error)) from error
        return True


class ScoringServers:
    """Starts scoring servers of single versions; what MLflow leaves behind of their models lies in `folder`."""

    def __init__(self, options: ServingOptions, tls: TlsFiles, processes: Processes, folder: Path):
        self._options, self._tls, self._processes, self._folder = options, tls, processes, folder
        self._copies: dict[Child, str] = {}

    def start_private(self, version: Version, golden: GoldenRows | None) -> Scoring:
        """On a free port of the loopback address, in clear text: what TLS there is stands in front of it."""
        port = free_loopback_port()
        child = self._start(version, LOOPBACK, port, [])
        return Scoring(version, golden, child, port, url("http", LOOPBACK, port), None, time.monotonic())

    def start_public(self, version: Version, golden: GoldenRows | None) -> Scoring:
        """At the address that callers know, with TLS of its own."""
        options, tls = self._options, self._tls
        arguments = [f"--certfile={tls.certificate_file}", f"--keyfile={tls.key_file}"]
        child = self._start(version, options.host, options.scoring_port, arguments)
        address = url("https", local_host(options.host), options.scoring_port)
        return Scoring(version, golden, child, options.scoring_port, address, probe_context(tls), time.monotonic())

    def start_again(self, served: Scoring) -> Scoring:
        """The same version anew, where it was."""
        start = self.start_private if served.context is None else self.start_public
        return start(served.version, served.golden)

    def stop(self, served: Scoring) -> None:
        """Ends a scoring server, whose port is free after that."""
        self._processes.stop(served.child)
        shutil.rmtree(self._copies.pop(served.child), ignore_errors=True)

    def _start(self, version: Version, host: str, port: int, arguments: list[str]) -> Child:
        options = self._options
        gunicorn = ["--worker-class=gthread", f"--threads={options.threads}", f"--keep-alive={KEEP_ALIVE_S}", *arguments]
        command = [
            sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", version.uri,
            "--port", str(port), "--host", bracketed(host), "--workers", str(options.workers), "--env-manager", "local",
        ]
        # MLflow copies the model from the registry at each start, and never takes the copy away
        copy = tempfile.mkdtemp(prefix=f"version-{version.number}-", dir=self._folder)
        environment = {"GUNICORN_CMD_ARGS": " ".join(gunicorn), "TMPDIR": copy}
        child = self._processes.start("scoring", command, client_environment(options, self._tls) | environment)
        self._copies[child] = copy
        return child


def last_line(child: Child) -> str:
    """What a process said last, in one line."""
    words = [line for line in child.last_words().splitlines() if line.strip()]
    return words[-1].strip()[:300] if words else "it said nothing"
