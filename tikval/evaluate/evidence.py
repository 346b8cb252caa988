"""The evidence that systems give, checked against what was recognised in the videos: a model's word is not believed.

A quote of speech or on-screen text must stand in the script, where there is one, and in what a recogniser heard and
read by itself; a caption's in the caption; an action line in the script. What does not is "not found", and is never
shown as a quote.
"""

import contextlib
import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from tikval.config import FaithfulnessConfig, UserError, validate
from tikval.evaluate.faithfulness import MIN_QUOTE_WORDS, Recognition, words_in
from tikval.privacy import strip_handles
from tikval.rows import Passage, PassageSource
from tikval.script_text import Piece, find_quote, parts_of_quote, pieces_of
from tikval.store.folder import Folder
from tikval.store.runs import Study, run_here

_WORD: Final = re.compile(r"\w")
# Of a quote's words that must have been recognised where no script has them: of 300 sentences shuffled from a video's
# own words 14 have half of them in order by chance, and none seven in ten.
_SHARE_ALONE: Final = 0.7
# what a recogniser takes down too
_RECOGNISED: Final = {PassageSource.SPEECH, PassageSource.ON_SCREEN}


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
    that `quote_share` of a quote's words in order is enough, seven in ten of one that no script has, all of one of
    less than three words.
    """
    heard = None if recognised is None or recognised == script else Recognition(recognised, translated=True)
    sentences = pieces_of(script or "", caption)
    checked = list[CheckedPassage]()
    for passage in evidence:
        quote = passage["quote"]
        if quote is None or passage["source"] == PassageSource.PICTURE:  # a picture's words are nobody's
            checked.append(CheckedPassage(passage, PassageStatus.NOT_COMPARED, (), None))
            continue
        found = find_quote(quote, script, caption)
        places = tuple(dict.fromkeys(_with_marks(place, sentences) for place in found))
        sources = {place.source.value for place in places} or {passage["source"]}
        parts = parts_of_quote(quote)
        status = _status(script is not None, bool(places), sources, recognised is not None)
        if status is None:
            share = quote_share if places else max(quote_share, _SHARE_ALONE)
            is_there = heard is None or _is_heard(quote, parts, heard, share)
            status = PassageStatus.FOUND if is_there else PassageStatus.NOT_FOUND
        words = (" \u2026 " if len(parts) > 1 else " ").join(place.text for place in places)
        if status is PassageStatus.FOUND and not places:
            words = strip_handles(quote)
        shown = status is not PassageStatus.NOT_FOUND and words
        checked.append(CheckedPassage(passage, status, places, words if shown else None))
    return checked


def _is_heard(quote: str, parts: Sequence[str], heard: Recognition, share: float) -> bool:
    """Whether a quote was recognised: each part by itself, or the whole where a part has too few words to mean any."""
    long_enough = all(len(words_in(part)) >= MIN_QUOTE_WORDS for part in parts)
    return all(heard.has(text, share) for text in (parts if long_enough else [quote]))


def _with_marks(place: Piece, sentences: Sequence[Piece]) -> Piece:
    """The whole sentence, where nothing of it but marks is missing."""
    for whole in sentences:
        if whole.line == place.line and whole.begin <= place.begin and place.end <= whole.end:
            rest = whole.text[: place.begin - whole.begin] + whole.text[place.end - whole.begin :]
            return place if _WORD.search(rest) else whole
    return place


def _status(has_script: bool, stands: bool, sources: set[str], is_recognised: bool) -> PassageStatus | None:
    """What is known of a quote before it is looked up in what was recognised; None: that decides.

    `stands`: in the script or the caption.
    """
    if stands and not sources & _RECOGNISED:
        return PassageStatus.FOUND
    if not stands and (has_script or PassageSource.CAPTION in sources):
        return PassageStatus.NOT_FOUND
    if (
        not is_recognised or not sources & _RECOGNISED
    ):  # without a script a description is a model's word alone
        return PassageStatus.NOT_COMPARED
    return None


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
