"""Promotion and rollback in a real registry, MLflow on SQLite."""

import json
import logging
from pathlib import Path

import mlflow
import pytest
from mlflow.tracking import MlflowClient

from scripts.evaluation.model_version import find_version, open_run, read_artifact, use_tracking
from scripts.evaluation.refusal import Refused
from scripts.promotion.__main__ import main
from scripts.promotion.best_run import best_run, list_runs
from scripts.promotion.stages import promote, roll_back
from scripts.tests.toy_versions import BINARY, STRONG, WEAK, Toy, make_toy, register, train_run

MODEL = "toy"


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """A small table."""
    return make_toy(tmp_path_factory.mktemp("toy") / "toy.csv", BINARY, rows=300)


@pytest.fixture
def client(tmp_path: Path) -> MlflowClient:
    """An empty MLflow."""
    client = use_tracking(f"sqlite:///{tmp_path / 'mlflow.db'}")
    mlflow.create_experiment(MODEL, artifact_location=(tmp_path / "artifacts").as_uri())
    return client


def stages(client: MlflowClient) -> dict[str, str]:
    """Stage by version."""
    return {str(one.version): one.current_stage for one in client.search_model_versions(f"name='{MODEL}'")}


def test_best_run_is_registered_and_goes_through_staging_to_production(
    client: MlflowClient, toy: Toy, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("scripts.promotion.best_run.RUNS_AT_ONCE", 1)
    register(client, MODEL, train_run(client, MODEL, toy, WEAK, f1=0.6), "Production")
    best = train_run(client, MODEL, toy, STRONG, f1=0.9)
    with mlflow.start_run(run_name="a trial without a model"):
        mlflow.log_metric("crossValidatedF1", 0.95)
    metric, candidates = list_runs(client, MODEL, MODEL)
    assert metric == "crossValidatedF1"
    assert [(one.f1, one.version, one.stage) for one in candidates] == [(0.9, None, None), (0.6, "1", "Production")]
    assert best_run(client, candidates).run_id == best
    caplog.set_level(logging.INFO)
    promote(client, open_run(client, MODEL, best))
    assert stages(client) == {"1": "Archived", "2": "Production"}
    assert json.loads(read_artifact(client, best, "contract/contract.json"))["model"]["version"] == "2"
    assert client.get_model_version(MODEL, "2").tags["promotedFrom"] == "1"
    told = caplog.messages
    for step in ("all 32 golden rows", "registered as version 2", "None -> Staging", "Staging -> Production"):
        assert any(step in line for line in told)
    promote(client, open_run(client, MODEL, best))
    assert caplog.messages[-1] == "version 2 is in Production already: nothing to do"
    client.create_model_version(MODEL, mlflow.get_run(best).info.artifact_uri + "/model", best)
    assert open_run(client, MODEL, best).version == "2"
    with pytest.raises(Refused, match="version 3: its contract is of version 2(.|\n)*promote that one"):
        promote(client, find_version(client, MODEL, "3"))
    assert stages(client) == {"1": "Archived", "2": "Production", "3": "None"}


def test_rollback_goes_back_step_by_step_and_never_to_what_it_led_away_from(client: MlflowClient, toy: Toy) -> None:
    runs = [train_run(client, MODEL, toy, WEAK | {"random_state": seed}) for seed in (1, 2, 3)]
    for run in runs:
        promote(client, open_run(client, MODEL, run))
    roll_back(client, MODEL)
    assert stages(client) == {"1": "Archived", "2": "Production", "3": "Archived"}
    roll_back(client, MODEL)
    assert stages(client) == {"1": "Production", "2": "Archived", "3": "Archived"}
    with pytest.raises(Refused, match="version 1 was the first in Production"):
        roll_back(client, MODEL)
    promote(client, open_run(client, MODEL, runs[2]))
    assert "rolledBackAt" not in client.get_model_version(MODEL, "3").tags
    roll_back(client, MODEL)
    assert stages(client)["1"] == "Production"


def test_versions_that_others_moved_go_back_to_the_one_archived_last(client: MlflowClient, toy: Toy) -> None:
    runs = [train_run(client, MODEL, toy, WEAK | {"random_state": seed}) for seed in (1, 2)]
    for run in runs:
        promote(client, open_run(client, MODEL, run))
    third = register(client, MODEL, train_run(client, MODEL, toy, STRONG))
    for version in (third, "1", "2"):  # in MLflow's own pages: the tags of version 2 still tell of its first promotion
        client.transition_model_version_stage(MODEL, version, "Production", archive_existing_versions=True)
    client.transition_model_version_stage(MODEL, third, "Production", archive_existing_versions=True)
    client.transition_model_version_stage(MODEL, "2", "Production", archive_existing_versions=True)
    roll_back(client, MODEL)
    assert stages(client) == {"1": "Archived", "2": "Archived", third: "Production"}


def test_a_second_rollback_without_tags_does_not_return_to_what_the_first_left(client: MlflowClient, toy: Toy) -> None:
    run = train_run(client, MODEL, toy, WEAK)
    for _ in range(3):
        register(client, MODEL, run, "Production")
    roll_back(client, MODEL)
    assert stages(client) == {"1": "Archived", "2": "Production", "3": "Archived"}
    roll_back(client, MODEL)
    assert stages(client) == {"1": "Production", "2": "Archived", "3": "Archived"}
    with pytest.raises(Refused, match="no version of toy was in Production before version 1"):
        roll_back(client, MODEL)


def test_commands_say_every_step(
    client: MlflowClient, toy: Toy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow.get_tracking_uri())
    monkeypatch.delenv("STORE_URL", raising=False)
    first = train_run(client, MODEL, toy, WEAK, f1=0.6)
    best = train_run(client, MODEL, toy, STRONG, f1=0.9)

    def run(*arguments: str) -> str:
        monkeypatch.setattr("sys.argv", ["promotion", *arguments, "--model-name", MODEL])
        main()
        return capsys.readouterr().out

    assert run("best").splitlines()[-1] == f"best: {best}"
    run("promote", "--run", first)
    assert f"the best of 2 runs by crossValidatedF1 is {best}: 0.9000" in run("promote")
    assert stages(client) == {"1": "Archived", "2": "Production"}
    run("rollback")
    assert stages(client) == {"1": "Production", "2": "Archived"}
    with pytest.raises(SystemExit, match="promote failed: toy has no version 7"):
        run("promote", "--version", "7")
    with pytest.raises(SystemExit):
        run("rollback", "--preview")
    assert "--preview needs --store or STORE_URL" in capsys.readouterr().err


def test_a_model_that_does_not_give_its_golden_labels_is_refused(client: MlflowClient, toy: Toy) -> None:
    run = train_run(client, MODEL, toy, WEAK, wrong_golden=True)
    with pytest.raises(Refused, match="1 of the 32 golden rows(.|\n)*train it again"):
        promote(client, open_run(client, MODEL, run))
    assert not client.search_registered_models()


def test_a_missing_onnx_copy_is_refused(client: MlflowClient, toy: Toy) -> None:
    run = train_run(client, MODEL, toy, WEAK)
    body = json.loads(read_artifact(client, run, "contract/contract.json"))
    body["onnx"] = {"file": "model.onnx", "sha256": "0" * 64}
    client.log_text(run, json.dumps(body), "contract/contract.json")
    with pytest.raises(Refused, match="names the ONNX copy model.onnx, which its run does not have"):
        promote(client, open_run(client, MODEL, run))
    client.log_text(run, "another", "contract/model.onnx")
    with pytest.raises(Refused, match="is not the one of its contract"):
        promote(client, open_run(client, MODEL, run))


def test_what_is_not_there_is_said(client: MlflowClient) -> None:
    with pytest.raises(Refused, match="there is no experiment other"):
        list_runs(client, MODEL, "other")
    with pytest.raises(Refused, match="no finished run of toy has a model"):
        list_runs(client, MODEL, MODEL)
    with pytest.raises(Refused, match="there is no run abc"):
        open_run(client, MODEL, "abc")
    with pytest.raises(Refused, match="no version of toy is in Production"):
        roll_back(client, MODEL)
    with mlflow.start_run(experiment_id=client.get_experiment_by_name(MODEL).experiment_id) as run:
        mlflow.log_metric("testF1", 0.9)
    with pytest.raises(Refused, match="has no contract/contract.json"):
        open_run(client, MODEL, run.info.run_id)
