"""Hosts and ports: what a service listens on, where it is called, and whether a port is free."""

import errno
import socket

from scripts.serving.processes import ServingFailed

LOOPBACK_OF_WILDCARD = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def url(scheme: str, host: str, port: int) -> str:
    """scheme://host:port."""
    return f"{scheme}://{bracketed(host)}:{port}"


def bracketed(host: str) -> str:
    """An IPv6 address in brackets, any other host as it is."""
    return f"[{host}]" if ":" in host else host


def local_host(host: str) -> str:
    """Where this machine itself calls a service that listens on `host`."""
    return LOOPBACK_OF_WILDCARD.get(host, host)


def public_host(host: str) -> str:
    """Where other machines call a service that listens on `host`."""
    return socket.gethostname() if host in LOOPBACK_OF_WILDCARD else host


def require_free_port(host: str, port: int) -> None:
    """Raises ServingFailed when `host` cannot be listened on at `port`."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        socket.create_server(address[:2], family=family).close()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ServingFailed(f"port {port} on {host} is in use by another program") from error
        raise ServingFailed(f"cannot listen on {host}, port {port}: {error.strerror}") from error


def free_loopback_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]
