"""A table with faults is refused, and every fault is named with its column and row."""

import pandas as pd
import pytest

from scripts.training import openml_source
from scripts.training.acquire import RawTable, acquire
from scripts.training.catalogue import read_catalogue
from scripts.training.preprocess import preprocess
from scripts.training.table_faults import TableFaults

CATALOGUE = read_catalogue()


@pytest.fixture
def cells() -> pd.DataFrame:
    """The generated table as text; row 2 of a file is index 0."""
    return acquire("generated").cells.head(50).copy()


def faults_of(cells: pd.DataFrame) -> list[str]:
    """The sentences of the refusal."""
    with pytest.raises(TableFaults) as refusal:
        preprocess(RawTable("faulty.csv", cells), CATALOGUE)
    return refusal.value.faults


def test_names_all_faults_at_once(cells: pd.DataFrame) -> None:
    cells.loc[0, "total_day_minutes"] = ""
    cells.loc[1, "total_eve_minutes"] = "12,5"
    cells.loc[2, "total_night_minutes"] = "nan"
    cells.loc[3, "total_day_calls"] = "3.5"
    cells.loc[4, "total_intl_minutes"] = "-1"
    cells.loc[5, "international_plan"] = "2"
    cells.loc[6, "churn"] = "yes"
    cells.loc[7, "customer_id"] = cells.loc[6, "customer_id"]
    cells.loc[8, "account_length"] = "1e999"
    assert sorted(faults_of(cells)) == sorted([
        "column 'total_day_minutes', row 2: missing",
        "column 'total_eve_minutes', row 3: '12,5' is not a number",
        "column 'total_night_minutes', row 4: 'nan' is not a number",
        "column 'total_day_calls', row 5: 3.5 is not a whole number",
        "column 'total_intl_minutes', row 6: -1 is below 0",
        "column 'international_plan', row 7: 2 is none of [0, 1]",
        "column 'churn', row 8: 'yes' is none of ['0', '1']",
        "column 'customer_id', row 9: 'G00007' stands in row 8 already",
        "column 'account_length', row 10: '1e999' is not a number",
    ])


def test_names_missing_columns(cells: pd.DataFrame) -> None:
    assert faults_of(cells.drop(columns=["churn", "total_day_calls"])) == [
        "column 'total_day_calls': missing", "column 'churn': missing",
    ]


def test_refuses_what_nothing_can_be_learnt_from(cells: pd.DataFrame) -> None:
    cells["churn"] = "0"
    cells["total_day_calls"] = "7"
    assert faults_of(cells) == [
        "column 'total_day_calls': the same value in every row", "column 'churn': label 1 never occurs",
    ]
    assert faults_of(cells.head(0)) == ["no rows"]


def test_long_lists_of_faults_are_cut_in_the_message(cells: pd.DataFrame) -> None:
    cells["total_day_minutes"] = [f"x{row}" for row in range(50)]
    cells["total_eve_minutes"] = [f"x{row}" for row in range(50)]
    with pytest.raises(TableFaults, match=r"100 fault\(s\)(.|\n)*and 50 more$"):
        preprocess(RawTable("faulty.csv", cells), CATALOGUE)


def test_a_file_that_is_not_there_is_said(tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match="no such file"):
        acquire(str(tmp_path / "none.csv"))


def test_a_file_that_is_no_table_is_said(tmp_path, cells: pd.DataFrame) -> None:
    file = tmp_path / "table.csv"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TableFaults, match="not a CSV file in UTF-8"):
        acquire(str(file))
    short_row = "\nG99999,12"
    file.write_text(cells.to_csv(index=False).strip() + short_row)
    assert len(faults_of(acquire(str(file)).cells)) == 12


def test_openml_table_gets_the_columns_of_the_file(monkeypatch: pytest.MonkeyPatch, cells: pd.DataFrame) -> None:
    frame = cells.drop(columns=["customer_id"]).rename(columns={"churn": "class"})
    frame = frame.astype({name: float for name in CATALOGUE.feature_names}).astype({"class": "category"})
    frame["phone_number"] = 5550100
    monkeypatch.setattr(
        openml_source, "fetch_openml", lambda **_: type("Bunch", (), {"frame": frame.copy()}),
    )
    raw = acquire("openml")
    assert raw.name == "openml:40701"
    assert tuple(raw.cells.columns) == CATALOGUE.columns
    table = preprocess(raw, CATALOGUE)
    assert table.features.shape == (50, 12)
    assert table.labels.tolist() == [int(code) for code in cells["churn"]]
