"""The fine-tuning job by its command, on a real local Ray with tiny encoders: folds in parallel, a worker killed."""

import contextlib
import csv
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from jobs import finetune
from tests.conftest import ROOT
from tests.tiny_encoders import write_bert
from tikval.config import FinetuneConfig, UserError, load_config
from tikval.finetune.folds import from_json
from tikval.flow.folder import Folder

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]

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
            said = [(i + k) % 3 == 0 for k in range(2)]
            words = [text for text, yes in zip(WORDS.values(), said, strict=True) if yes] or ["the sun sets"]
            text_rows.writerow([f"t{i:03}", " and ".join(words), f"account {i % 10}"])
            label_rows.writerow([f"t{i:03}", *map(int, said)])
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


@pytest.mark.full
@pytest.mark.usefixtures("local_ray")
def test_folds_train_in_parallel_and_every_row_is_judged_once(tmp_path: Path) -> None:
    config = load_config(FinetuneConfig, str(write_study(tmp_path)), [])
    run = finetune.run(config)
    assert run is not None
    table = rows(config)
    assert [row["video_id"] for row in table] == [f"t{i:03}" for i in range(60)] + ["t999"]
    assert (run.rows, run.failed) == (61, {"missing_file": 1})
    assert table[-1]["decisions"] is None
    good = table[:-1]
    assert {row["split"] for row in good} == {"honest-0"}
    folds = from_json((Path(config.folder) / "folds.json").read_text())
    of = {video_id: fold.fold for fold in folds for video_id in fold.test}
    assert all(row["fold"] == of[row["video_id"]] for row in good)
    right = sum(row["decisions"][k] == ((i + k) % 3 == 0) for i, row in enumerate(good) for k in range(2))
    assert right / 120 > 0.85
    assert all(row["decisions"][2:] == [None, None] for row in good), (
        "labels that were not trained are not absent"
    )
    history = json.loads((Path(config.folder) / "history.json").read_text())
    assert {entry["training"] for entry in history} == {"p0-f0-s0", "p0-f1-s0", "p0-f2-s0"}
    assert all(1 <= len(entry["history"]) <= 6 for entry in history)
    assert not (Path(config.folder) / "ray").exists(), "Ray Train's checkpoints are gone"
    model = json.loads((Path(config.folder) / "models/p0-f0-s0/model.json").read_text())
    assert model["labels"] == ["kindness+", "thrill+"]

    begin = time.monotonic()
    assert finetune.run(config) == run
    assert time.monotonic() - begin < 2


def start(path: Path, *sets: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "jobs.finetune", str(path), *sets],
        cwd=ROOT,
        env={**os.environ, "RAY_TRAIN_WORKER_HEALTH_CHECK_TIMEOUT_S": "60"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


@pytest.mark.full
def test_a_killed_worker_changes_nothing_but_the_time(tmp_path: Path) -> None:
    path = write_study(tmp_path, fit={"batch_rows": 2, "learning_rate": 0.003, "epochs": 10, "patience": 10})
    process = start(path)
    killed = False
    deadline = time.monotonic() + 120
    config = load_config(FinetuneConfig, str(path), [])
    while process.poll() is None and not killed:
        assert time.monotonic() < deadline
        if any(Path(config.folder).glob("ray/*/checkpoint*/state.pt")):
            for child in psutil.Process(process.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    if "RayTrainWorker" in " ".join(child.cmdline()) + child.name():
                        child.kill()
                        killed = True
                        break
        time.sleep(0.02)
    said, _ = process.communicate(timeout=200)
    assert process.returncode == 0, said.decode()[-3000:]
    assert killed, "it was over before a worker could be killed"

    calm = load_config(FinetuneConfig, str(path), [("out", str(tmp_path / "calm"))])
    process = start(path, f"out={tmp_path}/calm")
    said, _ = process.communicate(timeout=200)
    assert process.returncode == 0, said.decode()[-3000:]
    assert rows(calm) == rows(config)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"labels": ["kindness+", "kindness-"]}, "without a positive row: kindness-"),
        ({"labels": ["courage+"]}, r"courage\+: not among"),
        ({"labels": None, "min_share": 0.9}, "no label reaches"),
        ({"protocol": {"name": "honest", "partitions": 1, "folds": 11}}, "groups"),
        ({"protocol": {"name": "given"}}, "split"),
        ({"model": {"kind": "text", "model": "/nowhere/bert"}}, "/nowhere/bert"),
    ],
)
def test_what_cannot_work_is_said_before_anything_starts(
    tmp_path: Path, keys: dict[str, Any], said: str
) -> None:
    config = load_config(FinetuneConfig, str(write_study(tmp_path, **keys)), [])
    with pytest.raises(UserError, match=said):
        finetune.run(config, dry_run=True)


def test_a_dry_run_says_what_would_be_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = load_config(FinetuneConfig, str(write_study(tmp_path)), [])
    assert finetune.run(config, dry_run=True) is None
    said = capsys.readouterr().out
    assert "60 rows, 1 without a text or vector, 2 labels" in said
    assert "3 trainings" in said
    assert not Path(config.folder).exists()
