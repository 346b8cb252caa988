"""A coding folder for tests: two coders, ann and bob, and cem, who decides."""

from collections.abc import Iterable
from pathlib import Path

from tikval.annotate.coding_folder import CodingFolder, PlanLine
from tikval.annotate.coding_protocol import CodingBatch, CodingProtocol, coder_since
from tikval.annotate.sheet import SheetItem
from tikval.codebook import load_codebook
from tikval.config import AnnotateConfig

_BOOK = Path("prompts/codebook.yaml")


def make_coding_folder(path: Path, plan: Iterable[PlanLine], items: Iterable[SheetItem]) -> CodingFolder:
    """The folder with this plan; each file that an item names is made, and has its name in it."""
    batch = CodingBatch(
        list="coders.csv", added_at="2026-11-28T12:00:00+00:00", videos=3, rules=AnnotateConfig()
    )
    coders = (coder_since("ann"), coder_since("bob"))
    mark = load_codebook(_BOOK).mark
    protocol = CodingProtocol(codebook=mark, coders=coders, third="cem", batches=(batch,))
    folder = CodingFolder.make(path, protocol, load_codebook(_BOOK))
    folder.write_plan(plan)
    made = list(items)
    folder.write_items(made)
    for file in {file for item in made for file in item.files}:
        place = folder.sheets / file
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(place.name.encode() * 100)
    return folder
