"""The page to look at: one static, self-contained HTML file without scripts or requests to anywhere.

Captions, scripts, ids and replies come from strangers. Every string is escaped (autoescape), control
characters are replaced, anchors are made of positions and never of ids, and a content security policy that
names the hash of the one style sheet stops what might still get through.
"""

import base64
import hashlib
import re
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

import jinja2

from tikval.evaluate.scores import BASELINE
from tikval.privacy import strip_handles
from tikval.report import tables
from tikval.report.contrasts import comparison_lines, drop_lines, genre_lines
from tikval.report.gap import gap_lines
from tikval.report.record import Card, Failure, Report
from tikval.rows import PredictionRow
from tikval.values import CONFRONTED, ENDORSED, binary

CARDS_SHOWN: Final = 200  # about 1 MB of page
FAILURES_SHOWN: Final = 200
HIT, FALSE_ALARM, MISS, NOT_MODELLED = "hit", "false alarm", "missed", "not modelled"

_NO_TEXT: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_CAPTION: Final = re.compile(r"\s*\[.+\]\s*")
_TAGGED: Final = re.compile(r"\s*\[([^\[\]]{1,40})\]:?\s*(.*)")


def render_page(report: Report) -> str:
    """HTML of a report, to be written as UTF-8.

    Raises ValueError for two cards of one video, and for scores without the predict_everything baseline.
    """
    _check(report)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_text,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = environment.get_template("page.css").render()
    shown = report.cards[:CARDS_SHOWN]
    anchor = {card.video_id: f"video-{i}" for i, card in enumerate(shown, 1)}
    account = {card.video_id: card.account for card in report.cards}
    failures: dict[str, list[Failure]] = defaultdict(list)
    for failure in report.failures:
        failures[failure.video_id].append(failure)
    # a video that fails in one stage fails in those after it: the stages' failures do not add up to videos
    n_failed = max((sum(counts.failures.values()) for _, counts in report.coverage), default=0)
    return environment.get_template("page.html.j2").render(
        report=report,
        style_hash="sha256-" + base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        coverage=[tables.coverage_line(stage, counts) for stage, counts in report.coverage],
        failures=[
            {
                "failure": failure,
                "detail": failure.detail
                if report.show_accounts
                else _hidden(failure.detail, account.get(failure.video_id)),
                "anchor": anchor.get(failure.video_id),
                "kind": tables.kind_of(failure.reason),
            }
            for failure in report.failures[:FAILURES_SHOWN]
        ],
        n_failures=report.n_failures or max(len(report.failures), n_failed),
        chart=tables.chart(report) if report.frequencies else None,
        scores=tables.score_tables(report) if report.scores else None,
        gaps=gap_lines(report),
        comparisons=comparison_lines(report),
        drops=drop_lines(report),
        genres=genre_lines(report),
        cards=[_card(card, failures[card.video_id], report) for card in shown],
        n_videos=report.n_videos or len(report.cards),
        kind_of=tables.kind_of,
    )


def _check(report: Report) -> None:
    seen: set[str] = set()
    for card in report.cards:
        if card.video_id in seen:
            raise ValueError(f"two cards of one video: {card.video_id}")
        seen.add(card.video_id)
    if report.scores and not any(row["system"] == BASELINE for row in report.scores):
        raise ValueError(f"scores without the baseline {BASELINE}: they cannot be read without it")


def _text(value: Any) -> Any:
    """What the template prints: no control characters (not HTML) and no lone surrogates (not UTF-8)."""
    plain = isinstance(value, str) and not hasattr(value, "__html__")
    return _NO_TEXT.sub("\ufffd", value) if plain else value


def _hidden(text: str | None, account: str | None) -> str | None:
    """Text without handles and without the video's account. Ids stay whole: they say which video it is."""
    return strip_handles(text, account) if text else text


def _card(card: Card, failures: list[Failure], report: Report) -> dict[str, Any]:
    def show(text: str | None) -> str | None:
        return text if report.show_accounts else _hidden(text, card.account)

    return {
        "video_id": card.video_id,
        "length": None if card.seconds is None else f"{int(card.seconds) // 60}:{int(card.seconds) % 60:02}",
        "account": card.account if report.show_accounts else None,
        "caption": show(card.caption),
        "script": [_line(line) for line in (show(card.script) or "").splitlines() if line.strip()],
        "failures": [(failure, show(failure.detail)) for failure in failures],
        "readings": [_reading(row, card, report, show(row["notes"])) for row in card.predictions],
        "annotated": card.annotated is not None,
        "truth": [] if card.annotated is None else _said(binary(card.annotated), [], report),
    }


def _line(line: str) -> dict[str, str | None]:
    """A line of a script: `[TEXT ON SCREEN]` as a whole, or with a tag as in `[CAPTIONS] text`, `[SOUND] text`."""
    if _CAPTION.fullmatch(line):
        return {"tag": None, "text": line.strip(), "kind": "captions"}
    match = _TAGGED.fullmatch(line)
    tag, text = match.groups() if match else (None, line.strip())
    return {"tag": tag, "text": text, "kind": "captions" if (tag or "").upper().startswith("CAPTION") else ""}


def _reading(row: PredictionRow, card: Card, report: Report, notes: str | None) -> dict[str, Any]:
    """One system's block on a card: what it said, marked against the annotation where there is one."""
    if row["error"] is not None or row["decisions"] is None:
        return {"system": row["system"], "error": row["error"] or "no result", "notes": notes, "chips": []}
    decisions = row["decisions"]
    chips = _said(decisions, row["scores"] or [], report)
    if card.annotated is not None:
        truth = binary(card.annotated)
        for chip in chips:
            chip["mark"] = HIT if truth[chip["index"]] else FALSE_ALARM
        unsaid = [yes and not decided for yes, decided in zip(truth, decisions, strict=True)]
        for chip in _said(unsaid, [], report):
            chips.append({**chip, "mark": NOT_MODELLED if decisions[chip["index"]] is None else MISS})
    marks = [chip["mark"] for chip in chips]
    return {
        "system": row["system"],
        "error": None,
        "abstained": row["abstained"],
        "notes": notes,
        "chips": chips,
        "tally": {mark: marks.count(mark) for mark in (HIT, MISS, FALSE_ALARM)},
    }


def _said(decisions: Any, scores: Any, report: Report) -> list[dict[str, Any]]:
    """Chips of the labels decided for, the best score first and else in the order of the labels."""
    half = len(report.labels) // 2
    chips = [
        {
            "index": i,
            "stance": ENDORSED if i < half else CONFRONTED,
            "title": tables.title_of(report, i % half),
            "score": scores[i] if scores else None,
            "mark": None,
        }
        for i, decided in enumerate(decisions)
        if decided
    ]
    return sorted(chips, key=lambda chip: -(chip["score"] or 0.0))
