"""Sheets on which two people rate scripts, as two of the paper's authors did with 18 videos (section 4).

A sheet goes through a spreadsheet and comes back: what would run as a formula there is defused, ids that would
become numbers or dates are kept as text, and the forms in which spreadsheets save a CSV file are read.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from tikval.config import UserError
from tikval.evaluate.faithfulness_sample import in_random_order
from tikval.sources.cells import as_text
from tikval.sources.tables import table_of
from tikval.spreadsheet import csv_of, spreadsheet_safe

SCALES: Final = ("sound", "picture", "captions")  # rated 0, 1 or 2
MADE_UP: Final = "made_up"
COLUMNS: Final = ("video_id", "file", "script", *SCALES, MADE_UP, "notes")
GUIDE: Final = """\
# How to rate

`rater_1.csv` and `rater_2.csv` hold the same videos in different orders, one sheet for each of two people. Watch the
video, read the script beside it, fill in the row, and do not talk about it before both sheets are full. An apostrophe
at the start of a cell keeps a spreadsheet from changing it; leave it there.

| column | what to write |
| --- | --- |
| `sound` | 2: what is said, and the sounds that matter, stand in the script; 1: some is missing or wrong; 0: most is |
| `picture` | the same for places, people, faces, objects and what happens |
| `captions` | the same for text on the picture; subtitles that repeat the speech need not be there |
| `made_up` | `no`, or `yes` and what: something stands in the script that is not in the video |
| `notes` | anything else |

If the video has no sound, or no text, and the script says none either, that is a 2. Save as CSV under the same name and
run the same command again: it reports means and agreement, and writes over no sheet in which something is filled in.
"""

_MAX_CELL: Final = 30_000  # characters; spreadsheets cut at 32,767
_YES_NO: Final = re.compile(r"\W*(yes|no)\b", re.IGNORECASE)


class SheetLine(NamedTuple):
    video_id: str
    file: str
    script: str  # without handles


class Rating(NamedTuple):
    """What one person wrote of one video; None: not filled in yet."""

    video_id: str
    scales: dict[str, int | None]
    made_up: bool | None


class Agreement(NamedTuple):
    column: str
    means: tuple[float, float]  # of either rater; of made_up the share of yes
    same: int  # videos to which both gave the same rating
    n: int  # videos that both rated


def write_sheet(lines: Iterable[SheetLine], rater: int, seed: int) -> bytes:
    """A CSV file with empty rating cells, in an order of this rater's own."""
    ordered = sorted(lines, key=lambda line: in_random_order(f"{seed}/{rater}", line.video_id))
    return _csv(
        [
            (
                _as_text(line.video_id),
                _defused(line.file),
                _defused(line.script),
                *[""] * (len(COLUMNS) - 3),
            )
            for line in ordered
        ]
    )


def is_untouched(data: bytes) -> bool:
    """Whether a sheet holds no rating and no note; one that cannot be read may hold some."""
    try:
        return not any(cells[column].strip() for _, cells in _rows(data) for column in COLUMNS[3:])
    except ValueError:
        return False


def read_sheet(data: bytes) -> list[Rating]:
    """Raises ValueError with the line of the file for what is no rating, and for a file that is no sheet."""
    ratings = []
    for number, cells in _rows(data):
        scales: dict[str, int | None] = {}
        for column in SCALES:
            cell = cells[column].strip()
            if cell not in ("", "0", "1", "2"):
                raise ValueError(f"line {number}: {column}: {cell[:40]!r} is not 0, 1 or 2")
            scales[column] = int(cell) if cell else None
        cell = cells[MADE_UP].strip()
        answer = _YES_NO.match(cell)
        if cell and not answer:
            raise ValueError(f"line {number}: {MADE_UP}: {cell[:40]!r} does not begin with yes or no")
        ratings.append(Rating(_id(cells), scales, answer[1].lower() == "yes" if answer else None))
    return ratings


def without(data: bytes, video_ids: set[str]) -> bytes:
    """The sheet without the rows of some videos, whose scripts stand in it. Raises ValueError as read_sheet."""
    kept = [cells for _, cells in _rows(data) if _id(cells) not in video_ids]
    return _csv([[cells[column] for column in COLUMNS] for cells in kept])


def rating_agreement(first: Iterable[Rating], second: Iterable[Rating]) -> list[Agreement]:
    """Means and exact agreement in each column, over the videos that both have rated in it."""
    others = {rating.video_id: rating for rating in second}
    pairs = [(rating, others[rating.video_id]) for rating in first if rating.video_id in others]
    found = []
    for column in (*SCALES, MADE_UP):
        values = [(_value(one, column), _value(other, column)) for one, other in pairs]
        both = [(a, b) for a, b in values if a is not None and b is not None]
        if n := len(both):
            means = (sum(a for a, _ in both) / n, sum(b for _, b in both) / n)
            found.append(Agreement(column, means, sum(a == b for a, b in both), n))
    return found


def _value(rating: Rating, column: str) -> int | None:
    return rating.made_up if column == MADE_UP else rating.scales[column]


def _id(cells: dict[str, str]) -> str:
    cell = cells["video_id"]
    return (
        cell if spreadsheet_safe(cell) != cell else cell.removeprefix("'")
    )  # the reader has taken off the writer's


def _defused(text: str) -> str:
    kept = "\n".join("".join(c if c.isprintable() else " " for c in line) for line in text.splitlines())
    kept = kept if len(kept) <= _MAX_CELL else f"{kept[:_MAX_CELL]} (cut here)"
    # a tab at the start is a space by now, and quoted all the same
    return kept if spreadsheet_safe(text) == text or spreadsheet_safe(kept) != kept else f"'{kept}"


def _as_text(video_id: str) -> str:
    """An id that stays text: an apostrophe before what a spreadsheet would take for a number or a date."""
    quoted = spreadsheet_safe(video_id) != video_id  # by the writer
    return video_id if quoted or video_id[:1].isalpha() else f"'{video_id}"


def _csv(rows: Sequence[Sequence[str]]) -> bytes:
    return csv_of([COLUMNS, *rows]).encode("utf-8-sig")  # with a mark, or Excel takes it for another encoding


def _rows(data: bytes) -> list[tuple[int, dict[str, str]]]:
    """Line numbers and cells, in whatever form a spreadsheet saved it. Raises ValueError for what is no sheet."""
    try:
        table = table_of(data)
        picked = table.pick(dict.fromkeys(COLUMNS, ()))
        if missing := [name for name in COLUMNS if name not in picked]:
            raise ValueError(f"line {table.grid.line}: no column {missing[0]}")
        return [
            (line, {name: as_text(cells[picked[name]]) for name in COLUMNS})
            for line, cells in table.rows(exact=picked["script"])
        ]
    except UserError as err:
        raise ValueError(str(err)) from err
