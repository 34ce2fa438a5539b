"""The proof that a scoring server runs a version: its contract's golden rows come back with their labels."""

import json
import ssl
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPException

from scripts.serving.http import fetch
from scripts.serving.registry import NoContract, Version

CALL_TIMEOUT_S = 30


class NotProved(Exception):
    """The golden rows did not come back as they should; the message says how."""


@dataclass(frozen=True)
class GoldenRows:
    """Standardised rows [n][features] with the label of each [n]."""

    vectors: list[list[float]]
    labels: list


def golden_rows(contract: dict, version: Version) -> GoldenRows:
    """The golden rows of this version's own contract. Raises NoContract when it is another's, or holds none."""
    try:
        model, features, rows = contract["model"], contract["features"], contract["goldenRows"]
        if model["name"] != version.name:
            raise NoContract("its contract is of another model")
        # A contract that was logged before the version had its number has none
        if model["version"] not in (None, version.number) or model["runId"] not in (None, version.run_id):
            raise NoContract("its contract is of another version")
        vectors = [[standardised(feature, row["features"]) for feature in features] for row in rows]
        labels = [row["label"] for row in rows]
    except (KeyError, TypeError, ZeroDivisionError) as error:
        raise NoContract(f"its contract cannot be understood ({type(error).__name__}: {error})") from error
    if len(set(map(str, labels))) < 2:
        raise NoContract("its contract has no golden rows of different labels")
    return GoldenRows(vectors, labels)


def standardised(feature: dict, row: dict) -> float:
    """One feature of a row in raw units, as the model takes it: (value − mean) / scale."""
    scaling = feature["scaling"]
    return (row[feature["name"]] - scaling["mean"]) / scaling["scale"]


def prove(address: str, golden: GoldenRows, calls: int, context: ssl.SSLContext | None = None) -> None:
    """Asks for all golden rows in `calls` calls at once, which also warms every thread up. Raises NotProved."""
    with ThreadPoolExecutor(calls) as pool:
        asked = [pool.submit(prove_once, address, golden, context) for _ in range(calls)]
    for one in asked:
        one.result()


def prove_once(address: str, golden: GoldenRows, context: ssl.SSLContext | None) -> None:
    """One call. Raises NotProved."""
    try:
        status, reply = fetch(
            f"{address}/invocations", context, CALL_TIMEOUT_S, json.dumps({"inputs": golden.vectors}).encode(),
        )
    except (OSError, HTTPException) as error:
        raise NotProved(f"its golden rows were not answered ({error})") from error
    if status != 200:
        raise NotProved(f"its golden rows were answered with {status}")
    try:
        predictions = json.loads(reply)["predictions"]
    except (ValueError, KeyError, TypeError) as error:
        raise NotProved("the answer to its golden rows cannot be read") from error
    if not isinstance(predictions, list) or len(predictions) != len(golden.labels):
        raise NotProved("another number of labels than golden rows came back")
    wrong = sum(given != label for given, label in zip(predictions, golden.labels, strict=True))
    if wrong:
        raise NotProved(f"{wrong} of {len(golden.labels)} golden rows came back with another label")
