"""The configuration of haproxy: TLS and kept connections outside, the version that answers inside."""

from dataclasses import dataclass
from pathlib import Path

from scripts.serving.addresses import bracketed, local_host

SLOTS = ("blue", "green")
BACKEND = "model"
# What server 3 reads of the registry, and nothing else: 2.1.0 has no login and old holes
READABLE = (
    "/health",
    "/api/2.0/mlflow/registered-models/get-latest-versions",
    "/api/2.0/mlflow/model-versions/search",
    "/api/2.0/mlflow/runs/get",
)

TEMPLATE = """
global
    log stdout format raw local0 notice
    stats socket "{socket}" mode 600 level admin
    ssl-default-bind-options ssl-min-ver TLSv1.2
    ssl-default-bind-ciphers ECDHE+AESGCM:ECDHE+CHACHA20

defaults
    mode http
    log global
    option httplog
    option dontlog-normal
    option dontlognull
    option abortonclose
    option redispatch 1
    retries 3
    retry-on conn-failure
    timeout connect 2s
    timeout http-request 10s
    timeout http-keep-alive 65s
    timeout client 120s
    timeout queue 60s
    timeout server 120s
    http-error status 503 content-type application/json string '{{"error_code":"TEMPORARILY_UNAVAILABLE","message":"no version of the model is served at the moment"}}'

frontend scoring
    bind {host}:{scoring_port} ssl crt "{pem}" alpn http/1.1
    default_backend {backend}

backend {backend}
    balance leastconn
{slots}
"""

REGISTRY_TEMPLATE = """
frontend registry
    bind {host}:{registry_port} ssl crt "{pem}" alpn http/1.1
    acl readable path {readable}
    acl artifact path /get-artifact
    acl contract query -m reg {contract_query}
    acl climbing query,url_dec,url_dec -m sub ..
    http-request deny deny_status 405 unless METH_GET
    http-request deny deny_status 403 unless readable or artifact
    http-request deny deny_status 403 if artifact !contract
    http-request deny deny_status 403 if climbing
    default_backend tracking

backend tracking
    server tracking {local}:{tracking_port}
"""


CONTRACT_PATH = "path=contract(/|%2F)[A-Za-z0-9._-]+"
RUN = "run_uuid=[0-9a-f]+"
# The whole query: MLflow splits it elsewhere than haproxy does, so that a part of it proves nothing
CONTRACT_QUERY = f"-i ^({CONTRACT_PATH}&{RUN}|{RUN}&{CONTRACT_PATH})$"


@dataclass(frozen=True)
class Slot:
    """A place for one scoring server: nobody (`port` None), or one that takes new calls (`is_open`) or does not."""

    name: str
    port: int | None = None
    is_open: bool = False


@dataclass(frozen=True)
class HaproxySettings:
    """`calls_each`: calls that one scoring server computes at a time; what exceeds it waits in haproxy."""

    host: str
    scoring_port: int
    registry_port: int | None
    tracking_port: int
    calls_each: int
    pem: Path
    socket: Path


def haproxy_config(settings: HaproxySettings, slots: list[Slot]) -> str:
    """The whole file; started with it, haproxy goes on where it was."""
    values = {
        "socket": settings.socket, "pem": settings.pem, "host": bracketed(settings.host), "backend": BACKEND,
        "scoring_port": settings.scoring_port, "registry_port": settings.registry_port,
        "tracking_port": settings.tracking_port, "local": bracketed(local_host(settings.host)),
        "readable": " ".join(READABLE), "contract_query": CONTRACT_QUERY,
        "slots": "\n".join(slot_line(slot, settings.calls_each) for slot in slots),
    }
    return (TEMPLATE + (REGISTRY_TEMPLATE if settings.registry_port else "")).format(**values)


def slot_line(slot: Slot, calls_each: int) -> str:
    """One server of the backend; without a check, since the guard of each call and server 2 itself look after it."""
    state = "" if slot.is_open else " disabled"
    return f"    server {slot.name} 127.0.0.1:{slot.port or 1} maxconn {calls_each}{state}"
