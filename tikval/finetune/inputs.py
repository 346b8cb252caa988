"""What is learnt from, out of the folders upstream: examples, folds, and the commit of the encoder."""

import hashlib
import sys
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from tikval.codebook import Codebook, load_codebook
from tikval.config import (
    ExtractConfig,
    FinetuneConfig,
    LearnConfig,
    PretrainConfig,
    TextEncoder,
    UserError,
    find_file,
)
from tikval.files import read_bytes
from tikval.finetune.examples import Examples, examples_of, labelled_examples, read_texts
from tikval.finetune.pretrain_corpus import PretrainCorpus, corpus_of
from tikval.hub.pin import pinned
from tikval.sources.ids import id_in_cell, resolve_id
from tikval.sources.labels import read_labels
from tikval.stats.folds import Fold, check_folds, folds_hash, from_json, groups_of, make_folds
from tikval.store.folder import Folder
from tikval.store.teacher import sample_keys, teacher_answers, usable_keys


def load_examples(config: LearnConfig) -> Examples:
    """One text or vector and one truth per annotated row. Raises ValueError and UserError."""
    codebook = load_codebook(find_file(config.codebook))
    wanted: dict[str, Any] = {
        "wanted": config.labels,
        "min_share": config.min_share,
        "annotator": config.annotator,
    }
    if config.texts:
        rows, accounts, split = read_texts(config.texts.table)
        annotations = read_labels(
            config.texts.annotations, codebook.slugs, codebook.label_set, titles=codebook.titles
        )
        names = {id_in_cell(name).video_id: name for name in accounts} | {name: name for name in accounts}
        for annotation in annotations:
            annotation["video_id"] = resolve_id(annotation["video_id"], names)
        return examples_of(
            rows, annotations, codebook.labels, accounts=accounts, near_duplicates={}, split=split, **wanted
        )
    if isinstance(config, FinetuneConfig) and config.teacher:
        return _taught_examples(config, config.teacher, codebook)
    known = Folder(config.catalog.folder).read_side_table("labels")
    annotations = [row for row in known if row["label_set"] == codebook.label_set]
    rows, accounts, near_duplicates = read_rows(config, {row["video_id"] for row in annotations})
    annotations = [row for row in annotations if row["video_id"] in accounts]
    if not annotations:
        raise UserError(
            f"{config.catalog.folder}: has no annotations over {codebook.label_set}; name them in the catalog's "
            "configuration"
        )
    return examples_of(
        rows, annotations, codebook.labels, accounts=accounts, near_duplicates=near_duplicates, **wanted
    )


def _taught_examples(config: FinetuneConfig, teacher: ExtractConfig, codebook: Codebook) -> Examples:
    """The sample, with what the teacher answered; what it could not judge is no example."""
    catalog, source = Folder(config.catalog.folder), Folder(config.source.folder)
    sample = sample_keys(usable_keys(source, catalog), config.sample or 0)
    answers = teacher_answers(Folder(teacher.folder), sample)
    if not len(answers.keys):
        raise UserError(f"{teacher.folder}: none of the {len(sample)} videos drawn has an answer")
    ids = catalog.read_listed(answers.keys, ["row_key", "video_id"]).sort_by("row_key")
    names: list[str] = ids["video_id"].to_pylist()
    rows, accounts, near_duplicates = read_rows(config, set(names))
    return labelled_examples(
        rows,
        dict(zip(names, answers.decisions.astype(float), strict=True)),
        codebook.labels,
        codebook.label_set,
        wanted=config.labels,
        min_share=config.min_share,
        accounts=accounts,
        near_duplicates=near_duplicates,
        targets=dict(zip(names, answers.targets, strict=True)),
    )


def read_rows(
    config: LearnConfig, only: Collection[str] | None = None
) -> tuple[list[Any], dict[str, str | None], dict[str, int | None]]:
    """The rows of the study, of all videos or `only` some; of each its account, and its near-duplicates' number."""
    source = config.source
    catalog = Folder(source.videos.folder)
    near = Folder(config.embeddings.folder).rows(catalog, only) if config.embeddings else []
    return (
        Folder(source.folder).rows(catalog, only),
        {row["video_id"]: row["account"] for row in catalog.rows(catalog, only)},
        {row["video_id"]: row["near_duplicates"] for row in near},
    )


def read_pretrain_corpus(config: PretrainConfig, examples: Examples) -> PretrainCorpus:
    """The texts of all rows of the study, or of the table."""
    if config.texts:
        rows, accounts, _ = read_texts(config.texts.table)
        return corpus_of(rows, examples, accounts, {})
    rows, accounts, near_duplicates = read_rows(config)
    return corpus_of(rows, examples, accounts, near_duplicates)


def inputs_of(config: LearnConfig, examples: Examples) -> dict[str, str]:
    """Each input and its state: where one changed, what was learnt from it is learnt anew.

    Raises UserError where a job upstream has not finished.
    """
    sources = [source for source in (config.scripts, config.embeddings) if source]
    uris = [uri for source in sources for uri in (source.folder, source.videos.folder)]
    if isinstance(config, FinetuneConfig) and config.encoder:
        uris.append(config.encoder.folder)
    if isinstance(config, FinetuneConfig) and config.teacher:
        uris.append(config.teacher.folder)
    inputs = {config.texts.table: examples.state} if config.texts else {}
    return inputs | {uri: Folder(uri).finished().state for uri in uris}


def state_of(
    config: FinetuneConfig, examples: Examples, folds: Sequence[Fold], inputs: Mapping[str, str]
) -> str:
    """A hash that changes whenever what the trainings learn from changes; in the names of their results."""
    shared = folds_hash(folds)
    if config.encoder:
        shared = hashlib.sha256(f"{shared} {inputs[config.encoder.folder]}".encode()).hexdigest()[:16]
    return f"{examples.state}-{shared}"


def folds_of_config(config: LearnConfig, examples: Examples) -> list[Fold]:
    """The folds; prints warnings on what people should know of them. Raises ValueError where there can be none."""
    groups = groups_of(examples.accounts, examples.near_duplicates, examples.ids)
    folds = make_folds(examples.ids, groups, examples.truth, config.protocol, examples.split, examples.labels)
    for warning in check_folds(folds, examples.ids, groups, examples.truth, examples.labels):
        print(f"{config.stage}: {warning}", file=sys.stderr)
    return folds


def pin_encoder(folder: Folder, model: TextEncoder) -> TextEncoder:
    """The encoder at one commit: that which this folder's first start found. Raises UserError where there is none."""
    commits = folder.commits()
    if model.model not in commits:
        commits[model.model] = pinned(model.model, model.revision)
    return model.model_copy(update={"revision": commits[model.model]})


def encoder_uri(folder: str, name: str) -> str:
    """The encoder in a pre-training's folder that saw nothing of a fold's test rows ("p0-f1"), or "all" rows."""
    return f"{folder}/encoders/{name}"


def pretrained_encoders(config: PretrainConfig, folds: Sequence[Fold]) -> dict[str, TextEncoder]:
    """The encoder of each fold, by its name. Raises UserError where pre-training is not finished or of other folds."""
    Folder(config.folder).finished()
    if config.leave_out == "test":
        kept = read_bytes(f"{config.folder}/folds.json")
        if kept is None or folds_hash(from_json(kept.decode())) != folds_hash(folds):
            raise UserError(
                f"{config.folder}: was pre-trained for other folds (annotations or rows changed since); "
                "run jobs.pretrain again"
            )
    names = {fold.name: fold.name if config.leave_out == "test" else "all" for fold in folds}
    return {
        fold: config.model.model_copy(update={"model": encoder_uri(config.folder, name), "revision": None})
        for fold, name in names.items()
    }
