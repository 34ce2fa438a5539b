"""scripts.serving as it runs: promotions, rollbacks, refused versions and deaths, with a caller that never pauses."""

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPException, HTTPSConnection
from pathlib import Path

import pytest

from scripts.serving.addresses import free_loopback_port
from scripts.serving.haproxy_front import find_haproxy
from scripts.tests.small_models import promote, register

needs_haproxy = pytest.mark.skipif(find_haproxy() is None, reason="no haproxy: apt-get install haproxy")
ROW = json.dumps({"inputs": [[0.9, 0.1, 0.2]]}).encode()
WAIT_S = 90


class Server2:
    """A running scripts.serving with a home of its own."""

    def __init__(self, home: Path, *words: str, environment: dict[str, str] | None = None):
        self.home, self._words, self._environment = home, words, environment or {}
        self.tracking, self.scoring = free_loopback_port(), free_loopback_port()
        self.uri = f"{'https' if '--tracking-tls' in words else 'http'}://127.0.0.1:{self.tracking}"
        self.start()

    def start(self) -> None:
        """Starts it, once more where it ran before."""
        self.home.mkdir(parents=True, exist_ok=True)
        ports = ["--tracking-port", str(self.tracking), "--scoring-port", str(self.scoring)]
        command = [sys.executable, "-m", "scripts.serving", "--home", str(self.home), *ports, "--poll-seconds", "0.5",
                   "--workers", "1", "--tracking-workers", "1", *self._words]
        with (self.home / "printed").open("ab") as printed:
            self.process = subprocess.Popen(command, stdout=printed, stderr=printed, env=os.environ | self._environment)
        self.until(lambda: f"tracking {self.uri}" in self.printed())

    def printed(self) -> str:
        """What it said so far."""
        return (self.home / "printed").read_text()

    def status(self) -> dict:
        """status.json."""
        return json.loads((self.home / "status.json").read_text())

    def live(self) -> str | None:
        """The version that answers, by status.json."""
        try:
            live = self.status()["live"]
        except OSError:
            return None
        return live["version"] if live and live["answers"] else None

    def until(self, holds: Callable[[], bool]) -> None:
        """Waits until it holds; fails with what was printed."""
        deadline = time.monotonic() + WAIT_S
        while not holds():
            assert self.process.poll() is None and time.monotonic() < deadline, self.printed()
            time.sleep(0.05)

    def connection(self) -> HTTPSConnection:
        """To the scoring server, trusting its CA."""
        context = ssl.create_default_context(cafile=self.home / "certificates" / "ca.pem")
        return HTTPSConnection("127.0.0.1", self.scoring, context=context, timeout=10)

    def group(self, command: str) -> int:
        """The process group of a service, by a part of its command line; 0 for none."""
        listed = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
        return next((int(line.split()[0]) for line in listed.splitlines()
                    if int(line.split()[1]) == self.process.pid and command in line), 0)

    def kill(self, command: str) -> int:
        """Ends a service as the kernel does when memory is short; what its process group was."""
        group = self.group(command)
        assert group > 0
        os.killpg(group, signal.SIGKILL)
        return group

    def stop(self) -> None:
        """Ends it as systemd does."""
        self.process.terminate()
        self.process.wait(60)


class Caller:
    """Asks again and again over one kept connection, as the ERP host does."""

    def __init__(self, server: Server2):
        self._server = server
        self._stop = threading.Event()
        self.answered, self.failures, self.connections = 0, [], 0
        self._thread = threading.Thread(target=self._call)

    def _call(self) -> None:
        connection = None
        while not self._stop.is_set():
            try:
                if connection is None:
                    connection = self._server.connection()
                    self.connections += 1
                connection.request("POST", "/invocations", ROW, {"Content-Type": "application/json"})
                reply = connection.getresponse()
                body = reply.read()
                assert (reply.status, len(json.loads(body)["predictions"])) == (200, 1), body
                self.answered += 1
            except (OSError, HTTPException, AssertionError) as error:
                self.failures.append(repr(error))
                connection = None

    def __enter__(self) -> "Caller":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server2]:
    """With version 1 in Production, 2 right, 3 whose golden rows are not its labels, 4 without a contract, 5 without a model."""
    server = Server2(tmp_path_factory.mktemp("server 2"), "--front", "haproxy")
    try:
        for seed, contract in enumerate(("right", "right", "wrong", "none", "alone"), start=1):
            assert register(server.uri, seed, contract) == str(seed)
        promote(server.uri, "1")
        server.until(lambda: server.live() == "1")
        yield server
    finally:
        server.stop()


@needs_haproxy
def test_a_promotion_and_a_rollback_fail_no_call_and_cut_no_connection(server: Server2) -> None:
    with Caller(server) as caller:
        for number in ("2", "1"):
            answered = caller.answered
            promote(server.uri, number)
            server.until(lambda: server.live() == number and server.status()["draining"] is None)
            server.until(lambda: caller.answered > answered + 20)
    assert caller.failures == []
    assert caller.connections == 1
    assert server.printed().count("has ended") == 2
    assert "models:/rfc_tune/2" in server.printed()


@needs_haproxy
@pytest.mark.parametrize(("number", "reason"), [
    ("3", "16 of 16 golden rows came back with another label"),
    ("4", "no artifact contract/contract.json"),
    ("5", "ended with status 1 before it answered"),
])
def test_a_version_that_does_not_prove_itself_is_not_moved_to(server: Server2, number: str, reason: str) -> None:
    with Caller(server) as caller:
        promote(server.uri, number)
        server.until(lambda: any(one["version"] == number for one in server.status()["refused"]))
        assert server.live() == "1"
        refusal = server.status()["refused"][0]
        assert reason in refusal["reason"]
        assert refusal["since"] < refusal["nextTry"]
        assert f"version {number} is not let in: " in server.printed()
        promote(server.uri, "1")
        server.until(lambda: server.status()["registry"]["version"] == "1")
    assert caller.failures == []
    assert server.status()["candidate"] is None


@needs_haproxy
def test_a_served_process_that_dies_is_started_again_and_the_others_go_on(server: Server2) -> None:
    server.kill("models serve")
    server.until(lambda: server.status()["live"]["restarts"] == 1)
    connection = server.connection()
    connection.request("GET", "/ping")
    assert connection.getresponse().status == 503
    connection.close()
    server.until(lambda: server.live() == "1")
    with Caller(server) as caller:
        server.until(lambda: caller.answered > 20)
    assert caller.failures == []


@needs_haproxy
@pytest.mark.parametrize("command", ["haproxy", "mlflow server"])
def test_haproxy_and_the_registry_are_started_again_too(server: Server2, command: str) -> None:
    before = server.kill(command)
    server.until(lambda: "is started again" in server.printed() and server.group(command) not in (0, before))
    server.until(lambda: server.status()["registry"]["fault"] is None)
    server.until(lambda: can_connect(server))
    with Caller(server) as caller:
        server.until(lambda: caller.answered > 20)
    assert (caller.failures, server.live()) == ([], "1")


def can_connect(server: Server2) -> bool:
    """Whether anybody listens where callers call."""
    try:
        with socket.create_connection(("127.0.0.1", server.scoring), 1):
            return True
    except OSError:
        return False


@needs_haproxy
def test_after_a_restart_what_answered_last_answers_when_what_is_promoted_is_refused(server: Server2) -> None:
    promote(server.uri, "3")
    server.until(lambda: bool(server.status()["refused"]) and server.status()["refused"][0]["version"] == "3")
    server.stop()
    server.start()
    server.until(lambda: server.status()["refused"] != [] and server.live() == "1")
    assert server.status()["registry"]["version"] == "3"


def test_without_a_front_a_promotion_is_a_restart(tmp_path: Path) -> None:
    server = Server2(tmp_path, "--front", "none", "--serve-unproved", "--tracking-tls")
    trusted = str(tmp_path / "certificates" / "ca.pem")
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", trusted)
            for seed, contract in enumerate(("right", "none"), start=1):
                register(server.uri, seed, contract)
            for number, rows in (("1", 16), ("2", 0)):
                promote(server.uri, number)
                server.until(lambda: server.live() == number)
                assert server.status()["live"]["goldenRows"] == rows
                with Caller(server) as caller:
                    server.until(lambda: caller.answered > 5)
                assert caller.failures == []
        assert f"scoring https://127.0.0.1:{server.scoring}/invocations  (models:/rfc_tune/2)" in server.printed()
    finally:
        server.stop()
