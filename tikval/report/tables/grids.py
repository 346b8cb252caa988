"""The cells of Tables 3 to 6 in human-readable form: grids of text, Markdown, and CSV with every number in full."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from tikval.evaluate.baselines import BASELINES
from tikval.evaluate.scores import ALL
from tikval.report.display import two
from tikval.report.how_sure import HowSure
from tikval.report.tables.cells import MEAN, METRICS, MOVIE, READINGS, TABLE_OF, Cell
from tikval.report.tables.differences import Counterpart
from tikval.report.tables.published import MEANS, Published
from tikval.spreadsheet import csv_of
from tikval.stats.limits import FEWEST_POSITIVES
from tikval.values import CONFRONTED, ENDORSED, VALUES

TITLES: Final = {value.slug: value.title for value in VALUES}
READING_TITLES: Final = {
    ENDORSED: "endorsed",
    CONFRONTED: "confronted",
    ALL: "all, pooled",
    MEAN: "all, mean of the two",
}
LEGENDS: Final = {  # title of a table over systems, and what its columns are
    3: (
        "Table 3: F1 of the labels, weighted (W) and macro (M)",
        "All: pooled over the labels of both stances, as the paper's Table 3 has it, and the mean of the two; "
        "in parentheses: the mean of two numbers that the paper prints.",
    ),
    4: (
        "Table 4: recall (R) and precision (P) per movie",
        "All: each video's labels of both stances together, and the mean of the two, as the paper's Table 4 has it; "
        "the paper gives no precision, and recall alone is perfect for the predict-all baseline.",
    ),
}
FEW_HAVE: Final = "(n = ...): so few videos have the label that its score says nothing."
SHORT: Final = {"weighted": "W", "macro": "M", "precision": "P", "recall": "R", "f1": "F1"}


@dataclass(frozen=True, slots=True)
class Grid:
    """One of the paper's tables as text."""

    title: str
    head: list[str]
    rows: list[list[str]]
    notes: list[str] = field(default_factory=list)  # below it, what differs from the paper among them


def grids(cells: Sequence[Cell], paper: Published, averaged: Sequence[str] = ()) -> list[Grid]:
    """Tables 3 and 4, then 5 and 6 for each system: a row of the paper is under ours, its labels are beside ours.

    `averaged`: what labels the means run over, in sentences below the tables of means.
    """
    number = {name: i for i, name in enumerate(_ordered(c.system for c in cells if c.counterpart), 1)}
    out = [_of_systems([c for c in cells if c.table == table], number, paper, averaged) for table in (3, 4)]
    for table in TABLE_OF.values():
        of_labels = [cell for cell in cells if cell.table == table]
        for system in _ordered(c.system for c in of_labels if c.system not in BASELINES):
            out.append(_of_labels(of_labels, system, number, paper))
    return out


def markdown(tables: Iterable[Grid]) -> str:
    parts = []
    for grid in tables:
        lines = [_line(grid.head), _line(["---"] * len(grid.head)), *map(_line, grid.rows)]
        notes = "\n".join(f"* {_plain(note)}" for note in grid.notes)
        parts.append(f"## {_plain(grid.title)}\n\n" + "\n".join(lines) + f"\n\n{notes}\n")
    return "\n".join(parts)


def csv_text(cells: Iterable[Cell]) -> str:
    """A line per number; `differences` is filled on every line that has a number of the paper."""
    lines: list[list[object]] = [
        [
            *("table", "system", "stance", "what", "metric", "value", "lower", "upper", "no_interval"),
            *("failures_all_wrong", "failures_all_right", "support", "frequent", "averaged_labels"),
            *("n_scored", "n_videos", "n_accounts"),
            *("paper_system", "paper", "paper_is", "differences"),
        ]
    ]
    for c in cells:
        row = [c.table, c.system, c.stance, c.what, c.metric, c.value, *c.ends[:3]]
        row += [
            c.wrong,
            c.right,
            c.support,
            c.frequent,
            " ".join(c.over),
            c.n_scored,
            c.n_videos,
            c.ends.n_groups,
        ]
        if c.counterpart is None:
            lines.append([*row, "", c.paper, "", ""])
        else:
            origin = "computed" if c.computed else "printed"
            lines.append([*row, c.counterpart.title, c.paper, origin, c.counterpart.text])
    return csv_of(lines, "\n")


def _of_systems(
    cells: Sequence[Cell], number: dict[str, int], paper: Published, averaged: Sequence[str]
) -> Grid:
    table = cells[0].table
    kinds = [(mean, "f1") for mean in MEANS] if table == 3 else [(MOVIE, "recall"), (MOVIE, "precision")]
    places = [(stance, *kind) for stance in READINGS for kind in kinds]
    rows, notes, sure = list[list[str]](), list[str](), HowSure(cell.ends for cell in cells)
    for system in _ordered(cell.system for cell in cells):
        own = {(cell.stance, cell.what, cell.metric): cell for cell in cells if cell.system == system}
        line = [own[place] for place in places]
        rows += _rows_of_system(line, number, sure)
        notes += _note(line, number)
    head = [f"{READING_TITLES[at]} {SHORT[what if table == 3 else metric]}" for at, what, metric in places]
    title, legend = LEGENDS[table]
    below = [legend, *averaged, *sure.lines, *_source(notes, paper), *notes]
    return Grid(title, ["system", *head, "videos"], rows, below)


def _rows_of_system(line: Sequence[Cell], number: dict[str, int], sure: HowSure) -> list[list[str]]:
    """Our numbers, the bounds where videos failed, and the paper's numbers where there are any."""
    first, counterpart = line[0], _counterpart(line)
    ours = (_ours(cell, sure) for cell in line)
    rows = [[first.system, *ours, f"{first.n_scored} of {first.n_videos}"]]
    if failed := first.n_videos - first.n_scored:
        rows.append([f"with {failed} failed: all wrong to all right", *map(_bounds, line), ""])
    if counterpart is not None:
        rows.append([f"paper: {counterpart.title} [{number[first.system]}]", *map(_theirs, line), ""])
    return rows


def _of_labels(cells: Sequence[Cell], system: str, number: dict[str, int], paper: Published) -> Grid:
    table, stance = cells[0].table, cells[0].stance
    own = [cell for cell in cells if cell.system == system]
    by = {(cell.system, cell.what, cell.metric): cell for cell in cells}
    baselines = [name for name in BASELINES if any(cell.system == name for cell in cells)]
    has_paper = _counterpart(own) is not None
    head = ["value", "videos", *(SHORT[metric] for metric in METRICS)]
    head += [f"paper {SHORT[metric]} [{number[system]}]" for metric in METRICS if has_paper]
    head += [f"{name} F1" for name in baselines]
    rows, sure = [], HowSure(cell.ends for cell in own if not _few_have(cell))
    for label in _ordered(cell.what for cell in own):
        line = [by[system, label, metric] for metric in METRICS]
        title = TITLES.get(label[:-1], label[:-1]) + "*" * (not line[0].frequent)
        row = [title, str(line[0].support), *(_ours(cell, sure) for cell in line)]
        if has_paper:
            star = "*" * (label in paper.starred)
            row += [theirs + star if (theirs := _theirs(cell)) else "" for cell in line]
        row += [two(by[name, label, "f1"].value) if (name, label, "f1") in by else "" for name in baselines]
        rows.append(row)
    notes = _note(own, number)
    legend = "* not averaged: in too few videos, or not among frozen labels; the paper's by its own stars."
    below = [
        legend,
        *([FEW_HAVE] if any(map(_few_have, own)) else []),
        *sure.lines,
        *_source(notes, paper),
        *notes,
    ]
    return Grid(f"Table {table}: {stance} values, {system}", head, rows, below)


def _counterpart(cells: Iterable[Cell]) -> Counterpart | None:
    """The row of the paper that one system's cells have numbers of."""
    return next((cell.counterpart for cell in cells if cell.counterpart), None)


def _note(cells: Sequence[Cell], number: dict[str, int]) -> list[str]:
    """What differs between one system and its row of the paper, where it has one."""
    counterpart = _counterpart(cells)
    if counterpart is None:
        return []
    system = cells[0].system
    return [f"[{number[system]}] {system} beside {counterpart.title} of the paper. {counterpart.text}"]


def _source(notes: Sequence[str], paper: Published) -> list[str]:
    return [f"The paper: {' '.join(paper.source.split())}."] if notes else []


def _ours(cell: Cell, sure: HowSure) -> str:
    behind = f"(n = {cell.support})" if _few_have(cell) else sure.spread(cell.ends)
    return f"{two(cell.value)} {behind}".strip()


def _few_have(cell: Cell) -> bool:
    """Whether it is the F1 of a label that so few videos have that it says nothing."""
    is_label = cell.frequent is not None and cell.metric == "f1" and cell.value is not None
    return is_label and (cell.support or 0) < FEWEST_POSITIVES


def _bounds(cell: Cell) -> str:
    if cell.wrong is None or cell.right is None:
        return two(None)
    return f"{two(cell.wrong)} to {two(cell.right)}"


def _theirs(cell: Cell) -> str:
    if cell.paper is None:
        return ""
    # three digits where it prints three
    text = two(cell.paper) if cell.computed or round(cell.paper, 2) == cell.paper else f"{cell.paper:g}"
    return f"({text})" if cell.computed else text


def _ordered(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _line(row: Sequence[str]) -> str:
    return f"| {' | '.join(map(_plain, row))} |"


def _plain(text: str) -> str:
    """Paths of prompts are a user's words: nothing in them starts a column, an emphasis or a tag."""
    text = " ".join(text.split())
    for mark in "\\`*_|<>":
        text = text.replace(mark, f"\\{mark}")
    return text
