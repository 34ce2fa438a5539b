"""compose.yaml and the images, run: who gets into server 1 and how, and the way from there to a label on server 3.

Each service runs with podman in a machine of its own, held to what compose.yaml says: its user, capabilities, read-only
root, networks, volumes and ports. Debian and Node of packages stand in for Docker's own images; there is no PostgreSQL.
"""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.tests.container_host import ContainerHost, read_compose, require_engine, succeeds
from scripts.tests.container_images import ROOT, CommandFailed, build_images

SSH_PORT, HTTP_PORT = 2222, 3000
TRACKING_URI = "http://server-2:5000"
# The second customer of the deployment document, in the model's order
CUSTOMER = {"scale": "raw", "features": [108, 0, 112, 193.7, 208.9, 4.1, 4, 0, 105, 110, 93, 4]}
KEYS = {"id_rsa": ["rsa", "3072"], "id_ed25519": ["ed25519"], "stranger": ["ed25519"], "id_rsa_short": ["rsa", "2048"]}
LET_IN = ("id_rsa", "id_ed25519", "id_rsa_short")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with key pairs, and authorized_keys with all of them but the stranger's."""
    folder = tmp_path_factory.mktemp("keys")
    for name, (kind, *bits) in KEYS.items():
        size = ["-b", bits[0]] if bits else []
        subprocess.run(["ssh-keygen", "-q", "-t", kind, *size, "-N", "", "-C", name, "-f", folder / name], check=True)
    (folder / "authorized_keys").write_text("".join((folder / f"{name}.pub").read_text() for name in LET_IN))
    return folder


@pytest.fixture(scope="module")
def compose(keys: Path) -> dict:
    """compose.yaml with deploy/env.example filled in."""
    require_engine()
    environment = keys / "env"
    environment.write_text(
        (ROOT / "deploy/env.example").read_text()
        + f"\nDATABASE_PASSWORD=secret\nAUTHORIZED_KEYS_FILE={keys / 'authorized_keys'}\n"
    )
    return read_compose(environment)


@pytest.fixture(scope="module")
def host(compose: dict, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ContainerHost]:
    """Server 2 and server 1 as they are at first, before any training."""
    services = compose["services"].values()
    build_images({service["image"]: service["build"] for service in services if "build" in service})
    with ContainerHost(compose, tmp_path_factory.mktemp("host")) as host:
        host.start("server-2")
        host.wait_for("healthy", lambda: host.is_healthy("server-2"), "server-2")
        host.start("server-1")
        host.wait_for("healthy", lambda: host.is_healthy("server-1"), "server-1")
        yield host


class Ssh:
    """Sessions on server 1, as people and scripts open them; every attempt starts without earlier knowledge."""

    def __init__(self, host: ContainerHost, keys: Path):
        self._host, self._keys = host, keys

    def try_in(self, *command: str, key: str = "id_rsa", user: str = "trainer", options: tuple[str, ...] = (),
               flags: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        """The finished ssh; its status is 255 when it was not let in."""
        return subprocess.run(self._host.command([
            "ssh", "-F", "/dev/null", "-p", str(SSH_PORT), "-i", self._keys / key, "-o", "IdentitiesOnly=yes",
            "-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={self._keys / 'known_hosts'}",
            *(f"-o{option}" for option in options), *flags, f"{user}@127.0.0.1", *command,
        ]), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600, env=os.environ | {
            "SSH_ASKPASS": str(self._password_program()), "SSH_ASKPASS_REQUIRE": "force",
        })

    def _password_program(self) -> Path:
        program = self._keys / "password"
        program.write_text("#!/bin/sh\necho trainer\n")
        program.chmod(0o700)
        return program


@pytest.fixture(scope="module")
def ssh(host: ContainerHost, keys: Path) -> Ssh:
    """ssh to server 1, by the port that compose.yaml publishes."""
    return Ssh(host, keys)


def test_compose_publishes_two_ports_on_loopback_and_hardens_every_service(compose: dict) -> None:
    services = compose["services"]
    ports = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert ports == {"server-1": [f"127.0.0.1:{SSH_PORT}:22/tcp"], "server-3": [f"127.0.0.1:{HTTP_PORT}:3000/tcp"]}
    for service in services.values():
        assert service["read_only"] and service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"] and service["restart"] == "unless-stopped"
    assert not set(services["server-1"]["networks"]) & set(services["database"]["networks"])
    assert all(item["condition"] == "service_healthy" for item in services["server-3"]["depends_on"].values())


def test_images_are_pinned(compose: dict) -> None:
    images = [service["image"] for service in compose["services"].values() if "build" not in service]
    for dockerfile in (ROOT / "Dockerfile", *ROOT.glob("deploy/*/Dockerfile")):
        images.append(re.search(r"^ARG BASE=(\S+)\nFROM \$\{BASE\}$", dockerfile.read_text(), re.MULTILINE)[1])
    assert len(images) == 4
    for image in images:
        assert re.search(r":(\d+\.\d+|\w+-\d{8})", image), f"{image} names no release"


def test_compose_asks_for_the_password_that_is_missing() -> None:
    require_engine()
    with pytest.raises(CommandFailed) as refusal:
        read_compose(ROOT / "deploy/env.example")
    assert "is missing, see deploy/env.example" in refusal.value.output


def test_a_key_is_let_in_and_sees_where_mlflow_is(ssh: Ssh) -> None:
    for key in ("id_rsa", "id_ed25519"):
        session = ssh.try_in('id -un; echo "$MLFLOW_TRACKING_URI"; command -v python; pwd', key=key)
        assert session.stdout.split() == [
            "trainer", TRACKING_URI, "/opt/customer-labels/.venv/bin/python", "/home/trainer",
        ], session.stderr


def test_a_terminal_sees_the_same(ssh: Ssh) -> None:
    command = 'bash -lc \'echo "$MLFLOW_TRACKING_URI"; command -v python\'; tty'
    session = ssh.try_in(command, options=("RequestTTY=force",))
    assert session.stdout.split()[:2] == [TRACKING_URI, "/opt/customer-labels/.venv/bin/python"]
    assert "/dev/pts/" in session.stdout


def test_a_password_is_refused(ssh: Ssh) -> None:
    for method in ("password", "keyboard-interactive"):
        refused = ssh.try_in("true", options=(f"PreferredAuthentications={method}", "PubkeyAuthentication=no"))
        assert refused.returncode == 255
        assert "Permission denied (publickey)." in refused.stderr


@pytest.mark.parametrize(("user", "key"), [
    ("root", "id_rsa"), ("trainer", "stranger"), ("trainer", "id_rsa_short"), ("sshd", "id_rsa"),
])
def test_root_strangers_and_short_keys_are_refused(ssh: Ssh, user: str, key: str) -> None:
    refused = ssh.try_in("true", user=user, key=key)
    assert refused.returncode == 255
    assert "Permission denied (publickey)." in refused.stderr


@pytest.mark.parametrize("option", [
    "KexAlgorithms=diffie-hellman-group14-sha256", "Ciphers=aes128-cbc", "MACs=hmac-sha1", "HostKeyAlgorithms=ssh-rsa",
])
def test_old_algorithms_are_refused(ssh: Ssh, option: str) -> None:
    refused = ssh.try_in("true", options=(option, "Ciphers=aes128-ctr") if option.startswith("MACs") else (option,))
    assert refused.returncode == 255
    assert "Unable to negotiate" in refused.stderr


def test_a_session_has_no_rights_of_its_own(ssh: Ssh) -> None:
    session = ssh.try_in("grep -E '^(CapEff|NoNewPrivs)' /proc/self/status; touch /opt/customer-labels/mine; "
                         "cat /etc/ssh/host-keys/ssh_host_ed25519_key; cat /run/customer-labels/session.conf")
    assert session.stdout.split() == ["CapEff:", "0000000000000000", "NoNewPrivs:", "1"]
    assert "Read-only file system" in session.stderr
    assert session.stderr.count("Permission denied") == 2


def test_only_mlflow_can_be_forwarded_to(ssh: Ssh) -> None:
    assert ssh.try_in(flags=("-W", "server-2:5000")).returncode == 0
    other = ssh.try_in(flags=("-W", "server-2:8124"))
    assert other.returncode == 255 and "administratively prohibited" in other.stderr


def test_files_go_in_and_out_by_sftp(host: ContainerHost, keys: Path) -> None:
    (keys / "customers.csv").write_text("customer_id\n1\n")
    copy = ["scp", "-F", "/dev/null", "-q", "-P", str(SSH_PORT), "-i", keys / "id_rsa",
            "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
    remote = "trainer@127.0.0.1:customers.csv"
    subprocess.run(host.command([*copy, keys / "customers.csv", remote]), check=True, timeout=60)
    subprocess.run(host.command([*copy, remote, keys / "back.csv"]), check=True, timeout=60)
    assert (keys / "back.csv").read_text() == "customer_id\n1\n"


@pytest.mark.parametrize(("authorized", "reason"), [
    ("", "nobody could come in"),
    ("nothing of the kind", "there is no public key"),
    ("-----BEGIN OPENSSH PRIVATE KEY-----", "that is a private key"),
])
def test_server_1_says_why_it_does_not_start(host: ContainerHost, authorized: str, reason: str) -> None:
    image = ["--rm", "--env=MLFLOW_TRACKING_URI=http://server-2:5000", f"--env=AUTHORIZED_KEYS={authorized}"]
    with pytest.raises(CommandFailed) as refusal:
        host.podman("run", *image, "--network=none", "localhost/customer-labels/server-1")
    assert f"server 1 does not start: {reason}" in refusal.value.output


def test_host_keys_are_made_once_and_not_in_the_image(host: ContainerHost, ssh: Ssh) -> None:
    def fingerprints() -> list[str]:
        return sorted(set(re.findall(r"host key: \d+ (SHA256:\S+)", host.podman("logs", "server-1"))))

    first = fingerprints()
    host.podman("restart", "--time=1", "server-1")
    host.wait_for("back", lambda: ssh.try_in("true").returncode == 0, "server-1")
    assert len(first) == 2 and fingerprints() == first
    listed = host.podman("run", "--rm", "--network=none", "--entrypoint=ls", "localhost/customer-labels/server-1",
                         "/etc/ssh", "/etc/ssh/host-keys")
    assert "ssh_host_" not in listed


def test_from_server_1_to_a_label_on_server_3(host: ContainerHost, ssh: Ssh) -> None:
    without_postgresql = {"DATABASE_URL": ""}
    with pytest.raises(CommandFailed) as too_early:
        host.start("server-3", environment=without_postgresql, wait=True)
    assert "There is no contract of rfc_tune" in too_early.value.output

    trained = ssh.try_in("python -m scripts.training --data generated --trials 1 --out model")
    assert "version 1 is in Production" in trained.stdout, trained.stdout + trained.stderr
    host.wait_for("version 1 served", lambda: succeeds(lambda: host.podman(
        "exec", "server-2", "python", "-c", "import ssl, urllib.request as r; r.urlopen('https://server-2:8124/ping', "
        "context=ssl.create_default_context(cafile='/var/lib/customer-labels-ca/ca.pem'))")), "server-2")

    host.start("server-3", environment=without_postgresql)
    host.wait_for("healthy", lambda: host.is_healthy("server-3"), "server-3")
    host.wait_for("a key", lambda: "cl_" in host.podman("logs", "server-3"), "server-3")
    key = re.search(r"\bcl_[\w-]+", host.podman("logs", "server-3"))[0]
    answer = json.loads(subprocess.run(host.command([
        "curl", "-sS", "-H", "Content-Type: application/json",
        "-H", f"X-API-Key: {key}", "-d", json.dumps(CUSTOMER),
        f"http://127.0.0.1:{HTTP_PORT}/v1/customers/C01374/label",
    ]), check=True, capture_output=True, text=True, timeout=60).stdout)
    assert (answer["model"], answer["source"]) == ({"name": "rfc_tune", "version": "1"}, "model-server"), answer


def test_networks_keep_apart_what_need_not_meet(host: ContainerHost) -> None:
    listen = "import http.server as h; h.HTTPServer(('', 5432), h.SimpleHTTPRequestHandler).serve_forever()"
    host.podman("run", "--detach", "--name=database", "--network=data", "--entrypoint=python",
                "localhost/customer-labels/server-1", "-c", listen)
    reach = ("require('net').connect(5432, 'database')"
             ".on('connect', () => process.exit(0)).on('error', () => process.exit(1))")
    host.wait_for("reached", lambda: succeeds(lambda: host.podman("exec", "server-3", "node", "-e", reach)), "database")
    address = host.podman("inspect", "--format={{.NetworkSettings.Networks.data.IPAddress}}", "database").strip()

    def reaches(name: str, port: int) -> bool:
        knock = f"import socket; socket.create_connection(('{name}', {port}), timeout=3)"
        return succeeds(lambda: host.podman("exec", "server-1", "python", "-c", knock))

    assert reaches("server-2", 5000)
    assert not reaches("database", 5432)
    assert not reaches(address, 5432)
    assert not reaches("server-3", 3000)
