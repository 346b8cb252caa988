"""One kept training -> a folder that transformers loads by itself, with its card."""

import json
from pathlib import Path
from typing import Any

from tikval.config import FinetuneConfig, TextEncoder, UserError
from tikval.finetune.model_files import Kept, read_kept
from tikval.finetune.model_index import usable_members
from tikval.report.export.model_card import base_of, model_card
from tikval.report.export.target import check_target, staging
from tikval.store.recipes import load_job


def trained_folder(trained: str) -> str:
    """The folder of a trained system, from the file of its configuration or from the folder itself."""
    if trained.endswith((".yaml", ".yml")):
        return load_job(FinetuneConfig, trained, []).folder
    return trained.rstrip("/")


def export_model(folder: str, training: str, to: Path, force: bool = False) -> None:
    """Write config.json, model.safetensors, the tokenizer's files and README.md.

    Raises UserError for a training that was not kept, for one that no model of transformers reproduces, and, unless
    forced, for a folder that is not empty; forced, files of the same names are replaced and others stay.
    """
    facts, _ = usable_members(folder, [training])
    kept = read_kept(f"{folder}/models/{training}")
    check_exportable(kept)
    check_target(to, force)
    with staging(to) as place:
        _write(folder, training, facts.members[training].weights_sha256, place)
        (place / "README.md").write_text(model_card(facts, kept, training), encoding="utf-8")
        for file in sorted(place.iterdir()):
            file.replace(to / file.name)


def check_exportable(kept: Kept) -> None:
    """Raises UserError for what transformers has no model of its own for."""
    if not isinstance(kept.model, TextEncoder):
        raise UserError("a head over vectors is no model of transformers; use it by jobs.predict")
    instead = "train with model.pooling: head, fit.heads: multilabel and fit.models: 1 to export, or use jobs.predict"
    if kept.model.pooling != "head":
        raise UserError(f"model.pooling: {kept.model.pooling} is no model of transformers' own; {instead}")
    if kept.heads == "per_label":
        raise UserError(f"fit.heads: per_label is one model for each label and not one; {instead}")
    if kept.models > 1:
        raise UserError(f"fit.models: {kept.models} averages models and is not one; {instead}")
    if kept.heads == "three_way":
        raise UserError(
            "fit.heads: three_way has probabilities of a value's labels that depend on each other, and a pipeline "
            f"would compute others; {instead}"
        )


def _write(folder: str, training: str, weights_sha256: str, place: Path) -> None:
    from tikval.finetune.inference import TrainedMember  # torch: only when all has been checked

    member = TrainedMember(f"{folder}/models/{training}", weights_sha256)
    assert isinstance(member.kept.model, TextEncoder)
    model: Any = member.models[0].encoder
    labels = member.kept.labels
    model.config.problem_type = "multi_label_classification"
    model.config.id2label = dict(enumerate(labels))
    model.config.label2id = {label: i for i, label in enumerate(labels)}
    model.save_pretrained(place, max_shard_size="1TB")  # one file
    member.tokenizer.model_max_length = member.kept.model.max_tokens
    member.tokenizer.save_pretrained(place)
    for name in ("config.json", "tokenizer_config.json"):
        _forget_place(place / name, base_of(member.kept.model))


def _forget_place(file: Path, base: str | None) -> None:
    """Remove where a model was loaded from, which transformers notes: a folder of the machine that trained it."""
    settings = json.loads(file.read_text(encoding="utf-8"))
    for key in ("_name_or_path", "name_or_path"):
        if key in settings:
            settings[key] = base or ""
    file.write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
