"""MLflow's registry, as server 2 reads it: which version is live, and that version's contract."""

import json
import ssl
from dataclasses import dataclass
from http.client import HTTPException
from urllib.parse import urlencode

from scripts.serving.http import fetch

ANSWER_TIMEOUT_S = 5
CONTRACT_ARTIFACT = "contract/contract.json"
MOST_CONTRACT_BYTES = 4_000_000


class RegistryAway(Exception):
    """The registry gives no answer, or none that can be read; the message says why."""


class NoContract(Exception):
    """The version's run has no contract that can be used; the message says why."""


@dataclass(frozen=True)
class Version:
    """A registered version; `changed` is new whenever the registry's entry is."""

    name: str
    number: str
    run_id: str
    changed: int

    @property
    def uri(self) -> str:
        """This very version, whatever is promoted meanwhile."""
        return f"models:/{self.name}/{self.number}"


@dataclass(frozen=True)
class Registry:
    """The tracking server at `uri`; `context` checks its certificate when it speaks TLS."""

    uri: str
    context: ssl.SSLContext | None

    def read_live(self, name: str, stage: str) -> Version | None:
        """The version in the stage, None when there is none or no such model. Raises RegistryAway."""
        status, body = self._get("/api/2.0/mlflow/registered-models/get-latest-versions", name=name, stages=stage)
        answer = read_json(body)
        if status == 404 and answer.get("error_code") == "RESOURCE_DOES_NOT_EXIST":
            return None
        if status != 200:
            raise RegistryAway(f"the registry answered {status}")
        try:
            found = [to_version(entry) for entry in answer.get("model_versions", [])]
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise RegistryAway("the registry's answer cannot be read") from error
        return found[0] if found else None

    def read_version(self, name: str, number: str) -> Version | None:
        """A version by its number, None when there is none. Raises RegistryAway."""
        status, body = self._get("/api/2.0/mlflow/model-versions/get", name=name, version=number)
        if status == 404:
            return None
        try:
            return to_version(read_json(body)["model_version"])
        except (KeyError, ValueError, TypeError) as error:
            raise RegistryAway(f"the registry answered {status}") from error

    def read_contract(self, version: Version) -> dict:
        """The contract of the version's run. Raises NoContract, or RegistryAway when nobody answers."""
        if not version.run_id:
            raise NoContract("it was registered without a run, so it has no contract")
        status, body = self._get("/get-artifact", path=CONTRACT_ARTIFACT, run_uuid=version.run_id)
        # MLflow 2.1.0 answers 500 for an artifact that is not there
        if status != 200:
            raise NoContract(f"its run has no artifact {CONTRACT_ARTIFACT}")
        contract = read_json(body)
        if not contract:
            raise NoContract(f"its {CONTRACT_ARTIFACT} is no JSON object")
        return contract

    def _get(self, path: str, /, **query: str) -> tuple[int, bytes]:
        try:
            return fetch(f"{self.uri}{path}?{urlencode(query)}", self.context, ANSWER_TIMEOUT_S, most=MOST_CONTRACT_BYTES)
        except (OSError, HTTPException) as error:
            raise RegistryAway(f"the registry does not answer ({getattr(error, 'reason', None) or error})") from error


def to_version(entry: dict) -> Version:
    """A version of MLflow's REST API 2.0. Raises KeyError or ValueError for what is none."""
    return Version(
        entry["name"], str(int(entry["version"])), entry.get("run_id") or "", int(entry.get("last_updated_timestamp", 0)),
    )


def read_json(body: bytes) -> dict:
    """A JSON object, {} for anything else."""
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
