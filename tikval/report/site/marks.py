"""A script and a caption with the passages that speak for labels marked in them, line by line."""

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

from tikval.report.site.evidence import clock, line_time
from tikval.report.site.record import Card
from tikval.script_text import Piece

_CAPTION: Final = re.compile(r"\s*\[.+\]\s*")
_TAGGED: Final = re.compile(r"\s*\[([^\[\]]{1,40})\]:?\s*(.*)")


class Mark(NamedTuple):
    """A place that speaks for a label."""

    label: int  # its place among the report's
    stance: str
    title: str
    place: Piece


def script_lines(script: str, marks: Iterable[Mark], card: Card) -> list[dict[str, Any]]:
    """The lines of a script that are not blank, each with its anchor, its tag, its time and its segments."""
    by_line: dict[int | None, list[Mark]] = {}
    for mark in marks:
        by_line.setdefault(mark.place.line, []).append(mark)
    lines, at = list[dict[str, Any]](), 0
    for number, raw in enumerate(script.splitlines(keepends=True)):
        line = raw.splitlines()[0]
        if line.strip():
            start = line_time(card, number)[0]
            lines.append(
                {
                    "anchor": f"line-{number + 1}",
                    "start": start,
                    "time": None if start is None else clock(start),
                    **_line(line, at, by_line.get(number, [])),
                }
            )
        at += len(raw)
    return lines


def caption_segments(caption: str, marks: Iterable[Mark]) -> list[dict[str, Any]]:
    """The caption of a post as segments."""
    return _segments(caption, 0, [mark for mark in marks if mark.place.line is None])


def _line(line: str, at: int, marks: Sequence[Mark]) -> dict[str, Any]:
    """A line of a script: `[TEXT ON SCREEN]` as a whole, or with a tag as in `[CAPTIONS] text`, `[SOUND] text`."""
    whole = _CAPTION.fullmatch(line)
    match = None if whole else _TAGGED.fullmatch(line)
    tag = match[1] if match else None
    begin = match.start(2) if match else len(line) - len(line.lstrip())
    kind = "captions" if whole or (tag or "").upper().startswith("CAPTION") else ""
    return {"tag": tag, "kind": kind, "segments": _segments(line[begin:].rstrip(), at + begin, marks)}


def _segments(text: str, at: int, marks: Sequence[Mark]) -> list[dict[str, Any]]:
    """A text as segments: `stances` are of the labels that one speaks for, `ending` the marks that end with it.

    `at`: where the text begins in the whole script or caption.
    """
    spans = {(max(0, mark.place.begin - at), min(len(text), mark.place.end - at), mark[:3]) for mark in marks}
    cuts = sorted({0, len(text), *(end for span in spans if span[0] < span[1] for end in span[:2])})
    found = []
    for begin, end in pairwise(cuts):
        over = sorted((mark, to) for from_, to, mark in spans if from_ <= begin and end <= to)
        found.append(
            {
                "text": text[begin:end],
                "stances": " ".join(dict.fromkeys(stance for (_, stance, _), _ in over)),
                "ending": list(dict.fromkeys(mark for mark, to in over if to == end)),
            }
        )
    return found
