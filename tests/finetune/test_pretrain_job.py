"""The pre-training job on a real local Ray with a tiny encoder, and fine-tuning that begins with what it made."""

import csv
import json
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests.finetune.test_finetune_job import rows, write_study
from tests.fixtures.alone import unknown
from tests.fixtures.tiny_encoders import write_bert, write_roberta
from tikval.config import FinetuneConfig, PretrainConfig, TextEncoder, UserError, load_config
from tikval.files import read_parquet
from tikval.finetune.examples import Examples
from tikval.finetune.finetune_plan import plan_finetuning
from tikval.finetune.inputs import pretrained_encoders
from tikval.finetune.pretrain import check_masks
from tikval.finetune.pretrain_corpus import PretrainCorpus, corpus_of, read_all, read_by
from tikval.finetune.pretrain_plan import PretrainPlan, plan_pretraining
from tikval.flow import finetune, pretrain
from tikval.stats.folds import Fold, from_json
from tikval.store.folder import Folder
from tikval.store.folder_run import FolderRun

pytestmark = pytest.mark.timeout(300)


# what an encoder reads


def examples(ids: list[str], accounts: list[str | None]) -> Examples:
    n = len(ids)
    truth, none = np.ones((n, 1), bool), tuple([None] * n)
    keys = tuple(ids)
    return Examples(keys, keys, keys, None, truth, ("a+",), "set", ("a+",), tuple(accounts), none, None, {})


def row(video_id: str, text: str | None) -> dict[str, Any]:
    error = None if text is not None else "unreadable"
    return {"video_id": video_id, "script": text, "caption": None, "error": error}


def small_corpus() -> PretrainCorpus:
    """Annotated are a, b and c; e is c's near-duplicate, f has e's account, g failed, h is empty."""
    texts = {name: f"text {name}" for name in "fedcba"} | {"g": None, "h": " "}
    return corpus_of(
        [row(name, text) for name, text in texts.items()],
        examples(["a", "b", "c"], ["one", "two", None]),
        {"a": "1", "b": "2", "d": "1", "e": "5", "f": "5", "g": "2", "h": None},
        {"c": 7, "e": 7},
    )


@pytest.mark.parametrize(
    ("tested", "read"),
    [
        # d has the account that the catalog knows a by; the annotations call it otherwise
        ("a", ["text b", "text c", "text e", "text f"]),
        ("c", ["text a", "text b", "text d"]),
    ],
)
def test_an_encoder_reads_no_test_row_and_none_related_to_one(tested: str, read: list[str]) -> None:
    corpus = small_corpus()
    fold = Fold(0, 0, (), (), (tested,))
    assert read_by(corpus, fold, whole_groups=True).texts(corpus) == read
    others = [f"text {name}" for name in "abcdef" if name != tested]
    assert read_by(corpus, fold, whole_groups=False).texts(corpus) == others
    assert len(read_all(corpus).texts(corpus)) == 6


def test_every_row_is_read_or_left_out_for_one_reason() -> None:
    reading = read_by(small_corpus(), Fold(0, 0, (), (), ("b",)), whole_groups=True)
    assert reading.left_out == (None, "test", None, None, None, None, "related", "no_text")
    assert reading.counts() == {"test": 1, "related": 1, "no_text": 1}


def test_an_encoder_is_trained_anew_exactly_where_what_it_reads_changed() -> None:
    corpus = small_corpus()
    changed = replace(corpus, texts=("another text", *corpus.texts[1:]))
    for tested, same in (("a", True), ("b", False)):
        reading = read_by(corpus, Fold(0, 0, (), (), (tested,)), whole_groups=True)
        assert (reading.state(corpus, None) == reading.state(changed, None)) == same
        assert reading.state(corpus, None) != reading.state(corpus, "0123abcd")


# the job


def write_pretraining(folder: Path, **keys: Any) -> tuple[Path, Path]:
    """A word of its own in each text; ten rows that nobody annotated. Paths of both jobs' configurations."""
    study = yaml.safe_load(write_study(folder).read_text())
    with (folder / "texts.csv").open() as file:
        lines = list(csv.DictReader(file))
    if "split" in keys:
        for n, line in enumerate(lines):
            line["split"] = keys["split"][n // 10 % 3]
    lines += [{**lines[n], "video_id": f"u{n:03}"} for n in range(10)]
    for n, line in enumerate(lines):
        line["text"] += f" w{n:03}"
    with (folder / "texts.csv").open("w") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
    model = write_roberta(folder / "roberta", [line["text"] for line in lines])
    shared = ("texts", "out", "codebook", "labels", "protocol", "pool")
    first = {
        **{key: study[key] for key in shared},
        "model": {"model": str(model), "max_tokens": 32, "dropout": 0},
        "epochs": 1,
        "learning_rate": 0.001,
        **{key: value for key, value in keys.items() if key != "split"},
    }
    then = {
        "encoder": str(folder / "pretrain.yaml"),
        "out": study["out"],
        "system": "tiny_pt",
        "fit": {"batch_rows": 8, "learning_rate": 0.01, "epochs": 1},
        "pool": study["pool"],
    }
    for name, config in (("pretrain", first), ("finetune", then)):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(config))
    return folder / "pretrain.yaml", folder / "finetune.yaml"


def both(folder: Path, **keys: Any) -> tuple[PretrainConfig, FinetuneConfig]:
    first, then = write_pretraining(folder, **keys)
    return load_config(PretrainConfig, str(first), []), load_config(FinetuneConfig, str(then), [])


def swap_labels(folder: Path) -> None:
    """Other annotations, and so other folds."""
    lines = (folder / "labels.csv").read_text().splitlines()
    swapped = [lines[0], *(f"{line[:5]}{line[7]},{line[5]}" for line in lines[1:20]), *lines[20:]]
    (folder / "labels.csv").write_text("\n".join(swapped) + "\n")


@pytest.mark.ray
@pytest.mark.full
@pytest.mark.usefixtures("local_ray")
def test_finetuning_begins_with_an_encoder_that_never_saw_its_test_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, finetuning = both(tmp_path)
    with pytest.raises(UserError, match="not finished; run the job that writes it first"):
        finetune.finetune_systems([finetuning])[0]
    run = pretrain.pretrain_encoders(config)
    assert (run.rows, run.failed) == (3, {})
    folder = Path(config.folder)
    account_of = {f"t{n:03}": n % 10 for n in range(60)} | {f"u{n:03}": n for n in range(10)}
    folds = {fold.name: fold for fold in from_json((folder / "folds.json").read_text())}
    history = {entry["encoder"]: entry for entry in json.loads((folder / "history.json").read_text())}
    for name, fold in folds.items():
        table = read_parquet(f"{folder}/{run.side_tables[name]}").to_pylist()
        assert [line["video_id"] for line in table] == sorted(account_of)
        seen = {line["video_id"] for line in table if line["left_out"] is None}
        tested = {account_of[video_id] for video_id in fold.test}
        assert seen == {video_id for video_id, account in account_of.items() if account not in tested}
        assert any(video_id.startswith("u") for video_id in seen), "texts without annotations are read too"
        assert history[name]["texts"] == len(seen)
        assert len(history[name]["losses"]) == 1
        assert history[name]["had_head"]
    assert "cannot guess" not in capsys.readouterr().err
    assert not (folder / "ray").exists()

    begin = time.monotonic()
    assert pretrain.pretrain_encoders(config) == run
    assert time.monotonic() - begin < 2

    done = finetune.finetune_systems([finetuning])[0]
    for each in rows(finetuning)[:-1]:
        assert f"encoders/p0-f{each['fold']}" in each["model_served"]
        assert each["model"] == config.model.model
    begin = time.monotonic()
    assert finetune.finetune_systems([finetuning])[0] == done
    assert time.monotonic() - begin < 2

    # killed after two encoders: the third one's folder may be half there, the others are not trained again
    (folder / "run.json").unlink()
    (folder / run.side_tables["p0-f1"]).unlink()
    (folder / "encoders/p0-f1/model.safetensors").write_bytes(b"half")
    kept = (folder / "encoders/p0-f0/model.safetensors").stat().st_mtime_ns
    assert pretrain.pretrain_encoders(config).state == run.state
    assert (folder / "encoders/p0-f0/model.safetensors").stat().st_mtime_ns == kept
    assert (folder / "encoders/p0-f1/model.safetensors").stat().st_size > 10_000

    swap_labels(tmp_path)
    with pytest.raises(UserError, match=r"other folds .*run jobs\.pretrain again"):
        finetune.finetune_systems([finetuning])[0]


def test_with_nothing_left_out_one_encoder_is_everyones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, finetuning = both(tmp_path, leave_out="nothing")
    plan = plan_pretraining(config, unknown)
    assert isinstance(plan, PretrainPlan)
    assert [(each.name, len(each.texts(plan.corpus))) for each in plan.readings] == [("all", 70)]
    assert "scores will flatter" in capsys.readouterr().err
    swap_labels(tmp_path)
    again = plan_pretraining(config, unknown)
    assert isinstance(again, PretrainPlan)
    assert again.inputs != plan.inputs
    assert again.marker(again.readings[0]) == plan.marker(plan.readings[0]), "no label changes what it reads"

    shutil.copytree(config.model.model, f"{config.folder}/encoders/all")
    state = Folder(config.folder).write_run(config, [], plan.inputs, 1, {}, 0, {"all": "_a.parquet"}).state
    encoders = pretrained_encoders(config, plan.folds)
    assert {each.model for each in encoders.values()} == {f"{config.folder}/encoders/all"}
    then = plan_finetuning(finetuning, unknown)
    assert not isinstance(then, FolderRun)
    assert then.inputs[config.folder] == state
    Folder(config.folder).write_run(config, [], plan.inputs, 1, {}, 0, {"all": "_b.parquet"})
    anew = plan_finetuning(finetuning, unknown)
    assert not isinstance(anew, FolderRun)
    assert anew.state != then.state, "another encoder, and all is trained anew"


def test_a_dry_run_says_who_reads_what_and_trains_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, _ = both(tmp_path)
    assert isinstance(plan_pretraining(config, unknown, dry_run=True), PretrainPlan)
    output = capsys.readouterr().out
    for name in ("p0-f0", "p0-f1", "p0-f2"):
        assert f"{name}: " in output
    assert "test rows" in output
    assert "total_bytes: " in output
    assert not Path(config.folder).exists()


def test_what_cannot_work_is_named_before_anything_starts(tmp_path: Path) -> None:
    def refused(message: str, **keys: Any) -> None:
        with pytest.raises(UserError, match=message):
            plan_pretraining(both(tmp_path, **keys)[0], unknown)

    given = {"name": "given", "partitions": 1}
    # ten accounts, each with rows in every part of the split
    refused("p0-f0: no text is left", protocol=given, split=("train", "validation", "test"))
    refused("takes at most 64 tokens", model={"model": str(tmp_path / "roberta"), "max_tokens": 65})
    refused("/nowhere", model={"model": "/nowhere"})


@pytest.mark.parametrize(
    "keys",
    [
        {"labels": ["kindness+"]},
        {"protocol": {"folds": 4}},
        {"model": {"kind": "text", "model": "another/encoder"}},
    ],
)
def test_finetuning_that_contradicts_its_encoder_is_refused(tmp_path: Path, keys: dict[str, Any]) -> None:
    _, then = write_pretraining(tmp_path)
    then.write_text(yaml.safe_dump({**yaml.safe_load(then.read_text()), **keys}))
    with pytest.raises(
        UserError, match=f"{next(iter(keys))}: differs from that of the encoder's pre-training"
    ):
        load_config(FinetuneConfig, str(then), [])


@pytest.mark.ray
@pytest.mark.usefixtures("local_ray")
def test_a_checkpoint_without_a_head_is_trained_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_bert(tmp_path / "bare", ["the sun sets and"])
    model = {"model": str(tmp_path / "bare"), "max_tokens": 16}
    config, _ = both(tmp_path, model=model, leave_out="nothing")
    pretrain.pretrain_encoders(config)
    assert "cannot guess masked tokens yet" in capsys.readouterr().err
    made = TextEncoder(model=f"{config.folder}/encoders/all", max_tokens=16)
    assert check_masks(made).mask_token == "[MASK]"
