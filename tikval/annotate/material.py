"""What coders see of each video: out of a list, and out of the study that it was drawn from. Nobody is named in it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from tikval.annotate.annotators import read_tables
from tikval.annotate.coding import coder_and_round
from tikval.annotate.sheet import Gold
from tikval.codebook import WORD, Codebook
from tikval.config import UserError
from tikval.evaluate.faithfulness_sample import rows_of_keys
from tikval.files import is_local
from tikval.privacy import strip_handles
from tikval.rows import Reason
from tikval.sources.cells import as_text
from tikval.sources.columns import VIDEO_ID
from tikval.sources.erased import still_there
from tikval.sources.ids import id_in_cell, name_by_key, post_in, resolve_id
from tikval.sources.labels import probability_in_cell
from tikval.sources.matching import match_ids
from tikval.sources.naming_ids import hidden_names
from tikval.sources.tables import Say, open_table, print_note
from tikval.store.runs import Study

_COLUMNS: Final[dict[str, Sequence[str]]] = {
    "video_id": VIDEO_ID,
    "path": ("file", "files", "filename"),
    "caption": ("text", "description", "video_description"),
    "account": ("username", "author"),
    "stratum": (),
    "probability": ("sampling_probability", "inclusion_probability"),
    "note": ("notes",),
}
_CONSOLIDATED: Final = "consolidated"
_UNUSED: Final = (
    "columns that are not used"  # by the reader of annotations: notes, paths and captions are used here
)


@dataclass(frozen=True)
class CodingVideo:
    item: str  # the video's id, or what lists show in its place
    files: tuple[str, ...] = ()  # paths or addresses; of a photo post its pictures, then its sound
    caption: str = ""
    script: str = ""
    probability: float | None = None
    stratum: str = ""
    gold: Gold | None = None  # of a video to practise on


def read_coding_list(uri: str) -> list[CodingVideo]:
    """The videos of a list, as `tikval sample` writes it or with a column video_id or path at least.

    Raises UserError with the line for what cannot be read and for a video that is there twice.
    """
    return _distinct([video for video, _ in _lines(uri)], uri)


def read_practice(uri: str, codebook: Codebook, say: Say = print_note) -> list[CodingVideo]:
    """The videos of a table of annotations, with these as the right answers; a column `note` says why they are.

    Raises UserError as the reader of annotations does, and where several people annotated a video and nobody is called
    consolidated.
    """
    right: dict[str, dict[str, str]] = {}
    rows = read_tables([uri], codebook, lambda note: None if _UNUSED in note else say(note))
    agreed = [row for row in rows if row["annotator"] == _CONSOLIDATED]
    for row in agreed or [row for row in rows if coder_and_round(row["annotator"])[1] == "main"]:
        if row["video_id"] in right:
            raise UserError(
                f"{uri}: {row['video_id']} has several annotators; keep one of them a video, or call the one that "
                f"counts {_CONSOLIDATED}"
            )
        codes = zip(codebook.slugs, row["stances"], strict=True)
        right[row["video_id"]] = {slug: WORD[code] for slug, code in codes if code is not None}
    notes = {video.item: note for video, note in _lines(uri) if note}
    videos = {video.item: video for video, _ in _lines(uri)}
    return [
        replace(videos[item], probability=None, stratum="", gold=Gold(answers, notes.get(item, "")))
        for item, answers in right.items()
    ]


def _lines(uri: str) -> list[tuple[CodingVideo, str]]:
    """Each line's video, and what stands in a column `note`."""
    table = open_table(uri)
    picked = table.pick(_COLUMNS)
    if "video_id" not in picked and "path" not in picked:
        raise UserError(
            f"{table.at(table.grid.line)}: no column video_id; there are {', '.join(table.columns)}"
        )
    lines = []
    for line, cells in table:
        row = {name: cells[column] for name, column in picked.items()}
        try:
            item = _id_of(row)
        except ValueError as err:
            where = table.at(line, picked.get("video_id", "path"))
            raise UserError(f"{where}: no video is named ({err})") from err
        video = CodingVideo(
            item,
            _files(as_text(row.get("path")), uri),
            strip_handles(as_text(row.get("caption")), as_text(row.get("account")) or None),
            probability=probability_in_cell(
                row.get("probability"), table.at(line, picked.get("probability", ""))
            ),
            stratum=as_text(row.get("stratum")),
        )
        lines.append((video, as_text(row.get("note"))))
    if not lines:
        raise UserError(f"{table.name}: lists no video: no line stands below the column names")
    return lines


def _id_of(row: Mapping[str, Any]) -> str:
    """The id that a line names. Raises ValueError for what is none."""
    if row.get("video_id") is not None:
        return id_in_cell(row["video_id"]).video_id
    path = as_text(row.get("path"))
    post = post_in(path)
    if not path:
        raise ValueError("the cell is empty")
    return post.video_id if post else Path(path).stem


def _files(cell: str, uri: str) -> tuple[str, ...]:
    """Paths as they stand, or from the list's folder on."""
    names = [name.strip() for name in cell.split("; ") if name.strip()]
    from_list = [str(Path(uri).parent / name) if is_local(name) and is_local(uri) else name for name in names]
    return tuple(
        there if not Path(name).exists() and Path(there).exists() else name
        for name, there in zip(names, from_list, strict=True)
    )


def _distinct(videos: list[CodingVideo], uri: str) -> list[CodingVideo]:
    seen: set[str] = set()
    for video in videos:
        if video.item in seen:
            raise UserError(f"{uri}: {video.item} is listed twice")
        seen.add(video.item)
    return videos


def with_study(
    videos: Sequence[CodingVideo], study: Study, uri: str, say: Say = print_note
) -> list[CodingVideo]:
    """The same videos with files, caption and script of a study; ids that name somebody are replaced.

    Videos that the study does not list stay as the list has them, and are said, but those that were erased from it do
    not come back. Raises UserError where it lists none.
    """
    erased = still_there(study.out, (video.item for video in videos))
    if erased:
        say(f"videos of {uri} that were erased from the study, and are left out: {len(erased)}")
        videos = [video for video in videos if video.item not in erased]
    rows, shown = _rows_of(study, [video.item for video in videos])
    match = match_ids((video.item for video in videos), rows.keys(), what=f"videos of {uri}")
    if match.missing and not rows:
        raise UserError(f"{study.out}: {match.text}")
    if match.missing:
        say(f"{match.text}; of these the list alone tells")
    scripts = _scripts_of(study, [row["row_key"] for row in rows.values()], say)
    found = []
    for video in videos:
        if (row := rows.get(video.item)) is None:
            found.append(video)
            continue
        caption = row["caption"] or video.caption
        found.append(
            replace(
                video,
                item=shown.get(row["video_id"], row["video_id"]),
                files=tuple(row["files"] or [row["path"]]),
                caption=strip_handles(caption, row["account"]),
                script=strip_handles(scripts.get(row["row_key"]) or "", row["account"]),
            )
        )
    return _distinct(found, uri)


def say_of_names(videos: Sequence[CodingVideo], say: Say) -> None:
    """Say how many ids name somebody, where no study can tell another name for them."""
    ids = pa.array([video.item for video in videos], pa.string())
    empty = pa.nulls(len(ids), pa.string())
    listed = pa.table({"video_id": ids, "account": empty, "row_key": ids})
    if named := hidden_names(lambda: [listed]):
        say(
            f"ids that name somebody, and stand in the sheets as they are: {len(named)}; tikval sample writes a list "
            "without names, and --study finds its videos"
        )


def _rows_of(study: Study, names: Iterable[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Rows of the catalog by the names that a list has for them, and what is shown for ids that name somebody."""
    listed = study.catalog().read(["video_id", "alias", "row_key", "account", "error"])
    listed = listed.filter(pc.fill_null(pc.not_equal(listed["error"], Reason.DUPLICATE_ID), True))
    wanted = pa.array(sorted(set(names)), pa.string())
    keys = pc.binary_join_element_wise(name_by_key(""), pc.utf8_slice_codeunits(listed["row_key"], 0, 12), "")
    named = pc.or_(
        pc.is_in(listed["video_id"], wanted),
        pc.or_(pc.is_in(listed["alias"], wanted), pc.is_in(keys, wanted)),
    )
    some = listed.filter(named).to_pylist()
    ids = {name_by_key(row["row_key"]): row["video_id"] for row in some}
    ids |= {row["alias"]: row["video_id"] for row in some if row["alias"]}
    ids |= {row["video_id"]: row["video_id"] for row in some}
    columns = ["row_key", "video_id", "path", "files", "account", "caption"]
    read = rows_of_keys(study.catalog(), [row["row_key"] for row in some], columns)
    rows = {row["video_id"]: row for row in read.values()}
    found = {name: rows[video] for name in wanted.to_pylist() if (video := resolve_id(name, ids)) in rows}
    return found, hidden_names(lambda: [listed])


def _scripts_of(study: Study, keys: Sequence[str], say: Say) -> dict[str, str]:
    latest = study.latest("scripts")
    if latest is None:
        say(f"{study.out}: has no scripts; the sheets have captions only")
        return {}
    read = rows_of_keys(latest[0], keys, ["row_key", "script"])
    scripts = {key: row["script"] for key, row in read.items() if row["script"]}
    if missing := len(keys) - len(scripts):
        say(f"videos without a script, which failed or is not written yet: {missing}")
    return scripts
