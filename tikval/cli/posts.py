"""Posts out of exports: a list of them, or a sample of it by a rule."""

import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Table

from tikval.cli.app import app
from tikval.config import UserError
from tikval.files import plain_address
from tikval.privacy import canonical_account
from tikval.rows import AccountRow, PostRow
from tikval.sources.catalog import read_accounts
from tikval.sources.objects import told_while_slow
from tikval.sources.post_list import is_list_or_new, rule_file, write_post_list
from tikval.sources.sample_rule import OF_ACCOUNTS, SampleRule
from tikval.sources.select import Selected, select_posts
from tikval.stats.limits import counted
from tikval.terminal import Terminal

if TYPE_CHECKING:
    from tikval.sources.exports import SourceExport

_DAY = ["%Y-%m-%d"]
_NAMING = ("account", "url", "caption", "video_id")  # strata that would name people on the screen
_MOST_STRATA = 30  # in the table; list.json has all


@app.command()
def posts(
    exports: Annotated[
        list[str], typer.Argument(help="Exports of any known source, or lists that this command wrote.")
    ],
    out: Annotated[Path, typer.Option(help="The list: a .csv file; the rule comes beside it as .json.")],
    per_account: Annotated[
        int | None,
        typer.Option(min=1, help="Posts of each account: all pinned ones, then others up to so many."),
    ] = None,
    order: Annotated[
        Literal["newest", "random"], typer.Option(help="Which of the others come first.")
    ] = "newest",
    seed: Annotated[int, typer.Option(help="The same seed and posts give the same list.")] = 0,
    period: Annotated[
        Literal["month", "quarter", "year"] | None, typer.Option(help="So many within each, in UTC.")
    ] = None,
    stratum: Annotated[
        str | None, typer.Option(help="genre, is_ad, or another column of the accounts or posts.")
    ] = None,
    per_stratum: Annotated[int | None, typer.Option(min=1, help="Posts of each, over all accounts.")] = None,
    since: Annotated[
        datetime | None, typer.Option("--from", formats=_DAY, help="Posted on this day or later, in UTC.")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option("--until", formats=_DAY, help="The first day that is too late.")
    ] = None,
    accounts: Annotated[str | None, typer.Option(help="A table of what is known of the accounts.")] = None,
    columns: Annotated[
        str | None, typer.Option(help="A YAML file that says what an unknown export calls its columns.")
    ] = None,
) -> None:
    """List the posts of exports, or choose a sample of them by a rule, to be collected or analysed."""
    _check(out, stratum, accounts)
    rule = SampleRule(per_account, order, seed, period, stratum, per_stratum, _utc(since), _utc(until))
    known = read_accounts(accounts) if accounts else []
    sources = [_opened(export, columns) for export in exports]

    def rows() -> Iterator[PostRow]:
        for source in sources:
            yield from source.rows()

    with told_while_slow("posts: reading, the first of two times"):
        selected = select_posts(rows(), rule, known)
    if not selected.ids and rule.chooses:
        why = _left_out(selected) or "the exports list none"
        raise UserError(f"{rule}: none of {counted(selected.listed, 'post')} can be chosen: {why}")
    about = {"exports": [_about(name, source) for name, source in zip(exports, sources, strict=True)]}
    try:
        with told_while_slow(f"posts: writing {out}"):
            n = write_post_list(rows, selected, out, about)
    except OSError as err:
        raise UserError(f"{out}: cannot be written ({err.strerror})") from err
    Terminal().print(_table(selected))
    for note in [*(source.line for source in sources), *_notes(selected, known)]:
        print(f"tikval: note: {note}", file=sys.stderr)
    print(f"{counted(n, 'row')}, {rule}: {out}")
    print(f"rule and counts: {rule_file(out)}")


def _check(out: Path, stratum: str | None, accounts: str | None) -> None:
    if stratum in OF_ACCOUNTS and accounts is None:
        raise UserError(f"--stratum {stratum}: give the table that tells it: --accounts TABLE")
    if out.suffix != ".csv":
        raise UserError(f"--out {out}: the list is a .csv file")
    if not is_list_or_new(out):
        raise UserError(
            f"{out}: a file is there, or {rule_file(out)}, that is no list of this command; name another"
        )


def _utc(day: datetime | None) -> datetime | None:
    return day.replace(tzinfo=UTC) if day else None


def _opened(uri: str, columns: str | None) -> "SourceExport":
    from tikval.sources.exports import read_export

    export = read_export(uri, columns)
    if export is None:
        raise UserError(
            f"{plain_address(uri)}: an export of no source that is known; name what it calls its columns in a file for "
            "--columns (docs/collecting.md)"
        )
    return export


def _about(uri: str, export: "SourceExport") -> dict[str, str]:
    read = export.line.removeprefix(f"{export.name}: ")
    return {"file": Path(plain_address(uri)).name, "source": export.source, "read": read}


def _table(selected: Selected) -> Table:
    """Numbers only: nobody is named on a screen."""
    table = Table("", "listed", "chosen")
    table.add_row("posts", f"{selected.listed:,}", f"{len(selected.ids):,}")
    chosen = sum(one.chosen > 0 for one in selected.accounts)
    table.add_row("accounts", f"{len(selected.accounts):,}", f"{chosen:,}")
    pinned = sum(one.pinned for one in selected.accounts)
    table.add_row("pinned posts", f"{pinned:,}", f"{selected.pinned_chosen:,}")
    if (most := selected.rule.per_account) and not selected.rule.period:
        counts = [one.chosen for one in selected.accounts]
        table.add_row(f"accounts with {most} posts", "", f"{counts.count(most):,}")
        table.add_row("accounts with fewer", "", f"{sum(n < most for n in counts):,}")
        table.add_row("accounts with more, all pinned", "", f"{sum(n > most for n in counts):,}")
    shown = selected.strata if selected.rule.stratum not in _NAMING else []
    for one in shown[:_MOST_STRATA]:
        table.add_row(f"{selected.rule.stratum}: {one.stratum}", f"{one.listed:,}", f"{one.chosen:,}")
    return table


def _left_out(selected: Selected) -> str:
    return ", ".join(f"{reason} {n:,}" for reason, n in selected.left_out.items())


def _notes(selected: Selected, known: Sequence[AccountRow]) -> Iterator[str]:
    if selected.left_out and selected.rule.chooses:
        yield f"not among those that are chosen from: {_left_out(selected)}"
    if n := selected.pinned_unknown:
        yield (
            f"of {counted(n, 'account')} the list does not say which posts are pinned: these are chosen as any others "
            "are; an export that marks pinned posts can be given as well"
        )
    there = {canonical_account(one.account) for one in selected.accounts}
    if missing := {canonical_account(row["account"]) for row in known} - there:
        yield f"accounts of the table without a post in the list: {len(missing)}"
