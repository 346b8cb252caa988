"""The tables of merged/: consolidated labels, where each came from, what was in dispute, each coder's own labels."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tikval.annotate.coding import Coding, coding_csv
from tikval.annotate.consolidate import ANNOTATOR, letter
from tikval.annotate.merge import MergedItem, SortedCodings
from tikval.privacy import strip_handles
from tikval.spreadsheet import csv_of


def labels_csv(merged: Sequence[MergedItem], slugs: Sequence[str], accounts: Mapping[str, str]) -> str:
    """A table of annotations: a line for each item on which anything is decided, a word in every cell."""
    done = [one for one in merged if any(cell.stance for cell in one.cells)]
    head = ["video_id", *(["account"] if accounts else []), "annotator", "probability", *slugs]
    return csv_of(
        [
            head,
            *(
                [
                    one.item,
                    *([accounts.get(one.item, "")] if accounts else []),
                    ANNOTATOR,
                    "" if one.probability is None else one.probability,
                    *(cell.word for cell in one.cells),
                ]
                for one in done
            ),
        ]
    )


def origins_csv(merged: Sequence[MergedItem]) -> str:
    """A line for each item and value: the stance, where it came from, and what each coder and the third answered."""
    n_coders = max((len(one.coders) for one in merged), default=0)
    who = [f"{what}_{letter(n)}" for n in range(n_coders) for what in ("coder", "answer")]
    lines = [
        [
            one.item,
            cell.slug,
            cell.word,
            cell.origin,
            cell.third or "",
            *_filled(
                [text for two in zip(one.coders, cell.answers, strict=True) for text in two], 2 * n_coders
            ),
        ]
        for one in merged
        for cell in one.cells
    ]
    return csv_of([["video_id", "value", "stance", "origin", "third", *who], *lines])


def disputed_cells_csv(disputed: Sequence[MergedItem]) -> str:
    """A line for each cell in dispute: what each coder answered and noted, and what became of it."""
    n_coders = max((len(one.coders) for one in disputed), default=0)
    parts = ("coder", "answer", "note", "note_on_value")
    who = [f"{what}_{letter(n)}" for n in range(n_coders) for what in parts]
    lines = [
        [
            one.item,
            cell.slug,
            cell.word,
            cell.origin,
            *_filled(list(_of_coders(one, cell.slug, cell.answers)), 4 * n_coders),
        ]
        for one in disputed
        for cell in one.disputed
    ]
    return csv_of([["video_id", "value", "stance", "origin", *who], *lines])


def _of_coders(one: MergedItem, slug: str, answers: Iterable[str]) -> Iterator[str]:
    for coder, coding, answer in zip(one.coders, one.codings, answers, strict=True):
        yield from (coder, answer, *notes_of(coding, slug))


def notes_of(coding: Coding | None, slug: str) -> tuple[str, str]:
    """The notes on the item and on one of its values, without handles; "" where there is none."""
    if coding is None:
        return "", ""
    return strip_handles(coding.note.strip()), strip_handles(coding.value_notes.get(slug, "").strip())


def _filled(cells: list[str], width: int) -> list[Any]:
    return [*cells, *[""] * (width - len(cells))]


def coders_csv(found: SortedCodings, slugs: Sequence[str]) -> str:
    """Each coder's own labels as they were given, second times and practice too, by coder."""
    codings = [coding for of_round in found.by_round.values() for coding in of_round.values()]
    return coding_csv(sorted(codings, key=lambda one: (one.coder, one.round, one.place or 0)), slugs)
