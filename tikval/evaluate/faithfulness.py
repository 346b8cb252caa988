"""How much of what a recogniser heard and read in a video its script has, and which quotes nobody was heard saying.

Both sides may err: a recogniser mishears, a writer invents. So every share is compared with the same share against
the heard text of another video, which is what chance gives. What the pictures show is judged by people
(tikval/annotate/rating_sheets.py, the paper's section 4), not here.

Word streams are compared by the longest common subsequence on the bits of integers (Hyyro, 2004): fast, and bounded.
"""

import functools
import math
import operator
import re
import unicodedata
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import dropwhile
from typing import Final, NamedTuple

import numpy as np

from tikval.rows import FaithfulnessRow
from tikval.script.compose import TRANSLATED
from tikval.stats.intervals import ratio_estimate

MAX_CHARACTERS: Final = 100_000  # of a script; the rest is cut, and the comparison notes it
MAX_WORDS: Final = 5_000  # spoken or shown in one script: half an hour of speech
MAX_QUOTES: Final = 200  # judged per script
MIN_QUOTE_WORDS: Final = 3  # "Oh my" stands in any video
_SLACK: Final = 8  # words that may stand between those of a quote, on top of as many as it has
_MAX_SHOWN: Final = 300  # characters of an unheard line

_HEADER: Final = re.compile(r"[\s*#_]*(genre|sound|picture|language)\W*:", re.IGNORECASE)
_SPEAKER: Final = re.compile(r'[^a-z"]{1,60}:')
_CAPTION: Final = re.compile(r"\[(.+)\]")
_BRACKETS: Final = re.compile(r"\[([^\[\]]*)\]")
_ASIDE: Final = re.compile(r"\([^()]*\)|\[[^\[\]]*\]")  # (mumbled), [giggles]: no words
_DOUBLE_QUOTES: Final = str.maketrans(dict.fromkeys("\u201c\u201d\u201e\u201f\u00ab\u00bb\uff02", '"'))
_NO_APOSTROPHES: Final = str.maketrans(dict.fromkeys("'\u2018\u2019\u02bc`"))
# Scripts without spaces, where each character counts as a word, and marks that belong to the letter before them.
_ALONE: Final = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_MARKS: Final = "\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0900-\u0963\u0966-\u0dff"
_WORD: Final = re.compile(rf"[{_ALONE}]|(?:[^\W_{_ALONE}]|[{_MARKS}])+")


@dataclass(frozen=True, slots=True)
class ScriptComparison:
    words_said: int  # heard by the recogniser
    said_share: float | None  # of them that the script quotes or shows, in order; None: nothing was heard
    words_shown: int  # of the captions that were read
    shown_share: float | None  # of them that the script quotes or shows, anywhere; None: nothing was read
    quotes: int  # lines of speech of the script, of at least MIN_QUOTE_WORDS words
    unheard: tuple[str, ...] | None  # those that nobody was heard saying; None: nothing was heard at all
    cut: bool  # only the first MAX_WORDS words or MAX_QUOTES quotes were compared


def compare_scripts(script: str, heard_script: str, quote_share: float) -> ScriptComparison:
    """Compare a script with what was recognised in its video, both in the paper's format.

    A quoted line is unheard when less than `quote_share` of its words stand in order, near one another, in
    what was heard or in the captions that were read. Words of five letters and more may differ by one letter.
    """
    mine, theirs = _parts(script), _parts(heard_script)
    (has, cut_has), (spoken, cut_spoken), (shown, cut_shown) = (
        _limited(" ".join(texts)) for texts in (mine.all, theirs.spoken, theirs.shown)
    )
    quotes = [(text, words) for text in mine.quotes if len(words := words_in(text)) >= MIN_QUOTE_WORDS]
    script_words = _Stream(has)
    in_order = _in_order([script_words.mask(word) for word in spoken], len(has))
    anywhere = sum(script_words.mask(word) != 0 for word in shown)
    heard = Recognition(heard_script)
    unheard = tuple(
        " ".join(text.split())[:_MAX_SHOWN]
        for text, _ in quotes[:MAX_QUOTES]
        if not heard.has(text, quote_share)
    )
    return ScriptComparison(
        words_said=len(spoken),
        said_share=in_order / len(spoken) if spoken else None,
        words_shown=len(shown),
        shown_share=anywhere / len(shown) if shown else None,
        quotes=min(len(quotes), MAX_QUOTES),
        unheard=unheard if spoken or not quotes else None,
        cut=any((mine.cut, theirs.cut, cut_has, cut_spoken, cut_shown, len(quotes) > MAX_QUOTES)),
    )


class _Parts(NamedTuple):
    spoken: list[str]
    shown: list[str]
    all: list[str]  # spoken and shown, in the script's order
    quotes: list[str]  # of what is spoken, that between quotation marks
    translated: list[str]  # a recogniser's English of speech: nobody was heard saying it
    cut: bool


def _parts(script: str) -> _Parts:
    """A quote may run over several lines behind a speaker's name; any other mark without a second one is none."""
    parts = _Parts([], [], [], [], [], len(script) > MAX_CHARACTERS)
    lines = [line.strip() for line in script[:MAX_CHARACTERS].translate(_DOUBLE_QUOTES).splitlines()]
    open_quote = False
    for line in dropwhile(lambda line: not line or _HEADER.match(line), lines):
        if line.startswith(f"{TRANSLATED}:"):
            parts.translated.append(line.removeprefix(f"{TRANSLATED}:"))
            continue
        speaker, caption = _SPEAKER.match(line), _CAPTION.fullmatch(line)
        if caption and line.count("[") == 1:
            parts.shown.append(caption[1])
            parts.all.append(caption[1])
            open_quote = False
            continue
        pieces = line.split('"')
        inside = goes_on = open_quote and bool(line) and not speaker
        for i, piece in enumerate(pieces, start=1):
            if inside and (speaker or goes_on or i < len(pieces)):
                text = _ASIDE.sub(" ", piece)
                if goes_on:
                    parts.quotes[-1] += f" {text}"
                else:
                    parts.quotes.append(text)
                parts.spoken.append(text)
                parts.all.append(text)
            else:
                parts.shown.extend(_BRACKETS.findall(piece))
                parts.all.extend(_BRACKETS.findall(piece))
            inside, goes_on = not inside, False
        open_quote = not inside and (
            bool(speaker) or open_quote
        )  # toggled once too often, behind the last piece
        if speaker and len(pieces) == 1:  # speech without quotation marks
            text = _ASIDE.sub(" ", line[speaker.end() :])
            parts.spoken.append(text)
            parts.all.append(text)
    return parts


def words_in(text: str) -> list[str]:
    plain = unicodedata.normalize("NFKC", text)[: 2 * MAX_CHARACTERS]  # one character may become 18
    return _WORD.findall(plain.casefold().translate(_NO_APOSTROPHES))


def _limited(text: str) -> tuple[list[str], bool]:
    words = words_in(text)
    return words[:MAX_WORDS], len(words) > MAX_WORDS


@functools.lru_cache(maxsize=2**16)
def _keys(word: str) -> tuple[str, ...]:
    """Two words are the same, but for about one letter, where they share a key."""
    if not 5 <= len(word) <= 20:  # "here" and "there" are two words
        return (word[:100],)
    return (f"~{word}", *(f"~{word[:i]}{word[i + 1 :]}" for i in range(len(word))))


class _Stream:
    """Words by position: bit i of a mask is set where word i is the one asked for."""

    def __init__(self, words: Sequence[str]) -> None:
        self.length = len(words)
        self.masks = dict[str, int]()
        for i, word in enumerate(words):
            for key in _keys(word):
                self.masks[key] = self.masks.get(key, 0) | 1 << i

    def mask(self, word: str) -> int:
        found = 0
        for key in _keys(word):
            found |= self.masks.get(key, 0)
        return found


def _in_order(masks: Sequence[int], length: int) -> int:
    """Length of the longest common subsequence of a stream of `length` words and the words with these masks."""
    full = (1 << length) - 1
    free = full
    for mask in masks:
        hit = free & mask
        free = ((free + hit) | (free - hit)) & full
    return length - free.bit_count()


def _stands_in(quote: Sequence[str], stream: _Stream, share: float) -> bool:
    """Whether enough words of a quote stand in order within a stretch of the stream hardly longer than the quote."""
    n, masks = len(quote), [stream.mask(word) for word in quote]
    need = max(1, math.ceil(share * n - 1e-9))
    if sum(mask != 0 for mask in masks) < need:
        return False
    anywhere = functools.reduce(operator.or_, masks)
    length = 2 * n + _SLACK  # every stretch of n + _SLACK words lies in one of these
    window = (1 << length) - 1
    return any(
        (anywhere >> start & window).bit_count() >= need
        and _in_order([mask >> start & window for mask in masks], length) >= need
        for start in range(0, stream.length, n)
    )


class Recognition:
    """What was heard and read in a video, to look quotes up in."""

    def __init__(self, heard_script: str, *, translated: bool = False) -> None:
        """`translated`: the recogniser's English of other languages counts as well."""
        parts = _parts(heard_script)
        texts = [parts.spoken, parts.shown, *([parts.translated] if translated else [])]
        self._streams = [_Stream(_limited(" ".join(lines))[0]) for lines in texts]

    def has(self, quote: str, share: float) -> bool:
        """Whether `share` of a quote's words stand in order, near one another, in what was heard, or read.

        Of a quote of less than MIN_QUOTE_WORDS words, all of them: half of those stand in any video.
        """
        words, _ = _limited(quote)
        if len(words) < MIN_QUOTE_WORDS:
            share = 1.0
        return bool(words) and any(_stands_in(words, stream, share) for stream in self._streams)


class ShareEstimate(NamedTuple):
    value: float
    low: float | None  # of the 95 % interval
    high: float | None
    why_none: str | None  # why there is no interval, in words; None: there is one
    n: int  # videos, or lines


@dataclass(frozen=True, slots=True)
class Summary:
    videos: int
    failed: int  # the script or the hearing failed: in none of the shares
    spoken: ShareEstimate | None  # mean over the videos in which something was heard
    shown: ShareEstimate | None  # mean over the videos in which something was read
    unheard: ShareEstimate | None  # of all quoted lines of the videos in which something was heard
    not_heard: (
        int  # the script quotes speech where the recogniser heard nothing: music, other languages, inventions
    )


def summarise(rows: Sequence[FaithfulnessRow], accounts: Mapping[str, str | None] | None = None) -> Summary:
    """Means with intervals over accounts, as scores have them; a video without an account stands alone."""
    names = accounts or {}
    done = [(names.get(row["video_id"]) or (row["video_id"],), row) for row in rows if row["error"] is None]
    spoken = [(name, share, 1) for name, row in done if (share := row["said_share"]) is not None]
    shown = [(name, share, 1) for name, row in done if (share := row["shown_share"]) is not None]
    judged = [(name, row["unheard"], row["quotes"]) for name, row in done]
    lines = [(name, len(unheard), n) for name, unheard, n in judged if unheard is not None and n]
    return Summary(
        videos=len(rows),
        failed=len(rows) - len(done),
        spoken=share_estimate(spoken),
        shown=share_estimate(shown),
        unheard=share_estimate(lines),
        not_heard=sum(bool(n) and unheard is None for _, unheard, n in judged),
    )


def share_estimate(parts: Sequence[tuple[Hashable, float, int]]) -> ShareEstimate | None:
    """Ratio of sums of (account, numerator, denominator) of videos, with its interval over accounts."""
    accounts: dict[Hashable, list[float]] = {}
    for name, numerator, denominator in parts:
        sums = accounts.setdefault(name, [0.0, 0.0, 0.0])
        for at, number in enumerate((numerator, denominator, 1)):
            sums[at] += number
    if not accounts:
        return None
    tops_G, bottoms_G, videos_G = np.array(list(accounts.values())).T
    estimate = ratio_estimate(tops_G, bottoms_G, videos_G)
    found = estimate.of_score()
    return ShareEstimate(estimate.value, found.lower, found.upper, found.why_none, int(bottoms_G.sum()))
