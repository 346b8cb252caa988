"""A script in the paper's format as sentences with their places, and quotes looked up in it. Pure text.

A place is characters of the script, or of the post's caption: `text[begin:end]` is what stands there. So a passage can
be shown in its line, and cut out of it.
"""

import functools
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import dropwhile, groupby, pairwise
from typing import Final, NamedTuple

from tikval.rows import PassageSource

# the lines at a script's head, which are neither spoken nor shown as text
_HEADER: Final = re.compile(r"(genre|sound|picture|language)\s*:", re.IGNORECASE)
_RECOGNISED: Final = re.compile(r"Language: .*, probability \d")  # a head by tikval/script/compose.py
_FOREIGN: Final = re.compile(r"SPEAKER \([A-Z]{2,3}\):")  # whose English stands below it
_SPEECH: Final = re.compile(r'[^a-z"]{1,60}:\s*"?(?P<text>.*?)"?\s*')
_SHOWN: Final = re.compile(r"\[(?P<text>.+)\]\s*")
_END: Final = re.compile(r"(?<=[.!?])\s+")
_ELLIPSIS: Final = re.compile(r"\[?\(?(?:\.{3,}|\u2026)\)?\]?")
# scripts without spaces between words: each character counts as one
_ALONE: Final = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
_FEWEST_WORDS: Final = 3  # of a quote that is not a whole sentence: fewer stand in any text
_MAX_QUOTE: Final = 2_000  # characters that are looked for


class Piece(NamedTuple):
    """A sentence of a post, or a part of one, and where it stands."""

    source: PassageSource
    line: int | None  # of script.splitlines(), from 0; None: of the caption
    begin: int
    end: int
    text: str


def pieces_of(script: str, caption: str | None = None, only_english: bool = False) -> list[Piece]:
    """What is spoken and shown in a script, sentence by sentence: dialogue, [CAPTIONS], action lines, then the caption.

    `only_english`: without what a recogniser heard in other languages; its own English of it stays.
    """
    lines, at = list[tuple[int, int, str]](), 0
    for number, line in enumerate(script.splitlines(keepends=True)):
        lines.append((number, at + len(line) - len(line.lstrip()), line.strip()))
        at += len(line)
    body = list(dropwhile(lambda one: not one[2] or _HEADER.match(one[2]), lines))
    if only_english and any(_RECOGNISED.match(text) for _, _, text in lines[: len(lines) - len(body)]):
        body = [one for one in body if not _FOREIGN.match(one[2])]
    found = [piece for line in body for piece in _of_line(*line)]
    at = 0
    for text in (caption or "").splitlines(keepends=True):
        found += _sentences(PassageSource.CAPTION, None, at, text)
        at += len(text)
    return found


def _of_line(number: int, at: int, text: str) -> Iterator[Piece]:
    for pattern, source in ((_SPEECH, PassageSource.SPEECH), (_SHOWN, PassageSource.ON_SCREEN)):
        if match := pattern.fullmatch(text):
            return _sentences(source, number, at + match.start("text"), match["text"])
    return _sentences(PassageSource.ACTION, number, at, text)


def _sentences(source: PassageSource, line: int | None, at: int, text: str) -> Iterator[Piece]:
    ends = [(match.start(), match.end()) for match in _END.finditer(text)]
    for begin, end in zip(
        [0, *(end for _, end in ends)], [*(start for start, _ in ends), len(text)], strict=True
    ):
        part = text[begin:end]
        if re.search(r"\w", part):
            begin += len(part) - len(part.lstrip())
            yield Piece(source, line, at + begin, at + begin + len(part.strip()), part.strip())


def find_quote(quote: str, script: str | None, caption: str | None = None) -> list[Piece]:
    """Where the words of a quote stand in the script, else in the caption: a piece of each line; [] for nowhere.

    Letters and digits must follow one another as in the quote, from word to word; case, accents, marks and spaces do
    not count. A quote with an ellipsis that does not stand there as a whole is found where its parts are, in order.
    Each part is a whole sentence, or has three words at least.
    """
    parts = list(map(_letters, parts_of_quote(quote)))
    whole = ["".join(parts)] if parts else []
    for text in _searched(script or "", caption):
        if found := _find_parts(whole, text) or _find_parts(parts, text):
            return found
    return []


def parts_of_quote(quote: str) -> list[str]:
    """What stands before, between and behind the ellipses of a quote, as far as it has letters or digits."""
    return [part.strip() for part in _ELLIPSIS.split(quote[:_MAX_QUOTE]) if _letters(part)]


def without_pieces(script: str, caption: str | None, pieces: Iterable[Piece]) -> tuple[str, str | None]:
    """The script and the caption without some pieces; a line of which nothing is left goes as a whole."""
    given = list(pieces)
    cut = {piece.line for piece in given if piece.line is not None}
    lines = script.splitlines(keepends=True)
    shortened = _cut(script, [piece for piece in given if piece.line is not None], keep_ends=lines)
    kept = [line for n, line in enumerate(shortened) if n not in cut or _has_words(line)]
    if caption is not None:
        caption = "".join(
            _cut(caption, [piece for piece in given if piece.line is None], keep_ends=[caption])
        )
    return "".join(kept), caption


def _has_words(line: str) -> bool:
    return any(True for _ in _of_line(0, 0, line.strip()))


def _cut(text: str, pieces: Sequence[Piece], keep_ends: Sequence[str]) -> list[str]:
    """The given lines, which make up the text, without what the pieces hold."""
    gone = {at for piece in pieces for at in range(piece.begin, piece.end)}
    lines, at = list[str](), 0
    for line in keep_ends:
        lines.append("".join(c for i, c in enumerate(line, at) if i not in gone))
        at += len(line)
    return lines


class _Letter(NamedTuple):
    folded: str
    piece: int
    at: int  # in the script or the caption


class _Searched(NamedTuple):
    """A script or a caption as quotes are looked up in it."""

    text: str
    pieces: list[Piece]
    letters: list[_Letter]
    stream: str  # the folded letters
    sentences: frozenset[str]  # folded


@functools.lru_cache(maxsize=4)  # all passages of a post are looked up one after another
def _searched(script: str, caption: str | None) -> tuple[_Searched, _Searched]:
    pieces = pieces_of(script, caption)
    return (
        _prepared(script, [piece for piece in pieces if piece.line is not None]),
        _prepared(caption or "", [piece for piece in pieces if piece.line is None]),
    )


def _prepared(text: str, pieces: list[Piece]) -> _Searched:
    letters = [
        _Letter(folded, n, piece.begin + i)
        for n, piece in enumerate(pieces)
        for i, c in enumerate(piece.text)
        for folded in _folded(c)
    ]
    stream = "".join(letter.folded for letter in letters)
    return _Searched(text, pieces, letters, stream, frozenset(_letters(piece.text) for piece in pieces))


def _find_parts(parts: list[str], where: _Searched) -> list[Piece]:
    letters, begin, found = where.letters, 0, list[_Letter]()
    for part in parts:
        at = where.stream.find(part, begin)
        while at >= 0 and not (
            _are_words(letters, at, at + len(part))
            and (part in where.sentences or _n_words(letters[at : at + len(part)]) >= _FEWEST_WORDS)
        ):
            at = where.stream.find(part, at + 1)
        if at < 0:
            return []
        found += letters[at : at + len(part)]
        begin = at + len(part)
    cut = list[Piece]()
    for n, group in groupby(found, key=lambda letter: letter.piece):
        run = list(group)
        begin, end = run[0].at, run[-1].at + 1
        cut.append(where.pieces[n]._replace(begin=begin, end=end, text=where.text[begin:end]))
    return cut


def _are_words(letters: Sequence[_Letter], begin: int, end: int) -> bool:
    """Whether a run of the stream is whole words."""
    return all(at == 0 or at == len(letters) or _is_edge(letters[at - 1], letters[at]) for at in (begin, end))


def _n_words(run: Sequence[_Letter]) -> int:
    return 1 + sum(_is_edge(*pair) for pair in pairwise(run))


def _is_edge(here: _Letter, after: _Letter) -> bool:
    """Whether one word ends, and another begins, between two letters that follow each other."""
    together = here.piece == after.piece and after.at - here.at <= 1
    return not together or bool(_ALONE.match(here.folded) or _ALONE.match(after.folded))


def _letters(text: str) -> str:
    return "".join(folded for c in text for folded in _folded(c))


@functools.lru_cache(maxsize=2**12)
def _folded(c: str) -> str:
    return "".join(part for part in unicodedata.normalize("NFKD", c).casefold() if part.isalnum())
