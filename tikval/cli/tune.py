"""`tikval tune`: heads from a study's annotations, and whether they are better than what it has."""

from typing import Annotated

import typer

from tikval.cli.analyze import run_study
from tikval.cli.app import app
from tikval.cli.guard import guard
from tikval.cli.results import Picked, current_report, picked_study
from tikval.config import ExtractConfig, LocalExtractor, ReportConfig, TuneConfig, UserError, validate
from tikval.evaluate.scores import ALL, BASELINE, LEFT_OUT
from tikval.store.folder import Folder
from tikval.store.runs import Study, run_here, system_config


@app.command()
def tune(
    out: Annotated[str, typer.Argument(help="The folder of an analysis.")],
    labels: Annotated[
        str | None, typer.Option(help="A table of annotations, in place of those that the study has.")
    ] = None,
    annotator: Annotated[str | None, typer.Option(help="Whose annotations, of several.")] = None,
    name: Annotated[str, typer.Option(help="The tuned system's name in every table.")] = "tuned",
    codebook: Picked = None,
) -> None:
    """Learn from 50 to 500 annotated videos, judge all videos by it, and tell whether that is better than before."""
    study = picked_study(out, codebook)
    config = _with_tuned(study, labels, annotator, name)
    code = guard(lambda: run_study(config, None, None, with_others=True))
    if code == 0:
        _show(config, name)
    raise typer.Exit(code)


def _with_tuned(study: Study, labels: str | None, annotator: str | None, name: str) -> ReportConfig:
    """The study's report over its local system and one that is tuned on the same scripts."""
    report, local = current_report(study), _local_system(study)
    if report is None:
        raise UserError(f"{study.out}: has no report; run tikval analyze first")
    if local.system == name:
        raise UserError(f"--name {name}: that is the local system's own name; give another")
    assert local.scripts is not None
    assert isinstance(local.extractor, LocalExtractor)
    given = {"annotations": labels} if labels else {}
    scripts = local.scripts.model_copy(update={"videos": local.catalog.model_copy(update=given)})
    whose = annotator or report.scores.annotator
    keys = {"out": local.out, "system": name, "codebook": local.codebook, "annotator": whose}
    tuned = validate(TuneConfig, {**keys, "scripts": scripts, "base": local.extractor}, f"--name {name}")
    predictions = (local.model_copy(update={"scripts": scripts}), tuned)
    scores = report.scores.model_copy(update={"predictions": predictions, "annotator": whose})
    return report.model_copy(update={"scores": scores})


def _local_system(study: Study) -> ExtractConfig:
    """The local system that was asked for last. Raises UserError where the study has none."""
    current = [(one.folder.asked_at() or one.run.finished_at, one) for one in study.current(study.label_set)]
    for _, one in sorted(current, key=lambda pair: pair[0], reverse=True):
        config = system_config(run_here(one.run, study.out))
        if isinstance(config, ExtractConfig) and config.extractor.kind == "local":
            return config
    raise UserError(
        f"{study.out}: has no local system over {study.label_set}, whose scripts and vectors heads start from; "
        "add one: tikval analyze ... --profile local"
    )


def _show(config: ReportConfig, name: str) -> None:
    from tikval.evaluate.recommendation import baseline_warnings
    from tikval.evaluate.tuning_verdict import tuning_verdict
    from tikval.extract.tuned import read_card

    scores, tuned = Folder(config.scores.folder), config.scores.predictions[1]
    # with the other systems of the study, the scores have another recipe than asked for here
    study = Study(config.out, codebook=tuned.codebook)
    if latest := study.latest("scores"):
        scores = latest[0]
    card = read_card(tuned.folder)
    heads = sum(of["head"] for of in card["labels"].values())
    print(
        f"learnt from {card['videos']} annotated videos in {card['groups']} groups (accounts); {heads} of "
        f"{len(card['labels'])} labels have a head, all others the default's scores"
    )
    local = config.scores.predictions[0].system
    for row in scores.read().to_pylist():
        is_mean = (row["stance"], row["label"], row["failures"]) == (ALL, "macro", LEFT_OUT)
        if is_mean and row["system"] in (name, local, BASELINE):
            f1 = "-" if row["f1"] is None else f"{row['f1']:.2f}"
            print(f"macro F1 of {row['system']}: {f1}" + (" (out of fold)" if row["system"] == name else ""))
    rows = scores.read_side_table("comparisons")
    for row in rows:
        if row["metric"] == "macro_f1" and {row["system_a"], row["system_b"]} == {name, local}:
            print(f"{name}: {tuning_verdict(row, name)}")
    for warning in baseline_warnings(name, rows, [BASELINE]):
        print(f"{name}: {warning}")
