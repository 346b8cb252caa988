"""A cheap system's predictions -> predictions, some of them by a strong system that runs on Ray over some videos.

    the sample, by both | a plan, kept and printed | the videos in doubt, by the strong one | every video once | a check

Killed anywhere, the same command goes on: sample and plan lie in the folder, the answers in the strong system's.
"""

import sys
import time

import numpy as np

from tikval.codebook import Codebook, load_codebook
from tikval.config import CascadeConfig, Gemini, ScriptConfig, UserError, find_file
from tikval.evaluate.cascade_plan import (
    NOT_ASKED,
    KeptPlan,
    check_plan,
    plan_of_sample,
    spent_on,
    write_check,
)
from tikval.evaluate.cascade_rows import write_rows
from tikval.evaluate.cascade_sample import (
    SAMPLED,
    CascadeSample,
    CheapAnswers,
    basis_of,
    cascade_sample,
    read_cheap,
)
from tikval.files import delete, list_files
from tikval.flow.extract_values import extract_values
from tikval.flow.write_scripts import write_scripts
from tikval.report.tables.cascade import (
    check_sentences,
    check_warnings,
    left_sentence,
    plan_sentences,
    plan_table,
    promise_text,
)
from tikval.store.folder import Folder
from tikval.store.folder_run import FolderRun
from tikval.store.row_keys import contains
from tikval.study.call_tokens import llm_of
from tikval.terminal import Terminal


def cascade(config: CascadeConfig) -> FolderRun:
    """Bring the cascade up to date; what is finished returns immediately.

    Raises UserError where the cheap system gives no scores, nothing can be promised, or the budget is too small.
    """
    folder, begin = Folder(config.folder), time.monotonic()
    strong = Folder(config.strong.folder)
    try:
        codebook = load_codebook(find_file(config.codebook))
    except ValueError as err:
        raise UserError(str(err)) from err
    with folder.lock():
        before = folder.run()
        if before and not before.retryable and strong.run() and before.inputs == _inputs(config):
            return before
        cheap = read_cheap(Folder(config.cheap.folder), Folder(config.catalog.folder), config.cheap.system)
        whole = config.promise_for == "accounts"
        sample = cascade_sample(folder, cheap, config.sample, config.seed, accounts_whole=whole)
        kept = _plan(config, codebook, folder, cheap, sample)
        asked = _asked(kept, cheap, sample)
        _stop_above_budget(config, codebook, kept, cheap, sample, asked)
        _ask(config, asked)
        return _write(config, codebook, folder, (kept, cheap, sample, asked), begin)


def _inputs(config: CascadeConfig) -> dict[str, str]:
    upstream = (config.catalog, config.cheap, config.strong)
    return {one.folder: Folder(one.folder).finished().state for one in upstream}


def _ask(config: CascadeConfig, keys: np.ndarray) -> None:
    """Let the strong system judge these videos, S16 sorted, each once whatever was asked before."""
    for stage in config.asked:
        others = tuple(other for other in config.asked if other is not stage)
        if config.budget_usd is not None and isinstance(llm_of(stage), Gemini):
            left = max(config.budget_usd - spent_on(others), 0.0)
            stage = stage.model_copy(update={"budget_usd": left})
        if isinstance(stage, ScriptConfig):
            write_scripts(stage, only=keys)
        else:
            extract_values(stage, only=keys)


def _plan(
    config: CascadeConfig, codebook: Codebook, folder: Folder, cheap: CheapAnswers, sample: CascadeSample
) -> KeptPlan:
    """The plan as it was made once; made anew where the sample or the cheap system's answers to it have changed."""
    kept = KeptPlan.read(folder)
    if kept and kept.basis == basis_of(cheap, sample):
        return kept
    if kept:
        why = "the sample, or what the cheap system says of it, has changed"
        print(f"tikval: {config.system}: planned anew, for {why}", file=sys.stderr)
    _ask(config, sample.keys)
    table = Folder(config.strong.folder).read_listed(sample.keys, ["error"])
    errors = table["error"].to_pylist()
    if unasked := sum(error in NOT_ASKED for error in errors):
        raise UserError(
            f"{config.system}: {unasked} of the {len(sample.keys)} sampled videos were not asked, for the budget ends "
            "before; give a larger --budget, and the same command goes on"
        )
    try:
        kept = plan_of_sample(config, codebook, cheap, sample)
    except ValueError as err:
        raise UserError(f"{config.system}: {err}; see tikval failures {config.out}") from err
    kept.write(folder)
    return kept


def _asked(kept: KeptPlan, cheap: CheapAnswers, sample: CascadeSample) -> np.ndarray:
    """Row keys, S16 sorted, of all videos of the strong system: the sample, those in doubt, those without an answer."""
    up = cheap.keys[kept.plan.goes_up(cheap.scores)]
    return np.unique(np.concatenate([sample.keys, up, cheap.failed]))


def _stop_above_budget(
    config: CascadeConfig,
    codebook: Codebook,
    kept: KeptPlan,
    cheap: CheapAnswers,
    sample: CascadeSample,
    asked: np.ndarray,
) -> None:
    """Print the plan before the rest is asked. Raises UserError where nothing is promised, or it costs too much."""
    listed = np.union1d(cheap.keys, cheap.failed)
    done = Folder(config.strong.folder).seen().done
    todo, all_todo = (int((~contains(done, keys)).sum()) for keys in (asked, listed))
    console = Terminal(stderr=True)
    console.print(f"{config.system}: the plan", style="bold")
    console.print(plan_table(kept.plan))
    for line in (*plan_sentences(kept), left_sentence(kept, todo, all_todo)):
        console.print(line)
    if not todo:
        return
    if config.share is None and not any(kept.plan.promised):
        raise UserError(
            f"{config.system}: nothing can be promised ({promise_text(kept.plan)}); take a larger sample, or share=0.3 "
            "of the videos without a promise"
        )
    if config.budget_usd is None or not kept.price.usd:
        return
    price, left = kept.price.usd * todo, config.budget_usd - spent_on(config.asked)
    if price > left:
        share = max(left, 0.0) / kept.price.usd / max(kept.n_rest, 1)
        buys = plan_of_sample(config, codebook, cheap, sample, share=min(share, 1.0)).plan
        raise UserError(
            f"{config.system}: the rest costs about {price:.2f} USD, and {max(left, 0):.2f} USD of the budget are "
            f"left. These buy a share of {share:.2f}: {promise_text(buys)}. Give a larger --budget, or take that with "
            f"share={share:.2f}"
        )


def _write(
    config: CascadeConfig,
    codebook: Codebook,
    folder: Folder,
    made: tuple[KeptPlan, CheapAnswers, CascadeSample, np.ndarray],
    begin: float,
) -> FolderRun:
    """Every video once; then the check, and run.json last."""
    kept, cheap, sample, asked = made
    listed = np.unique(Folder(config.catalog.folder).keys())
    sources = Folder(config.cheap.folder), Folder(config.strong.folder)
    files, by, failed = write_rows(folder, config.system, listed, *sources, asked, kept.plan.answers)
    check = {**check_plan(config, codebook, cheap, sample, kept.plan), "answered_by": dict(by)}
    write_check(folder, check)
    for line in (*check_sentences(check), *check_warnings(config.system, check)):
        print(f"{config.system}: {line}", file=sys.stderr)
    tables, seconds = {SAMPLED: sample.file}, time.monotonic() - begin
    run = folder.write_run(config, files, _inputs(config), len(listed), dict(failed), seconds, tables)
    for stale in set(list_files(folder.uri, ".parquet", include_side_tables=True)) - {*files, sample.file}:
        delete(f"{folder.uri}/{stale}")
    return run
