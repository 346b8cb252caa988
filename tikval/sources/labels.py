"""Human annotations -> LabelRow: the published TikTok table as it is, and what people have of their own.

Wide: a line a video and annotator, a column a value. Long: a line a stance, with columns `value` and `stance`. A stance
is a code (-1, 0, 1, 2), a word (confronted, absent, endorsed, dominant) or empty (absent). A value that the table does
not have, or that a coder was not sure of or did not answer, is not annotated, which is not absent: its stance is None.
In a coder's workbook (a column SHEET_MARK) an empty cell is not answered.
docs/tables.md lists forms and spellings.
"""

import difflib
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple

from tikval.config import UserError
from tikval.privacy import canonical_account
from tikval.rows import LabelRow
from tikval.sources.cells import as_text, number_in
from tikval.sources.columns import ACCOUNT, VIDEO_ID
from tikval.sources.ids import id_in_cell
from tikval.sources.tables import InputTable, Say, column_key, open_table, print_note
from tikval.values import NOT_ANSWERED, NOT_SURE, REST, SHEET_MARK, STANCE_OF_WORD, VALUES, Stance

_LINK: Final = "1_Link1"  # the published table's column of post addresses
_ABOUT: Final[dict[str, Sequence[str]]] = {
    "video_id": VIDEO_ID,
    "account": ACCOUNT,
    "annotator": ("coder", "rater", "annotator_id", "annotator_name", "coded_by", "annotated_by"),
    "probability": ("sampling_probability", "inclusion_probability"),
}
_LONG: Final[dict[str, Sequence[str]]] = {"value": ("value_name", "slug"), "stance": ("code", "label")}
_WORDS: Final = {word: int(stance) for word, stance in STANCE_OF_WORD.items()} | {
    stance.name.lower(): int(stance) for stance in Stance
}
_ABSENT: Final = Stance.ABSENT.name.lower()
_NO_STANCE: Final = (NOT_SURE, NOT_ANSWERED)
_CODES: Final = frozenset(map(int, Stance))
_NEAR: Final = 0.85  # of the letters of a column's name, so that it may be meant as a value's


class _About(NamedTuple):
    video_id: str
    account: str | None
    annotator: str
    probability: float | None


class LabelPlace(NamedTuple):
    """Which cell of a table says a stance."""

    lines: tuple[int, ...]  # in the long form there may be several that say the same
    column: str


class LabelLine(NamedTuple):
    line: int  # of the table; in a long one the first that tells of the video
    row: LabelRow
    places: Mapping[str, LabelPlace]  # by value; one that no cell tells of is not there


class LabelColumns(NamedTuple):
    """The columns of a table of annotations by the names that we have for them."""

    about: Mapping[str, str]
    values: Mapping[str, str]  # by value; of a table in the long form none
    long: Mapping[str, str]  # value and stance; of a wide table none


def read_labels(
    uri: str,
    slugs: Sequence[str],
    label_set: str,
    *,
    titles: Mapping[str, str] | None = None,
    unnamed: str | None = None,
    say: Say = print_note,
) -> list[LabelRow]:
    """Annotations over the V values `slugs`, one row per video and annotator.

    `titles` of values are other spellings of their columns; `unnamed` is who annotated where no column tells. What is
    not used, and which values are not annotated, is said. Raises UserError (file, line, column) for an unknown value,
    stance or address, for an id that is cut, and for a video that one annotator annotated twice, or differently.
    """
    lines = label_lines(open_table(uri), slugs, label_set, titles=titles, unnamed=unnamed, say=say)
    return [one.row for one in lines]


def label_lines(
    table: InputTable,
    slugs: Sequence[str],
    label_set: str,
    *,
    titles: Mapping[str, str] | None = None,
    unnamed: str | None = None,
    say: Say = print_note,
    used: Collection[str] = (),
) -> list[LabelLine]:
    """What `read_labels` reads, with where it stands. `used`: columns that the caller reads, so not to be named."""
    spelt = _spelt(slugs, titles)
    about, values, long = label_columns(table, slugs, titles)
    if "video_id" not in about:
        raise UserError(
            f"{table.at(table.grid.line)}: no column video_id; there are {', '.join(table.columns)}"
        )
    if len(long) == len(_LONG):
        table.say(say, [*about.values(), *long.values(), *used])
        rows, coded = _long_rows(table, about, long, spelt, label_set, unnamed)
    else:
        _refuse_unknown(table, about, values, slugs, titles or {})
        of_sheet = [name for name in (SHEET_MARK, REST) if SHEET_MARK in table.columns]
        table.say(say, [*about.values(), *values.values(), *of_sheet, *used])
        rows, coded = _wide_rows(table, about, values, slugs, label_set, unnamed), set(values)
    if not rows:
        raise UserError(f"{table.name}: annotates no video: no line stands below the column names")
    if len(coded) < len(slugs):
        say(f"{table.name}: {_lacking(slugs, coded)}")
    return rows


def label_columns(table: InputTable, slugs: Sequence[str], titles: Mapping[str, str] | None) -> LabelColumns:
    """Where a table has what annotations tell. Raises UserError where two columns are one."""
    values = table.pick(_spelt(slugs, titles))
    about = table.pick(_ABOUT, values.values())
    return LabelColumns(about, values, {} if values else table.pick(_LONG))


def value_columns(table: InputTable, slugs: Sequence[str], titles: Mapping[str, str]) -> dict[str, str]:
    """The columns of a wide table by the value that each has; none of a long one."""
    return table.pick(_spelt(slugs, titles))


def _spelt(slugs: Sequence[str], titles: Mapping[str, str] | None) -> dict[str, list[str]]:
    return {
        slug: [*_spellings(slug), *([titles[slug]] if titles and slug in titles else [])] for slug in slugs
    }


def _lacking(slugs: Sequence[str], coded: Collection[str]) -> str:
    """The sentence on values that a table does not have; it names these or, if they are fewer, those that it has."""
    missing = [slug for slug in slugs if slug not in coded]
    if len(missing) <= len(coded):
        return (
            f"{len(missing)} of {len(slugs)} values are not in it ({', '.join(missing)}): they are taken as not "
            "annotated, not as absent"
        )
    there = ", ".join(slug for slug in slugs if slug in coded)
    return f"has {len(coded)} of {len(slugs)} values ({there}): all others are taken as not annotated, not as absent"


def _wide_rows(
    table: InputTable,
    about: Mapping[str, str],
    values: Mapping[str, str],
    slugs: Sequence[str],
    label_set: str,
    unnamed: str | None,
) -> list[LabelLine]:
    rows: list[LabelLine] = []
    seen: dict[tuple[str, str], int] = {}
    people: dict[str, str] = {}
    for line, cells in table:
        who = _read_about(table, line, cells, about, unnamed, people)
        if (before := seen.setdefault((who.video_id, who.annotator), line)) != line:
            raise UserError(f"{table.at(line)}: {who.video_id} was annotated before, in line {before}")
        if SHEET_MARK in table.columns:
            cells = _with_the_rest(cells, values.values(), table.at(line, REST))
        stances = {slug: _stance(cells[name], table.at(line, name)) for slug, name in values.items()}
        places = {slug: LabelPlace((line,), name) for slug, name in values.items()}
        rows.append(LabelLine(line, _row(who, label_set, [stances.get(slug) for slug in slugs]), places))
    return rows


def _with_the_rest(cells: Mapping[str, Any], values: Collection[str], where: str) -> dict[str, Any]:
    """The cells of a line of a coder's workbook: what is not answered there is absent only where `rest` says so."""
    rest = as_text(cells.get(REST)).lower()
    if rest not in ("", _ABSENT):
        raise UserError(f"{where}: {rest[:40]!r} is no answer for the rest; use {_ABSENT} or nothing")
    words = {name: as_text(cells[name]).lower().replace(" ", "_") for name in values}
    return {
        **cells,
        **{name: rest or NOT_ANSWERED for name, word in words.items() if word in ("", NOT_ANSWERED)},
    }


def _long_rows(
    table: InputTable,
    about: Mapping[str, str],
    long: Mapping[str, str],
    spelt: Mapping[str, Sequence[str]],
    label_set: str,
    unnamed: str | None,
) -> tuple[list[LabelLine], set[str]]:
    """The rows, and the values that some line names: of these, a video without a line has the stance absent."""
    slug_of = {column_key(name): slug for slug, names in spelt.items() for name in (slug, *names)}
    found: dict[tuple[str, str], tuple[_About, int, dict[str, tuple[int | None, list[int]]]]] = {}
    people: dict[str, str] = {}
    for line, cells in table:
        who = _read_about(table, line, cells, about, unnamed, people)
        first, _, stances = found.setdefault((who.video_id, who.annotator), (who, line, {}))
        if first != who:
            raise UserError(
                f"{table.at(line)}: {who.video_id} has another account or probability than before"
            )
        name = as_text(cells[long["value"]])
        slug = slug_of.get(column_key(name))
        if slug is None:
            raise UserError(
                f"{table.at(line, long['value'])}: {name[:40]!r} is no value; known are {', '.join(spelt)}"
            )
        code = _stance(cells[long["stance"]], table.at(line, long["stance"]))
        known, lines = stances.setdefault(slug, (code, []))
        if known != code:
            raise UserError(
                f"{table.at(line)}: {slug} of {who.video_id} is {code} here and {known} in line {lines[0]}"
            )
        lines.append(line)
    coded = {slug for _, _, stances in found.values() for slug in stances}
    rows = []
    for who, line, stances in found.values():
        codes = dict.fromkeys(coded, int(Stance.ABSENT)) | {slug: code for slug, (code, _) in stances.items()}
        places = {slug: LabelPlace(tuple(lines), long["stance"]) for slug, (_, lines) in stances.items()}
        rows.append(LabelLine(line, _row(who, label_set, [codes.get(slug) for slug in spelt]), places))
    return rows, coded


def _row(who: _About, label_set: str, stances: list[int | None]) -> LabelRow:
    return {
        "video_id": who.video_id,
        "account": who.account,
        "annotator": who.annotator,
        "label_set": label_set,
        "stances": stances,
        "probability": who.probability,
    }


def _spellings(slug: str) -> list[str]:
    """What others call a value: its title, and the paper's column, whole and without what all of them have."""
    return [
        name
        for value in VALUES
        if value.slug == slug
        for name in (
            value.column,
            value.title,
            value.column.removeprefix("1_Value1_").removesuffix("_values"),
        )
    ]


def _refuse_unknown(
    table: InputTable,
    about: Mapping[str, str],
    values: Mapping[str, str],
    slugs: Sequence[str],
    titles: Mapping[str, str],
) -> None:
    """Raise UserError for a column that is almost a value's, and where there is no value's at all."""
    missing = {
        column_key(name): slug
        for slug in slugs
        if slug not in values
        for name in (slug, titles.get(slug, slug))
    }
    for column in table.columns:
        if column in about.values() or column in values.values():
            continue
        near = difflib.get_close_matches(column_key(column), missing, 1, _NEAR)
        where = f"{table.at(table.grid.line)}, column {column!r}"
        if near:
            raise UserError(f"{where}: no such value; is {missing[near[0]]} meant?")
        if not values:
            raise UserError(f"{where}: no such value; known are {', '.join(slugs)}")
    if not values:
        raise UserError(f"{table.at(table.grid.line)}: no column of a value; known are {', '.join(slugs)}")


def _read_about(
    table: InputTable,
    line: int,
    cells: Mapping[str, Any],
    about: Mapping[str, str],
    unnamed: str | None,
    people: dict[str, str],
) -> _About:
    """What a line tells beside the stances; `people` has one spelling of each annotator, the first one."""
    column = about["video_id"]
    published = column_key(column) == column_key(_LINK)
    cell = cells[column]
    if cell is None and not published:
        raise UserError(f"{table.at(line, column)}: empty")
    try:
        post = id_in_cell("" if cell is None else cell)
        if published and not (post.account and post.video_id.isdigit()):
            raise ValueError(f"{as_text(cell)!r} is not the address of a TikTok post")
    except ValueError as err:
        raise UserError(f"{table.at(line, column)}: {err}") from err
    more = {name: cells[about[name]] if name in about else None for name in _ABOUT}
    annotator = as_text(more["annotator"]) or unnamed or ("consolidated" if published else "human")
    return _About(
        post.video_id,
        as_text(more["account"]) or post.account,
        people.setdefault(canonical_account(annotator), annotator),
        probability_in_cell(more["probability"], table.at(line, about.get("probability", ""))),
    )


def probability_in_cell(cell: Any, where: str) -> float | None:
    """That a video was drawn; None for an empty cell. Raises UserError, with its place, for what is no probability."""
    if cell is None:
        return None
    number = number_in(cell)
    if number is None or not 0 < number <= 1:
        raise UserError(
            f"{where}: {as_text(cell)[:40]!r} is no probability; use a number above 0 and up to 1"
        )
    return number


def _stance(cell: Any, where: str) -> int | None:
    text = as_text(cell).lower()
    if text.replace(" ", "_") in _NO_STANCE:
        return None
    number = number_in(cell) if cell is not None else None
    if number in _CODES:
        return int(number or 0)
    if number is not None or text not in _WORDS:
        shown = repr(as_text(cell)[:40]) if isinstance(cell, str) else cell
        raise UserError(
            f"{where}: {shown} is not a stance; use -1, 0, 1, 2 or confronted, absent, endorsed, dominant"
        )
    return _WORDS[text]
