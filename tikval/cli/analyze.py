"""Whole studies: every job in order, and what that will cost."""

import sys
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from tikval.cli import study_options as given
from tikval.cli.app import app
from tikval.cli.guard import FAILED, guard
from tikval.cli.job import job_command, note_asked, run_config, summary, too_many_failed
from tikval.cli.profiles import Wanted, asked_by, asks_for_evidence, profile_file, report_of_profiles
from tikval.config import (
    CascadeConfig,
    CatalogConfig,
    EmbedConfig,
    ExtractConfig,
    FinetuneConfig,
    JobConfig,
    ReportConfig,
    ScriptConfig,
    TuneConfig,
    UserError,
    find_file,
    nested,
    steps_of,
)
from tikval.llm.gate import read_spent
from tikval.store.folder import Folder
from tikval.store.folder_run import FolderRun
from tikval.store.recipes import load_job
from tikval.store.shards import Shard, merged_usd
from tikval.study.check import check_catalog, check_inputs, stop_where_wrong
from tikval.study.shards import check_row_by_row, in_shard, take_over, write_shard_catalog
from tikval.study.side_by_side import (
    label_set_of_systems,
    reports_over_others,
    with_current_systems,
)
from tikval.terminal import Terminal


@app.command()
def analyze(
    ctx: typer.Context,
    videos: given.Videos,
    out: Annotated[str, typer.Option(help="Folder for everything that comes out.")],
    profile: given.Profiles = None,
    media: given.Media = None,
    columns: given.ColumnsMap = None,
    annotations: given.Annotations = None,
    annotated_by: given.AnnotatedBy = None,
    accounts: given.Accounts = None,
    no_annotations: given.NoAnnotations = False,
    no_accounts: given.NoAccounts = False,
    annotator: given.Annotator = None,
    codebook: given.CodebookFile = None,
    name: given.Names = None,
    title: given.Title = None,
    show_videos: given.ShowVideos = False,
    embeddings: given.Embeddings = False,
    budget: given.Budget = None,
    minors_unknown: given.MinorsUnknown = None,
    evidence: given.Evidence = None,
    shard: given.ShardWords = None,
    overrides: given.Overrides = None,
) -> None:
    """Catalog to report in one go; the same command goes on where it stopped."""
    profiles = profile or ["local"]
    config, quotes = _report(profiles, given.wanted_of(ctx.params))
    asked = asked_by(ctx, profiles, ["--no-evidence"] if quotes is False else [])
    config = config.model_copy(update={"asked": asked})
    embed = _embedding(profile_file(profiles[0]), config, overrides or ()) if embeddings else None
    # the guard here too: typer takes Ctrl-C for itself
    part = Shard.parse(shard) if shard else None
    raise typer.Exit(guard(lambda: run_study(config, embed, budget, with_others=True, shard=part)))


def _report(profiles: Sequence[str], wanted: Wanted) -> tuple[ReportConfig, bool | None]:
    """The configuration of a study, and whether it asks for evidence (None: it was settled before)."""
    config = report_of_profiles(profiles, wanted)
    quotes = asks_for_evidence(config) if wanted.evidence is None else None
    return (report_of_profiles(profiles, replace(wanted, evidence=True)) if quotes else config), quotes


def steps_of_study(
    profiles: Sequence[str], wanted: Wanted, embeddings: bool, overrides: Sequence[str]
) -> tuple[CatalogConfig, list[JobConfig]]:
    """The catalog and the stages that `analyze` would run over all videos, in order. Raises UserError."""
    config, _ = _report(profiles, wanted)
    steps = {job.folder: job for job in steps_of(config.scores)}
    if embeddings:
        embed = _embedding(profile_file(profiles[0]), config, overrides)
        steps.setdefault(embed.folder, embed)
    return config.scores.catalog, list(steps.values())


@app.command()
def run(
    ctx: typer.Context,
    file: Annotated[str, typer.Argument(help="A report's configuration.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value of it.")] = None,
    budget: Annotated[
        float | None, typer.Option(help="At most so many USD for paid models, over all stages and runs.")
    ] = None,
    shard: given.ShardWords = None,
) -> None:
    """Every job that a report's configuration rests on, in order; what is finished is not done again."""
    config = load_job(ReportConfig, file, overrides or [])
    config = config.model_copy(update={"asked": asked_by(ctx)})
    part = Shard.parse(shard) if shard else None
    raise typer.Exit(guard(lambda: run_study(config, None, budget, shard=part)))


@app.command("job", context_settings={"ignore_unknown_options": True})
def one_job(
    name: Annotated[str, typer.Argument(help="catalog, write_scripts, extract_values, finetune ...")],
    words: Annotated[list[str], typer.Argument(help="CONFIG.yaml ... [key=value ...] [--dry-run]")],
) -> None:
    """One job from its configuration, as `python -m jobs.NAME` does from a checkout."""
    raise typer.Exit(guard(lambda: job_command(name, words)))


def _embedding(report_file: str, config: ReportConfig, overrides: Sequence[str]) -> EmbedConfig:
    """What the profile and the command's settings say of embeddings, over the same videos and into the same folder."""
    file = str(Path(report_file).with_name("embed.yaml"))
    try:
        find_file(file)
    except UserError:
        file = "configs/embed.yaml"
    same = [("out", config.out), ("videos", config.scores.catalog.model_dump(mode="json"))]
    sets = [
        each.removeprefix(given.OF_EMBEDDINGS) for each in overrides if each.startswith(given.OF_EMBEDDINGS)
    ]
    return load_job(EmbedConfig, file, [*same, *sets])


def run_study(
    config: ReportConfig,
    embed: EmbedConfig | None,
    budget: float | None,
    *,
    with_others: bool = False,
    shard: Shard | None = None,
) -> int:
    """Every job of a study in order; `with_others`: its report shows every current system. Returns the exit code.

    `shard`: of a part of the videos, and without scores and report, which are of the whole study.
    """
    runs: list[tuple[JobConfig, FolderRun]] = []
    steps = {job.folder: job for job in steps_of(config.scores)}
    if embed:
        steps.setdefault(embed.folder, embed)
    if shard:
        return run_shard(config, list(steps.values()), budget, shard)
    paid = {job.folder for _, job in nested(config.scores) if isinstance(job, ScriptConfig | ExtractConfig)}
    purse = Purse(budget, sorted(paid))
    label_set = label_set_of_systems(config.scores)

    def run_one(job: JobConfig) -> None:
        run = run_config(job)
        runs.append((job, run))
        print(summary(job, run), file=sys.stderr)

    stop_where_wrong(check_inputs(config.scores))
    for job in steps.values():
        run_one(purse.for_stage(job))
        if isinstance(job, CatalogConfig):
            stop_where_wrong(check_catalog(config.scores, Folder(job.folder)))
    if with_others:
        config = with_current_systems(config, label_set)
    run_one(config.scores)
    run_config(config)
    note_asked([*steps.values(), config.scores, config])
    refresh_others(config.out, label_set)
    _show(config)
    print(f"report: {config.folder}/index.html")
    if bill := purse.summary():
        print(bill)
    wrong = [job.stage for job, run in runs if too_many_failed(job, run)]
    if wrong:
        print(f"tikval: more failed than max_failed_share allows: {', '.join(wrong)}", file=sys.stderr)
    return FAILED if wrong else 0


def run_shard(config: ReportConfig, steps: Sequence[JobConfig], budget: float | None, shard: Shard) -> int:
    """The stages of one shard, in its own folder; `budget` is the shard's. Returns the exit code."""
    stop_where_wrong(check_inputs(config.scores))
    for job in steps:
        if not isinstance(job, CatalogConfig):
            check_row_by_row(job)
    catalog, mine = config.scores.catalog, in_shard(config.scores.catalog, shard)
    jobs = [(job, in_shard(job, shard)) for job in steps if not isinstance(job, CatalogConfig)]
    purse = Purse(
        budget, sorted(own.folder for _, own in jobs if isinstance(own, ScriptConfig | ExtractConfig))
    )
    run = write_shard_catalog(catalog, shard)
    print(f"shard {shard}: {run.rows} videos, in {mine.folder}", file=sys.stderr)
    stop_where_wrong(check_catalog(config.scores, Folder(mine.folder)))
    wrong = []
    for job, own in jobs:
        if taken := take_over(job, own, mine):
            print(f"{own.stage}: {taken} rows are there already, in {job.folder}", file=sys.stderr)
        run = run_config(purse.for_stage(own))
        print(summary(own, run), file=sys.stderr)
        wrong += [own.stage] if too_many_failed(own, run) else []
    print(f"shard {shard} is finished; once all {shard.of} are: tikval merge {config.out}")
    if bill := purse.summary():
        print(bill)
    if wrong:
        print(f"tikval: more failed than max_failed_share allows: {', '.join(wrong)}", file=sys.stderr)
    return FAILED if wrong else 0


def refresh_others(out: str, label_set: str) -> None:
    """Make the scores and reports over other codebooks anew, where the catalog has changed or this one is new."""
    for other in reports_over_others(out, label_set):
        try:
            run_config(other.scores)
            run_config(other)
        except UserError as err:
            print(f"tikval: note: {other.folder} stays as it was: {err}", file=sys.stderr)


class Purse:
    """One budget for the stages of a study that run one after another."""

    def __init__(self, budget: float | None, folders: list[str]) -> None:
        self.budget, self.folders = budget, folders

    def for_stage(self, config: JobConfig) -> JobConfig:
        """The configuration, with what the other stages have left where it, or a system it asks, pays for a model."""
        if self.budget is None:
            return config
        if isinstance(config, TuneConfig | FinetuneConfig) and config.teacher is not None:
            return config.model_copy(update={"teacher": self.for_stage(config.teacher)})
        if isinstance(config, CascadeConfig):
            theirs = {stage.folder for stage in config.asked}
            return config.model_copy(update={"budget_usd": max(self.budget - self.spent(theirs), 0.0)})
        if not isinstance(config, ScriptConfig | ExtractConfig):
            return config
        left = self.budget - self.spent({config.folder}) - merged_usd(config.folder)
        limits = [usd for usd in (config.budget_usd, max(left, 0.0)) if usd is not None]
        part = config.writer if isinstance(config, ScriptConfig) else config.extractor
        asks = part.kind != "local" and part.llm.kind == "gemini"
        return config.model_copy(update={"budget_usd": min(limits)}) if asks else config

    def spent(self, but: AbstractSet[str] = frozenset()) -> float:
        """USD, over all runs of these stages, those in some folders left out."""
        folders = [folder for folder in self.folders if folder not in but]
        return sum(spent.settled_usd for folder in folders if (spent := read_spent(folder)))

    def summary(self) -> str:
        return f"paid: {spent:.2f} USD over all runs" if (spent := self.spent()) else ""


def _show(config: ReportConfig) -> None:
    """The scores if there are any, or why there are none, before the page is opened."""
    console = Terminal(stderr=True)
    means = [
        row
        for row in Folder(config.scores.folder).read().to_pylist()
        if (row["stance"], row["label"], row["failures"]) == ("all", "macro", "left_out")
    ]
    if means and all(row["f1"] is None for row in means):
        console.print(f"macro F1: {means[0]['why_none']}")
        return
    for row in means:
        f1 = "-" if row["f1"] is None else f"{row['f1']:.2f}"
        console.print(f"macro F1 over {row['n_scored']} annotated videos: {row['system']} {f1}")
