"""Sweeps: what a trial is given, a dry run, and the job on a real local Ray: resumed, killed, used, tracked."""

import json
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests.conftest import ROOT
from tests.finetune.test_finetune_job import write_study
from tests.fixtures.alone import train_here, unknown
from tikval.cli.job import run_job
from tikval.config import FinetuneConfig, SweepConfig, UserError, load_config
from tikval.finetune.inputs import folds_of_config, load_examples
from tikval.finetune.loop import Epoch
from tikval.finetune.sweep_plan import SweepPlan, plan_sweep
from tikval.finetune.training import Training
from tikval.finetune.trial import Trial, inner, ranked_trials, score_of
from tikval.finetune.trial_files import TrialFiles, read_trials
from tikval.flow import finetune, sweep
from tikval.stats.folds import Fold
from tikval.store.folder import Folder

SPACE = {
    "fit.learning_rate": {"low": 0.001, "high": 0.03, "log": True},
    "model.dropout": {"values": [0, 0.2]},
}


def write_sweep(folder: Path, study: dict[str, Any] | None = None, **keys: Any) -> Path:
    fit: dict[str, Any] = {"batch_rows": 8, "learning_rate": 0.01, "epochs": 2, "patience": 2}
    protocol = {"name": "honest", "partitions": 1, "folds": 2}
    tuned = write_study(folder, **{"fit": fit, "protocol": protocol, **(study or {})})
    config = {
        "finetune": str(tuned),
        "out": str(folder / "out"),
        "space": SPACE,
        "trials": 3,
        "pool": {"actors": 2, "cpus": 0.5},
        **keys,
    }
    path = folder / "sweep.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def trial(number: int, score: float | None, **keys: Any) -> Trial:
    return Trial("p0-f0", number, {"fit.learning_rate": 0.1}, score, (), 1.0, False, **keys)


def trials_of(config: SweepConfig) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = Folder(config.folder).read().to_pylist()
    return found


def test_a_trial_is_given_no_test_row(tmp_path: Path) -> None:
    tuned = load_config(SweepConfig, str(write_sweep(tmp_path)), []).finetune
    examples = load_examples(tuned)
    for fold in folds_of_config(tuned, examples):
        given = inner(examples, Training(fold, 0, tuned.model, tuned.fit), "global")
        seen = given.training.fold
        assert given.examples.ids == tuple(sorted((*fold.train, *fold.validation)))
        assert set(fold.test).isdisjoint({*given.examples.ids, *seen.train, *seen.validation, *seen.test})
        assert given.examples.texts is not None
        assert examples.texts is not None
        place = {video_id: n for n, video_id in enumerate(examples.ids)}
        for video_id, text, truth in zip(
            given.examples.ids, given.examples.texts, given.examples.truth, strict=True
        ):
            assert text == examples.texts[place[video_id]]
            assert (truth == examples.truth[place[video_id]]).all()
        bare = replace(fold, validation=())
        with pytest.raises(ValueError, match="no validation rows"):
            inner(examples, Training(bare, 0, tuned.model, tuned.fit), "global")


def dry_run(path: Path, monkeypatch: pytest.MonkeyPatch, *sets: str) -> int:
    """The exit code of the command."""
    monkeypatch.setattr(sys, "argv", ["jobs.sweep", str(path), *sets, "--dry-run"])
    with pytest.raises(SystemExit) as done:
        run_job("sweep")
    assert isinstance(done.value.code, int)
    return done.value.code


def test_a_dry_run_says_what_would_be_tried_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("optuna")
    axes = {"fit.batch_rows": {"values": [4, 32]}, "model.max_tokens": {"values": [16, 32, 10_000]}}
    path = write_sweep(tmp_path, space=SPACE | axes)
    assert dry_run(path, monkeypatch) == 0
    output, warned = capsys.readouterr()
    assert "60 rows, 1 without a text or vector, 2 labels" in output
    assert "2 folds, 3 trials in each; rows of the first: 24 train, 6 validation" in output
    assert "fit.learning_rate: 0.001 to 0.03, log\nmodel.dropout: 0, 0.2\n" in output
    assert "lie outside the space" in output, "8 rows are neither 4 nor 32"
    assert "max_tokens: 32\n" in output, "the largest that can be trained"
    for rows_ in (4, 32):
        assert f"cannot be trained: fit.batch_rows={rows_} model.max_tokens=10000: " in warned
    assert warned.count("warning") == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"study": {"labels": ["kindness+", "kindness-"]}}, "without a positive row: kindness-"),
        ({"study": {"protocol": {"name": "honest", "partitions": 1, "folds": 11}}}, "groups"),
        ({"study": {"protocol": {"name": "given"}}}, "split"),
        ({"study": {"model": {"kind": "text", "model": "/nowhere/bert"}}}, "/nowhere/bert"),
        (
            {"space": {"model.max_tokens": {"values": [9000, 10_000]}}},
            "no trial .*model.max_tokens=9000: .*at most",
        ),
        ({"space": {"fit.rate": {"low": 1, "high": 2}}}, "fit.rate: no setting"),
    ],
)
def test_what_cannot_work_is_named_before_any_trial(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    keys: dict[str, Any],
    message: str,
) -> None:
    pytest.importorskip("optuna")
    assert dry_run(write_sweep(tmp_path, **keys), monkeypatch) == 2
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "out").exists()


def test_too_little_memory_for_any_trial_is_named_before_one_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("optuna")
    monkeypatch.setattr(sweep, "memory_of_a_training", lambda pool, workers: 100_000)
    with pytest.raises(UserError, match="no trial can be trained: a trial needs about"):
        sweep.run_sweep(load_config(SweepConfig, str(write_sweep(tmp_path)), []))
    assert not (tmp_path / "out").exists()


def test_scores_and_places() -> None:
    def epoch(head: int, n: int, loss: float, score: float) -> Epoch:
        return Epoch(head, n, 1.0, loss, score, False, 1.0, 1.0)

    history = [epoch(0, 1, 0.5, 0.2), epoch(0, 2, 0.6, 0.4), epoch(1, 1, 0.3, 1.0)]
    assert score_of(history[:2], "macro_f1", np.array([3, 1])) == 0.4
    assert score_of(history[:2], "loss", np.array([3, 1])) == 0.5
    assert score_of(history, "macro_f1", np.array([3, 1])) == pytest.approx(0.7)
    assert score_of(history, "weighted_f1", np.array([3, 1])) == pytest.approx(0.55)
    with pytest.raises(FloatingPointError):
        score_of([epoch(0, 1, float("nan"), 0.0)], "loss", np.array([1]))

    trials = [trial(0, 0.3), trial(1, None, error="no_score"), trial(2, 0.5), trial(3, 0.5)]
    assert [each.number for each in ranked_trials(trials, "macro_f1")] == [2, 3, 0]
    assert [each.number for each in ranked_trials(trials, "loss")] == [0, 2, 3]
    assert Trial.from_json(trials[1].to_json()) == trials[1]


def test_a_later_start_knows_what_was_tried_and_draws_anew(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    from tikval.flow.tune_search import Schedulers, Searches

    config = load_config(SweepConfig, str(write_sweep(tmp_path)), [("trials", 6), ("search", "random")])
    first = Searches(config, ["p0-f0"], config.own, [])
    asked = [first.suggest(str(n))["settings"] for n in range(6)]
    assert asked[0] == config.own
    assert first.suggest("more") == "FINISHED"
    done = [
        replace(
            trial(n, 0.1 * n), settings=asked[n], history=({"head": 0, "score": 0.1 * n, "loss": 1.0},) * 2
        )
        for n in (0, 1, 3)
    ]
    again = Searches(config, ["p0-f0"], config.own, done)
    drawn = [again.suggest(str(n))["settings"] for n in range(3)]
    assert not any(settings in asked for settings in drawn)
    assert [again.started[str(n)][1] for n in range(3)] == [2, 4, 5]
    assert again.suggest("more") == "FINISHED"

    stopped: set[str] = set()
    from types import SimpleNamespace

    late = SimpleNamespace(trial_id="late", config={"fold": "p0-f0"})
    scheduler = Schedulers(config, ["p0-f0"], done, stopped)
    scheduler.on_trial_add(None, late)
    result = {"epoch": 1, "score": 0.05, "over": False}
    assert scheduler.on_trial_result(None, late, result) == "STOP"
    assert stopped == {"late"}


def test_a_sweep_killed_after_its_last_trial_needs_no_more_of_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("optuna")
    config = load_config(SweepConfig, str(write_sweep(tmp_path)), [("trials", 2)])
    plan, folder = plan_sweep(config, unknown), Folder(config.folder)
    assert isinstance(plan, SweepPlan)
    files = TrialFiles(folder, plan.state)
    history = ({"head": 0, "train_loss": 0.7, "loss": 0.5, "score": 0.25},)
    done = [replace(trial(0, 0.25), fold=fold, history=history) for fold in plan.given]
    done += [replace(trial(1, 0.5), fold="p0-f0", settings={"fit.learning_rate": 0.02}, stopped_early=True)]
    done += [replace(trial(1, None, error="no_score", detail="too steep"), fold="p0-f1")]
    for each in done:
        files.write(each)
    TrialFiles(folder, "of other annotations").write(trial(1, 1.0))

    run = sweep.run_sweep(config)
    assert (run.rows, run.failed) == (4, {"no_score": 1})
    assert read_trials(folder) == sorted(done, key=lambda each: (each.fold, each.number))
    best = load_config(FinetuneConfig, f"{config.folder}/best.yaml", [])
    assert best.by_fold == {"p0-f0": {"fit.learning_rate": 0.02}, "p0-f1": {"fit.learning_rate": 0.1}}
    assert sweep.run_sweep(config) == run
    assert "p0-f0: macro_f1 0.5000 of 2 trials" in capsys.readouterr().out


@pytest.mark.ray
@pytest.mark.usefixtures("local_ray")
def test_each_folds_best_is_found_inside_it_and_finetune_takes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("optuna")
    import ray

    put, given = ray.put, []

    def recorded(value: Any, **keys: Any) -> Any:
        if hasattr(value, "examples"):
            given.append(pickle.dumps(value))
        return put(value, **keys)

    monkeypatch.setattr(ray, "put", recorded)
    # windows that cannot overlap so far are a failure of the trial
    space = SPACE | {"model.overlap_tokens": {"values": [2, 64]}}
    study = {"model": {"kind": "text", "model": str(tmp_path / "bert"), "max_tokens": 16, "pooling": "mean"}}
    study["model"] |= {"dropout": 0, "long_texts": "windows", "overlap_tokens": 2}
    config = load_config(SweepConfig, str(write_sweep(tmp_path, study, space=space, trials=4)), [])
    run = sweep.run_sweep(config)
    output = capsys.readouterr().out
    table = trials_of(config)
    assert Counter(row["fold"] for row in table) == {"p0-f0": 4, "p0-f1": 4}
    assert [row["number"] for row in table] == [0, 1, 2, 3] * 2
    assert run.rows == 8

    folds = {fold.name: fold for fold in folds_of_config(config.finetune, load_examples(config.finetune))}
    check_no_test_row_was_given(list(folds.values()), given)
    check_scores_and_failures(table)
    assert run.failed.get("no_score", 0) == sum(row["score"] is None for row in table)

    path = f"{config.folder}/best.yaml"
    best = load_config(FinetuneConfig, path, [])
    top = {name: max((row for row in table if row["fold"] == name), key=rank) for name in folds}
    assert best.by_fold == {name: json.loads(row["settings"]) for name, row in top.items()}
    for name, row in top.items():
        assert f"{name}: macro_f1 {row['score']:.4f} of 4 trials" in output
    assert "the configuration's own: place" in output
    assert path in output

    # trained by it, each fold is as good on its validation rows as its best trial was
    monkeypatch.setattr(finetune, "run_trainings", train_here)
    finetune.finetune_systems([best])
    for entry in json.loads((Path(best.folder) / "history.json").read_text()):
        row = top[entry["training"].removesuffix("-s0")]
        assert max(epoch["score"] for epoch in entry["history"][: row["epochs"]]) == row["score"]

    begin = time.monotonic()
    assert sweep.run_sweep(config) == run
    assert time.monotonic() - begin < 3


def check_no_test_row_was_given(folds: list[Fold], given: list[bytes]) -> None:
    """Nothing of a test row was ever handed to a trial."""
    assert len(given) == 2
    for fold, raw in zip(folds, given, strict=True):
        assert all(name.encode() in raw for name in (*fold.train, *fold.validation))
        assert not any(name.encode() in raw for name in fold.test)


def check_scores_and_failures(table: list[dict[str, Any]]) -> None:
    """Windows that cannot overlap so far are failures, all other trials have a score."""
    for row in table:
        settings = json.loads(row["settings"])
        if settings["model.overlap_tokens"] == 64:
            assert (row["error"], row["score"]) == ("no_score", None)
            assert "overlap" in row["detail"]
        else:
            assert row["error"] is None
            assert 0 <= row["score"] <= 1
            assert row["epochs"] == (1 if row["stopped_early"] else 2)


def rank(row: dict[str, Any]) -> tuple[float, int]:
    return -1.0 if row["score"] is None else row["score"], -row["number"]


@pytest.mark.ray
@pytest.mark.full  # three starts of Ray
def test_a_killed_sweep_runs_only_what_is_left(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    path = write_sweep(tmp_path)
    config = load_config(SweepConfig, str(path), [])
    command = [sys.executable, "-m", "jobs.sweep", str(path)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    place, deadline = Path(config.folder) / "trials", time.monotonic() + 200
    while len(list(place.rglob("*.json"))) < 2:
        assert process.poll() is None, process.stdout and process.stdout.read().decode()[-3000:]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    kept = {file: file.stat().st_mtime_ns for file in place.rglob("*.json")}
    assert 2 <= len(kept) < 6, "it was over before it could be killed"
    assert Folder(config.folder).run() is None

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"{6 - len(kept)} to do, {len(kept)} done before" in done.stderr
    assert {file: file.stat().st_mtime_ns for file in kept} == kept
    table = trials_of(config)
    assert [(row["fold"], row["number"]) for row in table] == [
        (f"p0-f{fold}", number) for fold in range(2) for number in range(3)
    ]
    own = [json.loads(row["settings"]) for row in table if row["number"] == 0]
    assert own == [config.own] * 2
    assert len({row["settings"] for row in table}) > 2


def test_trials_are_tracked_once(tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    from mlflow import MlflowClient

    from tikval.finetune.tracking import Tracker

    uri = f"sqlite:///{tmp_path}/mlflow.db"
    path = write_sweep(tmp_path, mlflow={"tracking_uri": uri, "experiment": "tiny"})
    config = load_config(SweepConfig, str(path), [])
    history = tuple({"train_loss": 1.0, "loss": 0.5, "score": 0.1 * n, "epoch": n} for n in (1, 2))
    trials = [replace(trial(0, 0.2), history=history), trial(1, None, error="no_score", detail="too steep")]
    assert Tracker(config, "state").log(trials[:1]) is None
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("tiny")
    assert experiment is not None
    tags = {"tikval.sweep": config.fingerprint, "tikval.state": "state", "tikval.stage": "sweep"}
    client.create_run(experiment.experiment_id, tags=tags)  # of a driver that was killed
    assert Tracker(config, "state").log(trials) is None

    runs = {run.data.tags["tikval.trial"]: run for run in client.search_runs([experiment.experiment_id])}
    assert len(runs) == 2
    assert runs["0"].data.params == {"fit.learning_rate": "0.1", "stopped_early": "false"}
    assert runs["0"].data.metrics["best"] == 0.2
    assert [(m.step, m.value) for m in client.get_metric_history(runs["0"].info.run_id, "score")] == [
        (1, 0.1),
        (2, 0.2),
    ]
    assert (runs["1"].info.status, runs["1"].data.tags["tikval.error"]) == ("FAILED", "too steep")
    assert "best" not in runs["1"].data.metrics
    with pytest.raises(UserError, match="MLflow cannot be used"):
        Tracker(load_config(SweepConfig, str(path), [("mlflow.tracking_uri", "what://x")]), "state")
