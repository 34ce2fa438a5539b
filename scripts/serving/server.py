"""Server 2: starts MLflow's tracking server, and serves the version that its registry has in Production."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from scripts.serving.addresses import public_host, require_free_port, url
from scripts.serving.certificates import TlsFiles, ensure_certificate
from scripts.serving.console import say
from scripts.serving.front import DirectFront, Front
from scripts.serving.haproxy_front import HaproxyFront, find_haproxy, say_without_haproxy
from scripts.serving.http import answers, probe_context
from scripts.serving.keeper import Keeper
from scripts.serving.options import ServingOptions
from scripts.serving.processes import Processes, ServingFailed
from scripts.serving.promotions import Promotions
from scripts.serving.registry import Registry, Version
from scripts.serving.scoring import ScoringServers
from scripts.serving.status_file import StatusFile
from scripts.serving.tracking import local_tracking_uri, tracking_command, tracking_environment, tracking_scheme

STEP_INTERVAL_S = 0.2


def serve(options: ServingOptions) -> None:
    """Runs until it cannot go on (raises ServingFailed) or the caller is interrupted; leaves no process behind."""
    for port in (options.tracking_port, options.scoring_port, options.registry_port):
        if port:
            require_free_port(options.host, port)
    options.home.mkdir(parents=True, exist_ok=True)
    tls = options.tls or ensure_certificate(options.home / "certificates", options.host, options.certificate_names)
    program = chosen_haproxy(options)
    require_plain_paths(options, tls, program)
    with tempfile.TemporaryDirectory(prefix="server-2-") as folder, Processes(options.home / "logs") as processes:
        tracking = start_tracking(options, tls, processes)
        servers = ScoringServers(options, tls, processes, Path(folder))
        front = start_front(program, options, tls, processes, servers, Path(folder))
        registry = Registry(local_tracking_uri(options), probe_context(tls) if options.tracking_tls else None)
        announcer = Announcer(options, tls)
        promotions = Promotions(options, registry, servers, front, StatusFile(options.home), announcer.answers)
        while True:
            tracking.check()
            front.check()
            promotions.step()
            time.sleep(STEP_INTERVAL_S)


def chosen_haproxy(options: ServingOptions) -> str | None:
    """The program that stands in front, None for none. Raises ServingFailed when it must be there and is not."""
    if options.front == "none":
        return None
    program = find_haproxy()
    if program is None and (options.front == "haproxy" or options.registry_port):
        raise ServingFailed("haproxy is not installed (apt-get install haproxy)")
    if program is None:
        say_without_haproxy()
    return program


def require_plain_paths(options: ServingOptions, tls: TlsFiles, program: str | None) -> None:
    """gunicorn reads the certificate itself where nothing stands in front of it."""
    if program and not options.tracking_tls:
        return
    for path in (tls.certificate_file, tls.key_file):
        if any(character.isspace() for character in str(path)):
            raise ServingFailed(f"{path}: gunicorn's settings cannot hold a path with spaces")


def start_tracking(options: ServingOptions, tls: TlsFiles, processes: Processes) -> Keeper:
    """The tracking server, once it answers. Raises ServingFailed when it does not come up at all."""
    command, environment = tracking_command(options, tls), tracking_environment(options)
    tracking = Keeper(processes, lambda: processes.start("tracking", command, environment))
    context = probe_context(tls) if options.tracking_tls else None

    def is_up() -> bool:
        tracking.child.require_running()
        return answers(f"{local_tracking_uri(options)}/health", context)

    wait_until(is_up)
    say(f"tracking {url(tracking_scheme(options), public_host(options.host), options.tracking_port)}")
    return tracking


def start_front(
    program: str | None, options: ServingOptions, tls: TlsFiles, processes: Processes, servers: ScoringServers, folder: Path,
) -> Front:
    """haproxy where there is one, else gunicorn itself."""
    if program is None:
        return DirectFront(servers)
    front = HaproxyFront(program, options, tls, processes, folder)
    wait_until(front.is_up)
    if options.registry_port:
        say(f"registry, read only, {url('https', public_host(options.host), options.registry_port)}")
    return front


def wait_until(holds: Callable[[], bool]) -> None:
    """Returns when it holds."""
    while not holds():
        time.sleep(STEP_INTERVAL_S)


class Announcer:
    """Says where the model answers and what the ERP host has to set; the second time only which version."""

    def __init__(self, options: ServingOptions, tls: TlsFiles):
        self._options, self._tls = options, tls
        self._said = ""

    def answers(self, version: Version) -> None:
        """A version answers now."""
        address = url("https", public_host(self._options.host), self._options.scoring_port)
        ca_file = self._tls.ca_file
        if not self._said:
            say(f"CA file {ca_file or 'of whoever signed ' + str(self._tls.certificate_file)}")
            say(f"on the ERP host set MODEL_SERVER_URL={address}")
            say(f"               and MODEL_SERVER_CA_FILE={ca_file or 'that CA file'} (elsewhere: a copy of it)")
        if self._said != version.uri:
            say(f"scoring {address}/invocations  ({version.uri})")
        self._said = version.uri
