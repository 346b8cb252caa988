"""A video's page as plain values for the template: its script, and every system's answer beside the annotation."""

import re
from typing import Any, Final

from tikval.report.score_meaning import ScoreMeaning
from tikval.report.site.label_places import fix_command
from tikval.report.site.record import Card, Report
from tikval.report.site.score_tables import title_of
from tikval.report.site.texts import hidden
from tikval.rows import PredictionRow
from tikval.values import CONFRONTED, ENDORSED, binary

HIT, FALSE_ALARM, MISS, NOT_MODELLED = "hit", "false alarm", "missed", "not modelled"

_CAPTION: Final = re.compile(r"\s*\[.+\]\s*")
_TAGGED: Final = re.compile(r"\s*\[([^\[\]]{1,40})\]:?\s*(.*)")


def card_of(card: Card, report: Report, account: str | None) -> dict[str, Any]:
    """What the template shows of one video; handles stay out unless the report shows accounts.

    `account`: what the site calls the video's account.
    """

    def show(text: str | None) -> str | None:
        return text if report.show_accounts else hidden(text, card.account)

    return {
        "video_id": card.video_id,
        "length": None if card.seconds is None else f"{int(card.seconds) // 60}:{int(card.seconds) % 60:02}",
        "account": account,
        "genre": card.genre,
        "month": card.month,
        "marks": card.marks,
        "counts": [f"{number:,} {name}" for name, number in card.counts.items()],
        "caption": show(card.caption),
        "script": [_line(line) for line in (show(card.script) or "").splitlines() if line.strip()],
        "failures": [(failure, show(failure.detail)) for failure in card.failures],
        "readings": [_reading(row, card, report, show(row["notes"])) for row in card.predictions],
        "annotated": card.annotated is not None,
        "truth": [] if card.annotated is None else _chips(binary(card.annotated), [], report),
        "places": [(report.titles[place.slug], place) for place in card.places],
        "fix": fix_command(report.out, card.video_id, card.places, report.label_set) if card.places else None,
        "pictures": [f"{card.key}-{i}.jpg" for i in range(1, card.pictures + 1)],
    }


def _line(line: str) -> dict[str, str | None]:
    """A line of a script: `[TEXT ON SCREEN]` as a whole, or with a tag as in `[CAPTIONS] text`, `[SOUND] text`."""
    if _CAPTION.fullmatch(line):
        return {"tag": None, "text": line.strip(), "kind": "captions"}
    match = _TAGGED.fullmatch(line)
    tag, text = match.groups() if match else (None, line.strip())
    return {"tag": tag, "text": text, "kind": "captions" if (tag or "").upper().startswith("CAPTION") else ""}


def _reading(row: PredictionRow, card: Card, report: Report, notes: str | None) -> dict[str, Any]:
    """One system's block: what it predicted, marked against the annotation where there is one."""
    if row["error"] is not None or row["decisions"] is None:
        return {"system": row["system"], "error": row["error"] or "no result", "notes": notes, "chips": []}
    decisions = row["decisions"]
    chips = _chips(decisions, row["scores"] or [], report)
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
        "tally": {mark: marks.count(mark) for mark in (HIT, MISS, FALSE_ALARM)},
    }


def _chips(decisions: Any, scores: Any, report: Report) -> list[dict[str, Any]]:
    """Chips of the labels decided for, the best score first and else in the order of the labels."""
    half = len(report.labels) // 2
    chips = [
        {
            "index": i,
            "stance": ENDORSED if i < half else CONFRONTED,
            "title": title_of(report, i % half),
            "score": scores[i] if scores else None,
            "score_text": None,  # what the score is, with its threshold
            "mark": None,
        }
        for i, decided in enumerate(decisions)
        if decided
    ]
    return sorted(chips, key=lambda chip: -(chip["score"] or 0.0))
