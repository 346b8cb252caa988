"""`tikval ...`: the jobs for people. Every command ends by saying where its result lies."""

import importlib
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer
from rich.console import Console
from rich.table import Table

from tikval.config import (
    CatalogConfig,
    CombineConfig,
    EmbedConfig,
    EvaluateConfig,
    ExtractConfig,
    FinetuneConfig,
    JobConfig,
    PredictConfig,
    PretrainConfig,
    ReportConfig,
    ScriptConfig,
    UserError,
    find,
    load_config,
    nested,
    read_yaml,
)
from tikval.flow.agreement import Coding
from tikval.flow.folder import Folder, Run
from tikval.flow.main import FAILED, guard, summary, too_many_failed
from tikval.flow.status import RUNNING, Status, read_status
from tikval.flow.study import Study, stage_folders
from tikval.llm.gate import read_spent
from tikval.rows import Reason

CODEBOOK: Final = "prompts/codebook.yaml"

app = typer.Typer(
    help="Which of Schwartz's 19 human values a short video endorses or confronts.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

HINTS = {
    Reason.DUPLICATE_ID: "rename one of the files, or give video_id in a manifest",
    Reason.INVALID_ID: "rename the file, or give video_id in a manifest",
    Reason.MISSING_FILE: "put the file back, then run the same command",
    Reason.NOT_A_FILE: "a folder is named like a video",
    Reason.PERMISSION_DENIED: "make the file readable, then run the same command",
    Reason.EMPTY_FILE: "download it again",
    Reason.UNREADABLE: "not a video that FFmpeg can read; download it again",
    Reason.DAMAGED: "download it again, or raise writer.max_lost_share",
    Reason.NO_VIDEO: "the file holds sound only",
    Reason.TOO_LONG: "raise limits.video_seconds, then run the same command",
    Reason.TOO_LARGE: "raise limits.frame_pixels or limits.file_mb, then run the same command",
    Reason.TIMEOUT: "raise limits.seconds, or run the same command again",
    Reason.OUT_OF_MEMORY: "raise limits.memory_mb, or run the same command again",
    Reason.CRASHED: "run the same command again",
    Reason.NO_TEXT: "nothing was said or shown as text; a system that sees the picture is needed",
    Reason.BLOCKED: "the model refused it; another model may not",
    Reason.REJECTED: "see the detail: the file may be of a kind that the model does not take",
    Reason.TOO_MANY_TOKENS: "take a model with a longer context, or shorten the prompt (examples_per_value)",
    Reason.TRUNCATED: "raise llm.max_tokens",
    Reason.BAD_REPLY: "run the same command again",
    Reason.WRONG_MODEL: "ask for a model that is still served",
    Reason.RATE_LIMITED: "lower api.requests_per_minute or tokens_per_minute, then run the same command",
    Reason.SERVER_ERROR: "run the same command again",
    Reason.OVER_BUDGET: "raise budget_usd, then run the same command",
    Reason.MINOR: "set api.send_minors=true if you may send it",
    Reason.NO_SCORE: "see the detail, and narrow the sweep's space",
    Reason.INTERNAL_ERROR: "a bug in tikval: please report it with its detail",
}


@app.command()
def analyze(
    videos: Annotated[
        str, typer.Argument(help="Folder, glob, or .csv or .parquet manifest; local or a URI.")
    ],
    out: Annotated[str, typer.Option(help="Folder for everything that comes out.")],
    profile: Annotated[
        str, typer.Option(help="A folder of configurations, or the name of one in configs/.")
    ] = "local",
    annotations: Annotated[str | None, typer.Option(help="Human labels to score against.")] = None,
    accounts: Annotated[
        str | None, typer.Option(help="CSV or Parquet of what is known of the accounts.")
    ] = None,
    codebook: Annotated[str | None, typer.Option(help="Another codebook than Schwartz's values.")] = None,
    embeddings: Annotated[
        bool, typer.Option("--embeddings", help="Also vectors of pictures, sound and on-screen text.")
    ] = False,
    budget: Annotated[
        float | None, typer.Option(help="USD for calls of paid models, in all; then it stops.")
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
    sets = _places(file, {"out": out, "videos": videos}, annotations, accounts, codebook)
    mark = "embeddings."
    theirs = [setting.removeprefix(mark) for setting in overrides or [] if setting.startswith(mark)]
    sets += [setting for setting in overrides or [] if not setting.startswith(mark)]
    config = load_config(ReportConfig, file, sets)
    embed = _embedding(file, config, theirs) if embeddings else None
    raise typer.Exit(
        guard(lambda: _run_all(config, embed, budget))
    )  # the guard here too: typer takes Ctrl-C for itself


def _places(
    file: str, everywhere: dict[str, str], annotations: str | None, accounts: str | None, codebook: str | None
) -> list[str | tuple[str, Any]]:
    """Overrides that bring a profile's configurations to these videos and this folder, however many systems it has."""
    given = {
        "videos": everywhere["videos"],
        "annotations": annotations,
        "accounts": accounts,
        "codebook": codebook,
    }
    sets: list[str | tuple[str, Any]] = []
    for place, config in nested(load_config(ReportConfig, file, [])):
        at = f"{place}." if place else ""
        sets.append((f"{at}out", everywhere["out"]))
        if isinstance(config, CatalogConfig):
            sets += [(f"{at}{key}", value) for key, value in given.items() if value]
        elif codebook and "codebook" in type(config).model_fields:
            sets.append((f"{at}codebook", codebook))
    return sets


def _embedding(report_file: str, config: ReportConfig, overrides: list[str]) -> EmbedConfig:
    """What the profile says of embeddings, over the same videos and into the same folder."""
    beside = str(Path(report_file).with_name("embed.yaml"))
    try:
        find(beside)
    except UserError:
        beside = "configs/embed.yaml"
    same = [("out", config.out), ("videos", config.scores.catalog.model_dump(mode="json"))]
    return load_config(EmbedConfig, beside, [*same, *overrides])


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
    package = Path(__file__).parent
    return next((f for f in (package / "share/configs", package.parent / "configs") if f.is_dir()), package)


def _run_all(config: ReportConfig, embed: EmbedConfig | None, budget: float | None) -> int:
    """Every job of a study in order. Returns the exit code."""
    from jobs import report

    runs: list[tuple[JobConfig, Run]] = []
    steps = {job.folder: job for _, job in nested(config.scores)}
    if embed and embed.folder not in steps:
        steps = {**dict(list(steps.items())[:-1]), embed.folder: embed, config.scores.folder: config.scores}
    paid = [job.folder for job in steps.values() if isinstance(job, ScriptConfig | ExtractConfig)]
    purse = Purse(budget, paid)
    for job in map(purse.for_stage, steps.values()):
        # imported when its turn comes: each pulls its models' libraries
        run = importlib.import_module(f"jobs.{_JOBS[type(job)]}").run(job)
        runs.append((job, run))
        print(summary(job, run), file=sys.stderr)
    report.run(config)
    _show(config)
    print(f"report: {config.folder}/index.html")
    if said := purse.said():
        print(said)
    wrong = [job.stage for job, run in runs if too_many_failed(job, run)]
    if wrong:
        print(f"tikval: more failed than max_failed_share allows: {', '.join(wrong)}", file=sys.stderr)
    return FAILED if wrong else 0


_JOBS: Final[dict[type[JobConfig], str]] = {
    CatalogConfig: "catalog",
    ScriptConfig: "write_scripts",
    EmbedConfig: "embed",
    ExtractConfig: "extract_values",
    PretrainConfig: "pretrain",
    FinetuneConfig: "finetune",
    PredictConfig: "predict",
    CombineConfig: "combine",
    EvaluateConfig: "evaluate",
}


class Purse:
    """One budget for the stages of a study that run one after another."""

    def __init__(self, budget: float | None, folders: list[str]) -> None:
        self.budget, self.folders = budget, folders

    def for_stage(self, config: JobConfig) -> JobConfig:
        """The configuration, with what the other stages have left where it pays for a model."""
        if self.budget is None or not isinstance(config, ScriptConfig | ExtractConfig):
            return config
        left = self.budget - self.spent(but=config.folder)
        said = [usd for usd in (config.budget_usd, max(left, 0.0)) if usd is not None]
        part = config.writer if isinstance(config, ScriptConfig) else config.extractor
        asks = part.kind == "llm" and part.llm.kind == "gemini"
        return config.model_copy(update={"budget_usd": min(said)}) if asks else config

    def spent(self, but: str = "") -> float:
        """USD, over all runs of these stages."""
        folders = [folder for folder in self.folders if folder != but]
        return sum(spent.settled_usd for folder in folders if (spent := read_spent(folder)))

    def said(self) -> str:
        return f"paid: {spent:.2f} USD over all runs" if (spent := self.spent()) else ""


def _show(config: ReportConfig) -> None:
    """The most frequent values, and the scores if there are any, before the page is opened."""
    console = Console(stderr=True)
    for row in Folder(config.scores.folder).read().to_pylist():
        if (row["stance"], row["label"], row["failures"]) == ("all", "macro", "left_out"):
            console.print(
                f"macro F1 over {row['n_scored']} annotated videos: {row['system']} {row['f1']:.2f}"
            )


@app.command()
def estimate(
    file: Annotated[str, typer.Argument(help="A report, scripts or predictions configuration.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value of it.")] = None,
) -> None:
    """What a paid run will cost: lengths of a sample of the videos, the real prompt, the prices of today."""
    from jobs import catalog
    from tikval.flow.estimate import estimate_of

    stages = _paid_stages(file, overrides or [])
    catalog.run(stages[0].videos if isinstance(stages[0], ScriptConfig) else stages[0].catalog)
    table = Table("stage", "model", "calls", "video", "tokens in", "tokens out", "USD", "from", "to", "basis")
    total, low, high = 0.0, 0.0, 0.0
    for stage in stages:
        said = estimate_of(stage)
        seconds = "" if said.seconds is None else f"{said.seconds:.0f} s"
        usd = ["" if usd is None else f"{usd:,.2f}" for usd in (said.usd, said.low_usd, said.high_usd)]
        tokens = [f"{n:,.0f}" for n in (said.tokens_in, said.tokens_out)]
        table.add_row(said.stage, said.model, f"{said.calls:,}", seconds, *tokens, *usd, said.basis)
        total, low, high = total + (said.usd or 0), low + (said.low_usd or 0), high + (said.high_usd or 0)
    Console(markup=False, width=None if sys.stdout.isatty() else 180).print(table)
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


@app.command()
def failures(out: Annotated[str, typer.Argument(help="The folder of an analysis.")]) -> None:
    """Which videos have no result, why, and what to do."""
    study = Study(out)
    catalog, shown = study.catalog(), set[str]()
    table = Table("video", "stage", "reason", "again?", "detail", "what to do")
    reasons: Counter[str] = Counter()
    for stage in ("catalog", "scripts", "embeddings", "predictions"):
        latest = study.latest(stage)
        for row in latest[0].rows(catalog) if latest else []:
            if row["error"] is None or row["row_key"] in shown:
                continue
            shown.add(row["row_key"])  # a failure passes through all later stages
            reason = Reason(row["error"])
            reasons[reason] += 1
            again = "no" if reason.terminal else "yes"
            table.add_row(row["video_id"], stage, reason, again, row["detail"] or "", HINTS[reason])
    if not shown:
        print(f"{out}: every video has a result")
        return
    Console(markup=False, width=None if sys.stdout.isatty() else 200).print(table)
    print(f"{len(shown)} failed: {', '.join(f'{reason} {n}' for reason, n in reasons.most_common())}")


@app.command()
def status(
    out: Annotated[str, typer.Argument(help="The folder of an analysis, running or not.")],
    once: Annotated[bool, typer.Option("--once", help="Say it once and end.")] = False,
) -> None:
    """How far each stage is, live until nothing runs any more."""
    from rich.live import Live

    console = Console(markup=False, width=None if sys.stdout.isatty() else 160)
    live = sys.stdout.isatty() and not once
    with Live(console=console, auto_refresh=False, transient=False) as screen:
        while True:
            found = [said for folder in stage_folders(out) if (said := read_status(folder)) is not None]
            if not found:
                raise UserError(f"{out}: no stage has started here")
            screen.update(_status_table(found), refresh=True)
            if not live or not any(said.state == RUNNING and not said.silent for said in found):
                return
            time.sleep(1)


def _status_table(found: list[Status]) -> Table:
    table = Table("stage", "state", "done", "failed", "rows/s", "left", "driver")
    for said in sorted(found, key=lambda said: said.started_at):
        state = "dead: run the same command again" if said.silent else said.state
        failed = ", ".join(f"{reason} {n}" for reason, n in said.failed.items()) or "0"
        left = f"{said.seconds_left:.0f} s" if said.state == RUNNING and said.seconds_left is not None else ""
        done = f"{said.done} of {said.total}" + (f" (+ {said.before} before)" if said.before else "")
        table.add_row(said.stage, state, done, failed, f"{said.rows_per_second:.2g}", left, said.driver)
    return table


@app.command()
def export(
    out: Annotated[str, typer.Argument(help="The folder of an analysis.")],
    file: Annotated[
        str, typer.Argument(help="What to write: .csv, .parquet or .jsonl; with --dataset a folder.")
    ],
    scores: Annotated[bool, typer.Option("--scores", help="The scores in place of the values.")] = False,
    dataset: Annotated[
        bool, typer.Option("--dataset", help="A folder that Hugging Face's datasets loads, with a card.")
    ] = False,
    system: Annotated[list[str] | None, typer.Option(help="This system only; may be given again.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Also into a folder that is not empty.")] = False,
) -> None:
    """One line per video and answer of a system: ids, error, and each value as -1, 0, 1 or empty; or the scores."""
    from tikval.flow.export import export_table, scores_table, stale_scores, write_export
    from tikval.flow.export_dataset import export_dataset

    if "://" in file:
        raise UserError(f"{file}: is not on this machine; export writes to a local disk")
    if scores and (dataset or system):
        raise UserError("--scores writes the lines of all evaluations; leave out --dataset and --system")
    if force and not dataset:
        raise UserError("--force is for --dataset; a file is replaced without it")
    study = Study(out)
    notes, said = [], f"{file}/README.md"
    if dataset:
        notes = export_dataset(study, Path(file), tuple(system or ()), force)
    else:
        table = scores_table(study) if scores else export_table(study, system or ())
        write_export(table, Path(file))
        said = f"{table.num_rows} lines: {file}"
    if scores and (stale := stale_scores(study)):
        notes = [f"what {', '.join(stale)} scored has changed since; run jobs.evaluate again"]
    print(f"{said}; read it before you share the folder" if dataset else said)
    for note in notes:
        print(f"tikval: note: {note}", file=sys.stderr)


@app.command()
def agreement(
    tables: Annotated[list[str], typer.Argument(help="Annotations: one table, or one of each annotator.")],
    systems: Annotated[
        str | None, typer.Option(help="The folder of an analysis: each of its systems is an annotator.")
    ] = None,
    annotator: Annotated[list[str] | None, typer.Option(help="These annotators only.")] = None,
    against: Annotated[
        str | None, typer.Option(help="Compare each with this one; absent: the baseline.")
    ] = None,
    by: Annotated[Literal["value"] | None, typer.Option(help="Also each value by itself.")] = None,
    coding: Annotated[Coding | None, typer.Option(help="This coding only.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Also as a table, with numbers in full.")] = None,
    codebook: Annotated[str, typer.Option(help="Of the annotations.")] = CODEBOOK,
) -> None:
    """How far annotators agree beyond chance, with 95 % intervals: people, systems, and the absent baseline."""
    from tikval.flow import agreement as agreeing
    from tikval.flow.annotators import add_systems, codebook_of, people, read_tables

    book = codebook_of(codebook)
    found = people(read_tables(tables, book), book)
    if systems:
        add_systems(found, systems, book)
    found = found.only(annotator or [])
    compared = agreeing.comparisons(found, against)
    rows = agreeing.compare(
        found, compared, [coding] if coding else list(agreeing.CATEGORIES), by_value=by is not None
    )
    Console(markup=False, width=None if sys.stdout.isatty() else 200).print(agreeing.as_table(rows))
    for system, reasons in found.failed.items():
        if reasons:
            print(f"{system}: no result for {', '.join(f'{n} {reason}' for reason, n in reasons.items())}")
    if csv:
        agreeing.write_csv(rows, csv)
        print(f"{len(rows)} lines: {csv}")


@app.command()
def consolidate(
    tables: Annotated[list[str], typer.Argument(help="Annotations: one table, or one of each annotator.")],
    third: Annotated[str, typer.Option(help="The annotator who decides where the two differ.")],
    to: Annotated[Path, typer.Option(help="What to write: a .csv file of annotations.")],
    annotator: Annotated[list[str] | None, typer.Option(help="One of the two; give it twice.")] = None,
    codebook: Annotated[str, typer.Option(help="Of the annotations.")] = CODEBOOK,
) -> None:
    """Two annotators and a third as one: what the two agree on, else what the third says."""
    from tikval.flow.annotators import codebook_of, read_tables
    from tikval.flow.consolidate import consolidate_rows, decided, left_out, write_consolidated

    book = codebook_of(codebook)
    rows = read_tables(tables, book)
    done, two = consolidate_rows(rows, third, annotator or [])
    write_consolidated(done, rows, book.slugs, to)
    print(f"{decided(done, two, third)}: {to}")
    if done.left_out:
        print(f"tikval: left out: {left_out(done)}", file=sys.stderr)
        raise typer.Exit(FAILED)


@app.command()
def prevalence(
    out: Annotated[str, typer.Argument(help="The folder of an analysis.")],
    system: Annotated[
        str | None, typer.Option(help="Whose answers to count; `annotations` for the human labels.")
    ] = None,
    by: Annotated[str | None, typer.Option(help="account, genre or month.")] = None,
    annotator: Annotated[str | None, typer.Option(help="Whose labels are the truth.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Also write the rates to this file.")] = None,
) -> None:
    """How often each value is endorsed and confronted, raw and, where videos are annotated, corrected."""
    from tikval.flow.prevalence import prevalence_of
    from tikval.flow.show_prevalence import show, write_csv

    found = prevalence_of(Study(out), system, by, annotator)
    show(found, Console(markup=False, width=None if sys.stdout.isatty() else 180))
    if csv:
        write_csv(found, csv)
        print(f"{len(found.lines)} lines: {csv}")


@app.command()
def tables(
    out: Annotated[str, typer.Argument(help="The folder of an analysis with annotations.")],
    csv: Annotated[Path | None, typer.Option(help="A folder for them as CSV and Markdown.")] = None,
    beside: Annotated[
        list[str] | None, typer.Option(help="SYSTEM=ROW of the paper, such as mine=gemini_2s; SYSTEM=: none.")
    ] = None,
) -> None:
    """The paper's Tables 3 to 6 over these systems, its numbers beside ours with what differs."""
    from tikval.flow.paper_tables import show, tables_of, write

    found = tables_of(Study(out), beside or [])
    show(found, Console(markup=False, width=None if sys.stdout.isatty() else 200))
    if csv:
        print(f"written: {', '.join(str(path) for path in write(found, csv))}")


@app.command("export-model")
def export_trained(
    trained: Annotated[str, typer.Argument(help="A fine-tuning configuration, or the folder it wrote.")],
    training: Annotated[str, typer.Option(help="Which of its trainings: partition, fold and seed.")],
    to: Annotated[Path, typer.Option(help="Folder for the model.")],
    force: Annotated[bool, typer.Option("--force", help="Also into a folder that is not empty.")] = False,
) -> None:
    """A trained encoder as a folder that transformers loads, with a card: scores, thresholds, limits."""
    from tikval.flow.export_model import export_model, trained_folder

    export_model(trained_folder(trained), training, to, force)
    print(f"{training}: {to}; read README.md there before you share it")


@app.command()
def erase(
    out: Annotated[str, typer.Argument(help="The folder of an analysis.")],
    video_ids: Annotated[list[str] | None, typer.Argument(help="Videos to forget.")] = None,
    account: Annotated[list[str] | None, typer.Option(help="Forget all videos of this account.")] = None,
) -> None:
    """Remove every derived row of some videos, and keep them from coming back."""
    from tikval.flow.erase import erase as forget

    if not video_ids and not account:
        raise UserError("name the videos to erase, or --account NAME")
    found, rows = forget(out.rstrip("/"), set(video_ids or []), set(account or []))
    missing = sorted(set(video_ids or []) - found)
    print(f"erased {rows} rows of {len(found)} videos from {out}; run the analysis again for a new report")
    if missing:
        print(f"tikval: not found, and kept out from now on: {', '.join(missing)}", file=sys.stderr)
        raise typer.Exit(FAILED)


@app.command()
def doctor() -> None:
    """What this machine has, and what it lacks for the local profile."""
    from tikval.flow.doctor import findings

    table = Table("what", "found", "needed for")
    lacks = 0
    for finding in findings():
        lacks += finding.lacks
        table.add_row(finding.what, finding.found, finding.needed_for)
    Console(markup=False, width=None if sys.stdout.isatty() else 160).print(table)
    print(f"{lacks} lacking for the local profile" if lacks else "ready for tikval analyze")
    raise typer.Exit(FAILED if lacks else 0)


def main() -> None:
    """The console script: a mistake of the user is one line and exit code 2, never a traceback."""
    sys.exit(guard(lambda: app() or 0))


if __name__ == "__main__":
    main()
