"""Passages that a language model gave as evidence, looked up: where they stand in the post, and who agrees on them.

A quote that stands in the script or the caption gets its spelling, its source and its times from there. One that does
not stays as it was given, and is marked: it is counted, and shown nowhere as a quote.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from itertools import islice
from typing import Any, Final

from tikval.extract.reply import GivenPassage
from tikval.extract.strict_reply import plain_line
from tikval.privacy import strip_handles
from tikval.rows import Passage, PassageSource
from tikval.script_text import Piece, find_quote, parts_of_quote

_MOST: Final = 3  # passages of a label


def looked_up(
    given: Sequence[Iterable[GivenPassage]], labels: Collection[str], judged: dict[str, Any]
) -> list[Passage]:
    """Three passages at most of each label that was decided, in the order of the labels.

    `given`: what each reply gave that counts, in its order. What most of them name is the first; of equals, what stands
    further ahead in a reply. `judged`: `script` (None for a video), `caption`, `seconds`, `line_starts`, `line_ends`
    and `account`, as far as they are known.
    """
    named, first, places = Counter[tuple[str, str]](), dict[tuple[str, str], Passage](), dict[Any, int]()
    for reply in given:
        passages = [passage for label in labels for passage in _of_label(reply, label, judged)]
        for place, passage in enumerate(passages):
            key = (passage["label"], (passage["quote"] or "").casefold())
            first.setdefault(key, passage)
            places[key] = min(place, places.get(key, place))
            named[key] += 1
    order = sorted(first, key=lambda key: (-named[key], places[key]))
    return [first[key] for label in labels for key in islice((k for k in order if k[0] == label), _MOST)]


def _of_label(reply: Iterable[GivenPassage], label: str, judged: dict[str, Any]) -> list[Passage]:
    """The first passages that a reply gives for a label, each once."""
    # no more are looked up than are kept: a reply may hold thousands
    distinct = dict[str, GivenPassage]()
    for passage in reply:
        if passage.label == label:
            distinct.setdefault(passage.quote.casefold(), passage)
    found = [_passage(passage, judged) for passage in islice(distinct.values(), _MOST)]
    return list({(passage["quote"] or "").casefold(): passage for passage in found}.values())


def _passage(given: GivenPassage, judged: dict[str, Any]) -> Passage:
    script, caption = judged.get("script"), judged.get("caption")
    quote = strip_handles(given.quote, judged.get("account"))
    start, end = _within(given, judged.get("seconds")) if script is None else (None, None)
    # what a picture shows is told in the model's own words
    found = [] if given.source == PassageSource.PICTURE else find_quote(quote, script, caption)
    if not found:
        looked_in = script is not None or given.source == PassageSource.CAPTION
        return _row(given.label, given.source, quote, start, end, False if looked_in else None)
    gap = " \u2026 " if len(parts_of_quote(quote)) > 1 else " "
    words = plain_line(gap.join(piece.text for piece in found), 2 * len(quote))
    longest = max(found, key=lambda piece: len(piece.text))
    if script is not None:
        start, end = _times_of_lines(found, judged)
    return _row(given.label, longest.source.value, words, start, end, True)


def _row(
    label: str, source: str, quote: str | None, start: float | None, end: float | None, found: bool | None
) -> Passage:
    return Passage(
        label=label, source=source, quote=quote, start=start, end=end, weight=None, in_script=found
    )


def _times_of_lines(found: Sequence[Piece], judged: dict[str, Any]) -> tuple[float | None, float | None]:
    lines = {piece.line for piece in found}
    starts, ends = (
        [second for line, second in enumerate(judged.get(key) or ()) if line in lines and second is not None]
        for key in ("line_starts", "line_ends")
    )
    return min(starts, default=None), max(ends, default=None)


def _within(given: GivenPassage, seconds: float | None) -> tuple[float | None, float | None]:
    """The times that a model gave, as far as they are times of the video."""
    start, end = (
        float(second) if second is not None and seconds is not None and 0 <= second <= seconds else None
        for second in (given.start, given.end)
    )
    return (None, None) if start is not None and end is not None and start > end else (start, end)
