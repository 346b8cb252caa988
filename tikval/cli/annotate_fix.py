"""`tikval annotate fix` and `tikval annotate history`: a wrong label corrected, and what was corrected so far."""

import sys
from typing import Annotated

import typer
from rich.table import Table

from tikval.cli.analyze import refresh_others
from tikval.cli.annotate import annotate
from tikval.cli.job import run_config
from tikval.cli.results import Picked, current_report, picked_study
from tikval.config import FinetuneConfig, ReportConfig, nested
from tikval.stats.limits import counted
from tikval.store.folder import Folder
from tikval.store.runs import Study
from tikval.terminal import Terminal

Out = Annotated[str, typer.Argument(help="The folder of an analysis.")]


@annotate.command()
def fix(
    out: Out,
    video: Annotated[str, typer.Argument(help="Its id, as its page of the report shows it.")],
    corrections: Annotated[
        list[str],
        typer.Argument(
            metavar="VALUE=STANCE...",
            help="Such as hedonism=absent; of confronted, absent, endorsed, dominant, not_sure.",
        ),
    ],
    by: Annotated[str, typer.Option(help="Who corrects it.")],
    why: Annotated[str, typer.Option(help="Why, in a sentence.")],
    annotator: Annotated[
        str | None, typer.Option(help="Whose label; else of those whose labels the scores take as the truth.")
    ] = None,
    codebook: Picked = None,
) -> None:
    """Correct a label in the table that was given, note who and why, and make scores and report anew."""
    from tikval.annotate.corrections import HISTORY, reason_in_one_line
    from tikval.study.label_fix import fix_labels, stances_of

    by, why = reason_in_one_line("by", by), reason_in_one_line("why", why)
    study = picked_study(out, codebook)
    stances, report = stances_of(corrections, study.codebook()), current_report(study)
    before = _macro(report)
    done = fix_labels(study, video, stances, by, why, annotator)
    for one in done.corrections:
        print(f"{one.file}, line {one.line}, column {one.column}: {one.value} {one.before} -> {one.after}")
    if done.already:
        print(f"as it is already: {', '.join(done.already)}")
    if report is None:
        print("no report has been written yet: the analysis, run again, makes scores and report")
    else:
        run_config(report.scores)
        run_config(report)
        refresh_others(study.out, study.label_set)
        _show_change(before, _macro(report))
        learnt = _trained_here(report)
        if learnt and done.corrections:
            names = ", ".join(dict.fromkeys(learnt))
            print(
                f"tikval: note: trained on the labels of before: {names}; the next run trains anew",
                file=sys.stderr,
            )
        print(f"report: {report.folder}/index.html")
    print(f"who and why: {study.out}/{HISTORY}; tikval annotate history shows it")


def _trained_here(report: ReportConfig) -> list[str]:
    """The systems that learnt from this study's labels."""
    catalog = report.scores.catalog.folder
    return [
        system.system
        for system in report.scores.predictions
        for _, job in nested(system, trained=True)
        if isinstance(job, FinetuneConfig) and not job.texts and job.catalog.folder == catalog
    ]


def _macro(report: ReportConfig | None) -> dict[str, float | None]:
    """The macro F1 of each system, as the scores are now."""
    if report is None or Folder(report.scores.folder).run() is None:
        return {}
    rows = Folder(report.scores.folder).read(["system", "stance", "label", "failures", "f1"]).to_pylist()
    wanted = ("all", "macro", "left_out")
    return {
        row["system"]: row["f1"] for row in rows if (row["stance"], row["label"], row["failures"]) == wanted
    }


def _show_change(before: dict[str, float | None], after: dict[str, float | None]) -> None:
    for system, f1 in after.items():
        told = " -> ".join("-" if one is None else f"{one:.3f}" for one in (before.get(system), f1))
        print(f"macro F1 of {system}: {told}")


@annotate.command()
def history(out: Out) -> None:
    """What was corrected in a study: when, by whom, and why."""
    from tikval.annotate.corrections import HISTORY, correction_history

    study = Study(out)
    found = correction_history(study.out)
    if not found:
        print(f"{study.out}: no label was corrected")
        return
    table = Table("when", "by", "video", "annotator", "value", "before", "after", "table", "why")
    for one in found:
        where = f"{one.file}, line {one.line}"
        table.add_row(
            *(one.at[:16].replace("T", " "), one.by, one.video_id, one.annotator),
            *(one.value, one.before, one.after, where, one.why),
        )
    Terminal(width=None if sys.stdout.isatty() else 200).print(table)
    print(f"{counted(len(found), 'correction')}: {study.out}/{HISTORY}")
