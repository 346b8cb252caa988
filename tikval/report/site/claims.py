"""The page of claims as plain values: sentence, verdict, figure of all ways of measuring, examples. No HTML here."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import pyarrow as pa

from tikval.claims.families import ClaimFamily, Side
from tikval.claims.verdict import Verdict
from tikval.claims.wording import way_in_words
from tikval.config.claims import Claim
from tikval.evaluate.evidence import PassageStatus
from tikval.report.site.evidence import evidence_of
from tikval.report.site.record import Card, Report
from tikval.rows import ClaimRow, ClaimWayRow, arrow_schema
from tikval.spreadsheet import csv_of_table
from tikval.stats.limits import counted

CLAIMS_PAGE: Final = "claims.html"
_SIGNS: Final[dict[str, tuple[str, str]]] = {  # of a verdict: its class, and a sign that needs no colour
    Verdict.HOLDS: ("holds", "✓"),
    Verdict.DEPENDS: ("depends", "≠"),
    Verdict.NOT_SHOWN: ("open", "○"),
    Verdict.TOO_FEW_LABELS: ("open", "…"),
    Verdict.TOO_FEW_ACCOUNTS: ("open", "…"),
    Verdict.NOT_DECLARED: ("undeclared", "!"),
}
_SIDES: Final[tuple[Side, Side]] = ("for", "against")
_MINUS: Final = "\N{MINUS SIGN}"
_EXAMPLES: Final = 3  # of each side
_WIDTH: Final = 100.0  # of the figure, from its lowest number to its highest


def claims_page(report: Report) -> dict[str, Any]:
    """What the template of the page needs."""
    cards = {card.key: card for card in report.cards}
    in_order = sorted(report.claims, key=lambda one: not one.is_declared)  # what is exploratory comes last
    return {"families": [_family(one, cards, report) for one in in_order]}


def claims_lines(report: Report) -> list[dict[str, Any]]:
    """One line per claim for the first page: its sentence, its verdict, where it stands."""
    return [
        {"sentence": row["sentence"], "href": f"{CLAIMS_PAGE}#{_anchor(row)}", **_verdict(row)}
        for family in report.claims
        for row in family.claims
    ]


def claims_files(report: Report) -> Iterator[tuple[str, bytes]]:
    """Yield (path in the site, its bytes) of the tables behind the page."""
    for family in report.claims:
        for name, kind, rows in (("claims", ClaimRow, family.claims), ("ways", ClaimWayRow, family.ways)):
            table = pa.Table.from_pylist(list(rows), schema=arrow_schema(kind))
            yield f"data/{family.name}-{name}.csv", csv_of_table(table).to_pybytes()


def _family(family: ClaimFamily, cards: Mapping[str, Card], report: Report) -> dict[str, Any]:
    ways: dict[str, list[ClaimWayRow]] = {row["claim"]: [] for row in family.claims}
    for way in family.ways:
        ways[way["claim"]].append(way)
    return {
        "name": family.name,
        "declared": family.declaration.declared_at[:10] if family.is_declared else None,
        "sha": family.declaration.sha256,
        "looks": _looks(family),
        "is_outdated": family.name in report.outdated_claims,
        "n_claims": len(family.config.claims),
        "methods": family.methods,
        "csv": [(f"data/{family.name}-{name}.csv", name) for name in ("claims", "ways")],
        "claims": [_claim(row, ways[row["claim"]], family, cards, report) for row in family.claims],
    }


def _looks(family: ClaimFamily) -> str:
    if not family.is_declared:
        return "exploratory"
    planned = "" if family.config.spending == "open" else f" of {family.config.looks} planned"
    last = f", the last on {family.looks[-1].at[:10]}" if family.looks else ""
    return f"{counted(len(family.looks), 'look')}{planned}{last}"


def _claim(
    row: ClaimRow, ways: list[ClaimWayRow], family: ClaimFamily, cards: Mapping[str, Card], report: Report
) -> dict[str, Any]:
    claim = family.config.claims[row["claim"]]
    scale = _ClaimScale.of(ways)
    return {
        "id": _anchor(row),
        "name": row["claim"],
        "sentence": row["sentence"],
        **_verdict(row),
        "why": row["why"],
        "estimate": _points(row["estimate"]),
        "interval": _interval(row["lower"], row["upper"]),
        "p_holm": None if row["p_holm"] is None else f"{row['p_holm']:.3g}",
        "more_labels": row["more_labels"],
        "accounts": [n for n in (row["accounts_a"], row["accounts_b"]) if n is not None],
        "labelled": row["labelled"],
        "difference": _difference_of(claim),
        "ends": scale.ends,
        "zero": scale.at(0.0),
        "ways": [_way(way, scale) for way in ways],
        "examples": [
            (title, _examples(family.examples.get(row["claim"], {}).get(side, []), row, cards, report))
            for side, title in zip(_SIDES, _titles(claim, row), strict=True)
        ],
    }


def _titles(claim: Claim, row: ClaimRow) -> tuple[str, str]:
    """Which videos speak for a claim, and which against it."""
    if claim.over_time is not None:
        more, less = "later videos that have it", "earlier videos that have it"
    elif isinstance(claim.against, dict):
        more, less = "videos of the first group that have it", "videos of the second group that have it"
    else:
        more, less = "videos that have it", "videos with the other stance"
    if claim.direction == "less" or (claim.direction == "differ" and (row["estimate"] or 0.0) < 0):
        more, less = less, more
    return f"For it: {more}", f"Against it: {less}"


def _anchor(row: ClaimRow) -> str:
    return f"{row['family']}--{row['claim']}"


def _verdict(row: ClaimRow) -> dict[str, str]:
    kind, sign = _SIGNS.get(row["verdict"], ("open", "○"))
    return {"verdict": row["verdict"], "kind": kind, "sign": sign}


def _difference_of(claim: Claim) -> str:
    if claim.over_time is not None:
        return "later less earlier, within accounts, in percentage points"
    if isinstance(claim.against, dict):
        return "the first group less the second, in percentage points"
    return f"the share less {100 * (claim.against or 0):g} %, in percentage points"


class _ClaimScale:
    """The figure's axis, in percentage points: alike for all ways of one claim, with zero on it."""

    def __init__(self, most: float) -> None:
        self.most = most

    @classmethod
    def of(cls, ways: list[ClaimWayRow]) -> "_ClaimScale":
        numbers = [way[name] for way in ways for name in ("estimate", "lower", "upper")]
        most = max((abs(number) for number in numbers if number is not None), default=0.0)
        return cls(max(most, 0.01) * 1.05)

    @property
    def ends(self) -> tuple[str, str, str]:
        most = f"{100 * self.most:.0f}" if self.most >= 0.1 else f"{100 * self.most:.1f}"
        return f"{_MINUS}{most}", "0", f"+{most}"

    def at(self, share: float | None) -> float | None:
        """Where a number stands, 0 to 100."""
        if share is None:
            return None
        return round(_WIDTH / 2 * (1 + max(-1.0, min(share / self.most, 1.0))), 2)


def _way(way: ClaimWayRow, scale: _ClaimScale) -> dict[str, Any]:
    return {
        "name": way_in_words(way["way"], way["system"], way["sample"], way["seed"], way["prompt_sha"]),
        "estimate": _points(way["estimate"]),
        "interval": _interval(way["lower"], way["upper"]),
        "dot": scale.at(way["estimate"]),
        "low": scale.at(way["lower"]),
        "high": scale.at(way["upper"]),
        "agrees": way["agrees"],
        "labelled": None if way["way"] == "raw" else way["labelled_a"] + (way["labelled_b"] or 0),
        "videos": way["videos_a"] + (way["videos_b"] or 0),
        "why_none": way["why_none"],
    }


def _points(share: float | None) -> str | None:
    return None if share is None else f"{100 * share:+.1f}".replace("-", _MINUS)


def _interval(lower: float | None, upper: float | None) -> str | None:
    return None if lower is None or upper is None else f"[{_points(lower)}, {_points(upper)}]"


def _examples(
    keys: list[str], row: ClaimRow, cards: Mapping[str, Card], report: Report
) -> list[dict[str, Any]]:
    """Three of the videos that have a page: those with a passage that was not refused come first."""
    found = [_example(cards[key], row, report) for key in keys if key in cards]
    return sorted(found, key=lambda one: not one["has_evidence"])[:_EXAMPLES]


def _example(card: Card, row: ClaimRow, report: Report) -> dict[str, Any]:
    rows = [one for one in card.predictions if one["system"] == row["system"] and one["decisions"]]
    passages = [
        passage for one in rows[:1] for passage in evidence_of(card, one, report).get(row["label"], [])
    ]
    return {
        "video_id": card.video_id,
        "page": f"videos/{card.key}.html",
        "genre": card.genre,
        "month": card.month,
        "passages": passages,
        "has_evidence": any(one["status"] != PassageStatus.NOT_FOUND for one in passages),
    }
