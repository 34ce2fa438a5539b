"""A catalogue is read whole, or refused with every fault at once."""

import json
from pathlib import Path

import pytest

from scripts.tests.payment_model.table import CATALOGUE_FILE
from scripts.training.catalogue import CHURN_CATALOGUE, read_catalogue
from scripts.training.table_faults import TableFaults


def faults_of(path: Path, value: object) -> list[str]:
    """The sentences with which this value is refused as a catalogue."""
    path.write_text(json.dumps(value), encoding="utf-8")
    with pytest.raises(TableFaults) as refusal:
        read_catalogue(path)
    return refusal.value.faults


def test_reads_labels_that_are_numbers_or_words() -> None:
    churn, payment = read_catalogue(), read_catalogue(CATALOGUE_FILE)
    assert (len(churn.features), churn.codes, churn.positive) == (12, {"0": 0, "1": 1}, 1)
    assert (len(payment.features), payment.positive) == (7, "never")
    assert payment.columns[0] == "account" and payment.columns[-1] == "payment"


def test_names_all_faults_at_once(tmp_path: Path) -> None:
    value = json.loads(CHURN_CATALOGUE.read_text(encoding="utf-8"))
    first, second, third = value["features"][:3]
    del first["unit"]
    first["names"] = {"en": "Account length"}
    second["type"], second["allowed"] = "binary", {"minimum": 5, "maximum": 1}
    second["colour"] = "red"
    third["name"] = "churn"
    value["features"][7]["allowed"] = {"values": [1, 2]}
    value["labels"][0] |= {"code": "1", "positive": True}
    value["idColumn"] = ""
    assert sorted(faults_of(tmp_path / "catalogue.json", value)) == sorted([
        "the catalogue: 'idColumn' must be the name of a column",
        "features[0]: 'unit' is missing",
        "features[0]: 'names' must be a text in each of en and es",
        'features[1]: \'allowed\' must be {"values": [numbers]}, or {} with a "minimum", a "maximum" or both',
        "features[1]: 'colour' is not known",
        "two columns are named 'churn'",
        "feature 'international_plan' is binary, so that 'allowed' must be {\"values\": [0, 1]}",
        "two labels have the code 1",
        "label codes must be all numbers or all texts",
        "at most one label is the positive one",
    ])


@pytest.mark.parametrize("value", [[], None, "text", {"features": "none", "labels": [3]}])
def test_refuses_what_is_no_catalogue(tmp_path: Path, value: object) -> None:
    assert any("the catalogue: " in fault for fault in faults_of(tmp_path / "catalogue.json", value))


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="--catalogue .*: no such file"):
        read_catalogue(tmp_path / "none.json")
    (tmp_path / "torn.json").write_text("{")
    with pytest.raises(TableFaults, match="not JSON in UTF-8"):
        read_catalogue(tmp_path / "torn.json")
