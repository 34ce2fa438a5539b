"""The certificate helper, ports and the stopping of child processes."""

import os
import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.serving import certificates
from scripts.serving.addresses import require_free_port
from scripts.serving.certificates import ensure_certificate, server_names
from scripts.serving.keeper import Keeper
from scripts.serving.processes import Processes, ServingFailed
from scripts.serving.waits import GrowingWait

SLEEPER = ["sh", "-c", "sleep 600 & sleep 600; wait"]


def test_certificate_is_trusted_through_its_ca_under_every_name(tmp_path: Path) -> None:
    files = ensure_certificate(tmp_path, "model.example")
    assert files.key_file.stat().st_mode & 0o777 == 0o600
    for name in ("localhost", "127.0.0.1", "::1", "model.example", socket.gethostname()):
        assert handshake(files, name) == "TLSv1.3"


def test_certificate_is_refused_under_another_name(tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(ensure_certificate(tmp_path, "127.0.0.1"), "other.example")


def test_certificate_is_kept_while_it_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = ensure_certificate(tmp_path, "127.0.0.1")
    first = files.certificate_file.read_bytes()
    assert ensure_certificate(tmp_path, "0.0.0.0") == files
    assert files.certificate_file.read_bytes() == first
    ensure_certificate(tmp_path, "model.example")
    named = files.certificate_file.read_bytes()
    assert named != first
    monkeypatch.setattr(certificates, "RENEW_BEFORE_END", certificates.LIFETIME)
    ensure_certificate(tmp_path, "model.example")
    assert files.certificate_file.read_bytes() != named


def test_damaged_certificate_is_made_anew(tmp_path: Path) -> None:
    files = ensure_certificate(tmp_path, "127.0.0.1")
    files.ca_file.write_text("damaged")
    assert handshake(ensure_certificate(tmp_path, "127.0.0.1"), "localhost") == "TLSv1.3"


def test_wildcard_host_is_no_name() -> None:
    assert "0.0.0.0" not in server_names("0.0.0.0")
    assert server_names("0.0.0.0", ["server-2.internal", "10.0.0.2"])[-2:] == ["server-2.internal", "10.0.0.2"]


def test_port_in_use_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServingFailed, match=f"port {port} on 127.0.0.1 is in use"):
            require_free_port("127.0.0.1", port)
    require_free_port("127.0.0.1", port)


def test_leaving_stops_the_whole_process_group(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        sleeper = processes.start("sleeper", SLEEPER, dict(os.environ))
        group = sleeper.process.pid
        sleeper.require_running()
    with pytest.raises(ProcessLookupError):
        os.killpg(group, 0)


def test_a_service_that_ends_by_itself_is_said_with_its_last_words(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        short = processes.start("short", ["sh", "-c", "echo no such model; exit 3"], dict(os.environ))
        short.process.wait()
        with pytest.raises(ServingFailed, match="the short server ended with status 3(.|\n)*no such model"):
            short.require_running()


def test_a_service_goes_on_writing_into_a_log_that_was_copied_and_truncated(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        writer = processes.start("writer", ["sh", "-c", "while :; do echo line; sleep 0.02; done"], dict(os.environ))
        until(lambda: writer.log_file.stat().st_size > 20)
        os.truncate(writer.log_file, 0)
        until(lambda: writer.log_file.stat().st_size > 20)
        assert writer.log_file.read_text().startswith("line\n")
        assert writer.last_words().endswith("line")


def test_a_service_that_ends_is_started_again_after_growing_waits(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        keeper = Keeper(processes, lambda: processes.start("short", ["sh", "-c", "exit 3"], dict(os.environ)))
        first = keeper.child
        keeper.check()
        first.process.wait()
        keeper.check()
        assert keeper.child is first
        until(lambda: (keeper.check(), keeper.child is not first)[1])


def test_waits_double_up_to_the_longest_and_begin_again_after_a_success() -> None:
    time_now = 100.0
    wait = GrowingWait(1, 5, lambda: time_now)
    assert wait.is_over()
    assert [wait.failed() for _ in range(4)] == [1, 2, 4, 5]
    assert not wait.is_over()
    time_now = 105.0
    assert wait.is_over()
    wait.succeeded()
    assert wait.failed() == 1


def until(holds: Callable[[], bool]) -> None:
    """Waits until it holds, at most 10 s."""
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def handshake(files: certificates.TlsFiles, name: str) -> str:
    """The TLS version agreed between our certificate and a client that trusts our CA and calls `name`."""
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(files.certificate_file, files.key_file)
    client_context = ssl.create_default_context(cafile=files.ca_file)
    client, server = socket.socketpair()

    def answer() -> None:
        try:
            server_context.wrap_socket(server, server_side=True).close()
        except OSError:
            server.close()

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        with client_context.wrap_socket(client, server_hostname=name) as connection:
            return connection.version()
    finally:
        client.close()
        thread.join()
