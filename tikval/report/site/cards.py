"""A video's page as plain values for the template: its script, and every system's answer beside the annotation."""

from typing import Any, Final

from tikval.report.score_meaning import ScoreMeaning
from tikval.report.site.evidence import clock, evidence_of, shown_text
from tikval.report.site.label_places import fix_command
from tikval.report.site.marks import Mark, caption_segments, script_lines
from tikval.report.site.record import Card, Report
from tikval.report.site.score_tables import title_of
from tikval.rows import PredictionRow
from tikval.values import CONFRONTED, ENDORSED, binary

HIT, FALSE_ALARM, MISS, NOT_MODELLED = "hit", "false alarm", "missed", "not modelled"
NO_EVIDENCE: Final = "No evidence: the system gives none, or was not asked for any."


def card_of(card: Card, report: Report, account: str | None) -> dict[str, Any]:
    """What the template shows of one video; handles stay out unless the report shows accounts.

    `account`: what the site calls the video's account.
    """

    def show(text: str | None) -> str | None:
        return shown_text(text, card, report)

    readings = [_reading(row, card, report, show(row["notes"])) for row in card.predictions]
    marks = [
        Mark(chip["index"], chip["stance"], chip["title"], place)
        for reading in readings
        for chip in reading["chips"]
        for passage in chip["passages"]
        for place in passage["places"]
    ]
    return {
        "video_id": card.video_id,
        "length": None if card.seconds is None else clock(card.seconds),
        "account": account,
        "genre": card.genre,
        "month": card.month,
        "marks": card.marks,
        "counts": [f"{number:,} {name}" for name, number in card.counts.items()],
        "caption": caption_segments(show(card.caption) or "", marks),
        "script": script_lines(show(card.script) or "", marks, card),
        "failures": [(failure, show(failure.detail)) for failure in card.failures],
        "readings": readings,
        "annotated": card.annotated is not None,
        "truth": [] if card.annotated is None else _chips(binary(card.annotated), [], report),
        "places": [(report.titles[place.slug], place) for place in card.places],
        "fix": fix_command(report.out, card.video_id, card.places, report.label_set) if card.places else None,
        "pictures": [f"{card.key}-{i}.jpg" for i in range(1, card.pictures + 1)],
        "video": card.video,
        "no_video": card.no_video,
        "calls": f"calls/{card.key}.html" if card.calls else None,
    }


def _reading(row: PredictionRow, card: Card, report: Report, notes: str | None) -> dict[str, Any]:
    """One system's block: what it predicted, marked against the annotation where there is one."""
    if row["error"] is not None or row["decisions"] is None:
        return {"system": row["system"], "error": row["error"] or "no result", "notes": notes, "chips": []}
    decisions = row["decisions"]
    chips = _chips(decisions, row["scores"] or [], report)
    evidence = evidence_of(card, row, report)
    for chip in chips:
        chip["passages"] = evidence.get(report.labels[chip["index"]], [])
        chip["link"] = next((one["link"] for one in chip["passages"] if one["link"]), None)
    meaning = report.scores_are.get(row["system"], ScoreMeaning())
    thresholds = meaning.of_row(row)
    for chip in chips:
        if chip["score"] is not None:
            threshold = thresholds[chip["index"]] if thresholds else None
            chip["score_text"] = meaning.text(chip["score"], threshold)
    if card.annotated is not None:
        truth = binary(card.annotated)
        for chip in chips:
            is_true = truth[chip["index"]]
            chip["mark"] = None if is_true is None else HIT if is_true else FALSE_ALARM
        left = [yes and not decided for yes, decided in zip(truth, decisions, strict=True)]
        for chip in _chips(left, [], report):
            chips.append({**chip, "mark": NOT_MODELLED if decisions[chip["index"]] is None else MISS})
    marks = [chip["mark"] for chip in chips]
    return {
        "system": row["system"],
        "error": None,
        "abstained": row["abstained"],
        "votes": row["votes"],
        "agreement": row["agreement"],
        "notes": notes,
        "chips": chips,
        "no_evidence": NO_EVIDENCE if row["evidence"] is None and any(decisions) else None,
        "tally": {mark: marks.count(mark) for mark in (HIT, MISS, FALSE_ALARM)},
    }


def _chips(decisions: Any, scores: Any, report: Report) -> list[dict[str, Any]]:
    """Chips of the labels decided for, the best score first and else in the order of the labels."""
    half = len(report.labels) // 2
    chips: list[dict[str, Any]] = [
        {
            "index": i,
            "stance": ENDORSED if i < half else CONFRONTED,
            "title": title_of(report, i % half),
            "score": scores[i] if scores else None,
            "score_text": None,  # what the score is, with its threshold
            "mark": None,
            "passages": [],
            "link": None,  # to the line of the first passage
        }
        for i, decided in enumerate(decisions)
        if decided
    ]
    return sorted(chips, key=lambda chip: -(chip["score"] or 0.0))
