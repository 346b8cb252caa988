"""Kept models as folders for transformers: they predict the same there, and a card tells what they are worth."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from tests.finetune.test_predict_job import Study, config_of, judged
from tests.fixtures.tiny_encoders import write_bert, write_roberta
from tikval.config import FinetuneConfig, UserError
from tikval.finetune.model_files import read_facts
from tikval.report.export.model import export_model
from tikval.report.export.model_card import OLDER


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return Study(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def trained(study: Study) -> FinetuneConfig:
    return study.finetune(write=write_roberta)


@pytest.mark.parametrize("write", [write_bert, write_roberta])
def test_an_exported_model_predicts_the_same_in_a_pipeline(
    study: Study, tmp_path: Path, write: Callable[..., Path]
) -> None:
    from transformers import pipeline

    trained = study.finetune(write=write)
    to = tmp_path / "model"
    export_model(trained.folder, "p0-f0-s0", to)
    ask: Any = pipeline
    pipe = ask("text-classification", model=str(to), top_k=None, function_to_apply="sigmoid")
    predicted = judged(config_of(trained, study, members=["p0-f0-s0"]), list(study.rows))
    rows = study.rows[:-1]
    for row, answers in zip(rows, pipe([row["script"] for row in rows], truncation=True), strict=True):
        ours = predicted[row["video_id"]]["scores"]
        theirs = {each["label"]: each["score"] for each in answers}
        assert theirs == pytest.approx({"kindness+": ours[0], "thrill+": ours[1]}, abs=1e-5)
    names = {file.name for file in to.iterdir()}
    assert {"README.md", "config.json", "model.safetensors", "tokenizer_config.json"} <= names
    for file in to.iterdir():
        if file.suffix in (".json", ".md"):
            text = file.read_text()
            assert not any(word in text for word in (str(study.root), "account 1", study.ids[0])), file.name


def test_the_card_tells_what_it_is_worth_and_what_it_is_not_for(
    study: Study, trained: FinetuneConfig, tmp_path: Path
) -> None:
    export_model(trained.folder, "p0-f1-s0", tmp_path / "model")
    text = (tmp_path / "model/README.md").read_text()
    head = yaml.safe_load(text.split("---\n")[1])
    assert (head["license"], head["pipeline_tag"]) == ("unknown", "text-classification")
    assert "base_model" not in head, "a folder of this machine is no model of the hub"
    facts = read_facts(trained.folder)
    own = facts.members["p0-f1-s0"].scores.macro_f1
    every = facts.scores.macro_f1
    assert own.value is not None
    assert every.low is not None
    assert text.count("4 accounts: too few for an interval") == 1
    (mark,) = (
        line[2:5] for line in text.splitlines() if line.endswith("4 accounts: too few for an interval")
    )
    assert "nan" not in text.split("---\n")[2]
    for words in (
        f"| macro F1 | {own.value:.3f} {mark} | {every.value:.3f} [{every.low:.3f}, {every.high:.3f}] |",
        "a few accounts decide this: 8",
        "saying every label",
        "`honest`",
        f"{facts.members['p0-f1-s0'].train} rows trained it",
        "at most 16 tokens",
        "1 of the study's texts were longer",
        "kindness-, thrill-",
        "one of 2 trainings",
        "Not for decisions about individual people",
        "That of the encoder it began with applies",
    ):
        assert words in text, words


def test_the_intervals_of_an_earlier_version_are_not_shown(trained: FinetuneConfig, tmp_path: Path) -> None:
    """Its models stay usable; where the draws of accounts lay is another number than the report's interval."""
    file = Path(trained.folder) / "models/ensemble.json"
    text = file.read_text()
    facts = json.loads(text)
    del facts["intervals"], facts["accounts"]
    for measured in facts["label_f1"]:
        del measured["why_none"]
    try:
        file.write_text(json.dumps(facts))
        export_model(trained.folder, "p0-f1-s0", tmp_path / "model")
    finally:
        file.write_text(text)
    card = (tmp_path / "model/README.md").read_text()
    assert not re.search(r"\d \[\d", card)
    assert card.count(OLDER) == 1


@pytest.mark.parametrize(
    ("heads", "pooling", "models", "message"),
    [
        ("multilabel", "mean", 1, "pooling: mean is no model"),
        ("per_label", "head", 1, "one model for each label"),
        ("three_way", "head", 1, "a pipeline would compute others"),
        ("multilabel", "head", 2, "fit.models: 2 averages models"),
    ],
)
def test_what_transformers_has_no_model_for_is_not_exported(
    study: Study, tmp_path: Path, heads: str, pooling: str, models: int, message: str
) -> None:
    trained = study.finetune(heads, pooling=pooling, fit={"models": models})
    with pytest.raises(UserError, match=message):
        export_model(trained.folder, "p0-f0-s0", tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_folder_that_is_not_empty_is_left_alone(trained: FinetuneConfig, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="is not empty"):
        export_model(trained.folder, "p0-f0-s0", tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]
    export_model(trained.folder, "p0-f0-s0", tmp_path, force=True)
    assert (tmp_path / "mine.txt").read_text() == "mine"
    assert (tmp_path / "model.safetensors").is_file()
