"""Attrition in words, as a human-readable table on a terminal, and as a CSV file."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from tikval.config import UserError
from tikval.evaluate.attrition import GROUPINGS, Attrition
from tikval.evaluate.attrition_groups import AttritionGroup, Loss
from tikval.evaluate.attrition_steps import ANNOTATED, JUDGED, STEPS
from tikval.files import write_bytes
from tikval.report.figures.numbers import as_csv

SHOWN: Final = 30  # groups on a terminal
REASONS: Final = 4  # that a sentence names
UNKNOWN_GROUP: Final = "not known"
CSV_COLUMNS: Final = (
    *("by", "group", "step", "reason", "posts", "share_of_listed", "share_of_step_before", "system"),
)
_WORDS: Final = {
    "region": "not shown where the collector is",
    "age": "shown to adults only",
    "blocked": "refused to the collector",
    "unavailable": "not available",
    "failed": "the network or the collector failed",
    "no_file": "no file, and nothing says why",
    "not_opened": "not opened yet",
    "no_row": "not yet judged by this system",
    "no_system": "no system has finished",
    "not_annotated": "not annotated",
}
_WORDS_AT: Final = {  # where a reason means another thing at this step
    (1, "missing_file"): "no file where the table names one",
    (1, "not_a_file"): "no file where the table names one",
    (1, "server_error"): "the store did not answer",
    (2, "no_file"): "collected, and not among the study's files",
    (2, "too_large"): "larger than the collector was allowed to fetch",
    (3, "missing_file"): "the file has gone since it was listed",
}
_ASIDE: Final = {
    "live": ("live room", "live rooms"),
    "other_platform": ("post of another platform", "posts of other platforms"),
    "invalid_row": ("row that names no post", "rows that name no post"),
    "invalid_id": ("file whose name is no id", "files whose names are no ids"),
    "duplicate_id": ("file of a post that has one already", "files of posts that have one already"),
}

NameOf = Callable[[str], str]


def words_of(loss: Loss) -> str:
    """Why posts are lost, as people say it."""
    words = _WORDS_AT.get((loss.step, loss.reason)) or _WORDS.get(loss.reason)
    unclear = "" if loss.known else ": not known whether it could be reached"
    return (words or loss.reason.replace("_", " ")) + unclear


def share_text(posts: int, of: int) -> str:
    """A share in percent with one decimal; a dash of nothing."""
    return f"{100 * posts / of:.1f} %" if of else "\u2013"


def numbered_accounts(found: Attrition) -> NameOf:
    """Names that tell nobody's: accounts by their number, the one with the most posts first."""
    numbers = {group.name: f"account {n}" for n, group in enumerate(found.groups["account"], 1)}
    return lambda name: numbers[name]


def methods_sentence(found: Attrition) -> str:
    """The whole of it as one sentence of a methods section."""
    listed = found.total.reached[0]
    accounts = sum(group.name is not None for group in found.groups["account"])
    begin = f"Of {listed:,} listed post{'s' * (listed != 1)}" + (
        f" by {accounts:,} account{'s' * (accounts != 1)}" if accounts else ""
    )
    says = {"reachable": "could be reached", "downloaded": "were downloaded", "readable": "could be read"}
    says |= {"judged": f"were judged by {found.system}", "annotated": "of these were annotated by people"}
    parts = [
        f"{found.total.reached[place]:,} ({share_text(found.total.reached[place], listed)}) {says[step]}"
        + _in_brackets(loss for loss in found.total.losses if loss.step == place and place < ANNOTATED)
        for place, step in enumerate(STEPS)
        if step in says and not (place >= JUDGED and found.system is None)
        if not (place == ANNOTATED and not found.total.reached[place])
    ]
    return f"{begin}, {', '.join(parts[:-1])}{' and ' if parts[:-1] else ''}{parts[-1]}."


def _in_brackets(losses: Iterable[Loss]) -> str:
    losses = list(losses)
    known = [loss for loss in losses if loss.known]
    most = len(known) if len(known) <= REASONS + 1 else REASONS
    told = [f"{loss.posts:,} {words_of(loss)}" for loss in known[:most]]
    told += [f"{n:,} for other reasons" for n in [sum(loss.posts for loss in known[most:])] if n]
    told += [f"of {n:,} it is not known" for n in [sum(loss.posts for loss in losses if not loss.known)] if n]
    return f" [{'; '.join(told)}]" if told else ""


def aside_sentences(found: Attrition) -> list[str]:
    """Sentences on what the steps do not count."""
    lines = []
    if found.set_aside:
        told = [f"{n:,} {_ASIDE[name][n != 1]}" for name, n in found.set_aside.items()]
        lines.append(f"Not counted: {', '.join(told)}.")
    if n := found.total.not_known:
        lines.append(f"Of {n:,} of the listed posts nothing tells whether they could be reached.")
    if lost := found.annotated_lost:
        told = [f"{n:,} are not {step}" for step, n in lost.items()]
        lines.append(f"Annotated posts that are not among those of the last step: {', '.join(told)}.")
    for system, (judged, annotated) in found.others.items():
        lines.append(f"{system} has judged {judged:,} of the listed posts, {annotated:,} of them annotated.")
    return lines


def attrition_csv(found: Attrition, name_of: NameOf, by: str | None = None) -> bytes:
    """The table of attrition_rows; `by`: of these groups only."""
    return as_csv(CSV_COLUMNS, attrition_rows(found, name_of, by))


def attrition_rows(found: Attrition, name_of: NameOf, by: str | None = None) -> Iterator[list[Any]]:
    """A line per group and step, and one per group, step and reason of a loss: the cells of CSV_COLUMNS."""
    groups = (
        (kind, _label(kind, group.name, name_of), group)
        for kind in ([by] if by else GROUPINGS)
        for group in found.groups[kind]
    )
    return _lines(chain([("all", "all", found.total)], groups), found.system or "")


def write_attrition_csv(found: Attrition, file: Path, name_of: NameOf, by: str | None = None) -> None:
    """Write the table of attrition_csv. Raises UserError where it cannot be written."""
    try:
        write_bytes(str(file), attrition_csv(found, name_of, by))
    except OSError as err:
        raise UserError(f"{file}: cannot be written ({err.strerror or err})") from err


def _lines(groups: Iterable[tuple[str, str, AttritionGroup]], system: str) -> Iterator[list[Any]]:
    for by, name, group in groups:
        for place, step in enumerate(STEPS):
            of = system if place >= JUDGED else ""
            listed, before = group.reached[0], group.reached[max(0, place - 1)]
            reached = [("", group.reached[place])]
            lost = [(loss.reason, loss.posts) for loss in group.losses if loss.step == place]
            for reason, posts in (*reached, *lost):
                shares = [posts / of_all if of_all else None for of_all in (listed, before)]
                yield [by, name, step, reason, posts, *shares, of]


def _label(by: str, name: str | None, name_of: NameOf) -> str:
    if name is None:
        return UNKNOWN_GROUP
    return name_of(name) if by == "account" else name


def show_attrition(found: Attrition, by: str | None, name_of: NameOf, console: Console) -> None:
    """Print the steps with their losses, the groups where `by` names a kind of them, and what is not counted."""
    console.print(_steps_table(found))
    if by:
        groups = found.groups[by]
        table = Table(by, *STEPS, title=f"by {by}: posts (% of listed)", title_justify="left")
        for group in groups[:SHOWN]:
            table.add_row(_label(by, group.name, name_of), *_cells(group.reached))
        console.print(table)
        if len(groups) > SHOWN:
            console.print(f"... and {len(groups) - SHOWN} more, which --out writes")
    for line in (methods_sentence(found), *aside_sentences(found)):
        console.print(f"* {line}")


def _steps_table(found: Attrition) -> Table:
    table = Table("step", "posts", "of listed", "of the step before", "lost on the way")
    for place, step in enumerate(STEPS):
        posts, listed = found.total.reached[place], found.total.reached[0]
        before = found.total.reached[place - 1] if place else posts
        named = f"{step} by {found.system}" if place == JUDGED and found.system else step
        why = [f"{loss.posts:,} {words_of(loss)}" for loss in found.total.losses if loss.step == place]
        table.add_row(
            named, f"{posts:,}", share_text(posts, listed), share_text(posts, before), "\n".join(why)
        )
    return table


def _cells(reached: Sequence[int]) -> list[str]:
    return [
        f"{posts:,} ({share_text(posts, reached[0])})" if place else f"{posts:,}"
        for place, posts in enumerate(reached)
    ]
