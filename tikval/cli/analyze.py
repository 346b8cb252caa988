"""Whole studies: every job in order, and what that will cost."""

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.table import Table

from tikval.cli.app import app
from tikval.cli.job import FAILED, guard, job_command, run_config, summary, too_many_failed
from tikval.config import (
    CatalogConfig,
    EmbedConfig,
    ExtractConfig,
    JobConfig,
    ReportConfig,
    ScriptConfig,
    UserError,
    find_file,
    load_config,
    nested,
    read_yaml,
)
from tikval.llm.gate import read_spent
from tikval.store.folder import Folder, FolderRun
from tikval.terminal import Terminal


@app.command()
def analyze(
    videos: Annotated[
        str,
        typer.Argument(
            help="Folder, glob, or a table that lists them (CSV, xlsx, Parquet, JSON); local or a URI."
        ),
    ],
    out: Annotated[str, typer.Option(help="Folder for everything that comes out.")],
    profile: Annotated[
        str, typer.Option(help="A folder of configurations, or the name of one in configs/.")
    ] = "local",
    annotations: Annotated[str | None, typer.Option(help="Human labels to score against.")] = None,
    annotated_by: Annotated[
        Literal["random", "accounts", "weights"] | None,
        typer.Option(help="How the annotated videos were chosen; else no rate is corrected by them."),
    ] = None,
    accounts: Annotated[str | None, typer.Option(help="A table of what is known of the accounts.")] = None,
    codebook: Annotated[str | None, typer.Option(help="Another codebook than Schwartz's values.")] = None,
    embeddings: Annotated[
        bool, typer.Option("--embeddings", help="Also vectors of pictures, sound and on-screen text.")
    ] = False,
    budget: Annotated[
        float | None, typer.Option(help="USD for calls of paid models, in all; then it stops.")
    ] = None,
    minors_unknown: Annotated[
        Literal["send", "withhold"] | None,
        typer.Option(
            help="Videos of which nothing says whether a minor features in them, to an outside model."
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="key=value of the profile's report.yaml, or embeddings.key=value of its embed.yaml."
        ),
    ] = None,
) -> None:
    """Catalog to report in one go; the same command goes on where it stopped."""
    file = _profile(profile)
    given = {
        "videos": videos,
        "annotations": annotations,
        "annotated_by": annotated_by,
        "accounts": accounts,
        "codebook": codebook,
    }
    sets = _places(file, out, given, minors_unknown)
    mark = "embeddings."
    theirs = [setting.removeprefix(mark) for setting in overrides or [] if setting.startswith(mark)]
    sets += [setting for setting in overrides or [] if not setting.startswith(mark)]
    config = load_config(ReportConfig, file, sets)
    embed = _embedding(file, config, theirs) if embeddings else None
    raise typer.Exit(
        guard(lambda: _run_all(config, embed, budget))
    )  # the guard here too: typer takes Ctrl-C for itself


@app.command()
def run(
    file: Annotated[str, typer.Argument(help="A report's configuration.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value of it.")] = None,
    budget: Annotated[
        float | None, typer.Option(help="At most so many USD for paid models, over all stages and runs.")
    ] = None,
) -> None:
    """Every job that a report's configuration rests on, in order; what is finished is not done again."""
    config = load_config(ReportConfig, file, overrides or [])
    raise typer.Exit(guard(lambda: _run_all(config, None, budget)))


@app.command("job", context_settings={"ignore_unknown_options": True})
def one_job(
    name: Annotated[str, typer.Argument(help="catalog, write_scripts, extract_values, finetune ...")],
    words: Annotated[list[str], typer.Argument(help="CONFIG.yaml ... [key=value ...] [--dry-run]")],
) -> None:
    """One job from its configuration, as `python -m jobs.NAME` does from a checkout."""
    raise typer.Exit(guard(lambda: job_command(name, words)))


def _places(
    file: str, out: str, given: dict[str, str | None], minors_unknown: str | None
) -> list[str | tuple[str, Any]]:
    """Overrides that bring a profile's configurations to these videos and this folder, however many systems it has."""
    sets: list[str | tuple[str, Any]] = []
    for place, config in nested(load_config(ReportConfig, file, [])):
        at = f"{place}." if place else ""
        keys = type(config).model_fields
        sets.append((f"{at}out", out))
        if isinstance(config, CatalogConfig):
            sets += [(f"{at}{key}", value) for key, value in given.items() if value]
            if (
                given["codebook"] not in (None, config.codebook)
                and not given["annotations"]
                and config.annotations
            ):
                # the profile's own are of the profile's values
                sets.append((f"{at}annotations", None))
                print(
                    f"tikval: note: {config.annotations} is of {config.codebook}: left out", file=sys.stderr
                )
        elif given["codebook"] and "codebook" in keys:
            sets.append((f"{at}codebook", given["codebook"]))
        if minors_unknown and "api" in keys:
            sets.append((f"{at}api.minors_unknown", minors_unknown))
    return sets


def _embedding(report_file: str, config: ReportConfig, overrides: list[str]) -> EmbedConfig:
    """What the profile says of embeddings, over the same videos and into the same folder."""
    file = str(Path(report_file).with_name("embed.yaml"))
    try:
        find_file(file)
    except UserError:
        file = "configs/embed.yaml"
    same = [("out", config.out), ("videos", config.scores.catalog.model_dump(mode="json"))]
    return load_config(EmbedConfig, file, [*same, *overrides])


def _profile(name: str) -> str:
    for folder in (Path(name), Path("configs") / name):
        if (folder / "report.yaml").is_file():
            return str(folder / "report.yaml")
    known = sorted(path.parent.name for path in _shipped().glob("*/report.yaml"))
    if name not in known:
        raise UserError(
            f"{name}: no such profile; there are {', '.join(known)}, or name a folder with report.yaml"
        )
    return f"configs/{name}/report.yaml"


def _shipped() -> Path:
    package = Path(__file__).parents[1]
    return next((f for f in (package / "share/configs", package.parent / "configs") if f.is_dir()), package)


def _run_all(config: ReportConfig, embed: EmbedConfig | None, budget: float | None) -> int:
    """Every job of a study in order. Returns the exit code."""
    runs: list[tuple[JobConfig, FolderRun]] = []
    steps = {job.folder: job for _, job in nested(config.scores)}
    if embed and embed.folder not in steps:
        steps = {**dict(list(steps.items())[:-1]), embed.folder: embed, config.scores.folder: config.scores}
    paid = [job.folder for job in steps.values() if isinstance(job, ScriptConfig | ExtractConfig)]
    purse = Purse(budget, paid)
    for job in map(purse.for_stage, steps.values()):
        run = run_config(job)
        runs.append((job, run))
        print(summary(job, run), file=sys.stderr)
    run_config(config)
    _show(config)
    print(f"report: {config.folder}/index.html")
    if bill := purse.summary():
        print(bill)
    wrong = [job.stage for job, run in runs if too_many_failed(job, run)]
    if wrong:
        print(f"tikval: more failed than max_failed_share allows: {', '.join(wrong)}", file=sys.stderr)
    return FAILED if wrong else 0


class Purse:
    """One budget for the stages of a study that run one after another."""

    def __init__(self, budget: float | None, folders: list[str]) -> None:
        self.budget, self.folders = budget, folders

    def for_stage(self, config: JobConfig) -> JobConfig:
        """The configuration, with what the other stages have left where it pays for a model."""
        if self.budget is None or not isinstance(config, ScriptConfig | ExtractConfig):
            return config
        left = self.budget - self.spent(but=config.folder)
        limits = [usd for usd in (config.budget_usd, max(left, 0.0)) if usd is not None]
        part = config.writer if isinstance(config, ScriptConfig) else config.extractor
        asks = part.kind == "llm" and part.llm.kind == "gemini"
        return config.model_copy(update={"budget_usd": min(limits)}) if asks else config

    def spent(self, but: str = "") -> float:
        """USD, over all runs of these stages."""
        folders = [folder for folder in self.folders if folder != but]
        return sum(spent.settled_usd for folder in folders if (spent := read_spent(folder)))

    def summary(self) -> str:
        return f"paid: {spent:.2f} USD over all runs" if (spent := self.spent()) else ""


def _show(config: ReportConfig) -> None:
    """The most frequent values, and the scores if there are any, before the page is opened."""
    console = Terminal(stderr=True)
    for row in Folder(config.scores.folder).read().to_pylist():
        if (row["stance"], row["label"], row["failures"]) == ("all", "macro", "left_out"):
            f1 = "-" if row["f1"] is None else f"{row['f1']:.2f}"
            console.print(f"macro F1 over {row['n_scored']} annotated videos: {row['system']} {f1}")


@app.command()
def estimate(
    file: Annotated[str, typer.Argument(help="A report, scripts or predictions configuration.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value of it.")] = None,
) -> None:
    """What a paid run will cost: lengths of a sample of the videos, the real prompt, the prices of today."""
    from tikval.study.estimate import estimate_of

    stages = _paid_stages(file, overrides or [])
    run_config(stages[0].videos if isinstance(stages[0], ScriptConfig) else stages[0].catalog)
    table = Table("stage", "model", "calls", "video", "tokens in", "tokens out", "USD", "from", "to", "basis")
    total, low, high = 0.0, 0.0, 0.0
    for stage in stages:
        cost = estimate_of(stage)
        seconds = "" if cost.seconds is None else f"{cost.seconds:.0f} s"
        usd = ["" if usd is None else f"{usd:,.2f}" for usd in (cost.usd, cost.low_usd, cost.high_usd)]
        tokens = [f"{n:,.0f}" for n in (cost.tokens_in, cost.tokens_out)]
        table.add_row(cost.stage, cost.model, f"{cost.calls:,}", seconds, *tokens, *usd, cost.basis)
        total, low, high = total + (cost.usd or 0), low + (cost.low_usd or 0), high + (cost.high_usd or 0)
    Terminal(width=None if sys.stdout.isatty() else 180).print(table)
    if high == 0:
        print(
            "nothing to pay for: what is still to do runs on your own hardware, or at an endpoint without a price"
        )
        return
    print(f"about {total:,.2f} USD ({low:,.2f} to {high:,.2f}) for what is still to do; --budget stops a run")


def _paid_stages(file: str, overrides: list[str]) -> list[ScriptConfig | ExtractConfig]:
    keys = read_yaml(file).keys()
    if "system" in keys:
        return [load_config(ExtractConfig, file, overrides)]
    if "scores" not in keys:
        return [load_config(ScriptConfig, file, overrides)]
    systems = load_config(ReportConfig, file, overrides).scores.predictions
    scripts = {system.scripts.folder: system.scripts for system in systems if system.scripts}
    return [*scripts.values(), *(system for system in systems if isinstance(system, ExtractConfig))]
