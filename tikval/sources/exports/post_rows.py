"""A row of a source -> PostRow: its fields by the source's map, what is odd about it, and each post once."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tikval.config import UserError
from tikval.rows import Outcome, PostRow
from tikval.sources.cells import as_text, trimmed
from tikval.sources.exports.fields import FLAGS, READ
from tikval.sources.exports.maps import SourceMap, value_at
from tikval.sources.exports.outcomes import bare, is_live, outcome_of, site_of, why_missing
from tikval.sources.ids import Post, RoundedIdError, id_in_cell, is_rounded, post_in, posted_at_of
from tikval.sources.json_records import SourceRecord
from tikval.sources.posts import dated, empty_post

WINDOW: Final = 20_000  # posts that wait for what a later row of theirs tells, before they are handed on
_LETTERS: Final = 2**25  # ... or so many letters of their captions
_TIKTOK_ID: Final = re.compile(r"[0-9]{5,20}")
_CLEAN: Final = re.compile(r"[^\x00-\x20\x7f-\xa0\u2028\u2029\ud800-\udfff]{1,512}")
_NO_POST: Final = "its address or id is none of a post: perhaps an account, a sound or a short link"
_ADDRESS_OF: Final = {
    "tiktok": "https://www.tiktok.com/@{account}/video/{video_id}",
    "instagram": "https://www.instagram.com/reel/{video_id}/",
    "youtube": "https://www.youtube.com/shorts/{video_id}",
}


@dataclass
class Tally:
    """What was read: for the one line that people get."""

    rows: int = 0
    posts: int = 0
    again: int = 0  # rows of a post that an earlier row names
    odd: Counter[str] = field(default_factory=Counter)  # posts by an Outcome other than no_file
    problems: list[str] = field(default_factory=list)  # the first few


Getter = tuple[str, Callable[[Any], Any], list[tuple[tuple[str, ...], bool]]]


class RowReader:
    """Rows of one source by its map."""

    def __init__(self, name: str, source: str, mine: SourceMap) -> None:
        self.name, self.source, self.map = name, source, mine
        self.ids = [tuple(path.split(".")) for path in mine.columns.get("video_id", ())]
        self.files = [tuple(path.split(".")) for path in mine.columns.get("file", ())]
        self.getters = _getters(mine.columns)
        self.on = {site: _getters(columns) for site, columns in mine.platforms.items()}

    def post(self, record: SourceRecord) -> PostRow:
        """The post of a row, which may be an odd one. Raises UserError for a rounded id: then none can be trusted."""
        if record.problem or not isinstance(record.cells, dict):
            return self._odd(record, Outcome.INVALID_ROW, record.problem or "no object of names and values")
        told = _told(record.cells, self.getters)
        site, odd = site_of(told.get("platform"), told.get("url"))
        if site in self.on:
            told |= dict.fromkeys(self.map.platforms[site]) | _told(record.cells, self.on[site])
        if site in ("", "tiktok"):
            told = self.map.absent | told
        told |= record.told
        row: Any = empty_post(record.place, told.get("source") or self.source)
        if not told.get("hashtags"):
            told["hashtags"] = told.get("hashtags_in_text")
        row |= {name: told[name] for name in _OF_ROW if name in told}
        try:
            post = self._post(record, told.get("url"), site)
        except RoundedIdError as err:
            raise UserError(f"{self.name}: {record.place}: {err}") from err
        except ValueError:
            post, problem = None, _NO_POST
        else:
            problem = "names no post"
        if post is None or odd:
            outcome = why_missing(told.get("status")) or Outcome.INVALID_ROW
            outcome = Outcome.OTHER_PLATFORM if odd else Outcome.LIVE if is_live(row, told) else outcome
            row |= {"outcome": outcome.value, "detail": odd or f"{record.place}: {problem}"}
            row |= dated(told.get("posted_at"), "")
            if post is not None:
                row["video_id"] = post.video_id
        else:
            site = site or ("tiktok" if not self.map.any_id or posted_at_of(post.video_id) else "")
            row = self._named(row, post, site, told)
        named: PostRow = row
        return named

    def _named(self, row: Any, post: Post, site: str, told: Mapping[str, Any]) -> Any:
        row["video_id"] = post.video_id
        row["account"] = row["account"] or post.account
        row |= dated(None if told.get("posted_at_from_id") else told.get("posted_at"), post.video_id)
        if row["is_slideshow"] is not True and "/photo/" in (row["url"] or ""):
            row["is_slideshow"] = True
        if row["url"] is None and site in _ADDRESS_OF and (row["account"] or site != "tiktok"):
            row["url"] = _ADDRESS_OF[site].format(**row)
        outcome, detail = outcome_of(row, told)
        if outcome == Outcome.NO_FILE and self.map.bare and bare(row):
            outcome, detail = self.map.bare, "the source has nothing of it but its id"
        row |= {"outcome": outcome.value, "detail": detail or told.get("detail")}
        return row

    def _post(self, record: SourceRecord, url: str | None, site: str) -> Post | None:
        """Raises ValueError for an address that names none."""
        if site in ("instagram", "youtube") and url and (post := post_in(url)):
            return post
        for names in self.ids:
            cell = value_at(record.cells, names)
            if isinstance(cell, str) and len(cell) == 19 and cell.isascii() and cell.isdecimal():
                post = Post(cell, None) if not is_rounded(cell) else id_in_cell(cell)
            elif cell is None or cell == "" or isinstance(cell, bool | dict | list):
                continue
            else:
                post = id_in_cell(_exact(cell))
            if not post.video_id:
                continue
            any_id = self.map.any_id or site in ("instagram", "youtube")
            if (_CLEAN if any_id else _TIKTOK_ID).fullmatch(post.video_id) or post_in(as_text(cell)):
                return post
            raise ValueError("its id is none of the platform")
        return post_in(url) if url else None

    def _odd(self, record: SourceRecord, outcome: Outcome, detail: str) -> PostRow:
        row = empty_post(record.place, self.source)
        row |= {"outcome": outcome.value, "detail": f"{record.place}: {detail}"}
        return row

    def has_id(self, cells: Any) -> bool:
        """Whether a row has anything where its id, or its address, should stand."""
        paths = [*self.ids, *(tuple(path.split(".")) for path in self.map.columns.get("url", ()))]
        return any(value_at(cells, names) is not None for names in paths)

    def named_files(self, cells: Any) -> list[str]:
        """The files that a row names, as it writes them."""
        for names in self.files:
            cell = value_at(cells, names)
            if isinstance(cell, str) and (text := trimmed(cell)):
                return [text]
            if isinstance(cell, list) and (
                texts := [text for text in cell if isinstance(text, str) and text]
            ):
                return texts
        return []


_OF_ROW: Final = tuple(
    name
    for name in PostRow.__annotations__
    if name not in ("video_id", "posted_at", "posted_at_from_id", "source", "outcome", "detail")
)


def _getters(columns: Mapping[Any, Iterable[str]]) -> list[Getter]:
    return [
        (name, READ[name], [(tuple(path.removesuffix("?").split(".")), path.endswith("?")) for path in paths])
        for name, paths in columns.items()
        if name in READ
    ]


def _told(cells: Mapping[str, Any], getters: list[Getter]) -> dict[str, Any]:
    """Each field by the first of its paths that tells it; a flag that one of them sets is set."""
    found: dict[str, Any] = {}
    for name, read, paths in getters:
        for names, is_there in paths:
            value = value_at(cells, names)
            if value is None:
                continue
            value = (True if _has(value) else None) if is_there else read(value)
            if value is not None:
                found[name] = value
                if value or name not in FLAGS:
                    break
    return found


def _exact(cell: Any) -> Any:
    """A number of a JSON list, which may come as Decimal, as what the same number is elsewhere."""
    return cell if isinstance(cell, str | int | float) else float(cell)


def _has(value: Any) -> bool:
    return bool(value) and not (isinstance(value, str) and not trimmed(value))


def each_once(rows: Iterable[PostRow], tally: Tally) -> Iterator[PostRow]:
    """Each post once, in the order of their first rows: the first row counts, and later ones fill what it lacks.

    That is done for a row that comes within WINDOW posts; a later one is only counted. Memory is bounded by that, and
    by an id of each post.
    """
    waiting: dict[str, PostRow] = {}
    seen: set[int | str] = set()
    letters = 0
    for row in rows:
        tally.rows += 1
        key = id_key(row["video_id"])
        if key in seen:
            tally.again += 1
            if (first := waiting.get(row["video_id"])) is not None:
                fill(first, row)
            continue
        seen.add(key)
        waiting[row["video_id"]] = row
        letters += len(row["caption"] or "")
        while len(waiting) > WINDOW or letters > _LETTERS:
            row = waiting.pop(next(iter(waiting)))
            letters -= len(row["caption"] or "")
            yield _counted(row, tally)
    for row in waiting.values():
        yield _counted(row, tally)


def id_key(video_id: str) -> int | str:
    return int(video_id) if len(video_id) == 19 and video_id.isascii() and video_id.isdecimal() else video_id


def fill(first: PostRow, later: PostRow) -> None:
    """Tell in the first row of a post what it lacks and a later one tells."""
    for name, value in later.items():
        if first[name] is None:  # type: ignore[literal-required]
            first[name] = value  # type: ignore[literal-required]
    if later["pinned"]:  # a feed does not say so, its account's page does
        first["pinned"] = True
    if first["posted_at_from_id"] and not later["posted_at_from_id"] and later["posted_at"]:
        first["posted_at"], first["posted_at_from_id"] = later["posted_at"], False
    if first["outcome"] == Outcome.NO_FILE != later["outcome"]:
        first["outcome"], first["detail"] = later["outcome"], later["detail"]


def _counted(row: PostRow, tally: Tally) -> PostRow:
    tally.posts += 1
    if row["outcome"] != Outcome.NO_FILE:
        tally.odd[row["outcome"]] += 1
        if row["outcome"] == Outcome.INVALID_ROW and len(tally.problems) < 3:
            tally.problems.append(row["detail"] or "")
    return row
