"""`tikval explain`: the deletion test of a study's system, and the report with its numbers."""

from typing import Annotated

import typer

from tikval.cli.app import app
from tikval.cli.guard import FAILED
from tikval.cli.job import run_config, summary, too_many_failed
from tikval.cli.results import Picked, current_report, picked_study
from tikval.config import ExplainConfig, UserError, validate
from tikval.store.runs import run_here


@app.command()
def explain(
    out: Annotated[str, typer.Argument(help="The folder of an analysis.")],
    system: Annotated[
        str | None, typer.Option(help="Whose evidence; may be left out where there is one.")
    ] = None,
    sample: Annotated[int, typer.Option(min=1, help="Videos with evidence, drawn at random.")] = 200,
    controls: Annotated[
        int, typer.Option(min=1, max=3, help="Other sentences cut in its place, of each label.")
    ] = 2,
    budget: Annotated[float | None, typer.Option(min=0, help="USD for calls of paid models.")] = None,
    codebook: Picked = None,
) -> None:
    """Does a label go without its evidence, and stay without as much of other text?"""
    study = picked_study(out, codebook)
    systems = study.systems()
    name = system or (next(iter(systems)) if len(systems) == 1 else None)
    if name not in systems:
        there = ", ".join(sorted(systems)) or "none"
        raise UserError(
            f"{out}: {f'no system {system}' if system else 'name one with --system'}; there are {there}"
        )
    recipe = run_here(systems[name][1], study.out).config
    given = {
        "predictions": recipe,
        "sample": sample,
        "controls": controls,
        "budget_usd": budget,
        "out": study.out,
    }
    config = validate(ExplainConfig, given, f"--system {name}")
    done = run_config(config)
    print(summary(config, done))
    report = current_report(study)
    if report is not None:
        run_config(report)
        print(f"report: {report.folder}/systems.html#evidence")
    if too_many_failed(config, done):
        raise typer.Exit(FAILED)
