"""tikval plan: what the same command to `analyze` would do, before anything is computed."""

import json
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from tikval.cli import study_options as given
from tikval.cli.analyze import Purse, steps_of_study
from tikval.cli.app import app
from tikval.config import CatalogConfig, ExtractConfig, ScriptConfig
from tikval.store.shards import Shard
from tikval.study.plan import ListedNow, StagePlan, plan_study
from tikval.study.shards import check_row_by_row, in_shard
from tikval.terminal import Terminal


@app.command()
def plan(
    ctx: typer.Context,
    videos: given.Videos,
    out: Annotated[str, typer.Option(help="Folder of the study, begun or not.")],
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
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for machines.")] = False,
) -> None:
    """What `analyze` with these arguments would do: rows, calls, USD or hours, and which recipes changed and why."""
    part = Shard.parse(shard) if shard else None
    catalog, steps = steps_of_study(
        profile or ["local"], given.wanted_of(ctx.params), embeddings, overrides or []
    )
    if part:
        for job in steps:
            if not isinstance(job, CatalogConfig):
                check_row_by_row(job)
    listed, stages = plan_study(steps, catalog, part)
    if as_json:
        print(json.dumps({"catalog": listed._asdict(), "stages": [_facts(stage) for stage in stages]}))
        return
    _show(listed, stages)
    if budget is not None:
        paid = [job for job in steps if isinstance(job, ScriptConfig | ExtractConfig)]
        folders = [(in_shard(job, part) if part else job).folder for job in paid]
        print(_budget_line(budget, Purse(budget, folders).spent(), stages))


def _budget_line(budget: float, spent: float, stages: Sequence[StagePlan]) -> str:
    """Whether a budget is enough for the calls that are to do."""
    usd = [stage.usd for stage in stages if stage.usd]
    low, likely, high = (sum(each[n] for each in usd) for n in range(3))
    left = budget - spent
    if high <= left:
        told = "enough"
    elif likely <= left:
        told = "likely enough; where it is not, the run stops, and goes on with a larger one"
    else:
        told = "not enough: the run would stop, and go on with a larger one"
    to_do = f"{likely:,.2f} ({low:,.2f} to {high:,.2f})"
    return f"budget: {budget:,.2f} USD, {spent:,.2f} of it spent; the calls to do take {to_do}: {told}"


def _facts(stage: StagePlan) -> dict[str, Any]:
    """A stage as JSON has it."""
    facts = asdict(stage) | {"to_do": stage.to_do, "hours": [each._asdict() for each in stage.hours]}
    return facts | {"change": stage.change and stage.change._asdict()}


def _show(listed: ListedNow, stages: Sequence[StagePlan]) -> None:
    terminal = Terminal(width=None if sys.stdout.isatty() else 120)
    print(
        f"catalog: {listed.videos:,} videos listed now, {listed.new:,} new, {listed.gone:,} not there any more"
    )
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for n, column in enumerate(("stage", "rows", "reused", "to do", "again", "calls", "USD", "hours", "MB")):
        table.add_column(column, justify="right" if n else "left")
    for stage in stages:
        usd = (
            "-" if stage.usd is None else f"{stage.usd[1]:,.2f} ({stage.usd[0]:,.2f} to {stage.usd[2]:,.2f})"
        )
        hours = ", ".join(f"{each.hours:,.2f} {each.of}" for each in stage.hours) or "-"
        calls = "-" if stage.calls is None else f"{stage.calls:,}"
        disk = "-" if stage.disk_mb is None else f"{stage.disk_mb:,.1f}"
        counts = [f"{n:,}" for n in (stage.rows, stage.reused, stage.to_do, stage.again)]
        table.add_row(stage.system or stage.stage, *counts, calls, usd, hours, disk)
    terminal.print(table)
    lines: dict[str, None] = {}
    for stage in stages:
        lines |= dict.fromkeys(f"{each.of}: {each.rate}" for each in stage.hours)
        lines |= {stage.why_not: None} if stage.why_not else {}
    for line in lines:
        print(textwrap.fill(line, 110, subsequent_indent="  "))
    for stage in stages:
        if stage.change:
            _show_change(stage)


def _show_change(stage: StagePlan) -> None:
    change = stage.change
    assert change is not None
    print(
        f"{stage.system or stage.stage}: another recipe than {change.folder} (tikval {change.tikval}, "
        f"{change.rows:,} rows), so {stage.new:,} rows would be computed anew; its rows stay where they are"
    )
    for reason in change.reasons:
        print(f"  {reason}")
    if any(" -> " in reason and "version of" not in reason for reason in change.reasons):
        print("  --set KEY=OLD VALUE, or the profile as it was, goes on with the rows that are there")
