"""tikval estimate: what a study will cost, of these videos or of any number, as tables."""

import sys
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple, get_args

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from tikval.cli.app import app
from tikval.cli.job import run_config
from tikval.cli.profiles import profile_file
from tikval.config import (
    CascadeConfig,
    ExtractConfig,
    ReportConfig,
    ScriptConfig,
    TuneConfig,
    UserError,
    read_yaml,
)
from tikval.spreadsheet import csv_of
from tikval.store.recipes import load_job
from tikval.study.cascade_estimate import cascade_text
from tikval.study.estimate import (
    CostEstimate,
    Kind,
    Note,
    Spread,
    Way,
    estimate_of,
    estimate_without_videos,
    way_of,
)
from tikval.terminal import Terminal

PROFILES: Final = (
    "local",
    "tuned",
    "gemini",
    "distill",
    "cascade",
    "open",
    "mistral",
    "qwen",
    "omni",
    "paper",
)
_UNIT: Final = 1000  # videos
_WAYS: Final = Way(), Way(cached=True), Way(batch=True)


@app.command()
def estimate(
    file: Annotated[
        str | None, typer.Argument(help="A report, scripts or predictions configuration; none: --profile.")
    ] = None,
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value of it.")] = None,
    videos: Annotated[
        int | None, typer.Option(min=1, help="So many videos, none of which need be there.")
    ] = None,
    seconds: Annotated[float | None, typer.Option(min=0.1, help="Their mean length.")] = None,
    profile: Annotated[
        list[str] | None, typer.Option(help=f"Again for several; all unless named: {', '.join(PROFILES)}.")
    ] = None,
    gpu: Annotated[str | None, typer.Option(help="The GPU, of those in configs/rates.yaml.")] = None,
    gpu_usd: Annotated[float | None, typer.Option(min=0, help="What an hour of it costs you.")] = None,
    table: Annotated[Path | None, typer.Option("--csv", help="Also every figure, as a table.")] = None,
) -> None:
    """What a study will cost: USD on today's price and after its changes, hours of GPUs and cores."""
    if (videos is None) != (seconds is None):
        raise UserError(
            "--videos and --seconds belong together: how many videos, and how long they are on average"
        )
    if videos is None and file is None:
        raise UserError(
            "name a configuration, or say how many videos: tikval estimate --videos 1000 --seconds 30"
        )
    if file is not None and profile:
        raise UserError("name a configuration or --profile, not both")
    names = [file] if file else list(dict.fromkeys(profile or PROFILES))
    found: dict[str, list[CostEstimate]] = {}
    for name in names:
        stages, trained, cascades = _stages(name if file else profile_file(name), overrides or [])
        if videos is None or seconds is None:
            first = stages[0].stage
            run_config(first.videos if isinstance(first, ScriptConfig) else first.catalog)
            found[name] = [estimate_of(stage, gpu=gpu, sample=most) for stage, most in stages]
        else:
            found[name] = [
                estimate_without_videos(stage, min(videos, most or videos), seconds, gpu=gpu)
                for stage, most in stages
            ]
        _print(name, found[name], videos, gpu_usd)
        for stage, most in stages:
            if most is not None and isinstance(stage, ExtractConfig):
                print(
                    f"{stage.system} answers a sample alone: {most:,} videos, or all where there are fewer\n"
                )
        if trained:
            print(f"not estimated, for they are trained: {', '.join(trained)}\n")
        for cascade in cascades:
            given = None if videos is None or seconds is None else (videos, seconds)
            print(textwrap.fill(cascade_text(cascade, given, gpu), 100))
        if videos is None:
            _print_sum(found[name], [way_of(stage.api) for stage, _ in stages])
    _print_notes([note for some in found.values() for stage in some for note in stage.notes])
    if table:
        _write(table, found, videos)
        print(f"all figures: {table}")


class _Stage(NamedTuple):
    stage: ScriptConfig | ExtractConfig
    sample: int | None = None  # of so many videos alone


def _stages(file: str, overrides: list[str]) -> tuple[list[_Stage], list[str], list[CascadeConfig]]:
    """The stages of a configuration that are estimated, scripts first; its systems that are not; and its cascades."""
    keys = read_yaml(file).keys()
    if "heads" in keys:
        return [*_of_heads(load_job(TuneConfig, file, overrides))], [], []
    if "cheap" in keys:
        systems: tuple[Any, ...] = (load_job(CascadeConfig, file, overrides),)
    elif "system" in keys:
        return [_Stage(load_job(ExtractConfig, file, overrides))], [], []
    elif "scores" not in keys:
        return [_Stage(load_job(ScriptConfig, file, overrides))], [], []
    else:
        systems = load_job(ReportConfig, file, overrides).scores.predictions
    cascades = [system for system in systems if isinstance(system, CascadeConfig)]
    over_all = [system.cheap if isinstance(system, CascadeConfig) else system for system in systems]
    scripts = {system.scripts.folder: _Stage(system.scripts) for system in over_all if system.scripts}
    extracted = {s.folder: _Stage(s) for s in over_all if isinstance(s, ExtractConfig)}
    heads = [stage for system in over_all if isinstance(system, TuneConfig) for stage in _of_heads(system)]
    if not scripts and not extracted and not heads:
        raise UserError(f"{file}: only trained systems, whose cost is not estimated")
    trained = [s.system for s in over_all if not isinstance(s, ExtractConfig | TuneConfig)]
    return [*scripts.values(), *extracted.values(), *heads], trained, cascades


def _of_heads(config: TuneConfig) -> Iterator[_Stage]:
    """The teacher on its sample, and the vectors and scores that heads start from, which are nearly all of the work."""
    if config.teacher is not None:
        yield _Stage(config.teacher, config.sample)
    known = {name: getattr(config, name) for name in ("scripts", "out", "system", "codebook")}
    yield _Stage(ExtractConfig(**known, extractor=config.base))


def _print(name: str, stages: Sequence[CostEstimate], videos: int | None, gpu_usd: float | None) -> None:
    terminal = Terminal(width=None if sys.stdout.isatty() else 100)
    gpus = " and ".join(sorted({stage.gpu for stage in stages if stage.gpu}))
    whose = "what is still to do" if videos is None else f"per {_UNIT:,} videos"
    hardware = f"hours of GPUs ({gpus}) and cores" if gpus else "hours of cores"
    terminal.print(f"{name}, {whose}: calls, tokens of each, {hardware}", style="bold")
    terminal.print(_work(stages, videos, gpu_usd))
    if any(stage.costs for stage in stages):
        terminal.print(f"{name}, {whose}: USD and their range", style="bold")
        terminal.print(_money(stages, videos))
        hours = max((stage.hours_at_limits or 0) for stage in stages)
        limits = "by the requests and tokens a minute in its api"
        print(f"online the longest stage takes at least {_figure(hours)} hours, {limits}")
        for model, other, day in _other_models(stages):
            print(f"from {day} on {other} answers in place of {model}, at its own price")
    print()


def _other_models(stages: Sequence[CostEstimate]) -> list[tuple[str, str, date]]:
    """Models that will be answered for, by which, and from when on."""
    others: dict[tuple[str, str], date] = {}
    for stage in stages:
        for cost in stage.costs:
            if cost.model != stage.model:
                day = others.get((stage.model, cost.model), cost.since)
                others[stage.model, cost.model] = min(day, cost.since)
    return [(*names, day) for names, day in others.items()]


def _work(stages: Sequence[CostEstimate], videos: int | None, gpu_usd: float | None) -> Table:
    """Calls, tokens and hours by stage."""
    usd = () if gpu_usd is None else ("GPU USD",)
    table = _table("stage", "model", "calls", "tokens in", "out", "GPU h", "core h", *usd)
    unit = 1 if videos is None else _UNIT / videos

    def hours(some: Sequence[CostEstimate], times: float) -> list[str]:
        gpu = [stage.gpu_hours.mid * times for stage in some if stage.gpu_hours]
        core = [stage.core_hours * times for stage in some if stage.core_hours is not None]
        usd = [] if gpu_usd is None else [f"{sum(gpu) * gpu_usd:,.2f}" if gpu else "-"]
        return [*(_figure(sum(one)) if one else "-" for one in (gpu, core)), *usd]

    for stage in stages:
        tokens = stage.tokens
        shown = ("-", "-") if tokens is None else (f"{tokens.tokens_in:,.0f}", f"{tokens.tokens_out:,.0f}")
        model = "-" if tokens is None else stage.model.rpartition("/")[2]
        calls = f"{stage.calls * unit:,.0f}"
        table.add_row(stage.system or stage.stage, model, calls, *shown, *hours([stage], unit))
    table.add_section()
    if len(stages) > 1:
        table.add_row("together", "", "", "", "", *hours(stages, unit))
    if unit != 1:
        table.add_row(f"all {videos:,}", "", "", "", "", *hours(stages, 1))
    return table


def _money(stages: Sequence[CostEstimate], videos: int | None) -> Table:
    """USD by stage and way of asking, on each price."""
    paid = [stage for stage in stages if stage.costs]
    days = sorted({cost.since for stage in paid for cost in stage.costs})
    spans = [f"until {day - timedelta(days=1)}" for day in days[1:]]
    spans.append(f"from {days[-1]} on" if spans else "today (no change is known)")
    table = _table("asked", "stage", *spans)
    unit = 1 if videos is None else _UNIT / videos
    for way in _WAYS:
        if way.cached and not any(stage.usd(way) for stage in paid):
            continue
        label = _name_of(way)
        for stage in paid:
            cells = [_usd(_on(stage, way, day), unit) for day in days]
            table.add_row(label, stage.system or stage.stage, *cells)
            label = ""
        sums = [_sum([usd for stage in paid if (usd := _on(stage, way, day))]) for day in days]
        if len(paid) > 1:
            table.add_row("", "together", *(_usd(usd, unit) for usd in sums))
        if unit != 1:
            table.add_row("", f"all {videos:,}", *(_usd(usd, 1) for usd in sums))
        table.add_section()
    return table


def _table(*columns: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for n, column in enumerate(columns):
        table.add_column(column, justify="left" if n < 2 else "right")
    return table


def _name_of(way: Way) -> str:
    return ("Batch" if way.batch else "online") + (", codebook cached" if way.cached else "")


def _on(stage: CostEstimate, way: Way, day: date) -> Spread | None:
    """USD of a stage at the price of a day; a prompt that is too short for a cache costs what it costs without."""
    mine = [cost for cost in stage.costs if cost.since <= day]
    last = max((cost.since for cost in mine), default=day)
    return stage.usd(way, last) or stage.usd(way._replace(cached=False), last)


def _sum(spreads: Sequence[Spread]) -> Spread | None:
    return Spread(*map(sum, zip(*spreads, strict=True))) if spreads else None


def _usd(spread: Spread | None, unit: float) -> str:
    if spread is None:
        return "-"
    usd = spread.times(unit)
    low, mid, high = (f"{figure:,.{2 if usd.mid < 1000 else 0}f}" for figure in usd)
    return f"{mid} ({low} to {high})"


def _figure(number: float) -> str:
    """A number with about three digits that tell."""
    if 0 < number < 0.001:
        return "<0.001"
    digits = next((n for n, least in enumerate((100, 10, 1)) if number >= least), 3)
    return f"{number:,.{digits}f}"


def _print_sum(stages: Sequence[CostEstimate], ways: Sequence[Way]) -> None:
    """What is to pay by the ways of asking that the configurations name."""
    days = sorted({cost.since for stage in stages for cost in stage.costs})
    if not days:
        where = "on your own hardware, or at an endpoint without a price"
        print(f"nothing to pay for: what is still to do runs {where}")
        return
    if not any(stage.calls for stage in stages if stage.costs):
        print("nothing is left to pay for")
        return
    for n, day in enumerate(days):
        usd = _sum([one for stage, way in zip(stages, ways, strict=True) if (one := _on(stage, way, day))])
        low, mid, high = usd or Spread(0, 0, 0)
        what = "for what is still to do; --budget stops a run" if n == 0 else f"from {day} on"
        print(f"about {mid:,.2f} USD ({low:,.2f} to {high:,.2f}) {what}")


def _print_notes(notes: Sequence[Note]) -> None:
    """Print the notes by kind, those of the most stages last."""
    for kind in get_args(Kind):
        counts = Counter(note.text for note in notes if note.kind == kind)
        for n, text in enumerate(sorted(counts, key=lambda text: counts[text])):
            print(
                textwrap.fill(
                    text, 100, initial_indent=f"{kind}: " if n == 0 else "  ", subsequent_indent="    "
                )
            )


def _write(file: Path, found: dict[str, list[CostEstimate]], videos: int | None) -> None:
    rows = [row for name, stages in found.items() for stage in stages for row in _rows(name, stage, videos)]
    table = csv_of([list(rows[0]), *(list(row.values()) for row in rows)])
    file.write_text(table, encoding="utf-8", newline="")


def _rows(name: str, stage: CostEstimate, videos: int | None) -> Iterator[dict[str, Any]]:
    """A line for each way of asking and price, or one where nothing is paid for; empty: none, or not known."""
    tokens, gpus = stage.tokens, stage.gpu_hours
    line: dict[str, Any] = {
        "profile": name,
        "videos": videos,
        "stage": stage.stage,
        "system": stage.system,
        "model": stage.model,
        "calls": stage.calls,
        "tokens_in": tokens and round(tokens.tokens_in),
        "tokens_out": tokens and round(tokens.tokens_out),
        "gpu": stage.gpu,
        **{f"gpu_hours_{end}": gpus and getattr(gpus, end) for end in Spread._fields},
        "core_hours": stage.core_hours,
    }
    keys = ("way", "since", "answered_by", *(f"usd_{end}" for end in Spread._fields))
    for cost in stage.costs:
        yield line | dict(zip(keys, (_name_of(cost.way), cost.since, cost.model, *cost.usd), strict=True))
    if not stage.costs:
        yield line | dict.fromkeys(keys)
