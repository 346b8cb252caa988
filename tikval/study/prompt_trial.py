"""A prompt that is tried on the development sample: a study of these videos alone, in the sample's own folder.

It runs by the ordinary stages. Scripts and answers that the whole study has already are taken from there, and replies
that are paid for here are put into the study's ledger: the same prompt, run on all videos later, does not pay again.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tikval.codebook import Codebook, load_codebook
from tikval.config import (
    CatalogConfig,
    ExtractConfig,
    JobConfig,
    ScriptConfig,
    UserError,
    find_file,
    load_config,
    nested,
    validate,
)
from tikval.evaluate.development import Development
from tikval.files import write_table
from tikval.llm.ledger import Ledger
from tikval.rows import AccountRow, LabelRow, Reason, arrow_schema
from tikval.store.folder import Folder
from tikval.store.recipes import Override, load_job
from tikval.store.row_keys import keys_of
from tikval.store.runs import Study, SystemConfig, run_here, system_config

TRIED: Final = "prompt"  # the name of a system that is tried: how its file is called changes nothing
_COLUMNS: Final = ["video_id", "error", "decisions", "scores", "tokens_in", "tokens_out", "cost_usd"]
_PAID: Final = ["video_id", "error", "tokens_in", "tokens_out", "cost_usd"]


class TriedPrompt(NamedTuple):
    """A prompt as it is to be judged: a finished system of the study, or one that is still to be run."""

    name: str
    mark: str  # of all that makes its answers
    jobs: tuple[JobConfig, ...]  # to run, in order; (): it has finished
    folder: Folder  # of its answers
    steps_before: tuple[Folder, ...]  # of its scripts


def tried_prompt(
    study: Study, development: Development, word: str, profile: str, step: str, overrides: Sequence[str]
) -> TriedPrompt:
    """What a word of the command line means: a system of the study, a prompt's file, or a codebook's in YAML.

    `profile` is the configuration of values that a file is put into, at its `step`: values or scripts. Raises UserError
    for a word that is neither, for a system that was trained, and for a codebook with other values.
    """
    systems = study.systems()
    if word in systems:
        return prompted_system(study, word)
    try:
        find_file(word)
    except UserError as err:
        known = ", ".join(sorted(systems)) or "none"
        raise UserError(f"{word}: neither a system of {study.out} (there are: {known}) nor a file") from err
    config = _with_file(study, word, profile, step, overrides)
    mark = prompt_mark(config)
    for name in systems:  # the same prompt has judged all videos: its answers are there
        other = _asked(study, name)
        if other is not None and prompt_mark(other) == mark:
            return prompted_system(study, name)._replace(name=Path(word).name)
    here = _moved(config, study.out, development.folder.uri)
    jobs = [job for _, job in nested(here) if not isinstance(job, CatalogConfig)]
    before = [Folder(job.folder) for job in jobs if isinstance(job, ScriptConfig)]
    return TriedPrompt(Path(word).name, mark, tuple(jobs), Folder(here.folder), tuple(before))


def prompt_mark(config: ExtractConfig) -> str:
    """The recipe whatever the system is called."""
    return config.model_copy(update={"system": TRIED}).fingerprint


def _asked(study: Study, name: str) -> ExtractConfig | None:
    """The configuration of a system that is prompted; None where its files have changed since it ran."""
    _, run = study.systems()[name]
    try:
        config: SystemConfig = system_config(run_here(run, study.out))
    except UserError:
        return None
    return config if isinstance(config, ExtractConfig) else None


def prompted_system(study: Study, name: str) -> TriedPrompt:
    """A finished system of the study. Raises UserError for one that is not there, or was trained on annotations."""
    systems = study.systems()
    if name not in systems:
        raise UserError(f"{study.out}: no system {name}; there are {', '.join(sorted(systems)) or 'none'}")
    folder, run = systems[name]
    if run.stage != ExtractConfig.stage or "trained" in run.config:
        raise UserError(
            f"{name}: was trained on annotations and has no prompt; tikval compare shows its scores"
        )
    config = _asked(study, name)
    before = [Folder(config.first_step.folder)] if config and config.scripts else []
    return TriedPrompt(name, prompt_mark(config) if config else run.fingerprint, (), folder, tuple(before))


def _with_file(study: Study, file: str, profile: str, step: str, overrides: Sequence[str]) -> ExtractConfig:
    """The profile's configuration over the study's catalog, with the file in it."""
    catalog = study.catalog().finished().config | {"out": study.out}
    sets: list[Override] = []
    for place, job in nested(load_config(ExtractConfig, profile, [])):
        at = f"{place}." if place else ""
        if isinstance(job, CatalogConfig):
            sets.append((place, catalog))
        else:
            sets.append((f"{at}out", study.out))
    sets.append(("system", TRIED))
    if file.endswith((".yaml", ".yml")):
        sets.append(("codebook", file))
    else:
        sets += [("codebook", _file_of_codebook(study))]
        sets.append(("scripts.writer.prompt" if step == "scripts" else "extractor.prompt", file))
        if load_config(ExtractConfig, profile, sets[:-1]).extractor.kind == "local" and step == "values":
            raise UserError(
                f"{file}: {profile} asks no model; give it codebooks (.yaml) of other words to compare"
            )
    config = load_job(ExtractConfig, profile, [*sets, *overrides])
    mine, theirs = study.codebook(), _codebook(config)
    if mine.labels != theirs.labels:
        raise UserError(
            f"{file}: its values are not those of {mine.name}; prompts are compared over the same values"
        )
    return config


def _file_of_codebook(study: Study) -> str:
    """The file of the study's codebook, as its systems name it."""
    for one in study.current(study.label_set):
        if (file := one.run.config.get("codebook")) is not None:
            return str(file)
    return str(study.catalog().finished().config["codebook"])


def _codebook(config: ExtractConfig) -> Codebook:
    try:
        return load_codebook(find_file(config.codebook))
    except ValueError as err:
        raise UserError(str(err)) from err


def _moved(config: ExtractConfig, out: str, to: str) -> ExtractConfig:
    """The same recipe in another folder."""

    def moved(value: Any) -> Any:
        if isinstance(value, list):
            return [moved(item) for item in value]
        if not isinstance(value, dict):
            return value
        return {key: to if key == "out" and item == out else moved(item) for key, item in value.items()}

    return validate(ExtractConfig, moved(config.model_dump(mode="json")), config.codebook)


def prepare_trial(study: Study, development: Development, prompt: TriedPrompt) -> None:
    """Write the catalog of the development sample, and the scripts that the study has of it."""
    last = prompt.jobs[-1]
    assert isinstance(last, ExtractConfig)
    catalog = study.catalog()
    rows = catalog.read_videos(development.ids).to_pylist()
    rows = [row for row in rows if row["error"] != Reason.DUPLICATE_ID]
    accounts = {row["account"] for row in rows}
    about = [row for row in catalog.read_side_table("accounts") if row["account"] in accounts]
    folder = Folder(last.catalog.folder)
    with folder.lock():
        videos = pa.Table.from_pylist(rows, schema=catalog.read([*rows[0]]).schema)
        files = [write_as_named(folder, "data", videos)]
        side = write_as_named(
            folder, "_accounts", pa.Table.from_pylist(about, schema=arrow_schema(AccountRow))
        )
        before = folder.run()
        if not before or before.files != files or before.side_tables != {"accounts": side}:
            folder.write_run(last.catalog, files, {}, len(rows), {}, 0.0, {"accounts": side})
    keys = np.sort(keys_of(videos["row_key"]))
    for job in prompt.jobs:
        here, there = Folder(job.folder), Folder(f"{study.out}/{job.folder.rpartition('/')[2]}")
        if here.parts() or there.run() is None:
            continue
        made = there.read_listed(keys)
        if (results := made.filter(pc.is_null(made["error"]))).num_rows:
            with here.lock():
                here.write_part(results)


def write_as_named(folder: Folder, kind: str, table: pa.Table) -> str:
    """Write a table whose file's name follows from its rows, so that the same rows are the same input; the name."""
    name = f"{kind}-{hashlib.sha256(repr(table.to_pylist()).encode()).hexdigest()[:16]}.parquet"
    write_table(f"{folder.uri}/{name}", table)
    return name


def share_replies(study: Study, development: Development) -> None:
    """Put what was paid for here into the study's ledger, where a run over all videos finds it."""
    paid, ledger = Ledger(development.folder.uri), Ledger(study.out)
    for key in sorted(paid.keys()):
        if ledger.get(key) is None and (entry := paid.get(key)) is not None:
            ledger.put(key, entry)


def rows_of_prompt(study: Study, prompt: TriedPrompt, ids: Sequence[str]) -> tuple[list[Any], list[Any]]:
    """A prompt's PredictionRows of some videos, and the rows of its scripts, with what they cost."""
    rows = [row for row in _rows(study, prompt.folder, ids, _COLUMNS) if row["error"] != Reason.DUPLICATE_ID]
    before = [row for folder in prompt.steps_before for row in _rows(study, folder, ids, _PAID)]
    return rows, before


def _rows(study: Study, folder: Folder, ids: Sequence[str], columns: list[str]) -> list[Any]:
    return folder.rows(study.catalog(), ids, columns)


def true_labels(study: Study, annotator: str | None) -> list[LabelRow]:
    """The annotations of one annotator, of listed videos, in the catalog's spelling of accounts.

    Raises UserError where it is unclear whose, or there are none.
    """
    rows = study.annotations()
    names, whose = sorted({row["annotator"] for row in rows}), annotator or study.annotator()
    if not names:
        raise UserError(f"{study.out}: has no annotations; give them to tikval analyze --annotations first")
    if whose is None and len(names) > 1:
        raise UserError(f"several annotators; name one with --annotator: {', '.join(names)}")
    if whose is not None and whose not in names:
        raise UserError(f"no annotator {whose}; there are {', '.join(names)}")
    ids = {row["video_id"] for row in rows}
    about = study.catalog().read_videos(ids, ["video_id", "account", "error"]).to_pylist()
    videos = {row["video_id"]: row for row in about if row["error"] != Reason.DUPLICATE_ID}
    kept = [row for row in rows if whose in (None, row["annotator"]) and row["video_id"] in videos]
    return [
        LabelRow(**{**row, "account": row["account"] or videos[row["video_id"]]["account"]}) for row in kept
    ]
