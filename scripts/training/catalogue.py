"""The catalogue: what a table's columns mean. A JSON file, and the only place that names them."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from scripts.training.catalogue_faults import catalogue_faults
from scripts.training.table_faults import TableFaults

CHURN_CATALOGUE = Path(__file__).resolve().parents[2] / "config" / "rfc_tune" / "catalogue.json"

Texts = dict[str, str]
LabelCode = int | str


@dataclass(frozen=True)
class Feature:
    """One input of the model; texts by language, `unit` None for a flag.

    `type` is integer, number or binary; `allowed` is {"values": […]} or {"minimum": …, "maximum": …}, both optional.
    """

    name: str
    names: Texts
    meaning: Texts
    unit: Texts | None
    type: str
    allowed: dict

    @property
    def is_whole(self) -> bool:
        """Whether the feature only takes whole numbers."""
        return self.type != "number"


@dataclass(frozen=True)
class Label:
    """One answer of the model; at most one label of a catalogue is the positive one."""

    code: LabelCode
    name: str
    text: Texts
    positive: bool


@dataclass(frozen=True)
class Catalogue:
    """Columns of a table; the order of `features` is the order of the model's input vector."""

    id_column: str
    label_column: str
    features: tuple[Feature, ...]
    labels: tuple[Label, ...]

    @cached_property
    def feature_names(self) -> tuple[str, ...]:
        """The features' names in the model's order."""
        return tuple(feature.name for feature in self.features)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Every column that a table has to have."""
        return (self.id_column, *self.feature_names, self.label_column)

    @cached_property
    def codes(self) -> dict[str, LabelCode]:
        """The label codes by the text that stands for them in a table."""
        return {str(label.code): label.code for label in self.labels}

    @cached_property
    def positive(self) -> LabelCode | None:
        """The code of the positive label, if there is one."""
        return next((label.code for label in self.labels if label.positive), None)

    def name_of(self, code: LabelCode) -> str:
        """The name of a label."""
        return next(label.name for label in self.labels if label.code == code)


def read_catalogue(path: Path = CHURN_CATALOGUE) -> Catalogue:
    """Reads and checks a catalogue. Raises FileNotFoundError, or TableFaults with every fault at once."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(f"--catalogue {path}: no such file") from None
    except ValueError as error:
        raise TableFaults(path.name, [f"not JSON in UTF-8: {error}"]) from error
    faults = list(catalogue_faults(value))
    if faults:
        raise TableFaults(path.name, faults)
    return Catalogue(
        value["idColumn"], value["labelColumn"],
        tuple(Feature(**entry) for entry in value["features"]),
        tuple(Label(**entry) for entry in value["labels"]),
    )
