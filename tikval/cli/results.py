"""What comes out of a study: tables, comparisons, models; and what is taken out of it again."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tikval.annotate.agreement import Coding
from tikval.cli.app import CODEBOOK, app
from tikval.cli.guard import FAILED
from tikval.config import ReportConfig, UserError, validate
from tikval.stats.limits import counted
from tikval.store.runs import Study, run_here
from tikval.terminal import Terminal

if TYPE_CHECKING:
    from tikval.study.erased_names import ErasedNames

Picked = Annotated[
    str | None,
    typer.Option(
        "--codebook", help="The codebook by its name or file, where several lie here; else the one used last."
    ),
]


def picked_study(out: str, codebook: str | None) -> Study:
    """A study over one codebook; what lies there over another one is named."""
    study = Study(out, codebook=codebook)
    for line in study.not_shown():
        print(f"tikval: {line}", file=sys.stderr)
    return study


def current_report(study: Study) -> ReportConfig | None:
    """The current report's configuration; None where there is none. Raises UserError where its recipe has changed."""
    latest = study.latest("report")
    if latest is None:
        return None
    folder, run = latest
    config = validate(ReportConfig, run_here(run, study.out).config, f"{folder.uri}/run.json")
    if config.fingerprint != run.fingerprint:
        raise UserError(
            f"{folder.uri}: its codebook, a prompt or tikval has changed since; run the analysis again first"
        )
    return config


@app.command()
def export(
    out: Annotated[str, typer.Argument(help="The folder of an analysis.")],
    file: Annotated[
        str,
        typer.Argument(
            help="What to write, here or on a store: .csv, .xlsx, .parquet, .jsonl, .duckdb, or NAME/ for a folder of "
            "Parquet files by recipe; with --dataset a folder."
        ),
    ],
    long: Annotated[bool, typer.Option("--long", help="A line per value, in place of a column.")] = False,
    scores: Annotated[bool, typer.Option("--scores", help="The scores in place of the values.")] = False,
    dataset: Annotated[
        bool, typer.Option("--dataset", help="A folder that Hugging Face's datasets loads, with a card.")
    ] = False,
    system: Annotated[list[str] | None, typer.Option(help="This system only; may be given again.")] = None,
    annotator: Annotated[str | None, typer.Option(help="Whose labels stand beside the predictions.")] = None,
    names: Annotated[
        bool,
        typer.Option(
            "--names", help="Ids, accounts and captions as they are, also where they name somebody."
        ),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Also into a folder that is not empty.")] = False,
    codebook: Picked = None,
) -> None:
    """One line per video and answer of a system: the post, the values, scores, thresholds, recipe; or the scores."""
    from tikval.report.export.dataset import export_dataset
    from tikval.report.export.write import is_folder, write_study

    if scores and (dataset or system or long or annotator):
        raise UserError("--scores writes the lines of all evaluations; leave out the other options")
    if dataset and (names or long or annotator):
        raise UserError(
            "--dataset has ids and labels only, and never names anybody; leave out the other options"
        )
    if scores and names:
        raise UserError("--names is for the tables of values; scores name nobody")
    if force and not (dataset or is_folder(file)):
        raise UserError("--force is for folders; a file is replaced without it")
    study = picked_study(out, codebook)
    if dataset:
        if "://" in file:
            raise UserError(f"{file}: is not on this machine; a data set is written to a local disk")
        notes = export_dataset(study, Path(file), tuple(system or ()), force)
        print(f"{file}/README.md; read it before you share the folder")
    else:
        form: Literal["long", "scores"] | None = "scores" if scores else "long" if long else None
        lines, notes = write_study(
            study, file, form, system or (), names=names, annotator=annotator, force=force
        )
        print(f"{lines}: {file}")
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
    codebook: Annotated[
        str, typer.Option(help="Of the annotations; with --systems also by name.")
    ] = CODEBOOK,
) -> None:
    """How far annotators agree beyond chance, with 95 % intervals: people, systems, and the absent baseline."""
    from tikval.annotate import agreement as agreeing
    from tikval.annotate.annotators import add_systems, codebook_of, people, read_tables

    study = picked_study(systems, codebook) if systems else None
    book = study.codebook() if study else codebook_of(codebook)
    found = people(read_tables(tables, book), book)
    if study:
        add_systems(found, study, book)
    found = found.only(annotator or [])
    compared = agreeing.compared_groups(found, against)
    rows = agreeing.agreement_rows(
        found, compared, [coding] if coding else list(agreeing.CATEGORIES), by_value=by is not None
    )
    agreeing.show_agreement(rows, Terminal(width=None if sys.stdout.isatty() else 200))
    for system, reasons in found.failed.items():
        if reasons:
            print(f"{system}: no result for {', '.join(f'{n} {reason}' for reason, n in reasons.items())}")
    if csv:
        agreeing.write_agreement_csv(rows, csv)
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
    from tikval.annotate.annotators import codebook_of, read_tables
    from tikval.annotate.consolidate import (
        coded_by_all,
        consolidate_rows,
        left_out,
        summary_of,
        write_consolidated,
    )

    book = codebook_of(codebook)
    rows = read_tables(tables, book)
    done, two = consolidate_rows(rows, third, annotator or [])
    slugs = [book.slugs[v] for v in coded_by_all(rows, (*two, third))]
    write_consolidated(done, rows, slugs, to)
    if others := [slug for slug in book.slugs if slug not in slugs]:
        print(f"tikval: note: not annotated by all three, left out: {', '.join(others)}", file=sys.stderr)
    print(f"{summary_of(done, two, third)}: {to}")
    if done.left_out:
        print(f"tikval: left out: {left_out(done)}", file=sys.stderr)
        raise typer.Exit(FAILED)


@app.command()
def prevalence(
    out: Annotated[str, typer.Argument(help="The folder of an analysis.")],
    system: Annotated[
        str | None, typer.Option(help="Whose answers to count; `annotations` for the human labels.")
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(help="account, genre, month, pinned, is_ad, is_aigc, source, or another column."),
    ] = None,
    min_videos: Annotated[
        int, typer.Option(min=1, help="Groups with fewer are shown as one, and named with their sizes.")
    ] = 5,
    target: Annotated[
        Literal["corpus", "accounts"] | None,
        typer.Option(help="What corrected rates speak of: these videos, or accounts like these."),
    ] = None,
    assume_random: Annotated[
        bool,
        typer.Option("--assume-random", help="Correct as if the annotated videos were drawn at random."),
    ] = False,
    weight: Annotated[
        Literal["plays", "likes", "shares", "comments", "saves"] | None,
        typer.Option(help="Count each video by these, where the source of the posts tells them."),
    ] = None,
    annotator: Annotated[str | None, typer.Option(help="Whose labels are the truth.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Also write the rates to this file.")] = None,
    codebook: Picked = None,
) -> None:
    """How often each value is endorsed and confronted, raw and, where videos are annotated, corrected."""
    from tikval.evaluate.prevalence import prevalence_of
    from tikval.report.tables.prevalence import show_prevalence, write_prevalence_csv

    found = prevalence_of(
        picked_study(out, codebook),
        system,
        by,
        annotator,
        min_videos=min_videos,
        target=target,
        assume_random=assume_random,
        weight=weight,
    )
    show_prevalence(found, Terminal(width=None if sys.stdout.isatty() else 180))
    if csv:
        write_prevalence_csv(found, csv)
        print(f"{len(found.lines) + len(found.small)} lines: {csv}")


@app.command()
def tables(
    out: Annotated[str, typer.Argument(help="The folder of an analysis with annotations.")],
    csv: Annotated[str | None, typer.Option(help="A folder or URI for them as CSV and Markdown.")] = None,
    paper_rows: Annotated[
        list[str] | None,
        typer.Option("--beside", help="SYSTEM=ROW of the paper, such as mine=gemini_2s; SYSTEM=: none."),
    ] = None,
    codebook: Picked = None,
) -> None:
    """The paper's Tables 3 to 6 over these systems, its numbers beside ours with what differs."""
    from tikval.report.tables.paper import show_tables, tables_of, write_tables

    found = tables_of(picked_study(out, codebook), paper_rows or [])
    show_tables(found, Terminal(width=None if sys.stdout.isatty() else 200))
    if csv:
        print(f"written: {', '.join(write_tables(found, csv))}")


@app.command()
def compare(
    out: Annotated[str, typer.Argument(help="The folder of an analysis.")],
    codebook: Picked = None,
) -> None:
    """Every system against every other, what each costs, and which one to use for these videos."""
    from tikval.evaluate.corpus import read_system_corpus
    from tikval.evaluate.system_agreement import system_agreements
    from tikval.report.tables.cascade import show_promises
    from tikval.report.tables.comparisons import show_comparisons, system_agreement_table
    from tikval.report.tables.worth import show_recommendation, worths_of

    study = picked_study(out, codebook)
    names, console = sorted(study.systems()), Terminal(width=None if sys.stdout.isatty() else 160)
    if len(names) < 2:
        raise UserError(
            f"{study.out}: holds {counted(len(names), 'system')} over {study.label_set}; "
            "analyze with another --profile or --name"
        )
    latest = study.latest("scores")
    rows = latest[0].read_side_table("comparisons") if latest else []
    scores = latest[0].read().to_pylist() if latest else []
    worths = worths_of(study, scores)
    if rows and latest:
        show_comparisons(rows, console)
        show_recommendation(worths, rows, scores, console)
        show_promises(study, console)
        scored = {name for row in rows for name in (row["system_a"], row["system_b"])}
        if left := [name for name in names if name not in scored]:
            print(f"tikval: note: not in the last scores: {', '.join(left)}", file=sys.stderr)
        if not study.reads_what_is_there(latest[1]):
            print(
                "tikval: note: predictions or annotations have changed since they were scored",
                file=sys.stderr,
            )
        return
    why = "nothing that is annotated was scored" if study.annotations() else "nothing is annotated"
    print(f"{why}, so nothing tells who is right: how often the systems agree")
    whose = min(
        (row["annotator"] for row in study.annotations()), default=None
    )  # not used, but must be settled
    corpora = [read_system_corpus(study, name, whose, ["video_id"]) for name in names]
    console.print(system_agreement_table(system_agreements(corpora)))
    show_recommendation(worths, [], [], console)
    show_promises(study, console)


@app.command()
def figures(
    out: Annotated[str, typer.Argument(help="The folder of an analysis.")],
    folder: Annotated[str, typer.Argument(metavar="DIR", help="Folder or URI to write them to.")],
    system: Annotated[
        list[str] | None, typer.Option(help="Only this system, beside the annotations; may be given again.")
    ] = None,
    annotator: Annotated[str | None, typer.Option(help="Whose labels are drawn.")] = None,
    codebook: Picked = None,
) -> None:
    """The paper's Figures 1 to 4, Schwartz's circle, systems' F1, rates by genre and month: SVG, PNG, PDF, CSV."""
    from tikval.report.figures.gather import figures_of, write_figures

    found = figures_of(picked_study(out, codebook), system or (), annotator)
    written = write_figures(found, folder)
    print(f"{len(found.sheets)} figures, {len(written)} files: {folder}/figures.md lists them")
    for note in (*found.skipped, *found.notes):
        print(f"tikval: note: {note}", file=sys.stderr)


@app.command("export-model")
def export_trained(
    trained: Annotated[str, typer.Argument(help="A fine-tuning configuration, or the folder it wrote.")],
    training: Annotated[str, typer.Option(help="Which of its trainings: partition, fold and seed.")],
    to: Annotated[Path, typer.Option(help="Folder for the model.")],
    force: Annotated[bool, typer.Option("--force", help="Also into a folder that is not empty.")] = False,
) -> None:
    """A trained encoder as a folder that transformers loads, with a card: scores, thresholds, limits."""
    from tikval.report.export.model import export_model, trained_folder

    export_model(trained_folder(trained), training, to, force)
    print(f"{training}: {to}; read README.md there before you share it")


@app.command()
def erase(
    out: Annotated[str, typer.Argument(help="The folder of an analysis.")],
    video_ids: Annotated[list[str] | None, typer.Argument(help="Videos to forget.")] = None,
    account: Annotated[list[str] | None, typer.Option(help="Forget all videos of this account.")] = None,
) -> None:
    """Remove every derived row of some videos, and keep them from coming back."""
    from tikval.study.erasure import erase_names, names_to_erase, unknown_names

    if not video_ids and not account:
        raise UserError("name the videos to erase, or --account NAME")
    out, given = Study(out).out, (set(video_ids or []), set(account or []))
    names = names_to_erase(out, *given)
    left = show_erasure(out, names, *erase_names(out, names))
    unknown = unknown_names(names, *given)
    missing = [f"{name} (near it: {', '.join(near)})" if near else name for name, near in unknown.items()]
    if missing:
        print(f"tikval: not found, and kept out from now on: {', '.join(missing)}", file=sys.stderr)
    if missing or left:
        raise typer.Exit(FAILED)


def show_erasure(out: str, names: "ErasedNames", found: set[str], rows: int) -> bool:
    """Say what was erased, and what a search for it still finds; whether it finds anything."""
    from tikval.study.bundle import read_bundles
    from tikval.study.erasure import uploads_of_erased
    from tikval.study.erasure_coding import coding_folders_away, coding_folders_elsewhere
    from tikval.study.erasure_proof import search_study
    from tikval.study.learnt_models import models_that_learnt

    if found or rows:
        print(
            f"erased {rows} rows of {len(found)} videos from {out}; run the analysis again for a new report"
        )
    for model, n in models_that_learnt(out).items():
        print(
            f"{model}: learnt from {n} erased videos, and weights cannot forget: train it again or delete it"
        )
    if uploads := uploads_of_erased(out):
        last = max(upload.expires for upload in uploads)
        print(
            f"{counted(len(uploads), 'uploaded file')} of erased videos may still lie on the provider's server, until "
            f"{last:%Y-%m-%d %H:%M} UTC; the next run deletes them, or now: tikval doctor --remote {out} --delete"
        )
    for made in read_bundles(out):
        print(
            f"a bundle was made on {made['made_at'][:10]} and may still hold them: {made['file']} (SHA-256 "
            f"{made['sha256'][:12]}...); delete it wherever it lies, and whoever was given it should, too"
        )
    proof = search_study(out, names, coding_folders_elsewhere(out))
    print(proof)
    for line in proof.advice(names):
        print(f"tikval: {line}", file=sys.stderr)
    away = coding_folders_away(out)
    for line in away:
        print(f"tikval: {line}", file=sys.stderr)
    return bool(proof.finds or away)
