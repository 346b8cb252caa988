"""Erasure where people code: a coding folder has captions, scripts and videos of those who are to be forgotten, and so
have a folder of accounts and a project for another tool.

Tables lose their lines, here and in what coders have sent back, and the files that such a line names go with it. A
sheet is one file with everything in it, and so is a zip or a page of disagreements: one that shows an erased video goes
whole, and is named, to be written again.
"""

import io
import json
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Final

from tikval.annotate.coding_folder import known_coding_folders
from tikval.annotate.corrections import HISTORY
from tikval.files import is_local, read_bytes, write_bytes
from tikval.privacy import canonical_account
from tikval.sources.ids import id_in_cell
from tikval.sources.tables import Say
from tikval.sources.text_cells import TextCells
from tikval.sources.workbooks import MAX_UNPACKED
from tikval.spreadsheet import cell_text
from tikval.study.erased_names import ErasedNames

_TABLES: Final = (".csv", ".tsv", ".tab", ".txt")
_LINES: Final = (".jsonl", ".ndjson")
_TEXTS: Final = (".html", ".xml", ".rels", ".vml", ".json", ".md", ".yaml", ".log", *_TABLES, *_LINES)
_PACKED: Final = (".xlsx", ".xlsm", ".zip")


def erase_from_coding(out: str, names: ErasedNames, say: Say) -> int:
    """Clean the history of corrections and every coding folder that a study knows of; returns the lines that went."""
    rows, deleted = _cut_lines(f"{out}/{HISTORY}", names, []), list[str]()
    for folder in filter(Path.is_dir, known_coding_folders(out)):
        dropped: list[Any] = []
        for path in _files(folder):
            rows += _clean(folder, path, names, deleted, dropped)
        _delete_media(folder, dropped)
    if deleted:
        say(
            f"deleted, as they showed somebody who is erased: {', '.join(deleted)}; "
            "tikval annotate sheet and merge write anew what is still needed"
        )
    return rows


def coded_items(out: str) -> set[str]:
    """What the coding folders of a study call their videos."""
    places = [folder / "items.jsonl" for folder in known_coding_folders(out) if is_local(str(folder))]
    items = (_parsed(line) for place in places for line in (read_bytes(str(place)) or b"").splitlines())
    return {str(item["item"]) for item in items if isinstance(item, dict) and "item" in item}


def coding_folders_away(out: str) -> list[str]:
    """What to do about each coding folder that is known and does not lie there: it may hold somebody still."""
    return [
        f"{folder}: a folder of coders that does not lie there now: put it back and erase again; if it was deleted for "
        f"good, take it out of {out}/annotate.json"
        for folder in known_coding_folders(out)
        if not folder.is_dir()
    ]


def coding_folders_elsewhere(out: str) -> list[str]:
    """The coding folders that lie there and not below the study's own folder: to be searched as that is."""
    here = Path(out).absolute() if is_local(out) else None
    found = [folder.absolute() for folder in known_coding_folders(out) if folder.is_dir()]
    return [str(folder) for folder in found if here is None or not folder.is_relative_to(here)]


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink())


def _delete_media(folder: Path, dropped: Sequence[Any]) -> None:
    """Delete the copies that what was dropped names; what lies elsewhere, as a link names it, is not ours."""
    named = {text.rpartition("/")[2] for text in _texts(dropped)}
    for media in [path for path in folder.rglob("media") if path.is_dir() and not path.is_symlink()]:
        for path in media.iterdir():
            if path.name in named:
                path.unlink()


def _texts(value: Any) -> Iterator[str]:
    """All texts of JSON that was read."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _texts(one)


def _clean(folder: Path, path: Path, names: ErasedNames, deleted: list[str], dropped: list[Any]) -> int:
    """Clean one file; returns the lines that went. What they were in JSON is added to `dropped`."""
    place, suffix = str(path), path.suffix.lower()
    if path.name.startswith(".tmp-"):
        path.unlink()
    elif suffix in _LINES:
        return _cut_lines(place, names, dropped)
    elif suffix in _TABLES:
        return _cut_table(path, names)
    elif suffix == ".json":
        return _cut_json(place, names, dropped)
    elif _shows(path, path.name, names):
        if path.relative_to(folder).parts[0] == "returned" and suffix in (".xlsx", ".xlsm"):
            return _cut_workbook(path, names, deleted)
        path.unlink()
        deleted.append(place)
    return 0


def _is_erased(cell: Any, names: ErasedNames) -> bool:
    """Whether a cell is one of the ids, however it is written."""
    text = cell_text(str(cell)) if cell is not None else ""
    if text in names.ids:
        return True
    try:
        return id_in_cell(text).video_id in names.ids
    except ValueError:
        return False


def _cut_lines(place: str, names: ErasedNames, dropped: list[Any]) -> int:
    """Cut the lines of JSON that are of an erased video; in the others nobody who is erased is mentioned."""
    if (data := read_bytes(place)) is None:
        return 0
    lines = data.splitlines(keepends=True)
    found = [_parsed(line) for line in lines]
    gone = [_tells_of(one, names) for one in found]
    dropped += [one for one, is_gone in zip(found, gone, strict=True) if is_gone]
    kept = [line for line, is_gone in zip(lines, gone, strict=True) if not is_gone]
    _write_changed(place, data, names.without_names(b"".join(kept)))
    return len(lines) - len(kept)


def _cut_json(place: str, names: ErasedNames, dropped: list[Any]) -> int:
    """The same of the lists in one file, as tools export their tasks and a folder of accounts has its posts."""
    data, before = read_bytes(place) or b"", len(dropped)
    kept = _without_erased(_parsed(data), names, dropped)
    cut = len(dropped) - before
    new = json.dumps(kept, ensure_ascii=False, indent=2).encode("utf-8", "backslashreplace") if cut else data
    _write_changed(place, data, names.without_names(new))
    return cut


def _without_erased(value: Any, names: ErasedNames, dropped: list[Any], depth: int = 8) -> Any:
    """A value of JSON without the innermost parts of its lists that tell of an erased video or account."""
    if not isinstance(value, dict | list) or not depth:
        return value
    if isinstance(value, dict):
        return {key: _without_erased(one, names, dropped, depth - 1) for key, one in value.items()}
    inside = [_without_erased(one, names, dropped, depth - 1) for one in value]
    gone = [_tells_of(one, names) for one in inside]
    dropped += [one for one, is_gone in zip(value, gone, strict=True) if is_gone]
    return [one for one, is_gone in zip(inside, gone, strict=True) if not is_gone]


def _tells_of(value: Any, names: ErasedNames, depth: int = 8) -> bool:
    """Whether an id of an erased video stands in a value of JSON as a whole text, or an erased account as `account`."""
    if isinstance(value, dict):
        account = canonical_account(str(value.get("account") or ""))
        if account and account in map(canonical_account, names.accounts):
            return True
        return depth > 0 and any(_tells_of(one, names, depth - 1) for one in value.values())
    if isinstance(value, list):
        return depth > 0 and any(_tells_of(one, names, depth - 1) for one in value)
    return isinstance(value, str | int) and not isinstance(value, bool) and _is_erased(value, names)


def _cut_table(path: Path, names: ErasedNames) -> int:
    data, cut = path.read_bytes(), list[int]()
    try:
        table = TextCells(data, path.suffix.lower())
        cut = table.lines_with(lambda cell: _is_erased(cell.replace('""', '"'), names))
        new = table.without(cut) if cut else data
    except ValueError:  # no table: a page for people, or a file that is damaged
        new = data
    _write_changed(str(path), data, names.without_names(new))
    return len(cut)


def _cut_workbook(path: Path, names: ErasedNames, deleted: list[str]) -> int:
    """Empty the rows of a workbook that a coder sent back; one in which somebody still stands then goes whole."""
    import openpyxl

    rows, sink = 0, io.BytesIO()
    try:
        book = openpyxl.load_workbook(path)
        for sheet in book.worksheets:
            for row in sheet.iter_rows():
                texts = [str(cell.value) for cell in row if cell.value is not None]
                if any(_is_erased(text, names) or names.mentions(text.encode()) for text in texts):
                    rows += 1
                    for cell in row:
                        if not isinstance(cell, openpyxl.cell.cell.MergedCell):
                            cell.value, cell.comment, cell.hyperlink = None, None, None
        book.save(sink)
    except Exception:  # the library raises what a damaged part happens to lead to
        sink = io.BytesIO()
    if not sink.getvalue() or _shows(sink, path.name, names):
        path.unlink()
        deleted.append(str(path))
        return 0
    write_bytes(str(path), sink.getvalue())
    return rows


def _shows(file: Path | IO[bytes], name: str, names: ErasedNames, inside: int = 2) -> bool:
    """Whether a name stands in a file, packed or not. One that cannot be unpacked is taken to show somebody.

    Videos and pictures are named, and not searched.
    """
    if names.mentions(name.encode("utf-8", "backslashreplace")):
        return True
    if not name.lower().endswith((*_TEXTS, *_PACKED)):
        return False
    if not name.lower().endswith(_PACKED):
        return bool(names.mentions(file.read_bytes() if isinstance(file, Path) else file.read()))
    try:
        with zipfile.ZipFile(file) as parts:
            read = [part for part in parts.infolist() if part.filename.lower().endswith((*_TEXTS, *_PACKED))]
            if not inside or sum(part.file_size for part in read) > MAX_UNPACKED:
                return True
            return any(
                _shows(
                    io.BytesIO(parts.read(part) if part in read else b""), part.filename, names, inside - 1
                )
                for part in parts.infolist()
            )
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError, ValueError):
        return True


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _write_changed(place: str, before: bytes, after: bytes) -> None:
    if before != after:
        write_bytes(place, after)
