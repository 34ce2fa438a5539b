"""Options, the registry's answers, golden rows, refusals, the status file and haproxy's configuration."""

import json
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import mlflow
import pytest

from scripts.serving.certificates import ensure_certificate
from scripts.serving.haproxy_config import HaproxySettings, Slot, haproxy_config
from scripts.serving.haproxy_front import find_haproxy
from scripts.serving.options import parse_options
from scripts.serving.proof import GoldenRows, NotProved, golden_rows, prove
from scripts.serving.refusals import Refusals
from scripts.serving.registry import NoContract, Registry, RegistryAway, Version
from scripts.serving.status_file import StatusFile
from scripts.serving.tracking import client_environment, tracking_command, tracking_environment
from scripts.training.registry import use_server

VERSION = Version("rfc_tune", "3", "run", 1)
CONTRACT = {
    "model": {"name": "rfc_tune", "version": None, "runId": "run"},
    "features": [{"name": name, "scaling": {"mean": 10, "scale": 2}} for name in ("b", "a")],
    "goldenRows": [{"features": {"a": 12, "b": 8}, "label": 1}, {"features": {"a": 10, "b": 10}, "label": 0}],
}


def test_the_command_line_of_earlier_releases_is_understood() -> None:
    options = parse_options(["--home", "x", "--tracking-port", "1", "--scoring-port", "2"])
    assert (options.home, options.tracking_port, options.scoring_port) == (Path("x").absolute(), 1, 2)
    assert (options.front, options.tracking_tls, options.registry_port) == ("auto", False, None)


@pytest.mark.parametrize(("words", "told"), [
    (["--certfile", "/dev/null"], "go together"),
    (["--workers", "0"], "at least 1"),
    (["--poll-seconds", "0"], "more than 0"),
    (["--registry-port", "1", "--tracking-tls"], "in clear text"),
    (["--registry-port", "1", "--front", "none"], "needs haproxy"),
])
def test_what_does_not_fit_together_is_refused(words: list[str], told: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        parse_options(words)
    assert told in capsys.readouterr().err


def test_the_password_of_the_database_is_in_no_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "postgresql://mlflow:secret@db/mlflow"
    monkeypatch.setenv("MLFLOW_BACKEND_STORE_URI", secret)
    options, tls = parse_options(["--tracking-tls"]), ensure_certificate(tmp_path, "127.0.0.1")
    assert tracking_environment(options)["MLFLOW_BACKEND_STORE_URI"] == secret
    assert "secret" not in " ".join(tracking_command(options, tls))
    assert "secret" not in str(client_environment(options, tls))


def test_golden_rows_are_in_the_models_order_and_scale() -> None:
    assert golden_rows(CONTRACT, VERSION) == GoldenRows([[-1.0, 1.0], [0.0, 0.0]], [1, 0])


@pytest.mark.parametrize(("change", "told"), [
    ({"model": CONTRACT["model"] | {"name": "other"}}, "another model"),
    ({"model": CONTRACT["model"] | {"version": "2"}}, "another version"),
    ({"model": CONTRACT["model"] | {"runId": "elsewhere"}}, "another version"),
    ({"goldenRows": CONTRACT["goldenRows"][:1]}, "different labels"),
    ({"features": [{"name": "c", "scaling": {"mean": 0, "scale": 1}}]}, "cannot be understood"),
    ({"features": [{"name": "a", "scaling": {"mean": 0, "scale": 0}}]}, "cannot be understood"),
])
def test_a_contract_that_is_not_the_versions_own_is_none(change: dict, told: str) -> None:
    with pytest.raises(NoContract, match=told):
        golden_rows(CONTRACT | change, VERSION)


@pytest.mark.parametrize(("status", "reply", "told"), [
    (200, {"predictions": [1, 1]}, "1 of 2 golden rows came back with another label"),
    (200, {"predictions": ["1", "0"]}, "2 of 2"),
    (200, {"predictions": [1]}, "another number"),
    (200, [1, 0], "cannot be read"),
    (400, {}, "answered with 400"),
])
def test_only_the_right_labels_prove_a_version(status: int, reply: object, told: str) -> None:
    with stand_in(status, reply) as address, pytest.raises(NotProved, match=told):
        prove(address, golden_rows(CONTRACT, VERSION), calls=3)


def test_every_call_of_a_proof_is_made() -> None:
    asked: list[bytes] = []
    with stand_in(200, {"predictions": [1, 0]}, asked) as address:
        prove(address, golden_rows(CONTRACT, VERSION), calls=5)
    assert asked == [b'{"inputs": [[-1.0, 1.0], [0.0, 0.0]]}'] * 5


def test_the_registry_names_the_version_no_model_or_a_fault() -> None:
    entry = {"name": "rfc_tune", "version": "3", "run_id": "run", "last_updated_timestamp": 1}
    with stand_in(200, {"model_versions": [entry]}) as address:
        assert Registry(address, None).read_live("rfc_tune", "Production") == VERSION
    with stand_in(200, {}) as address:
        assert Registry(address, None).read_live("rfc_tune", "Production") is None
    with stand_in(404, {"error_code": "RESOURCE_DOES_NOT_EXIST"}) as address:
        assert Registry(address, None).read_live("rfc_tune", "Production") is None
    with stand_in(500, {}) as address, pytest.raises(RegistryAway, match="answered 500"):
        Registry(address, None).read_live("rfc_tune", "Production")
    with stand_in(200, {"model_versions": [{"version": "x"}]}) as address, pytest.raises(RegistryAway, match="read"):
        Registry(address, None).read_live("rfc_tune", "Production")
    with pytest.raises(RegistryAway, match="does not answer"):
        Registry(address, None).read_live("rfc_tune", "Production")


def test_a_refused_version_is_due_again_later_or_when_the_registry_changes() -> None:
    time_now = 0.0
    refusals = Refusals(lambda: time_now)
    assert refusals.is_due(VERSION)
    assert [refusals.add(VERSION, "it does not load") for _ in range(3)] == [15, 30, 60]
    assert not refusals.is_due(VERSION)
    assert refusals.is_due(replace(VERSION, changed=2))
    assert refusals.is_due(replace(VERSION, number="4"))
    time_now = 60.0
    assert refusals.is_due(VERSION)
    assert [(one["version"], one["attempts"]) for one in refusals.summary()] == [("3", 3)]
    assert refusals.add(replace(VERSION, changed=2), "it does not load") == 15
    refusals.forget(VERSION)
    assert refusals.summary() == []


def test_the_status_file_remembers_what_answered(tmp_path: Path) -> None:
    assert StatusFile(tmp_path).last_live("rfc_tune") is None
    StatusFile(tmp_path).write({"model": "rfc_tune", "live": None, "lastLive": "3"})
    assert StatusFile(tmp_path).last_live("rfc_tune") == "3"
    assert StatusFile(tmp_path).last_live("other") is None
    (tmp_path / "status.json").write_text("damaged")
    assert StatusFile(tmp_path).last_live("rfc_tune") is None


@pytest.mark.skipif(find_haproxy() is None, reason="no haproxy: apt-get install haproxy")
def test_haproxy_accepts_its_configuration(tmp_path: Path) -> None:
    tls = ensure_certificate(tmp_path, "127.0.0.1")
    pem = tmp_path / "with spaces.pem"
    pem.write_bytes(tls.certificate_file.read_bytes() + tls.key_file.read_bytes())
    settings = HaproxySettings("::1", 8124, 5001, 5000, 4, pem, tmp_path / "admin.sock")
    file = tmp_path / "haproxy.cfg"
    file.write_text(haproxy_config(settings, [Slot("blue", 5002, True), Slot("green")]))
    done = subprocess.run([find_haproxy(), "-c", "-f", str(file)], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
    assert "warning" not in (done.stdout + done.stderr).lower()


@contextmanager
def stand_in(status: int, reply: object, asked: list[bytes] | None = None) -> Iterator[str]:
    """A server that answers everything alike; its address."""
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(reply).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            if asked is not None:
                asked.append(content)
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_training_trusts_whom_mlflow_trusts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tls = ensure_certificate(tmp_path, "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.certificate_file, tls.key_file)
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"https://127.0.0.1:{server.server_port}"
        before = mlflow.get_tracking_uri()
        with pytest.raises(ConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
            use_server(address)
        for name, value in (("MLFLOW_TRACKING_SERVER_CERT_PATH", str(tls.ca_file)), ("MLFLOW_TRACKING_INSECURE_TLS", "true")):
            with monkeypatch.context() as patch:
                patch.setenv(name, value)
                use_server(address)
        mlflow.set_tracking_uri(before)
        server.shutdown()
