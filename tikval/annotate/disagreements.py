"""What coders disagree on, by value: how often, which answers met, which neighbours were confused, with examples.

That tells where a codebook is unclear.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import permutations
from typing import Final, NamedTuple

from tikval.annotate.merge import MergedCell, MergedItem, hidden_name
from tikval.annotate.merged_tables import notes_of
from tikval.annotate.sheet import STANCE_WORDS, SheetItem
from tikval.codebook import Codebook, CodedValue
from tikval.privacy import strip_handles
from tikval.values import NOT_ANSWERED, NOT_SURE

_ORDER: Final = ("dominant", "endorsed", "confronted", "absent", NOT_SURE, NOT_ANSWERED)
_ABSENT: Final = STANCE_WORDS[1]
_NOTHING: Final = frozenset({_ABSENT, NOT_SURE, NOT_ANSWERED})  # no finding of a value
_EXAMPLES: Final = 5
_CONFUSIONS: Final = 4
_EXCERPT: Final = 160  # characters of a caption


class CoderAnswer(NamedTuple):
    name: str  # Coder A
    answer: str
    note: str
    note_on_value: str


class Example(NamedTuple):
    item: str  # "" where its id names somebody
    caption: str
    given: tuple[CoderAnswer, ...]
    third: str | None

    @property
    def has_notes(self) -> bool:
        return any(one.note_on_value or one.note for one in self.given)


class MistakenFor(NamedTuple):
    """One coder found this value where another one found the other."""

    slug: str  # the other value
    title: str
    items: int
    how: str  # what the codebook says sets them apart; "" where it says nothing


class ValueDisagreement(NamedTuple):
    slug: str
    title: str
    definition: str
    items: int  # on which the coders disagree
    found: int  # in which any coder given anything but absent
    pairs: tuple[tuple[tuple[str, ...], int], ...]  # answers that met, with the number of items
    confusions: tuple[MistakenFor, ...]
    examples: tuple[Example, ...]  # with notes first

    @property
    def share(self) -> float:
        return self.items / self.found

    @property
    def weight(self) -> float:
        """What the values are ordered by: many disagreements, and many of those that could be."""
        return self.items * self.share


def disagreements_by_value(
    merged: Sequence[MergedItem],
    disputed: Sequence[MergedItem],
    material: Mapping[str, SheetItem],
    codebook: Codebook,
) -> list[ValueDisagreement]:
    """Each value that coders disagree on, the one that says most about the codebook first.

    `disputed` are those of the merged items whose disagreements are taken up.
    """
    cells: dict[str, list[tuple[MergedItem, MergedCell]]] = {}
    for one in disputed:
        for cell in one.disputed:
            cells.setdefault(cell.slug, []).append((one, cell))
    agreed = Counter(
        cell.slug for one in merged for cell in one.cells if not cell.is_disputed and cell.stance != _ABSENT
    )
    confused = _confusions(disputed)
    found = [
        ValueDisagreement(
            value.slug,
            value.title,
            value.definition,
            len(cells[value.slug]),
            len(cells[value.slug]) + agreed[value.slug],
            _pairs(cell for _, cell in cells[value.slug]),
            _of_value(value, confused, codebook),
            _examples(cells[value.slug], material),
        )
        for value in codebook.values
        if value.slug in cells
    ]
    return sorted(found, key=lambda one: -one.weight)


def _pairs(cells: Iterable[MergedCell]) -> tuple[tuple[tuple[str, ...], int], ...]:
    met = Counter(tuple(sorted(set(cell.answers), key=_ORDER.index)) for cell in cells)
    return tuple(met.most_common())


def _confusions(disputed: Iterable[MergedItem]) -> Counter[tuple[str, str]]:
    """Items in which one coder found the first value alone where another found the second alone."""
    count: Counter[tuple[str, str]] = Counter()
    for one in disputed:
        alone: dict[int, set[str]] = {}
        for cell in one.disputed:
            finders = [n for n, answer in enumerate(cell.answers) if answer not in _NOTHING]
            if len(finders) == 1 and _ABSENT in cell.answers:
                alone.setdefault(finders[0], set()).add(cell.slug)
        met = {(a, b) for m, n in permutations(alone, 2) for a in alone[m] for b in alone[n]}
        count.update(met)
    return count


def _of_value(
    value: CodedValue, confused: Counter[tuple[str, str]], codebook: Codebook
) -> tuple[MistakenFor, ...]:
    apart = {other.slug: other.how for other in value.distinct_from}
    others = {other: n for (slug, other), n in confused.items() if slug == value.slug}
    ordered = sorted(others, key=lambda slug: (-others[slug], slug not in apart))[:_CONFUSIONS]
    return tuple(
        MistakenFor(slug, codebook.titles[slug], others[slug], apart.get(slug, "")) for slug in ordered
    )


def _examples(
    cells: Sequence[tuple[MergedItem, MergedCell]], material: Mapping[str, SheetItem]
) -> tuple[Example, ...]:
    made = [_example(one, cell, material.get(one.item)) for one, cell in cells]
    on_value = [any(given.note_on_value for given in one.given) for one in made]
    order = sorted(range(len(made)), key=lambda n: (not on_value[n], not made[n].has_notes))
    return tuple(made[n] for n in order[:_EXAMPLES])


def _example(one: MergedItem, cell: MergedCell, material: SheetItem | None) -> Example:
    caption = " ".join(strip_handles(material.caption).split()) if material else ""
    given = tuple(
        CoderAnswer(hidden_name(n), answer, *notes_of(coding, cell.slug))
        for n, (answer, coding) in enumerate(zip(cell.answers, one.codings, strict=True))
    )
    return Example(
        one.item if strip_handles(one.item) == one.item else "",
        caption if len(caption) <= _EXCERPT else f"{caption[:_EXCERPT]}…",
        given,
        cell.third,
    )
