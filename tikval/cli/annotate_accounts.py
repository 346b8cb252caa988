"""`tikval annotate accounts ...`: two people check each account, a third decides, and a table of accounts comes out."""

import math
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table

from tikval.cli.annotate import annotate
from tikval.cli.guard import FAILED
from tikval.config import UserError, find_file
from tikval.files import read_bytes, write_bytes
from tikval.stats.agreement import AgreementLine
from tikval.stats.limits import counted
from tikval.terminal import Terminal

accounts = typer.Typer(help="Check accounts: for the young, a minor in them, genre.", no_args_is_help=True)
annotate.add_typer(accounts, name="accounts")


@accounts.command()
def sheet(
    source: Annotated[
        str,
        typer.Argument(help="The folder of an analysis, posts or videos as analyze takes them, or accounts."),
    ],
    out: Annotated[Path, typer.Option(help="The folder for sheets and answers; it names accounts.")],
    coder: Annotated[
        list[str], typer.Option(help="Who codes; again for each. Everybody codes every account.")
    ],
    third: Annotated[str, typer.Option(help="Who decides where they differ.")] = "third",
    per_account: Annotated[int, typer.Option(min=1, max=20, help="Posts of each account to look at.")] = 3,
    media: Annotated[
        Literal["copy", "link", "none"],
        typer.Option(help="Videos: beside the sheets, named where they lie, or none."),
    ] = "copy",
    genres: Annotated[
        str, typer.Option(help="The questions and the list of genres.")
    ] = "prompts/genres.yaml",
) -> None:
    """Write a sheet of all accounts for each coder, as HTML and as a workbook."""
    from tikval.annotate.account_folder import AccountFolder
    from tikval.annotate.account_material import account_material
    from tikval.annotate.coding_folder import make_known
    from tikval.annotate.coding_protocol import check_coder_names
    from tikval.evaluate.sample import is_study

    check_coder_names(coder, third)
    if len(coder) < 2:
        raise UserError("--coder: two people check each account; name both")
    found, notes = account_material(source, per_account)
    made = AccountFolder.make(out, coder, third, find_file(genres), found, media)
    if is_study(source):
        make_known(source, out)
    for note in notes:
        _note(note)
    _note("the sheets name accounts: they are what is coded; keep the folder to yourself and the coders")
    size = counted(len(found), "account")
    print(f"{size} for {', '.join(coder)}: {made.path / 'sheets'} (.html or .xlsx, as they like)")
    print(
        f"put what they save into {made.path / 'returned'}, then: tikval annotate accounts merge {made.path}"
    )


@accounts.command()
def merge(
    folder: Annotated[Path, typer.Argument(help="The folder that `sheet` wrote.")],
    files: Annotated[
        list[Path] | None, typer.Argument(help="Tables that came back, beside those in its folder returned.")
    ] = None,
    to: Annotated[Path, typer.Option(help="The table of accounts: a .csv file.")] = Path("accounts.csv"),
) -> None:
    """Agreement of the coders, a sheet for the third where they differ, and the table of accounts."""
    from tikval.annotate import account_merge as merging
    from tikval.annotate.account_folder import AccountFolder
    from tikval.annotate.account_questions import account_questions
    from tikval.annotate.agreement import put_csv

    opened = AccountFolder(folder)
    came_back = [*opened.returned(), *(files or [])]
    if not came_back:
        raise UserError(f"{folder / 'returned'}: nothing came back yet; put the coders' tables there")
    found = merging.account_answers(opened, came_back)
    decisions = merging.decide_accounts(opened, found)
    lines = merging.account_agreement(decisions, account_questions(opened.genres))
    merged = folder / "merged"
    text = merging.accounts_csv(opened, decisions)
    _check_not_anothers(to, merged / "accounts.csv", text.encode())
    put_csv(to, text)
    put_csv(merged / "accounts.csv", text)
    write_bytes(str(merged / "agreement.csv"), merging.agreement_csv(lines).encode())
    write_bytes(
        str(merged / "disagreements.csv"),
        merging.account_disagreements_csv(opened, decisions, found).encode(),
    )
    _show(lines)
    undecided = [one for one in decisions if one.answer is None]
    if items := merging.third_items(opened, decisions, found):
        sheet_of_third = opened.write_sheet(
            opened.protocol.third, opened.sheet_of(opened.protocol.third, items)
        )
        n = sum(len(item.asked or ()) for item in items)
        print(
            f"{counted(n, 'answer')} on {counted(len(items), 'account')} to decide: {sheet_of_third} (or .xlsx)"
        )
    if waiting := sum(one.how.startswith("not answered") for one in undecided):
        _note(f"{counted(waiting, 'answer')} still missing: {merged / 'disagreements.csv'} says whose")
    if cautious := sum(one.question == "is_minor" for one in undecided):
        _note(
            f"{counted(cautious, 'account')} where nobody has decided whether a minor features: is_minor is yes, so "
            "that no outside model sees their videos"
        )
    print(
        f"{counted(len(opened.protocol.accounts), 'account')}, {counted(len(undecided), 'answer')} open: {to}"
    )
    print(f"agreement and disagreements: {merged}; next: tikval analyze ... --accounts {to}")
    raise typer.Exit(FAILED if undecided else 0)


def _check_not_anothers(to: Path, before: Path, data: bytes) -> None:
    """Raise UserError where `to` has what neither this nor the merge before wrote: a source, or somebody's changes."""
    there = read_bytes(str(to))
    if there is not None and there not in (data, read_bytes(str(before))):
        raise UserError(f"--to {to}: is there with other content; name another file, or delete it")


def _show(lines: dict[str, AgreementLine]) -> None:
    table, whys = Table("question", "accounts", "same", "AC1"), dict[str, None]()
    for question, line in lines.items():
        same, ac1 = line.coefficients["observed"], line.coefficients["ac1"]
        ends = "" if math.isnan(ac1.low) else f" [{ac1.low:.3f}, {ac1.high:.3f}]"
        share = "-" if math.isnan(same.value) else f"{same.value:.1%}"
        table.add_row(
            question, f"{line.cells}", share, "-" if math.isnan(ac1.value) else f"{ac1.value:.3f}{ends}"
        )
        if ac1.why_none:
            whys[ac1.why_none] = None
    Terminal().print(table)
    for why in whys:
        print(f"* {why}")


def _note(text: str) -> None:
    print(f"tikval: note: {text}", file=sys.stderr)
