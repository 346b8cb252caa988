"""What speaks for each label of a video, as plain values: no quote is among them that was not checked."""

import math
from typing import Any, Final

from tikval.evaluate.evidence import CheckedPassage, check_passages
from tikval.report.site.record import Card, Report
from tikval.report.site.texts import hidden
from tikval.rows import Passage, PassageSource, PredictionRow
from tikval.script_text import Piece, find_quote

_IN_WORDS: Final[dict[str, str]] = {
    PassageSource.SPEECH: "spoken",
    PassageSource.ON_SCREEN: "text in the picture",
    PassageSource.ACTION: "action line",
    PassageSource.CAPTION: "caption",
    PassageSource.PICTURE: "picture",
}


def evidence_of(card: Card, row: PredictionRow, report: Report) -> dict[str, list[dict[str, Any]]]:
    """The passages of each label that a system decided for, the strongest first.

    A passage: `quote` (None: it may not be shown), `source` and `time` in words, `start` in seconds, `status`, `link`
    to its line from the site's folder, and `places` in the script and caption that the video's page shows.
    """
    decisions = row["decisions"] or ()
    decided = {label for label, yes in zip(report.labels, decisions, strict=False) if yes}
    given = [_hidden(one, card) for one in row["evidence"] or () if one["label"] in decided]
    if not given:
        return {}
    script, caption, recognised = (
        hidden(text, card.account)
        for text in (card.scripts_of.get(row["system"], card.script), card.caption, card.recognised)
    )
    shown = tuple(shown_text(text, card, report) for text in (card.script, card.caption))
    found: dict[str, list[dict[str, Any]]] = {}
    for one in check_passages(given, script, caption, recognised):
        places = list(one.places) if shown == (script, caption) else find_quote(one.quote or "", *shown)
        found.setdefault(one.passage["label"], []).append(_plain(one, places if one.quote else [], card))
    return found


def shown_text(text: str | None, card: Card, report: Report) -> str | None:
    """A text of a video as its page has it: without handles unless the report shows accounts."""
    return text if report.show_accounts else hidden(text, card.account)


def clock(seconds: float) -> str:
    """`0:12`, `1:02:03`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def line_time(card: Card, line: int) -> tuple[float | None, float | None]:
    """Seconds from which, and up to which, a line of the script was heard or seen; None: not known."""
    start, end = (times[line] if line < len(times) else None for times in (card.line_starts, card.line_ends))
    return _in_video(start, card), _in_video(end, card)


def _hidden(passage: Passage, card: Card) -> Passage:
    return {**passage, "quote": hidden(passage["quote"], card.account)}


def _plain(checked: CheckedPassage, places: list[Piece], card: Card) -> dict[str, Any]:
    """`places`: where the page shows the quote."""
    passage = checked.passage
    start, end = _in_video(passage["start"], card), _in_video(passage["end"], card)
    if start is None and places and places[0].line is not None:
        start, end = line_time(card, places[0].line)[0], line_time(card, places[-1].line or 0)[1]
    return {
        "label": passage["label"],
        "quote": checked.quote,
        "source": _source(passage, places),
        "start": start,
        "end": end,
        "time": _time(start, end),
        "status": checked.status.value,
        "link": f"videos/{card.key}.html#{anchor(places[0])}" if places else None,
        "places": places,
    }


def anchor(place: Piece) -> str:
    """The id of a line, or of the caption, on the video's page."""
    return "caption" if place.line is None else f"line-{place.line + 1}"


def _source(passage: Passage, places: list[Piece]) -> str:
    return _IN_WORDS.get(places[0].source if places else passage["source"], "elsewhere")


def _time(start: float | None, end: float | None) -> str | None:
    if start is None:
        return None
    from_, to = clock(start), clock(end if end is not None and end > start else start)
    return from_ if from_ == to else f"{from_}\u2013{to}"


def _in_video(seconds: float | None, card: Card) -> float | None:
    """A time that the video has; photo posts have none."""
    if seconds is None or card.is_photos or not math.isfinite(seconds) or seconds < 0:
        return None
    return seconds if card.seconds is None or seconds <= card.seconds + 1 else None
