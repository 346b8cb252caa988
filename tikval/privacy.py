"""People are in these videos: what must not reach a model or a page by default.

docs/privacy.md has the rules in words, with what they do not catch and why.
"""

import functools
import re
import unicodedata
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Final

from tikval.handles import LETTER, MARKS, find_names, has_logo, is_logo, is_lone_name

_PLACEHOLDER: Final = "@someone"
_PASSES: Final = 5  # at most: what is hostile must not take as many as it has letters
_SAME_NAME: Final = 0.75  # of the letters of a name and what was read

_INVISIBLE: Final = frozenset(
    "\u00ad\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"
)  # and what Unicode calls so
# Scripts without spaces: a name in them has no word's edge.
_ALONE: Final = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_CLUSTER: Final = re.compile(rf"(?s:.)[{MARKS}]*")
_PLAIN: Final = re.compile(r"[\t\n\r -~]*")
_SPACED_NAME: Final = re.compile(r"\W*@\s+\S+(?:\s+\S+){1,2}")  # as a watermark is read, and no sentence
_PIECE: Final = re.compile(rf"\d|(?:(?![\d_]){LETTER})+")
_JOINT: Final = (
    r"(?:[\s._\-\u2010-\u2015\u203f]|underscore|dot|dash)*"  # between an account's pieces, spoken too
)


@functools.lru_cache(maxsize=2**14)  # the videos of one account mostly stand together
def canonical_account(name: str) -> str:
    """One spelling of an account for every comparison; never shown.

    Compatible letters are one (full width, ligatures), case and invisible or control characters do not count, nor outer
    spaces and one leading `@`.
    """
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return "".join(letter for letter in text if not _is_invisible(letter)).strip().removeprefix("@").strip()


def _is_invisible(letter: str) -> bool:
    variation = "\ufe00" <= letter <= "\ufe0f" or "\U000e0100" <= letter <= "\U000e01ef"
    return letter in _INVISIBLE or variation or unicodedata.category(letter) in ("Cc", "Cf", "Zl", "Zp")


def strip_handles(text: str, account: str | None = None) -> str:
    """Replace handles, and the account's own name where it stands as a word, by `@someone`.

    Platforms print the account into the picture as a watermark, so this applies to recognised text as well as
    to captions. Text without handles is returned as it is, byte for byte; an e-mail address keeps its domain.
    """
    for _ in range(_PASSES):  # a handle may be one only behind another: ig: jane_doe@bob
        stripped = _stripped_once(text, account)
        if stripped == text:
            break
        text = stripped
    return text


def _stripped_once(text: str, account: str | None) -> str:
    view, starts, ends = _folded(text)
    name = canonical_account(account) if account else ""
    own = _account_pattern(name) if name and _pieces_are_in(view, name) else None
    spans = [*find_names(view), *(found.span() for found in (own.finditer(view) if own else ()))]
    parts, done, rest = list[str](), 0, 0  # done: letters of the view; rest: where the text goes on
    for start, end in sorted(spans):
        if start >= done:  # else it overlaps the name before
            parts += [text[rest : starts[start]], _PLACEHOLDER]
        if end > done:
            done, rest = end, ends[end - 1]
    return "".join([*parts, text[rest:]])


def _folded(text: str) -> tuple[str, Sequence[int], Sequence[int]]:
    """The text as it is compared, and where each letter of it begins and ends in the text.

    Compatible and composed letters and cases are one, invisible letters are out, white space stays.
    """
    if _PLAIN.fullmatch(text):
        return text.lower(), range(len(text)), range(1, len(text) + 1)
    view, starts, ends = list[str](), list[int](), list[int]()
    for cluster in _CLUSTER.finditer(text):
        letters = _compared(cluster[0])
        view.append(letters)
        starts += [cluster.start()] * len(letters)
        ends += [cluster.end()] * len(letters)
    return "".join(view), starts, ends


@functools.lru_cache(8192)
def _compared(cluster: str) -> str:
    visible = "".join(letter for letter in cluster if letter.isspace() or not _is_invisible(letter))
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", visible).casefold())
    return "".join(letter for letter in folded if letter.isspace() or not _is_invisible(letter))


def _pieces(name: str) -> list[str]:
    """The digits and runs of letters of a name, all of which stand wherever it does."""
    return _PIECE.findall(name)


def _pieces_are_in(view: str, name: str) -> bool:
    """Whether a name may be there at all, in a thousandth of the time that making its pattern takes."""
    return all(piece in view for piece in _pieces(name))


@functools.lru_cache(1024)
def _account_pattern(name: str) -> re.Pattern[str] | None:
    """Where an account stands as a word, its pieces with any joint or none between them; None where it has no letter.

    One or two letters are a name behind an @ only. What no word looks like (jane_doe99) is found inside longer names.
    """
    pieces = _pieces(name)
    letters, plain = "".join(pieces), name.strip("._- ")
    if not pieces:
        return re.compile(re.escape(name)) if len(name) > 2 else None
    left, right = rf"(?<!{LETTER})", rf"(?!{LETTER})"
    least = 3
    if re.fullmatch(rf"[{_ALONE}]+", letters):
        left, right, least = "", "", 2
    joined = _JOINT.join(map(re.escape, pieces)) if len(letters) > 4 else re.escape(plain)
    at = rf"(?:@\s*[._-]*){'?' if len(letters) >= least else ''}"
    inside = f"|{re.escape(plain)}" if len(letters) > 5 and len(pieces) > 1 and plain != letters else ""
    return re.compile(f"{at}{left}_*{joined}_*{right}{inside}")


def strip_on_screen(blocks: Sequence[tuple[str, float]], account: str | None) -> list[str | None]:
    """Blocks of text on the screen without handles; None for one that is a platform's watermark, or a piece of one.

    `blocks`: texts in the order in which they were read, from top to bottom, with the second that first showed each. A
    platform prints the name under its logo, so a single word under one is a name, whoever the account is; a line that
    is one word with an underscore is a name whose @ recognition lost; and so is a line that is a name which stands
    behind an @ elsewhere in the video, or a piece of one.
    """
    views = [_folded(text)[0] for text, _ in blocks]
    names = {name for view in views for line in view.split("\n") for name in _names_behind_at(line)}
    with_logo = any(map(has_logo, views))
    stripped = list[str | None]()
    for at, (text, seconds) in enumerate(blocks):
        under_logo = at > 0 and blocks[at - 1][1] == seconds and is_logo(views[at - 1])
        is_name = any(is_watermark(text, name) for name in (account, *names)) or is_lone_name(
            views[at], under_logo, with_logo
        )
        lines = (_PLACEHOLDER if _is_name_alone(line, names) else line for line in text.split("\n"))
        stripped.append(None if is_name else strip_handles("\n".join(lines), account))
    return stripped


def _is_name_alone(line: str, names: set[str]) -> bool:
    """Whether a line of text on the screen is a name: by its form, or as one of the video's."""
    return is_lone_name(_folded(line)[0]) or any(is_watermark(line, name) for name in names)


def _names_behind_at(view: str) -> list[str]:
    """The names in a folded line that have their @; the whole line where it is no more than `@ jane doe`."""
    names = [view[start:end] for start, end in find_names(view) if view[start] == "@"]
    return [view] if names and _SPACED_NAME.fullmatch(view) else names


def is_watermark(text: str, account: str | None) -> bool:
    """Whether a recognised text is the account's name or a piece of it, misread letters allowed.

    Recognition breaks watermarks up ("pixel" and "pato" of @pixel_pato), and a piece still names a person.
    """
    read, name = (_letters(canonical_account(given)) for given in (text, account or ""))
    if len(read) < 3 or len(name) < 3:
        return False
    return read in name or SequenceMatcher(None, name, read, autojunk=False).ratio() >= _SAME_NAME


def _letters(text: str) -> str:
    return re.sub(r"[\W_]+", "", text)
