"""The tracking server on PostgreSQL, and what server 3 may read of it over TLS."""

import os
import ssl
import subprocess
from collections.abc import Iterator
from http.client import HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import mlflow
import psycopg2
import pytest
from mlflow.tracking import MlflowClient

from scripts.serving.addresses import free_loopback_port
from scripts.serving.haproxy_front import find_haproxy
from scripts.tests.small_models import register
from scripts.tests.test_serving_promotions import Server2

POSTGRES = os.environ.get("TEST_POSTGRES_URL", "postgres://postgres@127.0.0.1:5432/postgres").replace("postgres:", "postgresql:", 1)
PASSWORD = "not-to-be-seen"
API = "/api/2.0/mlflow"

pytestmark = pytest.mark.skipif(find_haproxy() is None, reason="no haproxy: apt-get install haproxy")


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """The URI, with a password, of a fresh database; skips where no PostgreSQL is."""
    name = f"server_2_{uuid4().hex[:12]}"
    try:
        administer(f"CREATE DATABASE {name}")
    except psycopg2.OperationalError as error:
        pytest.skip(f"no PostgreSQL: {error}")
    parts = urlsplit(POSTGRES)
    given = parts.netloc if parts.password else parts.netloc.replace("@", f":{PASSWORD}@", 1)
    yield parts._replace(netloc=given, path=f"/{name}").geturl()
    administer(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory, database: str) -> Iterator["ReadOnlyRegistry"]:
    """With one registered version."""
    port = free_loopback_port()
    home = tmp_path_factory.mktemp("registry")
    server = Server2(home, "--registry-port", str(port), environment={"MLFLOW_BACKEND_STORE_URI": database})
    try:
        server.until(lambda: "registry, read only" in server.printed())
        assert register(server.uri, 1) == "1"
        yield ReadOnlyRegistry(server, port)
    finally:
        server.stop()


class ReadOnlyRegistry:
    """What server 3 reaches."""

    def __init__(self, server: Server2, port: int):
        self.server = server
        self.run_id = MlflowClient(server.uri).get_model_version("rfc_tune", "1").run_id
        self._port = port
        self._context = ssl.create_default_context(cafile=server.home / "certificates" / "ca.pem")

    def ask(self, method: str, target: str) -> tuple[int, bytes]:
        """Status and body."""
        connection = HTTPSConnection("127.0.0.1", self._port, context=self._context, timeout=20)
        try:
            connection.request(method, target, body=b"{}" if method == "POST" else None)
            reply = connection.getresponse()
            return reply.status, reply.read()
        finally:
            connection.close()


@pytest.mark.parametrize("target", [
    "/health",
    f"{API}/registered-models/get-latest-versions?name=rfc_tune&stages=None",
    f"{API}/model-versions/search?filter=name%3D%27rfc_tune%27",
    f"{API}/runs/get?run_id={{run}}",
    "/get-artifact?path=contract/contract.json&run_uuid={run}",
    "/get-artifact?path=contract%2Fcontract.json&run_uuid={run}",
])
def test_server_3_reads_versions_and_contracts(registry: ReadOnlyRegistry, target: str) -> None:
    status, body = registry.ask("GET", target.format(run=registry.run_id))
    assert (status, bool(body)) == (200, True)


@pytest.mark.parametrize(("method", "target", "status"), [
    ("POST", f"{API}/registered-models/create", 405),
    ("POST", f"{API}/model-versions/transition-stage", 405),
    ("DELETE", f"{API}/registered-models/delete", 405),
    ("GET", f"{API}/experiments/search", 403),
    ("GET", "/", 403),
    ("GET", "/ajax-api/2.0/mlflow/runs/get?run_id={run}", 403),
    ("GET", "/api/2.0/mlflow-artifacts/artifacts?path=0", 403),
    ("GET", "/get-artifact?path=model/model.pkl&run_uuid={run}", 403),
    ("GET", "/get-artifact?path=contract/../model/model.pkl&run_uuid={run}", 403),
    ("GET", "/get-artifact?path=contract%2F%2E%2E%2Fmodel/model.pkl&run_uuid={run}", 403),
    ("GET", "/get-artifact?path=contract/%252e%252e/model/model.pkl&run_uuid={run}", 403),
    ("GET", "/get-artifact?run_uuid={run}&path=/etc/passwd", 403),
    ("GET", "/get-artifact?x;path=contract/&path=model/model.pkl&run_uuid={run}", 403),
    ("GET", "/get-artifact?path=contract/contract.json&path=model/model.pkl&run_uuid={run}", 403),
    ("GET", "/model-versions/get-artifact?path=contract/contract.json&name=rfc_tune&version=1", 403),
])
def test_server_3_reads_nothing_else_and_changes_nothing(
    registry: ReadOnlyRegistry, method: str, target: str, status: int,
) -> None:
    assert registry.ask(method, target.format(run=registry.run_id))[0] == status


def test_the_database_is_the_one_that_was_named_and_its_password_is_not_to_be_seen(registry: ReadOnlyRegistry) -> None:
    home = registry.server.home
    assert not (home / "mlflow.db").exists()
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert f"--port {registry.server.tracking}" in listed
    told = listed + registry.server.printed() + "".join(log.read_text() for log in Path(home / "logs").iterdir())
    assert PASSWORD not in told
    mlflow.set_tracking_uri(registry.server.uri)
    assert mlflow.get_run(registry.run_id).info.status == "FINISHED"


def administer(statement: str) -> None:
    """Outside any transaction."""
    connection = psycopg2.connect(POSTGRES)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
    finally:
        connection.close()
