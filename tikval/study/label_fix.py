"""A label that is wrong: corrected in the table that was given, noted who and why, and read again by the catalog.

The table is the one home of its labels. An overlay in the study would be a second one: a corrected table, or the same
one in another form, could not be told from one that was to undo it. So the cell is changed where it stands, and the
study keeps the history, which nothing reads as labels. A merged table of a coding folder is made of other tables, so
its corrections lie beside it too, for the next merge.
"""

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from tikval.annotate.corrections import (
    HISTORY,
    Correction,
    add_corrections,
    correction_history,
    merged_history,
)
from tikval.codebook import Codebook
from tikval.config import UserError
from tikval.files import delete, is_local, plain_address, read_bytes, write_bytes
from tikval.sources.accounts import names_of_listed
from tikval.sources.ids import id_in_cell, resolve_id
from tikval.sources.label_edit import CORRECTIONS, LabelTable, correct, label_table, rows_of_video
from tikval.sources.labels import LabelLine
from tikval.sources.tables import column_key, table_file
from tikval.sources.write_catalog import read_labels_again
from tikval.store.given import GivenTable, GivenTables
from tikval.store.runs import Study

_NAMES: Final = ("video_id", "alias", "row_key", "error")


@dataclass(frozen=True)
class LabelFix:
    """What a fix has done."""

    video_id: str
    table: str  # its file, as it is named in messages
    corrections: tuple[Correction, ...]
    already: tuple[str, ...]  # values that had this stance before


def stances_of(words: Sequence[str], codebook: Codebook) -> dict[str, str]:
    """`hedonism=absent` and more as stances by value. Raises UserError for a value or stance that there is not."""
    slugs = {column_key(name): value.slug for value in codebook.values for name in (value.slug, value.title)}
    found: dict[str, str] = {}
    for word in words:
        name, equals, stance = (part.strip() for part in word.partition("="))
        slug, plain = slugs.get(column_key(name)), stance.lower().replace(" ", "_")
        if not equals or slug is None:
            near = get_close_matches(name, codebook.slugs, 1)
            hint = f"; is {near[0]} meant?" if near else f"; there are {', '.join(codebook.slugs)}"
            raise UserError(f"{word[:60]!r}: no value {name[:40]!r}{hint}; a correction is VALUE=STANCE")
        if plain not in CORRECTIONS:
            raise UserError(
                f"{word[:60]!r}: {stance[:40]!r} is not a stance; there are {', '.join(CORRECTIONS)}"
            )
        if found.setdefault(slug, plain) != plain:
            raise UserError(f"{slug}: two stances are given")
    return found


def fix_labels(
    study: Study, video: str, stances: Mapping[str, str], by: str, why: str, annotator: str | None = None
) -> LabelFix:
    """Correct labels of a video in the table that was given, note it, and let the catalog read the table again.

    `video`: by its id, its alias, its address, or the name that pages show. Raises UserError where the table is gone,
    has changed since it was read, or is no text, and where there is a doubt which line is meant; nothing is changed
    then.
    """
    catalog, codebook = study.catalog(), study.codebook()
    given = GivenTables.of(catalog).annotations.get(codebook.label_set)
    if given is None:
        raise UserError(
            f"{study.out}: has no annotations over {codebook.label_set}; there is nothing to correct"
        )
    with catalog.lock():
        names = names_of_listed(catalog.read(list(_NAMES)).to_pylist())
        video_id = _listed(video, names, study.out)
        history = correction_history(study.out)
        table = _table(given, codebook, {one.sha256 for one in history})
        one = _annotations(table, video_id, names, annotator or study.annotator())
        data, cells = correct(table, one, stances)
        corrections = tuple(
            Correction(
                at=datetime.now(UTC).isoformat(timespec="seconds"),
                by=by,
                why=why,
                video_id=video_id,
                item=one.row["video_id"],
                annotator=one.row["annotator"],
                label_set=codebook.label_set,
                file=table.name,
                sha256=hashlib.sha256(data).hexdigest(),
                **cell._asdict(),
            )
            for cell in cells
        )
        if corrections:
            places = filter(None, (f"{study.out}/{HISTORY}", merged_history(table.uri)))
            with _noted(list(places), corrections):
                _replace(table_file(table.uri), table.data, data)
    read_labels_again(catalog, given, codebook)
    return LabelFix(
        video_id,
        plain_address(given.file),
        corrections,
        tuple(value for value in stances if value not in {cell.value for cell in cells}),
    )


@contextlib.contextmanager
def _noted(places: Sequence[str], corrections: Sequence[Correction]) -> Iterator[None]:
    """Corrections are noted before they are made, as a stance that nobody can account for is worse than a line that
    tells of one to come; where they cannot be made, the line goes again.
    """
    before = {place: read_bytes(place) for place in places}
    for place in places:
        add_corrections(place, corrections)
    try:
        yield
    except UserError:
        for place, data in before.items():
            delete(place) if data is None else write_bytes(place, data)
        raise


def _listed(video: str, names: Mapping[str, str], out: str) -> str:
    try:
        found = resolve_id(id_in_cell(video).video_id, names)
    except ValueError as err:
        raise UserError(str(err)) from err
    if found not in set(names.values()):
        near = get_close_matches(video, names, 3)
        hint = f" (near it: {', '.join(near)})" if near else ""
        raise UserError(f"{out}: no video {video[:100]}{hint}; its id stands on its page of the report")
    return found


def _table(given: GivenTable, codebook: Codebook, ours: set[str]) -> LabelTable:
    """The table as it lies there. Raises UserError where it is not what the study has read, nor what a fix made."""
    name = plain_address(given.file)
    data = read_bytes(table_file(given.place))
    if data is None:
        raise UserError(
            f"{name}: that file is gone; put it back, or give the analysis another with --annotations"
        )
    now = hashlib.sha256(data).hexdigest()
    if given.sha256 not in (None, now) and now not in ours:
        raise UserError(
            f"{name}: has changed since the study has read it; run the analysis again with --annotations {name}, then "
            "correct what is still wrong"
        )
    return label_table(given.place, data, codebook.slugs, codebook.label_set, codebook.titles)


def _annotations(
    table: LabelTable, video_id: str, names: Mapping[str, str], annotator: str | None
) -> LabelLine:
    found = rows_of_video(table, video_id, names)
    mine = [one for one in found if annotator in (None, one.row["annotator"])]
    people = ", ".join(sorted({one.row["annotator"] for one in found}))
    if not found:
        raise UserError(f"{table.name}: {video_id} is not annotated")
    if not mine:
        raise UserError(f"{table.name}: {annotator} did not annotate {video_id}; there are {people}")
    if len(mine) > 1:
        lines = ", ".join(str(one.line) for one in mine)
        why = (
            f"several annotators ({people}): name one with --annotator"
            if len({one.row["annotator"] for one in mine}) > 1
            else "several lines of one annotator, by different names of the video: leave one"
        )
        raise UserError(f"{table.name}: lines {lines}: {why}")
    return mine[0]


def _replace(file: str, before: bytes, data: bytes) -> None:
    """Let other bytes take a file's place in one step; it keeps its rights, and a link stays one."""
    if read_bytes(file) != before:
        raise UserError(f"{plain_address(file)}: somebody else changes it just now; try again")
    if not is_local(file):
        write_bytes(file, data)
        return
    path, new = Path(file).resolve(), None
    try:
        handle, name = tempfile.mkstemp(prefix=".tmp-", dir=path.parent)
        new = Path(name)
        with os.fdopen(handle, "wb") as opened:
            opened.write(data)
            opened.flush()
            os.fsync(opened.fileno())
        shutil.copymode(path, new)
        new.replace(path)
    except OSError as err:
        if new:
            new.unlink(missing_ok=True)
        raise UserError(f"{path.name}: cannot be changed ({err.strerror or err})") from err
