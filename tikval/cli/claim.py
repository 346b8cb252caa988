"""`tikval claim`: statements about a corpus, declared before the look, and what the labels say of them."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from tikval.cli.app import app
from tikval.cli.guard import FAILED
from tikval.cli.job import run_config
from tikval.cli.results import Picked, current_report, picked_study
from tikval.config import UserError
from tikval.config.claims import ClaimsConfig
from tikval.rows import ClaimRow
from tikval.stats.limits import counted
from tikval.store.runs import Study
from tikval.terminal import Terminal

if TYPE_CHECKING:
    from tikval.claims.declaration import Declaration
    from tikval.claims.family import FamilyResult


@app.command()
def claim(
    out: Annotated[str, typer.Argument(help="The folder of an analysis.")],
    file: Annotated[str | None, typer.Argument(help="The claims, such as configs/claims.yaml.")] = None,
    declare: Annotated[
        bool,
        typer.Option("--declare", help="Only declare them: before the labels come that shall test them."),
    ] = False,
    list_: Annotated[bool, typer.Option("--list", help="What was declared and tested here.")] = False,
    codebook: Picked = None,
) -> None:
    """Test claims such as "accounts of genre A endorse V more often than those of B", declared before the look."""
    from tikval.claims.declaration import declaration_of, family_folder, read_claims
    from tikval.claims.family import look_at_claims

    if list_ == (file is not None) or (list_ and declare):
        raise UserError("give a file of claims, such as configs/claims.yaml, or --list")
    study = picked_study(out, codebook)
    if file is None:
        _show_all(study)
        return
    config, text = read_claims(file)
    n_claims = counted(len(config.claims), "claim")
    if declare:
        _show_declared(*declaration_of(study, config, text), n_claims)
        print(f"{family_folder(study.out, config.name)}/declared.json")
    else:
        print(f"{config.name}: {n_claims}, in every way of measuring that is there", file=sys.stderr)
        found = look_at_claims(study, config, text)
        _show(found.claims)
        for note in found.notes:
            print(f"tikval: note: {note}", file=sys.stderr)
        print(_spent(config, found))
        print(f"{found.folder}: claims.csv, ways.csv, methods.txt")
    if not _renew_report(study):
        raise typer.Exit(FAILED)


def _show_declared(declared: "Declaration", is_new: bool, n_claims: str) -> None:
    known = counted(len(declared.labelled), "video")
    print(f"{'declared' if is_new else 'was declared already'}: {n_claims}, {declared.declared_at}")
    print(f"{declared.system} decides; SHA-256 of the file: {declared.sha256}")
    if declared.labelled:
        print(
            f"labels of {known} are known, and are no truth of its test: it needs labels that are still to come"
        )


def _spent(config: ClaimsConfig, found: "FamilyResult") -> str:
    if found.declared is None:
        return "exploratory: nobody declared these claims before; --declare does so, for labels that are still to come"
    if not found.looks:
        return "no label has come since it was declared: no look is spent"
    look, of = found.looks[-1], "" if config.spending == "open" else f" of {config.looks}"
    same = "" if found.is_new else " (the same labels and predictions as before)"
    spent = sum(each.alpha for each in found.looks)
    return f"look {look.number}{of}{same}: {spent:.3g} of {config.alpha:g} is spent"


def _renew_report(study: Study) -> bool:
    """Make the report's page of claims; False where there is a report that cannot be made anew."""
    try:
        report = current_report(study)
    except UserError as err:
        print(f"tikval: note: the report stays as it was: {err}", file=sys.stderr)
        return False
    if report is not None:
        run_config(report)
        print(f"report: {report.folder}/claims.html")
    return True


def _show(rows: list[ClaimRow]) -> None:
    table = Table("claim", "verdict", "points", "95 %", "p, Holm", "why")
    for row in rows:
        ends = (row["lower"], row["upper"])
        table.add_row(
            f"{row['claim']}: {row['sentence']}",
            row["verdict"],
            _points(row["estimate"]),
            "" if None in ends else f"{_points(ends[0])} to {_points(ends[1])}",
            "" if row["p_holm"] is None else f"{row['p_holm']:.3g}",
            row["why"],
        )
    Terminal(width=None if sys.stdout.isatty() else 200).print(table)


def _points(share: float | None) -> str:
    return "" if share is None else f"{100 * share:+.1f}"


def _show_all(study: Study) -> None:
    from tikval.claims.families import read_families

    families = read_families(study.out)
    if not families:
        print(f"{study.out}: no claim was declared or tested; configs/claims.yaml is an example")
        return
    table = Table("family", "codebook", "declared", "looks", "claim", "verdict")
    for one in families:
        declared = one.declaration.declared_at[:10] if one.is_declared else "no"
        planned = "" if one.config.spending == "open" else f" of {one.config.looks}"
        head = (one.name, one.declaration.label_set, declared, f"{len(one.looks)}{planned}")
        for row in one.claims:
            table.add_row(*head, row["claim"], row["verdict"])
        if not one.claims:
            table.add_row(*head, counted(len(one.config.claims), "claim"), "not tested yet")
    Terminal(width=None if sys.stdout.isatty() else 200).print(table)
    print(f"{len(families)} {'family' if len(families) == 1 else 'families'}: {study.out}/claims")
