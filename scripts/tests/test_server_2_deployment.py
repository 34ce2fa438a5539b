"""deploy/server-2: the unit is accepted, the log really rotates, the ports are really closed."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from scripts.serving.options import parse_options
from scripts.serving.processes import Processes
from scripts.tests.test_serving import until

DEPLOY = Path(__file__).resolve().parents[2] / "deploy" / "server-2"
UNIT = DEPLOY / "systemd" / "customer-labels-server-2.service"
RULES = DEPLOY / "nftables" / "customer-labels-server-2.nft"
LOGROTATE = DEPLOY / "logrotate" / "customer-labels-server-2"
MOST_EXPOSURE_TENTHS = 20
SERVER_2, SERVER_1, SERVER_3, OTHER = "192.0.2.2", "192.0.2.11", "192.0.2.13", "192.0.2.99"

LISTEN = """
import socket, time
kept = [socket.create_server(("0.0.0.0", port)) for port in (5000, 5001, 8124, 2222)]
print("up", flush=True)
time.sleep(300)
"""
CONNECT = """
import socket, sys

def answers(port):
    try:
        socket.create_connection((sys.argv[1], port), 1, (sys.argv[2], 0)).close()
    except OSError:
        return False
    return True

print(*[port for port in (5000, 5001, 8124, 2222) if answers(port)])
"""


def run(*words: str, **more: object) -> subprocess.CompletedProcess:
    """A command, with what it printed."""
    return subprocess.run(words, capture_output=True, text=True, timeout=60, **more)


def needs(program: str, package: str) -> pytest.MarkDecorator:
    """Skips where a program is missing."""
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"no {program}: apt-get install {package}")


@needs("systemd-analyze", "systemd")
def test_systemd_accepts_the_unit_and_finds_it_locked_up(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/customer-labels/.venv/bin/python", sys.executable))
    verified = run("systemd-analyze", "verify", str(unit))
    assert (verified.returncode, verified.stderr) == (0, "")
    rated = run("systemd-analyze", "security", "--offline=true", f"--threshold={MOST_EXPOSURE_TENTHS}", str(unit))
    assert rated.returncode == 0, rated.stdout


def test_the_unit_starts_it_with_options_that_exist() -> None:
    lines = UNIT.read_text().splitlines()
    given = next(line for line in lines if "SERVER_2_OPTIONS=" in line).split("SERVER_2_OPTIONS=")[1].rstrip('"')
    start = next(line for line in lines if line.startswith("ExecStart=")).split("scripts.serving ")[1]
    options = parse_options(start.replace("$SERVER_2_OPTIONS", given).split())
    assert (options.host, options.registry_port) == ("0.0.0.0", 5001)
    assert str(options.home) == "/var/lib/customer-labels-server-2"


@needs("logrotate", "logrotate")
@pytest.mark.skipif(os.getuid() != 0, reason="logrotate's su needs root")
def test_a_rotated_log_goes_on_in_a_new_file_and_loses_no_process(tmp_path: Path) -> None:
    text = LOGROTATE.read_text().replace("/var/lib/customer-labels-server-2/logs", str(tmp_path / "logs"))
    rules = tmp_path / "rules"
    rules.write_text(text.replace("su customer-labels-server-2 customer-labels-server-2", "su root root"))
    rules.chmod(0o644)
    with Processes(tmp_path / "logs") as processes:
        writer = processes.start("scoring", ["sh", "-c", "while :; do echo line; sleep 0.02; done"], dict(os.environ))
        log = writer.log_file
        until(lambda: log.stat().st_size > 50)
        told = run("logrotate", "--debug", str(rules))
        assert (told.returncode, "error" in told.stderr) == (0, False), told.stderr
        for _ in range(2):
            rotated = run("logrotate", "--force", "--state", str(tmp_path / "state"), str(rules))
            assert rotated.returncode == 0, rotated.stderr
            until(lambda: log.stat().st_size > 50)
            time.sleep(0.1)
        writer.require_running()
    assert sorted(file.name for file in log.parent.iterdir()) == ["scoring.log", "scoring.log.1", "scoring.log.2.gz"]
    assert set((log.parent / "scoring.log.1").read_text().splitlines()) == {"line"}
    assert set(log.read_text().splitlines()) == {"line"}


@pytest.fixture()
def network() -> Iterator[tuple[str, str]]:
    """Two network namespaces with a cable between them: server 2, and everybody else by several addresses."""
    inside, outside = (f"s2{uuid4().hex[:8]}{end}" for end in "io")
    if os.getuid() != 0 or not shutil.which("ip") or run("ip", "netns", "add", inside).returncode != 0:
        pytest.skip("network namespaces need root, ip (apt-get install iproute2) and a kernel that lets them be made")
    try:
        commands = [
            f"ip netns add {outside}",
            f"ip -n {inside} link add cable type veth peer name cable netns {outside}",
            f"ip -n {inside} address add {SERVER_2}/24 dev cable",
            *(f"ip -n {outside} address add {address}/24 dev cable" for address in (SERVER_1, SERVER_3, OTHER)),
            *(f"ip -n {name} link set {device} up" for name in (inside, outside) for device in ("lo", "cable")),
        ]
        for command in commands:
            done = run(*command.split())
            assert done.returncode == 0, done.stderr
        yield inside, outside
    finally:
        for name in (inside, outside):
            run("ip", "netns", "delete", name)


@needs("nft", "nftables")
def test_the_ports_are_open_to_servers_1_and_3_and_closed_to_others(network: tuple[str, str]) -> None:
    inside, outside = network
    server = subprocess.Popen(["ip", "netns", "exec", inside, sys.executable, "-c", LISTEN], stdout=subprocess.PIPE)
    try:
        assert server.stdout.readline() == b"up\n"
        assert reached(outside, OTHER, SERVER_2) == [5000, 5001, 8124, 2222]
        for _ in range(2):
            loaded = run("ip", "netns", "exec", inside, "nft", "-f", str(RULES))
            assert loaded.returncode == 0, loaded.stderr
        assert reached(outside, SERVER_1, SERVER_2) == [5000, 2222]
        assert reached(outside, SERVER_3, SERVER_2) == [5001, 8124, 2222]
        assert reached(outside, OTHER, SERVER_2) == [2222]
        assert reached(inside, "127.0.0.1", "127.0.0.1") == [5000, 5001, 8124, 2222]
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def reached(namespace: str, source: str, target: str) -> list[int]:
    """The ports of `target` that answer a caller with the address `source`."""
    done = run("ip", "netns", "exec", namespace, sys.executable, "-c", CONNECT, target, source)
    return [int(port) for port in done.stdout.split()]
