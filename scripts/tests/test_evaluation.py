"""The evaluation of real versions, with MLflow on SQLite."""

import json
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

from scripts.evaluation.__main__ import main
from scripts.evaluation.evaluate import Evaluation, EvaluationOptions, evaluate
from scripts.evaluation.labelled_table import Columns, read_cells
from scripts.evaluation.model_contract import parse_contract
from scripts.evaluation.model_version import use_tracking
from scripts.evaluation.refusal import Refused
from scripts.evaluation.tracking import log_evaluation
from scripts.tests.toy_versions import BINARY, NAMES, STRONG, WEAK, WORDS, Toy, make_toy, register, train_run

MODEL = "toy"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> MlflowClient:
    """An MLflow of this module's own, with one experiment for each model."""
    folder = tmp_path_factory.mktemp("tracking")
    client = use_tracking(f"sqlite:///{folder / 'mlflow.db'}")
    for name in (MODEL, "words"):
        mlflow.create_experiment(name, artifact_location=(folder / name).as_uri())
    return client


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """The table of the binary model."""
    return make_toy(tmp_path_factory.mktemp("toy") / "toy.csv", BINARY)


@pytest.fixture(scope="module")
def options(client: MlflowClient, toy: Toy) -> EvaluationOptions:
    """Version 1 is weak and in Production, version 2 strong."""
    register(client, MODEL, train_run(client, MODEL, toy, WEAK, with_split=False), "Production")
    register(client, MODEL, train_run(client, MODEL, toy, STRONG))
    return EvaluationOptions(MODEL, "2", data=str(toy.path), seeds=3)


@pytest.fixture(scope="module")
def strong(client: MlflowClient, options: EvaluationOptions) -> Evaluation:
    """The strong version's evaluation."""
    return evaluate(client, options)


def test_better_version_is_to_be_promoted_with_its_reason(strong: Evaluation) -> None:
    compared = strong.tables[0].comparison
    assert strong.verdict.word == "promote"
    assert "surely better than version 1 on the held-out part of toy.csv" in strong.verdict.reason
    assert compared.rows == len(strong.tables[0].table) == 300
    assert compared.low > 0 and compared.mcnemar.mid_p < 0.01


def test_worse_version_is_to_be_kept_back(client: MlflowClient, options: EvaluationOptions) -> None:
    client.transition_model_version_stage(MODEL, "2", "Production", archive_existing_versions=True)
    try:
        found = evaluate(client, replace(options, version="1"))
    finally:
        client.transition_model_version_stage(MODEL, "1", "Production", archive_existing_versions=True)
    assert (found.verdict.word, found.verdict.reason[:28]) == ("keep", "surely worse than version 2 ")
    assert "the published split" in found.tables[0].notes[0]


def test_version_in_production_is_kept(client: MlflowClient, options: EvaluationOptions) -> None:
    found = evaluate(client, replace(options, version="Production", seeds=0))
    assert found.verdict.word == "keep"
    assert found.tables[0].comparison is None
    assert "in Production already" in found.verdict.reason


def test_seeds_reproduce_the_very_version_first(strong: Evaluation) -> None:
    seeds = strong.seeds
    assert list(seeds.f1_by_seed) == [3, 4, 5]
    assert seeds.same_labels == seeds.held_out_rows == 300
    assert seeds.f1_by_seed[3] == pytest.approx(strong.tables[0].measures.figures["f1"].value)
    assert seeds.low < seeds.mean < seeds.high


def test_importance_and_segments_show_what_the_table_was_made_of(strong: Evaluation) -> None:
    assert strong.importances[-1].feature == "noise"
    assert {one.feature for one in strong.tables[0].segments} == {
        "plan", *[one.feature for one in strong.importances if one.feature != "plan"][:2],
    }
    assert sum(one.n for one in strong.tables[0].segments if one.feature == "plan") == 300


def test_everything_is_logged_with_the_run(
    client: MlflowClient, strong: Evaluation, options: EvaluationOptions, tmp_path: Path,
) -> None:
    log_evaluation(client, strong)
    run = client.get_run(strong.version.run_id)
    f1 = strong.tables[0].measures.figures["f1"]
    assert run.data.metrics["evaluation.heldOut.f1"] == pytest.approx(f1.value)
    assert run.data.metrics["evaluation.heldOut.f1.low"] == pytest.approx(f1.low)
    assert client.get_model_version(MODEL, "2").tags["evaluation.verdict"] == "promote"
    folder = Path(mlflow.artifacts.download_artifacts(
        run_id=strong.version.run_id, artifact_path="evaluation", dst_path=str(tmp_path),
    ))
    body = json.loads((folder / "evaluation.json").read_text())
    assert body["verdict"]["word"] == "promote"
    assert np.sum(body["tables"]["heldOut"]["confusionMatrix"]) == 300
    report = (folder / "report.html").read_text()
    figures = sorted(file.name for file in (folder / "figures").iterdir())
    assert report.count("data:image/png;base64,") == len(figures) == 8
    assert "http" not in report
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in (folder / "figures").iterdir())


def test_new_table_leaves_out_training_rows_and_unreadable_ones_by_reason(
    client: MlflowClient, options: EvaluationOptions, toy: Toy, tmp_path: Path,
) -> None:
    fresh = make_toy(tmp_path / "fresh.csv", BINARY, rows=400, seed=9)
    cells = pd.read_csv(fresh.path, dtype=str)
    cells.loc[0, "minutes"] = ""
    cells.loc[1, "plan"] = "2"
    cells.loc[2, "outcome"] = "perhaps"
    cells.loc[3, "customer_id"] = cells.loc[4, "customer_id"]
    cells["outcome"] = cells["outcome"].replace({"0": "stays"})
    cells["remark"] = "the catalogue of the run says which column is the label"
    old = pd.read_csv(toy.path, dtype=str).assign(customer_id=lambda table: "X" + table["customer_id"])
    pd.concat([cells, old]).to_csv(tmp_path / "new.csv", index=False)
    found = evaluate(client, replace(options, new=str(tmp_path / "new.csv"), seeds=0))
    new = found.tables[1]
    assert len(new.table) == 396 + 300
    told = "\n".join(new.notes)
    for reason in (
        "no number in minutes: 1 rows (T00000)", "plan not allowed: 1 rows", "no label of the contract: 1 rows",
        "customer id seen before: 1 rows", "left out, being training rows of the version: 1,200 rows",
    ):
        assert reason in told
    assert new.comparison.rows == 696
    with pytest.raises(Refused, match="was trained on 324 customers of fresh.csv"):
        evaluate(client, replace(options, data=None, new=str(fresh.path)))
    strangers = pd.read_csv(fresh.path, dtype=str).assign(customer_id=lambda table: "F" + table["customer_id"])
    strangers.to_csv(tmp_path / "strangers.csv", index=False)
    alone = evaluate(client, replace(options, data=None, new=str(tmp_path / "strangers.csv")))
    assert new.table.labels.mean() == pytest.approx(0.3, abs=0.06)
    assert [one.key for one in alone.tables] == ["new"]
    assert "without --data nobody knows" in alone.tables[0].notes[-1]
    assert (alone.seeds, alone.verdict.word) == (None, "promote")


def test_command_prints_figures_and_verdict_and_ends_well(
    client: MlflowClient, options: EvaluationOptions, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow.get_tracking_uri())
    command = ["evaluation", "--model-name", MODEL, "--data", options.data, "--seeds", "2", "--version"]
    monkeypatch.setattr("sys.argv", [*command, "2"])
    main()
    shown = capsys.readouterr().out
    assert "2 forest seeds: mean F1" in shown
    assert shown.strip().splitlines()[-1].startswith("verdict: promote: surely better than version 1")
    monkeypatch.setattr("sys.argv", [*command, "9"])
    with pytest.raises(SystemExit, match="evaluation failed: toy has no version 9"):
        main()


def test_three_labels_in_words_are_judged_by_their_mean(client: MlflowClient, tmp_path: Path) -> None:
    toy = make_toy(tmp_path / "words.csv", WORDS)
    run = train_run(client, "words", toy, STRONG)
    found = evaluate(client, EvaluationOptions("words", f"run:{run}", data=str(toy.path), seeds=2))
    assert found.verdict.word == "promote"
    assert "no version is in Production" in found.verdict.reason
    measures = found.tables[0].measures
    assert measures.matrix.shape == (3, 3)
    assert set(measures.gains) == set(measures.calibration) == {"Bronze", "Silver", "Gold"}
    assert measures.figures["auc"].value > 0.9
    assert found.seeds.same_labels == 300
    log_evaluation(client, found)
    register(client, "words", run, "Production")
    weak = train_run(client, "words", toy, WEAK)
    compared = evaluate(client, EvaluationOptions("words", f"run:{weak}", data=str(toy.path), seeds=0))
    assert compared.verdict.word == "keep"
    assert "surely worse than version 1" in compared.verdict.reason


@pytest.mark.parametrize(("changes", "sentence"), [
    ({"version": "9"}, "toy has no version 9"),
    ({"version": "Staging"}, "no version of toy is in Staging"),
    ({"version": "newest"}, "'newest' is no version"),
    ({"segments": ("colour",)}, "--segment colour: no such feature"),
    ({"columns": Columns(label="minutes")}, "which column holds the label"),
])
def test_what_cannot_be_done_is_said(
    client: MlflowClient, options: EvaluationOptions, changes: dict, sentence: str,
) -> None:
    with pytest.raises(Refused, match=sentence):
        evaluate(client, replace(options, **changes))


def test_a_split_that_nobody_knows_is_refused(client: MlflowClient, options: EvaluationOptions, toy: Toy) -> None:
    run = train_run(client, MODEL, toy, WEAK, with_split=False, split_seed=7)
    with pytest.raises(Refused, match="nobody knows which rows of toy.csv were held out(.|\n)*--new"):
        evaluate(client, replace(options, version=f"run:{run}"))


def test_a_table_without_a_feature_is_refused(client: MlflowClient, options: EvaluationOptions, tmp_path: Path) -> None:
    pd.read_csv(options.data).drop(columns=NAMES[1]).to_csv(tmp_path / "short.csv", index=False)
    with pytest.raises(Refused, match="short.csv has no column calls"):
        evaluate(client, replace(options, data=str(tmp_path / "short.csv")))


def test_generated_table_can_be_read_by_the_committed_contract(committed_contract: dict) -> None:
    given = read_cells("generated", parse_contract(committed_contract), Columns())
    assert (given.id_column, given.label_column) == ("customer_id", "churn")
