"""How far coders agree before anything is consolidated: all, each pair, each value, over time, and with themselves.

Over time: an item stands where its coders had it in their orders, on average, and the items fall into equal parts of
the work by that. Where agreement falls from the first part to the last, coders drift apart, or tire.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from rich.console import Console

from tikval.annotate.agreement import (
    CATEGORIES,
    AgreementRow,
    agreement_lines,
    compared_groups,
    compared_rows,
    put_csv,
    show_agreement,
)
from tikval.annotate.annotators import ABSENT, people
from tikval.annotate.coding import Coding, annotator_of
from tikval.annotate.merge import SortedCodings
from tikval.codebook import WORD, Codebook
from tikval.evaluate.scores import ALL
from tikval.rows import LabelRow
from tikval.spreadsheet import csv_of

GOLD: Final = "the right answers"  # of practice items, as an annotator
CODERS, AGAIN, PRACTICE = "coders", "main and again", "practice and gold"
SHOWN: Final = "three_way"  # of the codings, in what is printed by pair and value
_PART: Final = "part"
_PARTS: Final = 4
_FEWEST: Final = 10  # items in a part
_PAIRS, _VALUES = 10, 5  # of least agreement, that are printed
_CODE: Final = {word: code for code, word in WORD.items()}


class CodingAgreement(NamedTuple):
    what: str  # CODERS, part 1 of 4, AGAIN, PRACTICE
    row: AgreementRow


def agreement_of_codings(
    found: SortedCodings,
    gold: Mapping[str, Mapping[str, str]],
    accounts: Mapping[str, str],
    codebook: Codebook,
) -> list[CodingAgreement]:
    """Agreement in each coding, with 95 % intervals over accounts (an item without one stands alone).

    `gold` has the right answers of practice items. Where no two coders have an item in common, nothing is compared.
    """
    main, again, practice = (list(found.by_round[name].values()) for name in ("main", "again", "practice"))
    right = [Coding(item, GOLD, "practice", answers) for item, answers in gold.items()]
    first = [one for key, one in found.by_round["main"].items() if key in found.by_round["again"]]
    pairs: dict[str, list[tuple[str, ...]]] = {
        AGAIN: [(coder, annotator_of(coder, "again")) for coder in _coders(again)],
        PRACTICE: [(annotator_of(coder, "practice"), GOLD) for coder in _coders(practice)],
    }
    return [
        *_compared(main, accounts, codebook),
        *(
            CodingAgreement(what, row)
            for what, groups in pairs.items()
            for row in _rows([*first, *again, *practice, *right], groups, accounts, codebook)
        ),
    ]


def _compared(
    main: Sequence[Coding], accounts: Mapping[str, str], codebook: Codebook
) -> list[CodingAgreement]:
    """The main round: all coders with each value, pairs, each with the baseline, and all by parts of the work."""
    coders = _coders(main)
    if len(coders) < 2:
        return []
    names = people([_label_row(coding, accounts, codebook) for coding in main], codebook)
    groups = [group for group in compared_groups(names, None) if set(group) != set(coders)]
    made = _rows(main, [coders], accounts, codebook, by_value=True)
    made += _rows(main, groups, accounts, codebook)
    parts = [[coding for coding in main if coding.item in items] for items in _parts(main)]
    over_time = [
        CodingAgreement(f"{_PART} {n} of {len(parts)}", row)
        for n, part in enumerate(parts, start=1)
        for row in _rows(part, [_coders(part)], accounts, codebook)
    ]
    return [*(CodingAgreement(CODERS, row) for row in made), *over_time]


def _coders(codings: Iterable[Coding]) -> tuple[str, ...]:
    return tuple(sorted({coding.coder for coding in codings}))


def _rows(
    codings: Sequence[Coding],
    groups: Sequence[tuple[str, ...]],
    accounts: Mapping[str, str],
    codebook: Codebook,
    *,
    by_value: bool = False,
) -> list[AgreementRow]:
    """Agreement of groups of names, where they have a cell in common."""
    found = people([_label_row(coding, accounts, codebook) for coding in codings], codebook)
    there = {*found.annotations, ABSENT}
    compared = [group for group in groups if there.issuperset(group)]
    rows = compared_rows(found, compared, list(CATEGORIES), by_value=by_value) if compared else []
    return [row for row in rows if row.line.cells]


def _label_row(coding: Coding, accounts: Mapping[str, str], codebook: Codebook) -> LabelRow:
    return {
        "video_id": coding.item,
        "account": accounts.get(coding.item),
        "annotator": GOLD if coding.coder == GOLD else annotator_of(coding.coder, coding.round),
        "label_set": codebook.label_set,
        "stances": [_CODE.get(coding.answers.get(slug, "")) for slug in codebook.slugs],
        "probability": coding.probability,
    }


def _parts(main: Iterable[Coding]) -> list[set[str]]:
    """Items in equal parts of the work, the earliest first; none where a part would have too few."""
    orders: defaultdict[str, list[Coding]] = defaultdict(list)
    for coding in main:
        orders[coding.coder].append(coding)
    when: defaultdict[str, list[float]] = defaultdict(list)
    for codings in orders.values():
        timed = all(coding.coded_at for coding in codings)
        codings.sort(key=lambda one: (one.coded_at or "") if timed else f"{one.place or 0:09}")
        for n, coding in enumerate(codings):
            when[coding.item].append(n / len(codings))
    both = sorted((item for item in when if len(when[item]) > 1), key=lambda i: sum(when[i]) / len(when[i]))
    n_parts = min(_PARTS, len(both) // _FEWEST)
    cuts = [len(both) * n // n_parts for n in range(n_parts + 1)] if n_parts > 1 else []
    return [set(both[a:b]) for a, b in itertools.pairwise(cuts)]


def show_coding_agreement(found: Sequence[CodingAgreement], console: Console) -> None:
    """Print what a project leader looks at first: all together, pairs and values of least agreement, and over time."""
    rows = [one.row for one in found if one.what == CODERS]
    largest = max((len(row.names) for row in rows), default=0)
    pooled = [
        row for row in rows if row.value == ALL and len(row.names) == largest and ABSENT not in row.names
    ]
    shown = [row for row in rows if row.coding == SHOWN and row not in pooled]
    baseline = _least([row for row in shown if ABSENT in row.names])[-1:]  # the highest bar
    pairs = _least([row for row in shown if row.value == ALL and ABSENT not in row.names], _PAIRS)
    values = _least([row for row in shown if row.value != ALL], _VALUES)
    others = [one for one in found if one.what != CODERS and one.row.coding == SHOWN and one.row.value == ALL]
    if pooled:
        show_agreement([*pooled, *pairs, *baseline, *values], console)
    if others:
        show_agreement([one.row for one in others], console, [one.what for one in others])
    if any(one.what.startswith(_PART) for one in others):
        console.print(
            "* a part of the work: videos by where they stood in their coders' orders, the earliest first"
        )


def _least(rows: Sequence[AgreementRow], n: int | None = None) -> list[AgreementRow]:
    return sorted(rows, key=lambda row: row.line.coefficients["ac1"].value)[:n]


def write_coding_agreement(found: Sequence[CodingAgreement], file: Path) -> None:
    """One line per comparison, coding and pool, numbers in full."""
    head, *lines = agreement_lines([one.row for one in found])
    put_csv(
        file, csv_of([["what", *head], *([one.what, *line] for one, line in zip(found, lines, strict=True))])
    )
