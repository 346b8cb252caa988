"""Cut-outs -> captions: each text once, and captions that come word by word in one piece."""

import difflib
import itertools
import re
from dataclasses import replace
from typing import Final

from tikval.media.changes import Cutout, Picture
from tikval.media.ocr import Line, read_lines, reading_orders
from tikval.media.reading import Caption

_MAX_WORD_SECONDS: Final = 1.2  # longer is no piece of a caption that comes word by word
_MAX_GAP_SECONDS: Final = 1.0  # one word may not have been read
_MAX_PIECES: Final = 16
_MIN_LETTERS: Final = 3
_CLEAR_SHARE: Final = 0.4  # of the letters, in words that are as clear as print
_CLEAR_SHARE_ALONE: Final = 0.61  # where that is one word: some letters of other scripts are Latin ones
_CERTAIN: Final = 90  # of 100, on the average of all letters
_SAME_TEXT: Final = 0.93  # similarity of two long texts that are one
_LONG: Final = 8  # letters


def read_cutouts(cutouts: list[Cutout], languages: str = "eng") -> list[Caption]:
    """What stands in cut-outs in order of time, in order of first appearance.

    The lines of a cut-out are one caption. Words that take turns in one place are one, too, a line each. Lines in a
    script or language that `languages` do not cover are left out; "installed" reads them in what else there is.
    Raises MissingTool and ClipError as read_captions.
    """
    lines_of = _read([cutout.picture for cutout in cutouts], languages)
    kept: list[Caption] = []
    for caption in _joined(list(zip(cutouts, lines_of, strict=True))):
        if sum(char.isalnum() for char in caption.text) < _MIN_LETTERS:
            continue
        for at, known in enumerate(kept):
            if _is_same(caption.text, known.text):
                kept[at] = replace(known, last_seconds=max(known.last_seconds, caption.last_seconds))
                break
        else:
            kept.append(caption)
    return kept


def read_pictures(pictures: list[Picture], times: list[float], languages: str) -> list[Caption]:
    """What stands in whole pictures shown at `times` (seconds), the lines of each as one caption, as read_cutouts."""
    found: dict[str, Caption] = {}
    for lines, seconds in zip(_read(pictures, languages, whole=True), times, strict=True):
        if _is_covered(lines) and (text := "\n".join(_texts_of(lines))):
            same = " ".join(text.lower().split())
            found[same] = replace(found.get(same, Caption(text, seconds, seconds)), last_seconds=seconds)
    return list(found.values())


def _read(pictures: list[Picture], languages: str, *, whole: bool = False) -> list[list[Line]]:
    first, *others = reading_orders(languages)
    lines_of = read_lines(pictures, first, whole=whole)
    for other in others:
        unread = [at for at, lines in enumerate(lines_of) if lines and not _is_covered(lines)]
        again = read_lines([pictures[at] for at in unread], other, whole=whole) if unread else []
        for at, lines in zip(unread, again, strict=True):
            if _is_covered(lines):
                lines_of[at] = lines
    return lines_of


def _texts_of(lines: list[Line]) -> list[str]:
    """The lines of covered writing, without specks and lines in another script."""
    alike = [line.clear > 0 or line.certainty >= _CERTAIN * line.letters for line in lines]
    return [
        line.text
        for line, is_alike in zip(lines, alike, strict=True)
        if "@" in line.text or (is_alike and line.letters >= _MIN_LETTERS and line.text)
    ]


def _is_covered(lines: list[Line]) -> bool:
    """Whether a caption is writing that was read, not other things or another script taken for letters.

    Of words of its languages Tesseract is surer than of these (docs/media.md has numbers); of words of another language
    in the same letters it is less sure, but of all of them.
    """
    letters, clear = sum(line.letters for line in lines), sum(line.clear for line in lines)
    several = sum(line.clear_words for line in lines) > 1
    if clear >= _MIN_LETTERS and clear >= (_CLEAR_SHARE if several else _CLEAR_SHARE_ALONE) * letters:
        return True
    certain = sum(line.certainty for line in lines) >= _CERTAIN * letters
    return certain and letters >= _LONG and sum(line.words for line in lines) > 1


def _joined(read: list[tuple[Cutout, list[Line]]]) -> list[Caption]:
    """Captions of what is covered, those joined that are pieces of one."""
    groups: list[list[tuple[Cutout, Line]]] = []  # words that follow one another
    captions: list[Caption] = []
    for cutout, all_lines in read:
        lines = [line for line in all_lines if line.text] or all_lines[:1]
        if len(lines) == 1 and cutout.last_seconds - cutout.first_seconds <= _MAX_WORD_SECONDS:
            for group in groups:
                if _follows(group[-1][0], cutout) and len(group) < _MAX_PIECES:
                    group.append((cutout, lines[0]))
                    break
            else:
                groups.append([(cutout, lines[0])])
            continue
        if _is_covered(lines):
            text = "\n".join(_texts_of(lines))
            captions.append(Caption(text, cutout.first_seconds, cutout.last_seconds))
    for group in groups:
        if _is_covered([line for _, line in group]):
            texts = [text for text, _ in itertools.groupby(line.text for _, line in group if line.text)]
            captions.append(Caption("\n".join(texts), group[0][0].first_seconds, group[-1][0].last_seconds))
    return sorted(captions, key=lambda caption: caption.first_seconds)


def _follows(last: Cutout, cutout: Cutout) -> bool:
    """Whether a cut-out takes the place of the last."""
    (height, width), (next_height, next_width) = last.picture.shape[:2], cutout.picture.shape[:2]
    shift = abs(last.top + height / 2 - cutout.top - next_height / 2)
    gap = cutout.first_seconds - last.last_seconds
    left, right = max(last.left, cutout.left), min(last.left + width, cutout.left + next_width)
    return 0 <= gap <= _MAX_GAP_SECONDS and shift < 0.5 * min(height, next_height) and left < right


def _is_same(one: str, other: str) -> bool:
    """Whether two texts are one, but for errors of recognition in a long one; slides may differ by a number."""
    one, other = (re.sub(r"\W+", "", text.lower()) for text in (one, other))
    if (
        one == other
        or min(len(one), len(other)) < _LONG
        or re.findall(r"\d", one) != re.findall(r"\d", other)
    ):
        return one == other
    return difflib.SequenceMatcher(None, one, other, autojunk=False).ratio() >= _SAME_TEXT
