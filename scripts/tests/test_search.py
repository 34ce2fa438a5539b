"""A search that was interrupted ends where one in one go does; bad trials are pruned; scores are what they say."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from optuna.trial import FrozenTrial, TrialState

from scripts.tests.payment_model.table import CATALOGUE_FILE
from scripts.training import cross_validation
from scripts.training import search as search_module
from scripts.training.__main__ import parse_options
from scripts.training.acquire import acquire
from scripts.training.catalogue import read_catalogue
from scripts.training.cross_validation import f1_of, fold_scores
from scripts.training.preprocess import preprocess
from scripts.training.progress import trial_progress
from scripts.training.score import customer_interval, mean_interval, weighted_f1
from scripts.training.search import Search, best_of, search_parameters
from scripts.training.split import Split, split_table
from scripts.training.study_log import study_csv

CATALOGUE = read_catalogue()
TRIALS = 8
FREE = 3
ROWS = 200


class Interrupted(Exception):
    """The process is gone."""


@pytest.fixture(scope="module")
def split() -> Split:
    """A few customers, so that a trial takes no time."""
    table = preprocess(acquire("generated"), CATALOGUE)
    few = replace(
        table, features=table.features[:ROWS], labels=table.labels[:ROWS], customers=table.customers[:ROWS],
    )
    return split_table(few)


@pytest.fixture(scope="module", autouse=True)
def short() -> Iterator[None]:
    """Five folds instead of ten, and after three trials the search learns."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cross_validation, "FOLD_REPEATS", 1)
        shorter = {"FOLD_REPEATS": 1, "RANDOM_TRIALS": FREE}
        for name, value in shorter.items():
            patch.setattr(search_module, name, value)
        yield


@pytest.fixture(scope="module")
def in_one_go(tmp_path_factory: pytest.TempPathFactory, split: Split) -> list[FrozenTrial]:
    """The trials of a search that nobody interrupts."""
    return search_parameters(search_in(tmp_path_factory.mktemp("one")), split, lambda _: None)


def search_in(folder: Path) -> Search:
    """A search whose study is a file in this folder."""
    return Search(f"sqlite:///{folder / 'study.db'}", "test", "0" * 64, CATALOGUE, TRIALS, seed=5)


def told(trials: list[FrozenTrial]) -> list[tuple]:
    """All that a search finds out."""
    return [(trial.params, trial.state, trial.value, trial.intermediate_values) for trial in trials]


def test_an_interrupted_search_goes_on_to_the_same_result(
    in_one_go: list[FrozenTrial], split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stop_after(count: int):
        seen: list[FrozenTrial] = []

        def report(trial: FrozenTrial) -> None:
            seen.append(trial)
            if len(seen) == count:
                raise Interrupted

        return report

    def torn(*given) -> Iterator[float]:
        folds = fold_scores(*given)
        yield next(folds)
        yield next(folds)
        raise Interrupted

    asked = search_in(tmp_path)
    with pytest.raises(Interrupted):
        search_parameters(asked, split, stop_after(2))
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(search_module, "fold_scores", torn)
        search_parameters(asked, split, lambda _: None)
    with pytest.raises(Interrupted):
        search_parameters(asked, split, stop_after(TRIALS - 1))
    reported: list[FrozenTrial] = []
    trials = search_parameters(asked, split, reported.append)
    assert told(trials) == told(in_one_go) == told(reported)
    assert best_of(trials) == best_of(in_one_go)


def test_a_finished_search_is_not_made_again(
    in_one_go: list[FrozenTrial], split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = search_in(tmp_path)
    search_parameters(replace(asked, trials=2), split, lambda _: None)
    monkeypatch.setattr(search_module, "run_trial", None)
    assert told(search_parameters(replace(asked, trials=2), split, lambda _: None)) == told(in_one_go[:2])
    with pytest.raises(TypeError):
        search_parameters(replace(asked, trials=2, data_sha256="1" * 64), split, lambda _: None)


def test_trials_that_fall_behind_are_pruned(in_one_go: list[FrozenTrial]) -> None:
    pruned = [trial for trial in in_one_go if trial.state == TrialState.PRUNED]
    assert pruned and in_one_go[0].state == TrialState.COMPLETE
    for trial in pruned:
        complete = [other for other in in_one_go[:trial.number] if other.state == TrialState.COMPLETE]
        best = max(complete, key=lambda other: other.value).intermediate_values
        assert trial.last_step == 4
        assert all(score <= best[fold] for fold, score in trial.intermediate_values.items())
    log = study_csv(in_one_go).splitlines()
    assert len(log) == TRIALS + 1 and ",pruned," in "".join(log)


def test_progress_is_lines_or_a_bar(
    in_one_go: list[FrozenTrial], caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO), trial_progress(2, is_terminal=False) as advance:
        advance(in_one_go[0])
        advance(in_one_go[1])
    best = max(in_one_go[0].value, in_one_go[1].value)
    assert caplog.messages[0].startswith(f"trial 1 of 2: cross-validated F1 {in_one_go[0].value:.4f}")
    assert caplog.messages[1].endswith(f"best {best:.4f}")
    with trial_progress(2, is_terminal=True) as advance:
        advance(in_one_go[0])
    assert "1/2" in capsys.readouterr().err


@pytest.mark.parametrize("catalogue", [CATALOGUE, read_catalogue(CATALOGUE_FILE)])
def test_intervals_are_of_the_same_f1(catalogue) -> None:
    rng = np.random.default_rng(1)
    codes = np.array(list(catalogue.codes.values()))
    labels, predicted = rng.choice(codes, 300), rng.choice(codes, 300)
    predicted[:200] = labels[:200]
    rows = rng.integers(0, 300, 300)
    weights = np.stack([np.ones(300, int), np.bincount(rows, minlength=300)])
    f1 = f1_of(catalogue)
    expected = [f1(labels, predicted), f1(labels[rows], predicted[rows])]
    assert weighted_f1(catalogue, predicted, labels, weights).tolist() == pytest.approx(expected)
    low, high = customer_interval(catalogue, [predicted], labels)
    assert low < expected[0] < high
    low, high = mean_interval([0.8, 0.82, 0.84])
    reach = 4.3027 * 0.02 / 3**0.5
    assert [low, high] == pytest.approx([0.82 - reach, 0.82 + reach], rel=1e-4)


def test_the_password_of_the_study_is_in_no_command_line(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        parse_options(["--study", "postgresql://optuna:secret@127.0.0.1/study"])
    told = capsys.readouterr().err
    assert "PGPASSWORD" in told and "secret" not in told
    assert parse_options(["--study", "postgresql://optuna@127.0.0.1/study"]).storage.endswith("/study")
