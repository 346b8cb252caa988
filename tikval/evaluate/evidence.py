"""The evidence that systems give, checked against what was recognised in the videos: a model's word is not believed.

A quote of speech or on-screen text must stand in the script, where there is one, and in what a recogniser heard and
read by itself; a caption's in the caption; an action line in the script. What does not is "not found", and is never
shown as a quote.
"""

import contextlib
from collections.abc import Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from tikval.config import FaithfulnessConfig, UserError, validate
from tikval.evaluate.faithfulness import Recognition
from tikval.privacy import strip_handles
from tikval.rows import Passage, PassageSource
from tikval.script_text import Piece, find_quote, parts_of_quote
from tikval.store.folder import Folder
from tikval.store.runs import Study, run_here

_RECOGNISED: Final = {
    PassageSource.SPEECH,
    PassageSource.ON_SCREEN,
}  # sources that a recogniser takes down too


class PassageStatus(StrEnum):
    FOUND = "found"
    NOT_COMPARED = "not compared"
    NOT_FOUND = "not found"


class CheckedPassage(NamedTuple):
    passage: Passage
    status: PassageStatus
    places: tuple[Piece, ...]  # in the script or the caption; () where it stands in none
    quote: str | None  # what may be shown as a quote, spelt as it stands there


def check_passages(
    evidence: Sequence[Passage],
    script: str | None,
    caption: str | None,
    recognised: str | None,
    quote_share: float = 0.5,
) -> list[CheckedPassage]:
    """Each passage with what is left of it; what its row says of itself (`source`, `in_script`) is checked again.

    `script`: what was judged; None: the video itself. `recognised`: a script of the same video by the local writer,
    of a script that the local writer made this script; None: nobody recognised the video. A recogniser mishears, so
    that `quote_share` of a quote's words in order is enough, all of them of one of less than three words.
    """
    heard = None if recognised is None or recognised == script else Recognition(recognised)
    return [_checked(passage, script, caption, recognised, heard, quote_share) for passage in evidence]


def _checked(
    passage: Passage,
    script: str | None,
    caption: str | None,
    recognised: str | None,
    heard: Recognition | None,
    quote_share: float,
) -> CheckedPassage:
    quote = passage["quote"]
    if (
        quote is None or passage["source"] == PassageSource.PICTURE
    ):  # words about a picture are nobody's words
        return CheckedPassage(passage, PassageStatus.NOT_COMPARED, (), None)
    places = tuple(find_quote(quote, script, caption))
    parts = parts_of_quote(quote)
    sources: set[str] = {place.source for place in places} or {passage["source"]}
    words = (" \u2026 " if len(parts) > 1 else " ").join([place.text for place in places] or parts)
    if places and (not sources & _RECOGNISED or recognised == script):
        return CheckedPassage(passage, PassageStatus.FOUND, places, words)
    if (script is not None and not places) or sources == {PassageSource.CAPTION}:
        return CheckedPassage(passage, PassageStatus.NOT_FOUND, (), None)
    if (
        recognised is None or not sources & _RECOGNISED
    ):  # without a script a model's description is that alone
        return CheckedPassage(passage, PassageStatus.NOT_COMPARED, places, words if places else None)
    if heard is None or not all(heard.has(part, quote_share) for part in parts):
        return CheckedPassage(passage, PassageStatus.NOT_FOUND, places, None)
    return CheckedPassage(passage, PassageStatus.FOUND, places, words if places else strip_handles(words))


def recognised_scripts(study: Study) -> Folder | None:
    """The scripts against which quotes are checked: those that jobs.faithfulness names as `heard`, else the local ones.

    None: nobody recognised the videos of this study. Of several the last that finished counts.
    """
    local = {
        folder.uri.rpartition("/")[2]: (run.finished_at, folder)
        for folder, run in study.runs
        if run.stage == "scripts" and _hears(run.config.get("writer", {}))
    }
    if (latest := study.latest(FaithfulnessConfig.stage)) is not None:
        with contextlib.suppress(UserError):  # a file that its recipe names has changed
            config = validate(FaithfulnessConfig, run_here(latest[1], study.out).config, latest[0].uri)
            if (named := local.get(config.heard.folder.rpartition("/")[2])) is not None:
                return named[1]
    return max(local.values(), key=lambda pair: pair[0], default=(None, None))[1]


def _hears(writer: dict[str, object]) -> bool:
    speech = writer.get("speech")
    return writer.get("kind") == "local" and not (isinstance(speech, dict) and speech.get("engine") == "none")
