"""The fine-tuning job by its command, on a real local Ray with tiny encoders: folds in parallel, a worker killed."""

import contextlib
import csv
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest
import torch
import yaml

from tests.conftest import ROOT
from tests.fixtures.alone import train_here, unknown
from tests.fixtures.tiny_encoders import WRITERS, write_bert
from tikval.config import FinetuneConfig, UserError, load_config
from tikval.finetune.finetune_plan import FinetunePlan, plan_finetuning
from tikval.finetune.training import train_model
from tikval.finetune.training_results import ResultRows
from tikval.flow import finetune, train
from tikval.flow.train import TrainingGroup
from tikval.machine import cores
from tikval.stats.folds import from_json
from tikval.store.folder import Folder
from tikval.store.status import read_status

pytestmark = [pytest.mark.ray, pytest.mark.timeout(400)]

GIVEN = {"name": "given"}
WORDS = {"kindness": "we help the old lady", "thrill": "a wild jump from the roof"}


def write_study(folder: Path, n: int = 60, **keys: Any) -> Path:
    """Texts whose words say their values, of ten accounts; a codebook of two values. Returns the configuration."""
    values = [
        {
            "slug": slug,
            "title": slug,
            "definition": text,
            "motivation": text,
            "endorsing": [text],
            "confronting": ["no"],
        }
        for slug, text in WORDS.items()
    ]
    book = {"name": "two", "version": 1, "source": "a test", "values": values}
    (folder / "codebook.yaml").write_text(yaml.safe_dump(book))
    with (folder / "texts.csv").open("w") as texts, (folder / "labels.csv").open("w") as labels:
        text_rows, label_rows = csv.writer(texts), csv.writer(labels)
        text_rows.writerow(["video_id", "text", "account"])
        label_rows.writerow(["video_id", *WORDS])
        for i in range(n):
            truth = [(i + k) % 3 == 0 for k in range(2)]
            words = [text for text, yes in zip(WORDS.values(), truth, strict=True) if yes] or ["the sun sets"]
            text_rows.writerow([f"t{i:03}", " and ".join(words), f"account {i % 10}"])
            label_rows.writerow([f"t{i:03}", *map(int, truth)])
        label_rows.writerow(["t999", 1, 0])  # annotated, and nobody has its text
    model = write_bert(folder / "bert", [*WORDS.values(), "the sun sets and"])
    config = {
        "texts": {"table": str(folder / "texts.csv"), "annotations": str(folder / "labels.csv")},
        "out": str(folder / "out"),
        "system": "tiny",
        "codebook": str(folder / "codebook.yaml"),
        "labels": ["kindness+", "thrill+"],
        "model": {"kind": "text", "model": str(model), "max_tokens": 16, "pooling": "mean", "dropout": 0},
        "fit": {"batch_rows": 8, "learning_rate": 0.01, "epochs": 6, "patience": 6},
        "protocol": {"name": "honest", "partitions": 1, "folds": 3},
        "pool": {"actors": 3, "cpus": 0.5},
        **keys,
    }
    path = folder / "finetune.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def rows(config: FinetuneConfig) -> list[Any]:
    found: list[Any] = Folder(config.folder).read().to_pylist()
    return found


@pytest.mark.usefixtures("local_ray")
def test_systems_train_their_folds_among_each_other(tmp_path: Path) -> None:
    """One command: RoBERTa's two folds in parallel, DeBERTa on two workers; random weights.

    That each architecture trains, tests/finetune/test_model.py shows without Ray.
    """
    configs = []
    for name, protocol, workers in (("roberta", {"partitions": 1, "folds": 2}, 1), ("deberta", GIVEN, 2)):
        keys: dict[str, Any] = {"system": name, "protocol": protocol, "workers": workers}
        keys |= {"model": encoder(tmp_path, name), "pool": {"cpus": 0.5}}
        configs.append(load_config(FinetuneConfig, str(write_study(tmp_path, **keys)), [("fit.epochs", 1)]))
    split_texts(tmp_path / "texts.csv")
    runs = finetune.finetune_systems(configs)
    for config, run in zip(configs, runs, strict=True):
        folds = from_json((Path(config.folder) / "folds.json").read_text())
        of = {video_id: fold.fold for fold in folds for video_id in fold.test}
        assert len(of) == (60 if len(folds) == 2 else 18)
        assert (run.rows, run.failed) == (len(of) + 1, {"missing_file": 1})
        table = rows(config)
        assert [row["video_id"] for row in table] == [*sorted(of), "t999"]
        assert all(row["fold"] == of.get(row["video_id"]) for row in table)
        assert not (Path(config.folder) / "ray").exists(), "Ray Train's checkpoints are gone"
    assert finetune.finetune_systems(configs) == runs


def encoder(folder: Path, name: str) -> dict[str, Any]:
    path = WRITERS[name](folder / name, [*WORDS.values(), "the sun sets and"])
    return {"kind": "text", "model": str(path), "max_tokens": 16}


def start(path: Path, *sets: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "jobs.finetune", str(path), *sets],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


@pytest.mark.full  # 50 s; that a training goes on from its checkpoint is shown without Ray
def test_a_killed_worker_changes_nothing_but_the_time(tmp_path: Path) -> None:
    """The killed run is a process of its own, so that its workers can be told from those of other tests."""
    path = write_study(
        tmp_path,
        fit={"batch_rows": 2, "learning_rate": 0.003, "epochs": 8, "patience": 8},
        protocol=GIVEN,
    )
    split_texts(tmp_path / "texts.csv")
    config = load_config(FinetuneConfig, str(path), [])
    killed, deadline = 0, time.monotonic() + 150
    with start(path) as process:
        try:
            while process.poll() is None and not killed:
                assert time.monotonic() < deadline
                if any(Path(config.folder).glob("ray/p0-f0*/checkpoint*/state.pt")):
                    for child in psutil.Process(process.pid).children(recursive=True):
                        with contextlib.suppress(psutil.NoSuchProcess):
                            if "RayTrainWorker" in " ".join(child.cmdline()) + child.name():
                                child.kill()
                                killed += 1
                time.sleep(0.02)
            output, _ = process.communicate(timeout=250)
        finally:
            process.kill()  # or a test that fails would leave it running
    assert process.returncode == 0, output.decode()[-3000:]
    assert killed, "it was over before a worker could be killed"
    history = json.loads((Path(config.folder) / "history.json").read_text())
    assert all(len(entry["history"]) == 8 for entry in history)

    # an undisturbed run predicts the same: without Ray, which changes nothing either
    *table, without_text = rows(config)
    assert len(table) == 18
    assert table == sorted(undisturbed(config), key=itemgetter("video_id"))
    assert (without_text["video_id"], without_text["error"]) == ("t999", "missing_file")


def undisturbed(config: FinetuneConfig) -> list[Any]:
    """The rows of each training, trained in this process."""
    torch.set_num_threads(1)
    plan = plan_finetuning(config, unknown, dry_run=True)
    assert isinstance(plan, FinetunePlan)
    found = []
    for training in plan.trainings:
        learnt = train_model(
            plan.examples, training, config.protocol.threshold, on_epoch=lambda epoch, state: None
        )
        found += ResultRows(config, plan.examples)(training, learnt).to_pylist()
    return found


def split_texts(table: Path) -> None:
    """Name in a column which rows train and which test."""
    lines = table.read_text().splitlines()
    column = ["split", *("test" if i % 10 < 3 else "train" for i in range(len(lines) - 1))]
    table.write_text("".join(f"{line},{word}\n" for line, word in zip(lines, column, strict=True)))


class Part(NamedTuple):
    name: str


class Trainer:
    """A stand-in for one training on Ray: counts how many of each group there are at once.

    A training called "bad" fails, and those of the system "calm" wait for that.
    """

    def __init__(self, error: Exception) -> None:
        self.error, self.lock, self.failed = error, threading.Lock(), threading.Event()
        self.running, self.most, self.done = Counter[str](), Counter[str](), list[str]()

    def __call__(self, group: TrainingGroup[Any], held: Any, training: Part) -> None:
        folder = group.config.folder
        with self.lock:
            self.running[folder] += 1
            self.most[folder] = max(self.most[folder], self.running[folder])
        time.sleep(0.05)  # or one too many might be missed
        try:
            if training.name == "bad":
                self.failed.set()
                raise self.error
            assert not training.name.startswith("calm") or self.failed.wait(timeout=60)
            self.done.append(training.name)
        finally:
            with self.lock:
                self.running[folder] -= 1


def group_of(folder: Path, system: str, names: Sequence[str], **keys: Any) -> TrainingGroup[Part]:
    sets = [("system", system), *keys.items()]
    config = load_config(FinetuneConfig, str(folder / "finetune.yaml"), sets)
    return TrainingGroup(config, lambda training, worker: None, [Part(name) for name in names], "state", 0)


@pytest.mark.parametrize(
    "keys",
    [
        {"pool": {"actors": 2}},
        {"pool": {"actors": [1, 2]}},
        {"pool": {"cpus": cores() / 2}},  # as many as there is room for
        {"pool": {"cpus": cores() / 4}, "workers": 2},
    ],
)
@pytest.mark.usefixtures("local_ray")
def test_a_group_that_fails_ends_alone_and_none_has_more_than_its_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: dict[str, Any]
) -> None:
    write_study(tmp_path)
    calm = group_of(tmp_path, "calm", ["calm0", "calm1", "calm2", "calm3"], **keys)
    fails = group_of(tmp_path, "fails", ["good", "bad", "never"], pool={"actors": 1, "cpus": 0})
    trainer = Trainer(ValueError("no loss"))
    monkeypatch.setattr(train, "_train", trainer)
    with pytest.raises(UserError) as caught:
        train.run_trainings([calm, fails])
    assert str(caught.value) == f"{fails.config.folder}: no loss"
    assert sorted(trainer.done) == ["calm0", "calm1", "calm2", "calm3", "good"]
    assert trainer.most == {calm.config.folder: 2, fails.config.folder: 1}
    for group, state, done in ((calm, "finished", 4), (fails, "stopped", 1)):
        status = read_status(group.config.folder)
        assert status is not None
        assert (status.state, status.done) == (state, done)


@pytest.mark.usefixtures("local_ray")
def test_what_ended_groups_is_named_for_each_and_a_bug_is_raised_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_study(tmp_path)
    groups = [group_of(tmp_path, system, ["bad"]) for system in ("one", "two")]
    monkeypatch.setattr(train, "_train", Trainer(ValueError("no loss")))
    with pytest.raises(UserError) as caught:
        train.run_trainings(groups)
    assert str(caught.value) == "; ".join(f"{group.config.folder}: no loss" for group in groups)
    monkeypatch.setattr(train, "_train", Trainer(KeyError("a bug")))
    with pytest.raises(KeyError, match="a bug"):
        train.run_trainings(groups)


def test_what_a_text_says_is_learnt_by_each_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finetune, "run_trainings", train_here)
    torch.set_num_threads(1)
    sets = [("protocol.folds", 2), ("protocol.seeds", 2)]
    config = load_config(FinetuneConfig, str(write_study(tmp_path)), sets)
    run = finetune.finetune_systems([config])[0]
    assert (run.rows, run.failed) == (122, {"missing_file": 2})
    one, other = ([row for row in rows(config) if row["seed"] == seed] for seed in (0, 1))
    assert [row["video_id"] for row in one] == [row["video_id"] for row in other]
    assert [row["scores"] for row in one] != [row["scores"] for row in other]
    good = one[:-1]
    right = sum(row["decisions"][k] == ((i + k) % 3 == 0) for i, row in enumerate(good) for k in range(2))
    assert right / 120 > 0.85
    untrained = "labels that were not trained are not absent"
    assert all(row["decisions"][2:] == [None, None] for row in good), untrained
    history = json.loads((Path(config.folder) / "history.json").read_text())
    assert {entry["training"] for entry in history} == {"p0-f0-s0", "p0-f1-s0", "p0-f0-s1", "p0-f1-s1"}
    assert all(1 <= len(entry["history"]) <= 6 for entry in history)
    model = json.loads((Path(config.folder) / "models/p0-f0-s0/model.json").read_text())
    assert model["labels"] == ["kindness+", "thrill+"]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"labels": ["kindness+", "kindness-"]}, "without a positive row: kindness-"),
        ({"labels": ["courage+"]}, r"courage\+: not among"),
        ({"labels": None, "min_share": 0.9}, "no label reaches"),
        ({"protocol": {"name": "honest", "partitions": 1, "folds": 11}}, "groups"),
        ({"protocol": {"name": "given"}}, "split"),
        ({"model": {"kind": "text", "model": "/nowhere/bert"}}, "/nowhere/bert"),
    ],
)
def test_what_cannot_work_is_named_before_anything_starts(
    tmp_path: Path, keys: dict[str, Any], message: str
) -> None:
    config = load_config(FinetuneConfig, str(write_study(tmp_path, **keys)), [])
    with pytest.raises(UserError, match=message):
        plan_finetuning(config, unknown, dry_run=True)


def test_too_little_memory_is_named_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finetune, "memory_of_a_training", lambda pool, workers: 100_000)
    config = load_config(FinetuneConfig, str(write_study(tmp_path)), [])
    with pytest.raises(UserError, match="gradient_checkpointing"):
        finetune.finetune_systems([config])
    assert not Path(config.folder).exists()


def test_a_dry_run_says_what_would_be_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = load_config(FinetuneConfig, str(write_study(tmp_path)), [])
    plan_finetuning(config, unknown, dry_run=True)
    output = capsys.readouterr().out
    assert "60 rows, 1 without a text or vector, 2 labels" in output
    assert "3 trainings" in output
    assert not Path(config.folder).exists()
