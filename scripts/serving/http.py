"""Requests to services on this machine."""

import ssl
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from scripts.serving.certificates import TlsFiles

PING_TIMEOUT_S = 2


def answers(address: str, context: ssl.SSLContext | None = None, timeout: float = PING_TIMEOUT_S) -> bool:
    """Whether a GET is answered with a success."""
    try:
        with urlopen(address, timeout=timeout, context=context):
            return True
    except (URLError, OSError):
        return False


def fetch(
    address: str, context: ssl.SSLContext | None, timeout: float, body: bytes | None = None, most: int = 64_000_000,
) -> tuple[int, bytes]:
    """Status and body of a GET, or of a POST of JSON. Raises OSError when nobody answers, or with too much."""
    request = Request(address, body, {"Content-Type": "application/json"} if body is not None else {})
    try:
        with urlopen(request, timeout=timeout, context=context) as reply:
            content = reply.read(most + 1)
            if len(content) > most:
                raise OSError(f"more than {most} bytes")
            return reply.status, content
    except HTTPError as error:
        with error:
            return error.code, error.read(most)


def probe_context(tls: TlsFiles) -> ssl.SSLContext:
    """Checks our own certificate; somebody else's need not name the address that this machine calls."""
    if tls.ca_file:
        return ssl.create_default_context(cafile=tls.ca_file)
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
