"""Which line of the given table says a video's labels, so that one that is seen to be wrong can be corrected."""

import hashlib
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tikval.codebook import WORD, Codebook
from tikval.config import UserError
from tikval.files import plain_address, read_bytes
from tikval.report.site.record import LabelAt
from tikval.report.site.study_rows import StudyRows
from tikval.sources.accounts import names_of_listed
from tikval.sources.ids import resolve_id
from tikval.sources.label_edit import LabelTable, label_table
from tikval.sources.tables import table_file
from tikval.store.given import GivenTable, GivenTables
from tikval.values import Stance


@dataclass(frozen=True, slots=True)
class LabelPlaces:
    """The table's name without its folders, and by video where it says what."""

    file: str
    by_video: Mapping[str, tuple[LabelAt, ...]]


def label_places(rows: StudyRows, codebook: Codebook) -> LabelPlaces | None:
    """The places of the videos that get a page; None where the table is gone or has changed: a line that has moved
    is worse than none.
    """
    given = GivenTables.of(rows.catalog).annotations.get(codebook.label_set)
    table = given and rows.labels and _as_it_was_read(given, codebook)
    if not table:
        return None
    names = names_of_listed(rows.shown)
    found: dict[str, tuple[LabelAt, ...]] = {}
    for one in table.rows:
        video = resolve_id(one.row["video_id"], names)
        label = rows.labels.get(video)
        if video in names and label and label["annotator"] == one.row["annotator"]:
            found.setdefault(video, _places(table, one, label["stances"]))
    return LabelPlaces(table.name, found)


def _as_it_was_read(given: GivenTable, codebook: Codebook) -> LabelTable | None:
    try:
        data = read_bytes(table_file(given.place))
        if data is None or hashlib.sha256(data).hexdigest() != given.sha256:
            return None
        return label_table(given.place, data, codebook.slugs, codebook.label_set, codebook.titles)
    except (OSError, UserError):
        return None


def _places(table: LabelTable, one: Any, stances: Any) -> tuple[LabelAt, ...]:
    places = []
    for slug, stance in zip(table.codebook_slugs, stances, strict=True):
        place = one.places.get(slug)
        if stance is not None and (place or stance == Stance.ABSENT):
            column = place.column if place else table.columns.long.get("stance", slug)
            places.append(LabelAt(slug, WORD[stance], place.lines[0] if place else None, column))
    return tuple(places)


def fix_command(out: str, video: str, places: tuple[LabelAt, ...], label_set: str | None) -> str:
    """What to type to correct the first label that is there, as an example; `label_set`: where there are several."""
    one = next((place for place in places if place.word != WORD[Stance.ABSENT]), places[0])
    other = WORD[Stance.ENDORSED if one.word == WORD[Stance.ABSENT] else Stance.ABSENT]
    picked = ["--codebook", label_set] if label_set else []
    options = [*picked, "--by", "YOU", "--why", "what is wrong"]
    words = [plain_address(out), video, f"{one.slug}={other}"]
    dashed = any(word.startswith("-") for word in words)
    return shlex.join(
        ["tikval", "annotate", "fix", *([*options, "--", *words] if dashed else [*words, *options])]
    )
