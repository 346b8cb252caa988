"""Key frames -> captions, with Tesseract.

Captions of short videos are flat, bright or dark or strongly coloured text over moving pictures. Tesseract's own
thresholding is made for paper and finds few of them; so each frame goes to it as several layers, each black
on white with one kind of colour in it, and the words that the layers yield are merged by confidence.

H x W pixels.
"""

import difflib
import functools
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from tikval.media.changes import Picture, resized
from tikval.media.reading import Caption, ClipError, MissingTool
from tikval.rows import Reason

INSTALLED: Final = "installed"  # all languages that Tesseract has here, English first
_SECONDS: Final = 30  # for one frame; usual is less than half a second
_MIN_CONFIDENCE: Final = 50  # of 100, for a word
_MIN_CONFIDENCE_GREY: Final = 70  # the plain layer sees textures too
_MIN_CONFIDENCE_SHORT: Final = 80  # up to three letters: textures look like these
_MIN_INK = 0.001  # share of black pixels in a layer worth reading
_MAX_INK: Final = 0.5
_MAX_EDGES: Final = 0.08  # share of pixels at an edge: more is texture, on which Tesseract takes minutes
# of a cut-out, which text fills
_MAX_INK_CUT: Final = 0.65
_MAX_EDGES_CUT: Final = 0.25
_SPARSE, _COLUMN = (
    11,
    4,
)  # Tesseract's page segmentation: text anywhere in no order, or lines below each other
_EXPLAINED: Final = 0.7  # share of a cut-out's edges at the borders of a colour: the text is in that colour
_CLEAR: Final = 93  # of 100: words of the language are seldom below, letters of another script seldom above
_MIXED: Final = re.compile(
    r"[a-z][A-Z]|[A-Za-z]\d+[A-Za-z]|\b\d[A-Za-z]{4}"
)  # as other scripts look in Latin
_SAME_CAPTION: Final = 0.75  # similarity of two texts

Layer = NDArray[np.uint8]  # [H, W] text dark on light

_COLOURS: Final[
    list[Callable[[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]], NDArray[np.bool_]]]
] = [
    lambda r, g, b: np.minimum(np.minimum(r, g), b) > 185,  # white
    lambda r, g, b: np.maximum(np.maximum(r, g), b) < 70,  # black, and black outlines
    # above 150 first: what follows cannot fall below 0
    lambda r, g, b: (r > 180) & (np.minimum(r, g) > np.minimum(b, 165) + np.uint8(90)),  # yellow
    lambda r, g, b: (g > 150) & (np.minimum(g, b) > np.minimum(r, 165) + np.uint8(90)),  # cyan
    lambda r, g, b: (r > 190) & (r > np.minimum(g, 165) + np.uint8(90)),  # red, pink, orange
]


@dataclass(frozen=True)
class _Word:
    text: str
    confidence: float  # of 100
    layer: int
    left: int  # pixels of the layer
    top: int
    width: int
    height: int
    required: int  # confidence that makes it a word

    @property
    def right(self) -> int:
        return self.left + self.width

    @property
    def bottom(self) -> int:
        return self.top + self.height


@dataclass(frozen=True)
class Line:
    """A line of a cut-out, and how far it is writing that the languages cover."""

    text: str  # of words that were read; empty: there are none
    letters: int  # all that was taken for letters, read or not
    clear: int  # of these, in words of which Tesseract is as sure as of print
    clear_words: int  # of these, of three letters and more
    words: int  # that were read
    certainty: float  # sum over letters of their words' confidence, of 100 each; 0 in words of mixed case


def check_ocr(languages: str) -> None:
    """Raise MissingTool where Tesseract or the data of one of the languages (`eng+deu`) is not installed."""
    installed = installed_languages()
    missing = sorted(set(languages.split("+")) - installed - {INSTALLED})
    if missing:
        packages = " ".join(f"tesseract-ocr-{name.replace('_', '-').lower()}" for name in missing)
        raise MissingTool(f"Tesseract's data for {', '.join(missing)}", f"apt-get install {packages}")
    if not installed:
        raise MissingTool("Tesseract's data for any language", "apt-get install tesseract-ocr-eng")


def installed_languages() -> frozenset[str]:
    """Names of the languages and scripts that Tesseract has data of. Raises MissingTool where it is not there."""
    tesseract = shutil.which("tesseract")
    if tesseract is None:
        raise MissingTool("tesseract", "apt-get install tesseract-ocr, or brew install tesseract")
    listed = subprocess.run(
        [tesseract, "--list-langs"], capture_output=True, text=True, timeout=60, check=True
    )
    return frozenset(listed.stdout.split("\n")[1:]) - {"", "osd", "equ", "snum"}


_installed_once = functools.lru_cache(installed_languages)


def reading_orders(languages: str) -> list[str]:
    """The languages to read with, and those to read with what the ones before do not cover."""
    if languages != INSTALLED:
        return [languages]
    first, *rest = sorted(_installed_once(), key=lambda name: (name != "eng", name))
    return [first, "+".join(rest)] if rest else [first]


_check_once = functools.lru_cache(check_ocr)


def read_captions(key_frames: list[Picture], times: list[float], languages: str = "eng") -> list[Caption]:
    """Blocks of text in frames shown at `times` (seconds), in order of first appearance.

    A caption that several frames show comes once, as the frame read it that Tesseract was surest of. Raises
    MissingTool, and ClipError(TIMEOUT) for a picture on which Tesseract does not come to an end.
    """
    _check_once(languages)
    found: list[tuple[Caption, float]] = []  # with confidence
    for blocks, seconds in zip(read_blocks(key_frames, languages), times, strict=True):
        for text, confidence in blocks:
            for index, (caption, best) in enumerate(found):
                if _is_same(caption.text, text):
                    kept = text if confidence > best else caption.text
                    found[index] = (replace(caption, text=kept, last_seconds=seconds), max(best, confidence))
                    break
            else:
                found.append((Caption(text, seconds, seconds), confidence))
    return [caption for caption, _ in found]


def read_blocks(pictures: list[Picture], languages: str = "eng") -> list[list[tuple[str, float]]]:
    """Blocks of text in each [H, W, 3] picture from top to bottom, with their mean confidence (of 100)."""
    layers = [_layers(resized(picture, min(picture.shape[:2]))) for picture in pictures]
    return [_texts(_sure(words)) for words in _words(layers, languages)]


def read_lines(pictures: list[Picture], languages: str, *, whole: bool = False) -> list[list[Line]]:
    """Lines of text in each [H, W, 3] cut-out (changes.py), or whole picture, from top to bottom.

    Raises as read_captions.
    """
    _check_once(languages)
    layers_of = [
        _layers(resized(picture, min(picture.shape[:2]))) if whole else _layers(picture, is_cutout=True)
        for picture in pictures
    ]
    words_of = _words(layers_of, languages, _SPARSE if whole else _COLUMN)
    return [[_line(words) for words in _lines(_with_doubtful(words))] for words in words_of]


def _with_doubtful(words: list[_Word]) -> list[_Word]:
    """What was read, and what was taken for letters in other places."""
    sure = _merged(_sure(words))
    rest = _merged([word for word in words if not any(_overlap(word, other) > 0.2 for other in sure)])
    return sure + [word for word in rest if _is_word(word)]


def _line(words: list[_Word]) -> Line:
    counted = [(sum(char.isalnum() for char in word.text), word) for word in words]
    return Line(
        text=" ".join(word.text for word in _sure(words)),
        letters=sum(n for n, _ in counted),
        clear=sum(n for n, word in counted if word.confidence >= _CLEAR and n > 1),
        clear_words=sum(word.confidence >= _CLEAR and n > 2 for n, word in counted),
        words=len(_sure(words)),
        certainty=sum(0 if _MIXED.search(word.text) else n * word.confidence for n, word in counted),
    )


def _texts(words: list[_Word]) -> list[tuple[str, float]]:
    texts = []
    for lines in _blocks(_lines(_merged(words))):
        text = "\n".join(" ".join(word.text for word in line) for line in lines)
        if sum(char.isalnum() for char in text) >= 3:
            confidences = [word.confidence for line in lines for word in line]
            texts.append((text, float(np.mean(confidences))))
    return texts


def _layers(picture: Picture, *, is_cutout: bool = False) -> list[tuple[Layer, int]]:
    """Layers worth reading, with the confidence that a word in each must have.

    Of a cut-out, no more than what its edges come from.
    """
    max_ink, max_edges = (_MAX_INK_CUT, _MAX_EDGES_CUT) if is_cutout else (_MAX_INK, _MAX_EDGES)
    grey = np.asarray(Image.fromarray(picture).convert("L"))
    left, right = grey[:, 1:], grey[:, :-1]
    edges = np.maximum(left, right) - np.minimum(left, right) > 40
    red, green, blue = np.ascontiguousarray(np.moveaxis(picture, 2, 0))
    layers, explained = list[tuple[Layer, int]](), list[float]()
    for is_text in _COLOURS:
        ink = is_text(red, green, blue)
        # the filter makes at most 9/5 of what there was, of ink as of ground
        if not _MIN_INK * 5 / 9 < _share(ink) < 1 - (1 - max_ink) * 5 / 9:
            continue
        layer = Image.fromarray(np.where(ink, np.uint8(0), np.uint8(255))).filter(ImageFilter.MedianFilter(3))
        ink = np.asarray(layer) < 128
        borders = ink[:, 1:] != ink[:, :-1]
        if _MIN_INK < _share(ink) < max_ink and _share(borders) < max_edges:
            layers.append((np.asarray(layer), _MIN_CONFIDENCE))
            explained.append(_share(edges & _widened(borders)) / max(1e-9, _share(edges)))
    if is_cutout and explained and max(explained) > _EXPLAINED:
        layers = [layer for layer, share in zip(layers, explained, strict=True) if share > _EXPLAINED / 2]
    if _share(edges) < max_edges:
        layers.append((grey, _MIN_CONFIDENCE_GREY))
    return layers


def _widened(marked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    wide = marked.copy()
    wide[:, 1:] |= marked[:, :-1]
    wide[:, :-1] |= marked[:, 1:]
    return wide


def _share(marked: NDArray[np.bool_]) -> float:
    return np.count_nonzero(marked) / max(1, marked.size)


def _words(
    layers_of: list[list[tuple[Layer, int]]], languages: str, arrangement: int = _SPARSE
) -> list[list[_Word]]:
    """What Tesseract reads in each picture's layers: one process for all, as its start costs more than a layer."""
    pages = [(at, layer, least) for at, layers in enumerate(layers_of) for layer, least in layers]
    found: list[list[_Word]] = [[] for _ in layers_of]
    if not pages:
        return found
    import pytesseract  # takes a second, as it imports pandas: only where text is read

    os.environ["OMP_THREAD_LIMIT"] = "1"  # its threads cost more than they bring on pictures of this size
    with tempfile.TemporaryDirectory(prefix="tikval-ocr-") as folder:
        paths = [Path(folder) / f"{index}.pgm" for index in range(len(pages))]
        for path, (_, layer, _) in zip(paths, pages, strict=True):
            Image.fromarray(layer).save(path)
        listing = Path(folder) / "layers.txt"
        listing.write_text("".join(f"{path}\n" for path in paths), encoding="utf-8")
        try:
            data = pytesseract.image_to_data(
                str(listing),
                lang=languages,
                config=f"--psm {arrangement} --dpi 150",
                output_type=pytesseract.Output.DICT,
                timeout=_SECONDS * len(layers_of),
            )
        except pytesseract.TesseractError:
            raise
        except RuntimeError as err:  # pytesseract's way to report it
            raise ClipError(Reason.TIMEOUT, f"Tesseract took over {_SECONDS} s for a picture") from err
    for index, text in enumerate(data["text"]):
        page = data["page_num"][index] - 1
        picture, _, least = pages[page]
        word = _Word(
            text="I" if text.strip() == "|" else text.strip(),
            confidence=float(data["conf"][index]),
            layer=page,
            left=data["left"][index],
            top=data["top"][index],
            width=data["width"][index],
            height=data["height"][index],
            required=least if len(text) > 3 else _MIN_CONFIDENCE_SHORT,
        )
        if word.text:
            found[picture].append(word)
    return found


def _sure(words: list[_Word]) -> list[_Word]:
    return [word for word in words if word.confidence >= word.required and _is_word(word)]


def _is_word(word: _Word) -> bool:
    """False for specks and textures that Tesseract took for letters."""
    if word.text == "@":  # of a watermark's `@ name`: without it, nothing tells the name from a word
        return True
    letters = sum(char.isalnum() for char in word.text)
    if letters < 0.6 * len(word.text) or not letters or word.height < 9:
        return False
    if (
        letters == 1
        and not (word.text.isdigit() or word.text in ("a", "A", "I", "i"))
        and word.text.isascii()
    ):
        return False
    return 0.08 < word.width / (len(word.text) * word.height) < 2  # a letter's width by its height


def _merged(words: list[_Word]) -> list[_Word]:
    """One word for each place: the surest, where two layers saw text."""
    kept: list[_Word] = []
    # three points a letter, up to six: of a word and a fragment of it the word, but not of two words their blend
    for word in sorted(words, key=lambda word: word.confidence + 3 * min(len(word.text), 6), reverse=True):
        # within one layer its boxes overlap where they are drawn badly
        if not any(_overlap(word, other) > 0.4 for other in kept if other.layer != word.layer):
            kept.append(word)
    return kept


def _overlap(one: _Word, other: _Word) -> float:
    """Shared area as a share of the smaller box."""
    width = min(one.right, other.right) - max(one.left, other.left)
    height = min(one.bottom, other.bottom) - max(one.top, other.top)
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / min(one.width * one.height, other.width * other.height)


def _lines(words: list[_Word]) -> list[list[_Word]]:
    """Words of one height and baseline, left to right; a gap of three letters' height parts two lines."""
    lines: list[list[_Word]] = []
    for word in sorted(words, key=lambda word: word.left):
        middle = word.top + word.height / 2
        for line in lines:
            last = line[-1]
            near = abs(last.top + last.height / 2 - middle) < 0.5 * max(word.height, last.height)
            alike = max(word.height, last.height) < 2.5 * min(word.height, last.height)
            if near and alike and word.left - last.right < 3 * max(word.height, last.height):
                line.append(word)
                break
        else:
            lines.append([word])
    return sorted(lines, key=lambda line: (min(word.top for word in line), line[0].left))


def _blocks(lines: list[list[_Word]]) -> list[list[list[_Word]]]:
    """Lines that stand below each other and close together."""
    blocks: list[list[list[_Word]]] = []
    for line in lines:
        height = max(word.height for word in line)
        for block in blocks:
            above = block[-1]
            gap = min(word.top for word in line) - max(word.bottom for word in above)
            apart = line[0].left > above[-1].right or line[-1].right < above[0].left
            if gap < 1.2 * height and not apart:
                block.append(line)
                break
        else:
            blocks.append([line])
    return blocks


def _is_same(one: str, other: str) -> bool:
    one, other = (" ".join(text.lower().split()) for text in (one, other))
    return difflib.SequenceMatcher(None, one, other, autojunk=False).ratio() >= _SAME_CAPTION
