"""What the coders of a plan answered and what the third decided, as one: each cell with where its stance came from.

A cell is one value of one item. It is agreed where all coders of the item gave the same stance; else it is in dispute,
and the third decides. Not sure and not answered are no stance, so nobody agrees with them.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from tikval.annotate.coding import Coding, Round
from tikval.annotate.coding_folder import PlanLine
from tikval.annotate.consolidate import AGREED, ONE_CODER, UNDECIDED, decide_stance, letter
from tikval.annotate.corrections import Correction, corrected
from tikval.annotate.read_codings import is_begun
from tikval.evaluate.faithfulness_sample import in_random_order
from tikval.privacy import canonical_account
from tikval.sources.ids import resolve_id
from tikval.values import NOT_ANSWERED, NOT_SURE

CORRECTED: Final = "corrected"  # by whom and why stands in corrections.jsonl
NO_ITEM: Final = "not in the plan"
NO_CODER: Final = "of nobody who is a coder of the plan or the third"
NOT_GIVEN: Final = "not given to this coder in the plan"


class MergedCell(NamedTuple):
    slug: str
    answers: tuple[str, ...]  # of the item's coders: words, NOT_SURE and NOT_ANSWERED among them
    third: str | None  # what the third said; None: nothing
    stance: str | None  # a word; None: undecided
    origin: str  # see consolidate.decide_stance

    @property
    def is_disputed(self) -> bool:
        return self.origin not in (AGREED, ONE_CODER)

    @property
    def word(self) -> str:
        """What a table has: never an empty cell, which would read as absent."""
        return self.stance or (NOT_SURE if self.third == NOT_SURE else NOT_ANSWERED)


@dataclass(frozen=True)
class MergedItem:
    item: str
    probability: float | None
    coders: tuple[str, ...]  # A, B, ... in an order of the item's own, so that a letter tells nothing of who
    codings: tuple[Coding | None, ...]  # theirs
    third: Coding | None
    cells: tuple[MergedCell, ...]

    @property
    def not_begun(self) -> tuple[str, ...]:
        """The coders who have neither answered nor noted anything."""
        pairs = zip(self.coders, self.codings, strict=True)
        return tuple(coder for coder, coding in pairs if coding is None or not is_begun(coding))

    @property
    def disputed(self) -> tuple[MergedCell, ...]:
        return tuple(cell for cell in self.cells if cell.is_disputed)


@dataclass
class SortedCodings:
    """Codings by what they are in a plan, with the names that it has."""

    by_round: dict[Round, dict[tuple[str, str], Coding]] = field(
        default_factory=lambda: {"main": {}, "again": {}, "practice": {}}
    )  # by item and coder
    third: dict[str, Coding] = field(default_factory=dict)  # by item
    left_out: dict[str, list[str]] = field(default_factory=dict)  # "coder: item" by why
    handed_over: int = 0  # of coders who have left, what others code now


def sort_codings(
    codings: Iterable[Coding], plan: Sequence[PlanLine], third: str, left: Iterable[str] = ()
) -> SortedCodings:
    """Codings as the plan knows them; what it does not know is left out, and says why. `left`: who codes no more."""
    items = {line.item: line.item for line in plan}
    names = {canonical_account(line.coder): line.coder for line in plan}
    given = {(line.item, line.coder, line.round) for line in plan}
    gone = set(map(canonical_account, left))
    found = SortedCodings()
    for coding in codings:
        item, who = resolve_id(coding.item, items), canonical_account(coding.coder)
        coder = names.get(who)
        if who == canonical_account(third):
            why = None if item in items else NO_ITEM
        elif coder is None:
            why = NO_CODER
        else:
            why = None if (item, coder, coding.round) in given else NOT_GIVEN if item in items else NO_ITEM
        if why and who in gone:
            found.handed_over += 1
        elif why:
            found.left_out.setdefault(why, []).append(f"{coding.coder}: {coding.item}")
        elif coder is None:
            found.third[item] = replace(coding, item=item)
        else:
            found.by_round[coding.round][item, coder] = replace(coding, item=item, coder=coder)
    return found


def plan_of_codings(codings: Iterable[Coding], third: str) -> list[PlanLine]:
    """The plan that tables without one amount to: whoever answered an item was to code it."""
    return [
        PlanLine(one.item, one.coder, one.round, one.place or 0, one.probability, "")
        for one in codings
        if canonical_account(one.coder) != canonical_account(third)
    ]


def merge_items(
    plan: Iterable[PlanLine], found: SortedCodings, slugs: Sequence[str], seed: int = 0
) -> list[MergedItem]:
    """Each item of the plan's main round once, in the order of the plan, with a cell for each of the values."""
    coders: dict[str, list[str]] = {}
    drawn: dict[str, float | None] = {}
    for line in plan:
        if line.round == "main":
            coders.setdefault(line.item, []).append(line.coder)
            drawn[line.item] = drawn.get(line.item) or line.probability
    return [_merged(item, coders[item], drawn[item], found, slugs, seed) for item in coders]


def with_corrections(merged: Sequence[MergedItem], corrections: Iterable[Correction]) -> list[MergedItem]:
    """The items with the stances of cells that were corrected after an earlier merge."""
    answers = {(one.item, cell.slug): cell.word for one in merged for cell in one.cells}
    words, which = corrected(answers, corrections)

    def settled(item: str, cell: MergedCell) -> MergedCell:
        if (item, cell.slug) not in which:
            return cell
        return cell._replace(stance=_stance(words[item, cell.slug]), origin=CORRECTED)

    return [replace(one, cells=tuple(settled(one.item, cell) for cell in one.cells)) for one in merged]


def _merged(
    item: str,
    coders: Iterable[str],
    probability: float | None,
    found: SortedCodings,
    slugs: Sequence[str],
    seed: int,
) -> MergedItem:
    names = sorted(set(coders), key=lambda coder: in_random_order(f"{seed}/names/{item}", coder))
    codings = tuple(found.by_round["main"].get((item, name)) for name in names)
    third = found.third.get(item)
    cells = []
    for slug in slugs:
        answers = tuple(_answer(coding, slug) for coding in codings)
        judged = _answer(third, slug) if third else NOT_ANSWERED
        stance, origin = decide_stance([_stance(answer) for answer in answers], _stance(judged))
        cells.append(MergedCell(slug, answers, None if judged == NOT_ANSWERED else judged, stance, origin))
    return MergedItem(item, probability, tuple(names), codings, third, tuple(cells))


def _answer(coding: Coding | None, slug: str) -> str:
    return coding.answers.get(slug, NOT_ANSWERED) if coding else NOT_ANSWERED


def _stance(answer: str) -> str | None:
    return None if answer in (NOT_SURE, NOT_ANSWERED) else answer


# what became of it, in numbers


class CoderCount(NamedTuple):
    coder: str
    items: int  # that the plan gives to the coder
    not_begun: int
    answered: int  # cells of all its items
    not_sure: int
    not_answered: int


def count_by_coder(merged: Iterable[MergedItem]) -> list[CoderCount]:
    """How far each coder is, in the order of the plan."""
    items: Counter[str] = Counter()
    not_begun: Counter[str] = Counter()
    cells: dict[str, Counter[str]] = {}
    for one in merged:
        items.update(one.coders)
        not_begun.update(one.not_begun)
        for place, coder in enumerate(one.coders):
            words = (cell.answers[place] for cell in one.cells)
            cells.setdefault(coder, Counter()).update(
                word if word in (NOT_SURE, NOT_ANSWERED) else "" for word in words
            )
    return [
        CoderCount(
            coder,
            items[coder],
            not_begun[coder],
            *(cells[coder][what] for what in ("", NOT_SURE, NOT_ANSWERED)),
        )
        for coder in sorted(items)
    ]


def count_origins(merged: Iterable[MergedItem]) -> dict[str, int]:
    """Cells by where their stance came from, the most frequent first."""
    return dict(Counter(cell.origin for one in merged for cell in one.cells).most_common())


def undecided_items(merged: Iterable[MergedItem]) -> dict[str, list[str]]:
    """The values on which nothing is decided, by item."""
    open_ = {one.item: [c.slug for c in one.cells if c.origin == UNDECIDED] for one in merged}
    return {item: slugs for item, slugs in open_.items() if slugs}


def not_in_dispute(merged: Iterable[MergedItem]) -> int:
    """Other answers of the third on cells that nobody disputes: they count for nothing."""
    cells = (cell for one in merged for cell in one.cells if not cell.is_disputed)
    return sum(cell.third not in (None, cell.stance) for cell in cells)


def hidden_name(place: int) -> str:
    """What the third and pages call the coder in this place of an item."""
    return f"Coder {letter(place)}"


def answers_by_coder(merged: MergedItem) -> Mapping[str, Coding]:
    """The codings of an item that are there, by the hidden name."""
    return {hidden_name(n): coding for n, coding in enumerate(merged.codings) if coding is not None}
