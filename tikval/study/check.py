"""What can be wrong with a study before its first video is opened: tables, codebooks, keys, tools, minors."""

import glob
import importlib.util
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Final, NamedTuple

import numpy as np

from tikval.ask.prompts import fixed_prompt_of
from tikval.ask.video import check_recognisers
from tikval.ask.withheld import check_minors, keys_of_minors
from tikval.codebook import Codebook, load_codebook
from tikval.config import (
    AskingPart,
    CatalogConfig,
    EvaluateConfig,
    ExtractConfig,
    FinetuneConfig,
    Gemini,
    JobConfig,
    Llm,
    LlmExtractor,
    LlmWriter,
    LocalWriter,
    Pool,
    PredictConfig,
    ScriptConfig,
    UserError,
    Vllm,
    find_file,
    nested,
)
from tikval.extract.llm import why_alike
from tikval.finetune.model_index import usable_members
from tikval.llm.keys import check_access
from tikval.llm.prices import load_prices
from tikval.script.local import check_writer, has_videos
from tikval.sources.catalog import read_accounts
from tikval.sources.labels import read_labels
from tikval.store.folder import Folder
from tikval.store.row_keys import KEY, keys_of
from tikval.study.side_by_side import annotators_in, check_annotator, label_set_of_systems

ANNOTATOR: Final = "annotator"


class CheckLine(NamedTuple):
    """One thing that was looked at. `wrong`: the study would stop there; `found` then says what to do."""

    what: str
    found: str
    wrong: bool = False


def check_inputs(scores: EvaluateConfig) -> Iterator[CheckLine]:
    """Codebooks, tables, and what each system needs, in seconds: no video is listed, and no server asked.

    Of a system that has finished before only the recipe is looked at: it has nothing to ask any more.
    """
    catalog = scores.catalog
    names = dict.fromkeys([*(system.codebook for system in scores.predictions), catalog.codebook])
    for name in names:
        yield _tried("codebook", partial(_codebook_text, name))
    if catalog.annotations:
        yield _tried("annotations", partial(_annotations_text, catalog, scores.annotator))
    if catalog.accounts:
        yield _tried("accounts", partial(_accounts_text, catalog.accounts))
    for job in _stages(scores):
        if isinstance(job, ScriptConfig | ExtractConfig | PredictConfig | FinetuneConfig):
            name = f"{job.stage}: {job.system}" if not isinstance(job, ScriptConfig) else job.stage
            yield _tried(name, partial(_stage_text, job))


def check_catalog(scores: EvaluateConfig, catalog: Folder) -> Iterator[CheckLine]:
    """What the finished catalog tells: how many videos, of whose, and whether each may be sent where it would go."""
    failed, names, keys, rows = Counter[str](), set[str](), [np.empty(0, KEY)], 0
    for table in catalog.tables(["row_key", "account", "error"]):
        rows += table.num_rows
        failed.update(table["error"].drop_null().to_pylist())
        names.update(table["account"].unique().drop_null().to_pylist())
        keys.append(keys_of(table.filter(table["error"].is_null())["row_key"]))
    todo = np.sort(np.concatenate(keys))
    reasons = ", ".join(f"{reason} {n}" for reason, n in failed.most_common())
    of = f" of {len(names):,} account{'s' * (len(names) != 1)}" if names else ", no account known"
    text = f"{rows:,}{of}"
    yield CheckLine("videos", f"{text}, {failed.total():,} cannot be used ({reasons})" if failed else text)
    if scores.annotator or catalog.read_side_table("labels"):
        yield _tried(ANNOTATOR, partial(_annotator_text, scores, catalog))
    for job in _stages(scores):
        if isinstance(job, ScriptConfig) and isinstance(job.writer, LocalWriter) and not stage_has_begun(job):
            yield _tried("recognisers", partial(_recognisers_text, catalog, job.writer))
    lines: dict[CheckLine, None] = {}  # one of each: what holds for a model holds for all stages that ask it
    for job in _stages(scores):
        llm = _llm_of(job)
        if llm is None or isinstance(llm, Vllm) or stage_has_begun(job):
            continue
        assert isinstance(job, ScriptConfig | ExtractConfig)
        lines[_tried(f"minors: {llm.model}", partial(_minors_text, catalog, llm, job, todo))] = None
    yield from lines


def _stages(scores: EvaluateConfig) -> list[JobConfig]:
    """Every stage once, though several systems read it."""
    return list({job.folder: job for _, job in nested(scores)}.values())


def stop_where_wrong(lines: Iterable[CheckLine]) -> None:
    """Raises UserError with everything that is wrong."""
    wrong = dict.fromkeys(line.found for line in lines if line.wrong)  # once, though several stages lack it
    if wrong:
        raise UserError("\n  ".join(wrong))


def stage_has_begun(job: JobConfig) -> bool:
    """Whether a stage has rows already: what is still to do there it will ask for itself."""
    folder = Folder(job.folder)
    try:
        return bool(folder.run() or folder.parts())
    except OSError:  # the first stage that wants to write there says what is wrong
        return False


def _tried(what: str, text: Callable[[], str]) -> CheckLine:
    try:
        return CheckLine(what, text())
    except UserError as err:
        return CheckLine(what, str(err), wrong=True)


def _quietly(note: str) -> None:
    """Drop a note."""


def _load_codebook(name: str) -> Codebook:
    try:
        return load_codebook(find_file(name))
    except ValueError as err:
        raise UserError(f"{err}; with lines: tikval codebook check {name}") from err


def _codebook_text(name: str) -> str:
    codebook = _load_codebook(name)
    return f"{codebook.name}, version {codebook.version}: {len(codebook.values)} values"


def _annotations_text(catalog: CatalogConfig, annotator: str | None) -> str:
    codebook = _load_codebook(catalog.codebook)
    rows = read_labels(
        catalog.annotations or "",
        codebook.slugs,
        codebook.label_set,
        titles=codebook.titles,
        say=_quietly,  # what is worth a note is printed by the catalog
    )
    names = sorted({row["annotator"] for row in rows})
    check_annotator(names, annotator, catalog.annotations or "")
    return f"{len({row['video_id'] for row in rows}):,} videos, by {annotator or ', '.join(names)}"


def _annotator_text(scores: EvaluateConfig, catalog: Folder) -> str:
    names = annotators_in(catalog, label_set_of_systems(scores))
    check_annotator(names, scores.annotator, "annotations")
    return scores.annotator or (names[0] if names else "none over this codebook")


def _accounts_text(uri: str) -> str:
    rows = read_accounts(uri, _quietly)
    minors, unknown = (sum(row["is_minor"] is flag for row in rows) for flag in (True, None))
    return f"{len(rows):,}, {minors:,} of them of minors, of {unknown:,} nothing says"


def _stage_text(job: ScriptConfig | ExtractConfig | PredictConfig | FinetuneConfig) -> str:
    llm = _llm_of(job)
    if llm is not None:
        assert isinstance(job, ScriptConfig | ExtractConfig)
        fixed_prompt_of(job)
    if stage_has_begun(job):
        return "has rows already"
    _check_gpus(job.pool)
    if isinstance(job, PredictConfig):
        _, names = usable_members(job.trained.folder, job.members)
        return f"{len(names)} trainings of {job.trained.system}"
    if isinstance(job, ScriptConfig) and isinstance(job.writer, LocalWriter):
        return "by recognisers on this machine"  # which check_catalog asks for where a video is to be opened
    if llm is None:
        return "on this machine"
    assert isinstance(job, ScriptConfig | ExtractConfig)
    return _model_text(job, llm)


def _recognisers_text(catalog: Folder, writer: LocalWriter) -> str:
    if not has_videos(catalog):
        return "not needed: the list has every script"
    check_writer(writer)
    return "installed"


def _model_text(job: ScriptConfig | ExtractConfig, llm: Llm) -> str:
    part = job.writer if isinstance(job, ScriptConfig) else job.extractor
    if isinstance(part, LlmWriter | LlmExtractor) and (isinstance(job, ScriptConfig) or job.sends_videos):
        check_recognisers(llm, part.look)
    if isinstance(llm, Vllm):
        if importlib.util.find_spec("vllm") is None and not os.environ.get("RAY_ADDRESS"):
            raise UserError(
                "vLLM is not installed here: pip install 'tikval[vllm]', or ask a model behind an endpoint"
            )
        return f"{llm.model} on vLLM"
    check_access(llm, job.api)
    if isinstance(llm, Gemini):
        load_prices(job.api.prices).of(llm.model, datetime.now(UTC).date())
    why = why_alike(part) if isinstance(part, LlmExtractor) else None
    return f"{llm.model} at {job.api.base_url or 'its vendor'}{f' ({why})' if why else ''}"


def _minors_text(catalog: Folder, llm: Llm, job: ScriptConfig | ExtractConfig, todo: np.ndarray) -> str:
    check_minors(catalog, llm, job.api, todo)
    minors, unknown = keys_of_minors(catalog)
    kept = 0 if job.api.send_minors else len(minors) + (job.api.minors_unknown == "withhold") * len(unknown)
    return f"{kept:,} videos are withheld from {llm.model}" if kept else f"every video may go to {llm.model}"


def _llm_of(job: JobConfig) -> Llm | None:
    part = (
        job.writer
        if isinstance(job, ScriptConfig)
        else job.extractor
        if isinstance(job, ExtractConfig)
        else None
    )
    return part.llm if isinstance(part, AskingPart) else None


_GPUS: Final = ("/dev/nvidia[0-9]*", "/dev/kfd", "/dev/dri/renderD*")  # devices of the makers that Ray knows


def _check_gpus(pool: Pool) -> None:
    here = shutil.which("nvidia-smi") or any(map(glob.glob, _GPUS))
    if pool.gpus and not here and not os.environ.get("RAY_ADDRESS"):
        raise UserError(
            f"its pool asks for {pool.gpus:g} GPUs an actor, and this machine has none; "
            "set its `gpus` to 0 to use cores"
        )
