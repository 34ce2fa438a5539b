"""A machine of its own for containers: namespaces where podman runs the services of compose.yaml as that file says."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType

import pytest
import yaml

from scripts.tests.container_images import ROOT, STORE, CommandFailed, run

PACKAGES = {
    "debootstrap": "debootstrap", "buildah": "buildah", "podman": "podman", "crun": "crun",
    "/usr/lib/podman/netavark": "netavark", "/usr/lib/podman/aardvark-dns": "aardvark-dns",
    "catatonit": "catatonit", "docker-compose": "docker-compose", "ssh": "openssh-client",
    "ip": "iproute2", "iptables": "iptables", "nsenter": "util-linux",
}
LIMITS = 4096
# crun takes no cgroups of two kinds side by side, and a host of containers has a /run of its own
NAMESPACES = """
mount -t tmpfs tmpfs /run
! mountpoint -q /sys/fs/cgroup/unified || umount /sys/fs/cgroup/unified
ip link set lo up
echo ready
sleep infinity & wait
"""
ENGINE = f"""
[containers]
cgroups = "disabled"
init_path = "/usr/bin/catatonit"
default_ulimits = ["nofile={LIMITS}:{LIMITS}", "nproc={LIMITS}:{LIMITS}"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
[network]
network_backend = "netavark"
network_config_dir = "{{networks}}"
"""


def require_engine() -> None:
    """Skips with advice where containers cannot be run, or fails where real peers are required."""
    missing = sorted(package for command, package in PACKAGES.items() if not shutil.which(command))
    if not missing and os.geteuid() == 0:
        return
    advice = f"apt-get install --no-install-recommends {' '.join(missing)}" if missing else "these tests need root"
    if os.environ.get("REAL_PEERS") == "required":
        pytest.fail(f"containers cannot be run here: {advice}")
    pytest.skip(f"containers cannot be run here: {advice}")


def read_compose(environment_file: Path) -> dict:
    """compose.yaml as docker-compose understands it, every variable filled in."""
    return yaml.safe_load(run([
        "docker-compose", "--file", ROOT / "compose.yaml", "--env-file", environment_file, "config",
    ]))


class ContainerHost:
    """A context; leaving it ends every process in it, its networks and its mounts."""

    def __init__(self, compose: dict, folder: Path):
        self._services, self._networks = compose["services"], compose["networks"]
        self._secrets = {name: secret["file"] for name, secret in compose["secrets"].items()}
        self._settings = folder / "containers.conf"
        self._settings.write_text(ENGINE.format(networks=folder / "networks"))
        self._outside: subprocess.Popen | None = None
        self._inside = 0

    def __enter__(self) -> "ContainerHost":
        self._outside = subprocess.Popen(
            ["setpriv", "--pdeathsig=KILL", "unshare", "--net", "--mount", "--pid", "--mount-proc",
             "--fork", "--kill-child", "bash", "-c", NAMESPACES],
            stdout=subprocess.PIPE, text=True,
        )
        try:
            self._prepare()
        except BaseException:
            self._end()
            raise
        return self

    def _prepare(self) -> None:
        """Nothing of an earlier run, and the networks of compose.yaml."""
        assert self._outside.stdout.readline() == "ready\n"
        self._inside = int(Path(f"/proc/{self._outside.pid}/task/{self._outside.pid}/children").read_text())
        self.podman("rm", "--force", "--all", "--volumes")
        self.podman("volume", "rm", "--force", "--all")
        for name, network in self._networks.items():
            self.podman("network", "create", *(["--internal"] if network.get("internal") else []), name)

    def _end(self) -> None:
        """The first process takes all others with it."""
        self._outside.kill()
        self._outside.wait()
        self._outside.stdout.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None,
    ) -> None:
        try:
            self.podman("rm", "--force", "--all", "--volumes", "--time=0")
        finally:
            self._end()

    def command(self, command: Iterable[str | Path]) -> list[str]:
        """The command, as it is run inside."""
        return ["nsenter", f"--target={self._inside}", "--net", "--mount", "--pid", "--", *map(str, command)]

    def podman(self, *arguments: str | Path, timeout_s: float = 120) -> str:
        """One podman command; raises CommandFailed."""
        return run(
            self.command(["podman", "--root", STORE, *arguments]), timeout=timeout_s,
            env=os.environ | {"CONTAINERS_CONF": str(self._settings), "DISABLE_HC_SYSTEMD": "true"},
        )

    def start(self, service: str, *, environment: dict[str, str] | None = None, wait: bool = False) -> str:
        """Starts a service with everything that compose.yaml holds it to, or runs it to its end when told to wait."""
        return self.podman("run", f"--name={service}", "--rm" if wait else "--detach",
                           *self.options(service, environment or {}), f"localhost/{self._services[service]['image']}")

    def options(self, service: str, environment: dict[str, str]) -> list[str]:
        """podman's options for what compose.yaml says of a service."""
        said = self._services[service]
        options = [f"--hostname={said['hostname']}", f"--network={','.join(said['networks'])}"]
        options += ["--read-only-tmpfs=false"] + ["--read-only"] * bool(said.get("read_only"))
        options += ["--init"] * bool(said.get("init"))
        options += [f"--cap-drop={name}" for name in said.get("cap_drop", [])]
        options += [f"--cap-add={name}" for name in said.get("cap_add", [])]
        options += [f"--security-opt={option.removesuffix(':true')}" for option in said.get("security_opt", [])]
        options += [f"--tmpfs={path}:rw,noexec,nosuid,nodev,notmpcopyup" for path in said.get("tmpfs", [])]
        options += [f"--volume={volume}" for volume in said.get("volumes", [])]
        options += [f"--volume={self._secrets[secret['source']]}:/run/secrets/{secret['source']}:ro"
                    for secret in said.get("secrets", [])]
        options += [f"--publish={port}" for port in said.get("ports", [])]
        variables = said.get("environment", {}) | environment
        return options + [f"--env={name}={value}" for name, value in variables.items()]

    def wait_for(self, what: str, holds: Callable[[], bool], service: str, timeout_s: float = 300) -> None:
        """Returns once it holds; fails with the end of the service's log."""
        deadline = time.monotonic() + timeout_s
        while not holds():
            if time.monotonic() > deadline or not self.is_running(service):
                log = self.podman("logs", "--tail=40", service)
                pytest.fail(f"{service}: {what} not within {timeout_s} s, or it ended\n{log}")
            time.sleep(0.5)

    def is_running(self, service: str) -> bool:
        """Whether its container has not ended."""
        return self.podman("inspect", "--format={{.State.Running}}", service).strip() == "true"

    def is_healthy(self, service: str) -> bool:
        """Whether the image's own health check passes."""
        kind, *check = json.loads(self.podman("inspect", "--format={{json .Config.Healthcheck.Test}}", service))
        assert kind == "CMD"
        return succeeds(lambda: self.podman("exec", service, *check))


def succeeds(command: Callable[[], object]) -> bool:
    """Whether a command ends with 0."""
    try:
        command()
    except CommandFailed:
        return False
    return True
