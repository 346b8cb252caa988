"""Captions drawn over moving grounds: how many of their words are found, and what is made of them."""

import re
import shutil
from collections import Counter

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from tests.fixtures.clips import Picture
from tikval.media.ocr import check_ocr, read_blocks, read_captions
from tikval.media.reading import Caption, MissingTool

pytestmark = pytest.mark.skipif(not shutil.which("tesseract"), reason="no Tesseract")

WHITE, BLACK, YELLOW, PINK, RED = (255, 255, 255), (0, 0, 0), (255, 225, 0), (255, 80, 180), (220, 30, 60)
# fill, outline, box
STYLES = {
    "white, outlined": (WHITE, BLACK, None),
    "white": (WHITE, None, None),
    "yellow, outlined": (YELLOW, BLACK, None),
    "pink, outlined": (PINK, BLACK, None),
    "black on a white box": (BLACK, None, WHITE),
    "white on a red box": (WHITE, None, RED),
}
TEXTS = [
    "when your boss says\nwork is family", "three habits that\nchanged my life", "follow the rules or\npay the price",
    "she deserves the truth", "cleaning the beach\nwith my friends", "never give up on\nyour dreams",
]  # fmt: skip


def ground(kind: str, rng: np.random.Generator, width: int, height: int) -> Picture:
    if kind == "noise":
        return rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
    if kind == "gradient":
        above, below = rng.integers(0, 256, (2, 3))
        share = np.linspace(0, 1, height)[:, None, None]
        return np.broadcast_to(above * (1 - share) + below * share, (height, width, 3)).astype(np.uint8)
    layers = []  # like a photograph: soft blobs of several sizes, and hard-edged things
    for cell in (128, 32, 8):
        small = rng.integers(0, 256, (height // cell + 2, width // cell + 2, 3)).astype(np.uint8)
        layers.append(np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)))
    image = Image.fromarray((np.average(layers, 0, [4, 2, 1])).astype(np.uint8))
    for _ in range(12):
        x, y = rng.integers(0, width), rng.integers(0, height)
        w, h = rng.integers(20, 200, 2)
        ImageDraw.Draw(image).ellipse([x, y, x + w, y + h], fill=tuple(rng.integers(0, 256, 3).tolist()))
    return np.asarray(image)


def caption(
    text: str, style: str, kind: str, rng: np.random.Generator, width: int = 576, height: int = 1024
) -> Picture:
    fill, outline, box = STYLES[style]
    image = Image.fromarray(ground(kind, rng, width, height))
    draw = ImageDraw.Draw(image)
    short = min(width, height)
    font = ImageFont.load_default(size=int(short * rng.uniform(0.055, 0.095)))
    stroke = short // 190 if outline else 0
    left, top, right, bottom = draw.multiline_textbbox((0, 0), text, font=font, stroke_width=stroke)
    x, y = (width - right) / 2, int(rng.uniform(0.1 * height, 0.9 * height - bottom))
    if box:
        draw.rounded_rectangle([x + left - 14, y + top - 12, x + right + 14, y + bottom + 12], 10, fill=box)
    draw.multiline_text(
        (x, y), text, font=font, align="center", fill=fill, stroke_fill=outline, stroke_width=stroke
    )
    return np.asarray(image)


def words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())


def n_found(truth: str, text: str) -> int:
    return (Counter(words(truth)) & Counter(words(text))).total()


def test_finds_the_words_that_the_defaults_miss() -> None:
    import pytesseract

    rng = np.random.default_rng(11)
    total = ours = defaults = invented = 0
    for index, style in enumerate(STYLES):
        for kind in ("noise", "photo"):
            text = TEXTS[(index + len(kind)) % len(TEXTS)]
            picture = caption(text, style, kind, rng)
            read = " ".join(block for block, _ in read_blocks([picture])[0])
            total += len(words(text))
            ours += n_found(text, read)
            invented += len(words(read)) - n_found(text, read)
            defaults += n_found(text, pytesseract.image_to_string(Image.fromarray(picture)))
    message = f"recall {ours / total:.2f}, Tesseract's defaults {defaults / total:.2f}, {invented} of {total} invented"
    print(message)
    assert ours / total >= 0.85, message
    assert defaults / total < 0.5 * ours / total, message
    assert invented / total < 0.1, message


@pytest.mark.parametrize("size", [(270, 480), (1280, 720), (1080, 1920)])
def test_small_wide_and_large_pictures(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(2)
    text = "three habits that\nchanged my life"
    found = 0
    for style in ("white, outlined", "yellow, outlined"):
        picture = caption(text, style, "photo", rng, *size)
        found += n_found(text, " ".join(block for block, _ in read_blocks([picture])[0]))
    assert found >= 9  # of 12 words


def test_a_caption_that_stays_comes_once_with_its_times() -> None:
    rng = np.random.default_rng(5)
    first, second = TEXTS[0], TEXTS[3]
    frames = [caption(text, "white, outlined", "photo", rng) for text in (first, first, second)]
    captions = read_captions(frames, [0.0, 4.0, 8.0])
    assert captions == [Caption(first, 0.0, 4.0), Caption(second, 8.0, 8.0)]


@pytest.mark.parametrize("kind", ["noise", "gradient", "photo"])
def test_no_caption_no_text(kind: str) -> None:
    rng = np.random.default_rng(8)
    frames = [ground(kind, rng, 576, 1024) for _ in range(2)]
    assert read_captions(frames, [0.0, 1.0]) == []


def test_captions_at_two_places_are_two_blocks() -> None:
    image = Image.new("RGB", (576, 1024), (40, 60, 90))
    font = ImageFont.load_default(size=40)
    ImageDraw.Draw(image).text((40, 100), "buy nothing today", font=font, fill=WHITE)
    ImageDraw.Draw(image).text((40, 800), "the planet thanks you", font=font, fill=WHITE)
    assert [text for text, _ in read_blocks([np.asarray(image)])[0]] == [
        "buy nothing today",
        "the planet thanks you",
    ]


def test_missing_language_says_what_to_install() -> None:
    check_ocr("eng")
    with pytest.raises(MissingTool, match="apt-get install tesseract-ocr-xyz"):
        check_ocr("eng+xyz")
    with pytest.raises(MissingTool, match="xyz"):
        read_captions([], [], "xyz")
