"""Human annotations -> LabelRow. Reads the published TikTok table as it is, and a plain CSV or Parquet.

The plain form has `video_id`, optionally `account`, `annotator` and `probability` (that the video was drawn to be
annotated, as `tikval sample` writes it), and one column per value of the codebook, named by its slug; a cell is a code
(-1, 0, 1, 2), a word (confronted, absent, endorsed, dominant) or empty (absent). An unknown value or stance is an error
that names file, line and column.
"""

import math
from collections.abc import Sequence
from typing import Any, Final

from tikval.config import UserError
from tikval.files import read_records
from tikval.rows import LabelRow
from tikval.sources.ids import id_in_cell, post_in
from tikval.values import SLUG_OF_COLUMN, STANCE_OF_WORD, Stance

_LINK: Final = "1_Link1"  # the published table's column of post addresses
_ABOUT: Final = {"video_id", "account", "annotator", "probability"}
_OF_LISTS: Final = {"caption", "path", "stratum"}  # further columns of the lists that `tikval sample` writes
_WORDS: Final = (
    {word: int(stance) for word, stance in STANCE_OF_WORD.items()}
    | {stance.name.lower(): int(stance) for stance in Stance}
    | {str(int(stance)): int(stance) for stance in Stance}
)


def read_labels(uri: str, slugs: Sequence[str], label_set: str) -> list[LabelRow]:
    """Annotations over the V values `slugs`, one row per video and annotator.

    Raises UserError (file, line, column) for an unknown value, stance or address, and for a video annotated
    twice by one annotator.
    """
    rows: list[LabelRow] = []
    seen: dict[tuple[str, str], int] = {}
    for line, cells in read_records(uri):
        where = f"{uri}: line {line}"
        if not rows:
            _check_columns(uri, list(cells), slugs)
        about = _read_post(cells, where) if _LINK in cells else _read_about(cells, where)
        stances = dict.fromkeys(slugs, int(Stance.ABSENT))
        for column, cell in cells.items():
            slug = SLUG_OF_COLUMN.get(column, column)
            if slug in stances:
                stances[slug] = _stance(cell, f"{where}, column {column}")
        video_id, account, annotator = about
        key = (video_id, annotator)
        if key in seen:
            raise UserError(f"{where}: {video_id} was annotated before, in line {seen[key]}")
        seen[key] = line
        rows.append(
            {
                "video_id": video_id,
                "account": account,
                "annotator": annotator,
                "label_set": label_set,
                "stances": list(stances.values()),
                "probability": _probability(cells.get("probability"), f"{where}, column probability"),
            }
        )
    return rows


def _check_columns(uri: str, columns: list[str], slugs: Sequence[str]) -> None:
    known = (
        _ABOUT | _OF_LISTS | {_LINK} | set(slugs) | {c for c, slug in SLUG_OF_COLUMN.items() if slug in slugs}
    )
    for column in columns:
        if column not in known:
            raise UserError(f"{uri}: line 1, column {column!r}: no such value; known are {', '.join(slugs)}")
    if not set(columns) & {"video_id", _LINK}:
        raise UserError(f"{uri}: line 1: no column video_id")


def _read_post(cells: dict[str, Any], where: str) -> tuple[str, str | None, str]:
    post = post_in(str(cells[_LINK]).strip())
    if not post or not post.account:
        raise UserError(f"{where}, column {_LINK}: {cells[_LINK]!r} is not the address of a TikTok post")
    return post.video_id, post.account, "consolidated"


def _read_about(cells: dict[str, Any], where: str) -> tuple[str, str | None, str]:
    if cells["video_id"] in (None, ""):
        raise UserError(f"{where}, column video_id: empty")
    try:
        post = id_in_cell(str(cells["video_id"]))
    except ValueError as err:
        raise UserError(f"{where}, column video_id: {err}") from err
    account = cells.get("account")
    return post.video_id, str(account) if account else post.account, str(cells.get("annotator") or "human")


def _probability(cell: Any, where: str) -> float | None:
    """That a video was drawn to be annotated. Raises UserError for what is none."""
    if cell is None or str(cell).strip() == "":
        return None
    try:
        probability = float(cell)
    except ValueError:
        probability = math.nan
    if not 0 < probability <= 1:
        raise UserError(f"{where}: {cell!r} is no probability above 0 and up to 1")
    return probability


def _stance(cell: Any, where: str) -> int:
    word = "" if cell is None else str(cell).strip().lower()
    if word not in _WORDS:
        raise UserError(
            f"{where}: {cell!r} is not a stance; use -1, 0, 1, 2 or {', '.join(filter(None, STANCE_OF_WORD))}"
        )
    return _WORDS[word]
