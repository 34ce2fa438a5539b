"""A version's contract, as evaluation and promotion need it: features in the model's order, scaling, labels."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from scripts.evaluation.refusal import Refused

Code = int | str

FLOAT32_MAX = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Feature:
    """One input of the model, in the ERP's units: `allowed` holds `values`, or `minimum` and `maximum` as given."""

    name: str
    title: str
    type: str
    allowed: dict[str, Any]

    @property
    def is_binary(self) -> bool:
        """Whether it is a flag."""
        return self.type == "binary"

    def faulty(self, values: np.ndarray) -> np.ndarray:
        """Which of these raw values [n] the contract refuses, bool [n]."""
        fits = np.abs(values) <= FLOAT32_MAX
        if "values" in self.allowed:
            return ~(fits & np.isin(values, self.allowed["values"]))
        fits &= values >= self.allowed.get("minimum", -np.inf)
        fits &= values <= self.allowed.get("maximum", np.inf)
        if self.type != "number":
            fits &= np.mod(np.where(fits, values, 0), 1) == 0
        return ~fits


@dataclass(frozen=True)
class Label:
    """One answer of the model: `code` is what it says, `name` what people say."""

    code: Code
    name: str


@dataclass(frozen=True)
class ModelContract:
    """`mean` and `scale`: float64 [features]; `positive`: index of the positive label, None where there is none;
    `golden_features`: raw [rows, features] with `golden_labels`, indexes of labels [rows].
    """

    features: tuple[Feature, ...]
    mean: np.ndarray
    scale: np.ndarray
    labels: tuple[Label, ...]
    positive: int | None
    golden_features: np.ndarray
    golden_labels: np.ndarray
    body: dict

    @property
    def names(self) -> list[str]:
        """The features' names in the model's order."""
        return [feature.name for feature in self.features]

    @property
    def focus(self) -> list[int]:
        """Indexes of the labels that figures are about: the positive one, else all (their mean)."""
        return [self.positive] if self.positive is not None else list(range(len(self.labels)))

    def standardise(self, raw: np.ndarray) -> np.ndarray:
        """Rows [n, features] as the model takes them: (x - mean) / scale in float64."""
        return (raw - self.mean) / self.scale

    def label_indexes(self, answers: np.ndarray) -> np.ndarray:
        """The model's answers [n] as indexes of labels. Raises Refused at an answer that is no label."""
        index = {label.code: position for position, label in enumerate(self.labels)}
        known, places = np.unique(answers, return_inverse=True)
        unknown = [str(code) for code in map(as_code, known) if code not in index]
        if unknown:
            raise Refused(f"the model answers {', '.join(unknown)}, which is no label of its contract")
        return np.array([index[as_code(answer)] for answer in known], dtype=np.int64)[places]


def as_code(answer: Any) -> Code:
    """An answer of the model as JSON would show it: whole numbers are integers."""
    if isinstance(answer, (str, np.str_)):
        return str(answer)
    return int(answer) if float(answer).is_integer() else str(answer)


def parse_contract(body: dict) -> ModelContract:
    """The contract's JSON. Raises Refused when something is missing in it."""
    try:
        features = tuple(parse_features(body["features"]))
        labels = tuple(Label(entry["code"], entry["name"]) for entry in body["labels"])
        codes = [label.code for label in labels]
        golden = body.get("goldenRows", [])
        positive = [position for position, entry in enumerate(body["labels"]) if entry["positive"]]
        return ModelContract(
            features=features,
            mean=np.array([entry["scaling"]["mean"] for entry in body["features"]], dtype=np.float64),
            scale=np.array([entry["scaling"]["scale"] for entry in body["features"]], dtype=np.float64),
            labels=labels,
            positive=positive[0] if positive else None,
            golden_features=np.array(
                [[row["features"][feature.name] for feature in features] for row in golden], dtype=np.float64,
            ).reshape(len(golden), len(features)),
            golden_labels=np.array([codes.index(row["label"]) for row in golden], dtype=np.int64),
            body=body,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise Refused(f"the contract cannot be used: {type(error).__name__} {error}") from error


def parse_features(entries: list[dict]) -> Iterator[Feature]:
    """The features in the contract's order; the title is the English one, with the unit if it does not say it."""
    for entry in entries:
        title = entry.get("names", {}).get("en", entry["name"])
        unit = (entry.get("unit") or {}).get("en", "")
        says_it = not unit or unit.lower() in title.lower()
        yield Feature(entry["name"], title if says_it else f"{title} ({unit})", entry["type"], entry["allowed"])
