"""Which accounts a study may begin with: what language models name, beside what surveys do."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from tikval.cli.app import app
from tikval.cli.guard import FAILED, guard
from tikval.config import Endpoint, SuggestConfig, load_config
from tikval.files import read_bytes, write_bytes
from tikval.sources.tables import open_table
from tikval.spreadsheet import csv_of
from tikval.stats.limits import counted
from tikval.store.lock import lock
from tikval.terminal import Terminal

if TYPE_CHECKING:
    from tikval.collect.candidates import AccountList, ListPair
    from tikval.collect.suggest import ModelsList

accounts_app = typer.Typer(help="Accounts to begin with: suggest.", no_args_is_help=True)
app.add_typer(accounts_app, name="accounts")
TO_OPEN = (
    "a model may name accounts that do not exist, or are not what it says: nothing was looked up; each must be opened "
    "by a person, better two, before it is in a study"
)


@accounts_app.callback()
def group() -> None:
    """A group also while it has one command."""


@accounts_app.command()
def suggest(
    out: Annotated[str, typer.Option(help="Folder for the lists and what comes of them.")],
    audience: Annotated[str, typer.Option(help="Whose accounts: children aged 9 to 14, say.")],
    country: Annotated[str | None, typer.Option(help="Where they live.")] = None,
    language: Annotated[str | None, typer.Option(help="Of the posts.")] = None,
    platform: Annotated[str, typer.Option(help="Where they post.")] = "TikTok",
    n: Annotated[int, typer.Option("--n", min=1, max=500, help="Accounts asked of each model.")] = 50,
    genres: Annotated[
        str | None, typer.Option(help="gaming, lifestyle, ...: between commas; each model's own without.")
    ] = None,
    surveys: Annotated[
        list[str] | None,
        typer.Option(
            help="A table `account[,count]` to compare with; again for several. It is sent to nobody."
        ),
    ] = None,
    config: Annotated[str, typer.Option(help="Which models are asked, and how.")] = "configs/accounts.yaml",
    budget: Annotated[
        float | None, typer.Option(help="USD for all models, over all runs in this folder.")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="key=value of the configuration.")
    ] = None,
) -> None:
    """Ask several language models for accounts; the same command again costs nothing and keeps what people wrote."""
    from tikval.collect.candidates import read_survey, told_apart
    from tikval.collect.suggest import accounts_prompt, ask_models

    asked = load_config(SuggestConfig, config, overrides or [])
    names = [name for name in map(str.strip, (genres or "").split(",")) if name]
    about = {"audience": audience, "country": country, "language": language, "platform": platform, "n": n}
    prompt = accounts_prompt(asked.prompt, about | {"genres": names})
    named = [read_survey(survey) for survey in surveys or []]
    if budget is not None and (free := [m.title for m in asked.models if isinstance(m.llm, Endpoint)]):
        _note(f"--budget: nothing is known of what an endpoint costs: {', '.join(free)}")

    def run() -> int:
        with lock(out):
            found = ask_models(asked, prompt, out, budget, _note)
            lists = told_apart([*(one.accounts for one in found if one.accounts), *named])
            _tell(found)
            if not any(one.accounts for one in found):
                print("tikval: no model gave a list", file=sys.stderr)
                return FAILED
            _write(lists, out)
        return FAILED if any(one.error for one in found) else 0

    raise typer.Exit(guard(run))


def _note(text: str) -> None:
    print(f"tikval: note: {text}", file=sys.stderr)


def _tell(found: Sequence["ModelsList"]) -> None:
    for one in found:
        if one.error:
            print(f"tikval: {one.model}: no list: {one.error}: {one.detail}", file=sys.stderr)
        elif one.accounts and one.accounts.not_names:
            _note(f"{one.model}: {counted(one.accounts.not_names, 'entry')} of its list named no account")


def _write(lists: Sequence["AccountList"], out: str) -> None:
    """Write and show the candidates and how far the lists agree."""
    from tikval.collect.candidates import (
        HEADER,
        candidates_table,
        intersections,
        only_in,
        pairs_of_lists,
        with_edits,
    )
    from tikval.report.figures.overlap import overlap_of_lists
    from tikval.report.figures.style import render, styled

    place = f"{out}/candidates.csv"
    rows = with_edits(candidates_table(lists), _edited(place))
    write_bytes(place, csv_of([HEADER, *([row[name] for name in HEADER] for row in rows)]).encode())
    pairs = pairs_of_lists(lists)
    if pairs:
        write_bytes(f"{out}/overlap.csv", csv_of([pairs[0]._fields, *pairs]).encode())
    with styled():
        n_models = sum(not one.is_survey for one in lists)
        sizes = [len(one.ranks) for one in lists]
        figure = overlap_of_lists([one.name for one in lists], sizes, n_models, intersections(lists))
        write_bytes(f"{out}/overlap.svg", render(figure, "svg"))
    table = Table("list", "accounts", "only here", *(f"shared with {one.name}" for one in lists))
    alone = only_in(lists)
    for one in lists:
        cells = {pair.other: pair for pair in pairs if pair.name == one.name}
        shared = (_shared(cells.get(other.name)) for other in lists)
        table.add_row(one.name, f"{len(one.ranks)}", f"{alone[one.name]}", *shared)
    Terminal().print(table)
    print("shared: accounts (Jaccard index); of a survey also the share of its votes that they have")
    _note(TO_OPEN)
    print(f"{counted(len(rows), 'candidate')}: {place}")
    print(
        f"two people check them: tikval annotate accounts sheet {place} --out FOLDER --coder ann --coder bob"
    )
    print(f"each list as it came: {out}/models; overlap: {out}/overlap.csv, {out}/overlap.svg")


def _shared(pair: "ListPair | None") -> str:
    if pair is None:
        return ""
    votes = f", {pair.votes_shared:.0%} of votes" if pair.votes_shared is not None else ""
    return f"{pair.shared} ({pair.jaccard:.2f}){votes}"


def _edited(place: str) -> list[dict[str, object]]:
    """What an earlier table of candidates has, perhaps with what people wrote into it."""
    return [cells for _, cells in open_table(place)] if read_bytes(place) is not None else []
