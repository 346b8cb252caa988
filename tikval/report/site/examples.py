"""Example videos of a value that is frequent in a report, with what speaks for it. No HTML here."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tikval.evaluate.corpus import ANNOTATIONS
from tikval.evaluate.evidence import PassageStatus
from tikval.report.score_meaning import ScoreMeaning
from tikval.report.site.answer import LedRates
from tikval.report.site.evidence import evidence_of
from tikval.report.site.record import Card, Report
from tikval.report.site.video_links import VideoLinks
from tikval.rows import PredictionRow
from tikval.values import CONFRONTED, ENDORSED, Stance, binary

EXAMPLES: Final = 3
_TRIED: Final = 50  # candidates whose quotes are looked up


def example_videos(
    report: Report, rates: LedRates, links: VideoLinks, names: Mapping[str, str]
) -> dict[str, Any] | None:
    """A label and three of its videos, of as many accounts as can be; None where no video has any label.

    The label is the most frequent one with evidence that was found, and `instead_of` the one before it that has none;
    where no label has any, the most frequent of all. Videos whose evidence was found come first; among them those in
    which people call the value dominant, then the highest scores. A video without evidence says why. `names`: what the
    site calls each account.
    """
    first: dict[str, Any] | None = None
    for rate in sorted(rates.of.values(), key=lambda rate: -rate.share):
        candidates = sorted(_candidates(report, rates.system, rate.label), key=lambda one: one.order)
        if not candidates or (first and not candidates[0].has_evidence):
            continue
        videos = _chosen(candidates[:_TRIED], report, rate.label, names)
        found = {
            "title": report.titles.get(rate.label[:-1], rate.label[:-1]),
            "stance": ENDORSED if rate.label in report.labels[: len(report.labels) // 2] else CONFRONTED,
            "link": links.label(rates.system, rate.label),
            "videos": videos,
            "instead_of": first,
        }
        if videos[0]["found"]:
            return found
        first = first or found
    return first


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A video that has the label, and the answer that gives it: the first one with evidence for it."""

    card: Card
    row: PredictionRow | None  # None: only people give it
    is_dominant: bool
    has_evidence: bool
    score: float

    @property
    def order(self) -> tuple[bool, bool, float]:
        return not self.has_evidence, not self.is_dominant, -self.score


def _candidates(report: Report, system: str, label: str) -> Iterator[_Candidate]:
    """Every video that the system, or the annotators, give the label."""
    place = report.labels.index(label)
    v = place % (len(report.labels) // 2)
    for card in report.cards:
        rows = [row for row in card.predictions if _gives(row, place)]
        if system != ANNOTATIONS:
            rows = [row for row in rows if row["system"] == system]
            if not rows:
                continue
        elif card.annotated is None or not binary(card.annotated)[place]:
            continue
        with_evidence = [row for row in rows if any(one["label"] == label for one in row["evidence"] or ())]
        row = next(iter([*with_evidence, *rows]), None)
        dominant = bool(card.annotated) and (card.annotated or ())[v] == Stance.DOMINANT
        scores = row["scores"] if row else None
        yield _Candidate(card, row, dominant, bool(with_evidence), (scores[place] if scores else None) or 0.0)


def _gives(row: PredictionRow, place: int) -> bool:
    return row["error"] is None and row["decisions"] is not None and bool(row["decisions"][place])


def _chosen(
    candidates: Iterable[_Candidate], report: Report, label: str, names: Mapping[str, str]
) -> list[dict[str, Any]]:
    """The first ones with evidence that was found, one of an account before a second one of any; then the others."""
    shown = [
        {**_shown(one, report, label), "account": names.get(one.card.account or "")} for one in candidates
    ]
    seen: set[str] = set()
    for one in shown:
        one["is_again"] = one["account"] in seen
        seen |= {one["account"]} if one["account"] else set()
    return sorted(shown, key=lambda one: (not one["found"], one["is_again"]))[:EXAMPLES]


def _shown(one: _Candidate, report: Report, label: str) -> dict[str, Any]:
    card, row, place = one.card, one.row, report.labels.index(label)
    passages = evidence_of(card, row, report).get(label, []) if row else []
    meaning = report.scores_are.get(row["system"], ScoreMeaning()) if row else ScoreMeaning()
    scores, thresholds = (row["scores"], meaning.of_row(row)) if row else (None, None)
    score = scores[place] if scores else None
    found = any(each["status"] != PassageStatus.NOT_FOUND for each in passages)
    return {
        "video_id": card.video_id,
        "page": f"videos/{card.key}.html",
        "genre": card.genre,
        "system": row["system"] if row else None,
        "is_annotated": card.annotated is not None and bool(binary(card.annotated)[place]),
        "score": None if score is None else meaning.text(score, thresholds[place] if thresholds else None),
        "passages": passages,
        "found": found,
        "why_none": None if found else _why_none(row, passages),
    }


def _why_none(row: PredictionRow | None, passages: list[dict[str, Any]]) -> str:
    if row is None:
        return "No evidence: people gave this label, and no system did."
    if passages:
        return f"No evidence: what {row['system']} quoted does not stand in this post."
    if row["evidence"] is None:
        return f"No evidence: {row['system']} was not asked for any, or gives none."
    return f"No evidence: {row['system']} named no passage for this label."
