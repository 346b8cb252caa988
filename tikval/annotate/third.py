"""The sheet of the third: what is in dispute, with the coders' answers and notes and without their names.

It follows from what the coders answered alone, so it stays as it is while the third works, unless a coder's answers
change. What somebody may have filled in is never written over.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from tikval.annotate.merge import MergedItem, answers_by_coder
from tikval.annotate.sheet import CodingSheet, Others, SheetItem, questions_of
from tikval.annotate.sheets.page import write_page
from tikval.annotate.sheets.workbook import write_workbook_sheet
from tikval.codebook import Codebook
from tikval.evaluate.faithfulness_sample import in_random_order
from tikval.files import parse_json, read_bytes, write_bytes
from tikval.privacy import strip_handles
from tikval.sources.tables import Say

PAGE, WORKBOOK = "third.html", "third.xlsx"
_RECORD: Final = "third.json"  # in merged/: what was written, so that what was filled in since is known


def third_sheet(
    disputed: Sequence[MergedItem],
    material: Mapping[str, SheetItem],
    codebook: Codebook,
    third: str,
    seed: int = 0,
) -> CodingSheet:
    """The sheet of all items in dispute, in an order of the third's own; only what is in dispute is asked."""
    ordered = sorted(disputed, key=lambda one: in_random_order(f"{seed}/{third}", one.item))
    return CodingSheet(
        coder=third,
        title="Values in videos: what coders disagree on",
        codebook=codebook.mark,
        guidelines=tuple((guideline.title, guideline.text) for guideline in codebook.guidelines),
        questions=questions_of(codebook),
        items=tuple(
            replace(
                material.get(one.item, SheetItem(one.item, "main", ())),
                round="main",
                probability=one.probability,
                others=_others(one),
                asked=tuple(cell.slug for cell in one.disputed),
            )
            for one in ordered
        ),
    )


def _others(merged: MergedItem) -> tuple[Others, ...]:
    return tuple(
        Others(
            name,
            dict(coding.answers),
            strip_handles(coding.note),
            {slug: strip_handles(note) for slug, note in coding.value_notes.items()},
        )
        for name, coding in answers_by_coder(merged).items()
    )


def write_third_sheet(sheet: CodingSheet, sheets: Path, merged: Path, say: Say) -> list[Path]:
    """Write the sheet as a page and a workbook where it is new or has changed, and return what was written.

    A workbook that is no longer as it was written is somebody's work: it stays, and the new one gets a number.
    """
    record = merged / _RECORD
    old = parse_json(read_bytes(str(record)) or b"{}", str(record))
    content = _digest(sheet.as_json().encode())
    page, workbook = sheets / PAGE, sheets / str(old.get("workbook", WORKBOOK))
    if old.get("content") == content and page.exists() and workbook.exists():
        return []
    if workbook.exists() and old.get("bytes") != _digest(workbook.read_bytes()):
        say(f"{workbook}: was changed since it was written, perhaps by {sheet.coder}: it stays as it is")
        workbook = _next_name(sheets)
    if page.exists():
        say(
            f"{page}: what is in dispute has changed, and so has the sheet; {sheet.coder} keeps what is answered by "
            "loading the saved table into it"
        )
    data = write_workbook_sheet(sheet)
    write_bytes(str(page), write_page(sheet))
    write_bytes(str(workbook), data)
    facts = {"content": content, "workbook": workbook.name, "bytes": _digest(data)}
    write_bytes(str(record), json.dumps(facts, indent=2).encode())
    return [page, workbook]


def _next_name(sheets: Path) -> Path:
    number = 2
    while (path := sheets / f"third-{number}.xlsx").exists():
        number += 1
    return path


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
