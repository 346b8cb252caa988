"""Captions where the text changes: what is cut out of a video, and what is read in it."""

import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.fixtures.captions import HEIGHT, WIDTH, draw_text, soft
from tests.fixtures.clips import Picture, write_clip
from tikval.media.changes import Cutout, TextWatch
from tikval.media.clip import Clip, read_clip
from tikval.media.cutouts import read_cutouts

needs_tesseract = pytest.mark.skipif(not shutil.which("tesseract"), reason="no Tesseract")

SLIDES = [
    "eat slowly", "call your mother", "plant a tree", "keep a promise", "learn to dance", "share your lunch",
    "sleep enough", "read old books", "say thank you", "fix what broke", "walk to work", "ask for help",
]  # fmt: skip
WORDS = ["this", "is", "why", "we", "never", "throw", "away", "good", "bread", "at", "home", "okay"]


def flat(colour: str = "#27408b") -> Picture:
    return np.asarray(Image.new("RGB", (WIDTH, HEIGHT), colour))


def watched(path: Path, pictures: int = 5) -> Clip:
    return read_clip(str(path), frames=4, key_frames=pictures, changes=True, sound=False)


def texts(path: Path, pictures: int = 5) -> list[str]:
    return [caption.text for caption in read_cutouts(watched(path, pictures).cutouts)]


def in_order(words: list[str], text: str) -> int:
    """How many of the words stand in a text in their order, at most."""
    read = text.lower().split()
    best = [0] * (len(read) + 1)
    for word in words:
        row = best.copy()
        for at, other in enumerate(read):
            row[at + 1] = max(best[at + 1], row[at], best[at] + (word == other))
        best = row
    return best[-1]


@needs_tesseract
@pytest.mark.parametrize("rate", [0.5, 5, 25])
def test_every_slide_is_read_with_its_times(rate: float, tmp_path: Path) -> None:
    pictures = [draw_text(flat(), text, outline=None) for text in SLIDES for _ in range(round(2 * rate))]
    times = [round(1000 * at / rate) for at in range(len(pictures))]
    path = write_clip(
        tmp_path / "a.mp4", width=WIDTH, height=HEIGHT, pictures=pictures, pts=times, rate=25, gop=250
    )
    captions = read_cutouts(watched(path).cutouts)
    assert len({caption.text for caption in captions} & set(SLIDES)) >= 11
    for at, caption in enumerate(captions):
        assert caption.first_seconds == pytest.approx(2 * SLIDES.index(caption.text), abs=0.3)
        assert at == 0 or captions[at - 1].last_seconds < caption.first_seconds


@needs_tesseract
@pytest.mark.parametrize("gop", [15, 250])
def test_captions_that_come_word_by_word_are_read_in_order(gop: int, tmp_path: Path) -> None:
    pictures = [draw_text(ground, WORDS[at // 12]) for at, ground in enumerate(soft(12 * len(WORDS)))]
    path = write_clip(tmp_path / "a.mp4", width=WIDTH, height=HEIGHT, pictures=pictures, rate=25, gop=gop)
    read = texts(path)
    assert in_order(WORDS, " ".join(read)) >= 10, read
    assert len(read) <= 3  # lines of speech, not twelve captions


@needs_tesseract
def test_a_caption_that_stays_is_cut_out_once(tmp_path: Path) -> None:
    pictures = [draw_text(ground, "three habits that\nchanged my life") for ground in soft(100)]
    path = write_clip(tmp_path / "a.mp4", width=WIDTH, height=HEIGHT, pictures=pictures, rate=25, gop=50)
    clip = watched(path)
    assert len(clip.cutouts) == 1
    (caption,) = read_cutouts(clip.cutouts)
    assert caption.text == "three habits that\nchanged my life"
    assert caption.first_seconds == 0
    assert caption.last_seconds == pytest.approx(4, abs=0.4)


@needs_tesseract
def test_a_line_that_grows_is_one_caption(tmp_path: Path) -> None:
    text = "we never throw away"
    lengths = [round((len(text) - 1) * min(1, at / 50)) + 1 for at in range(75)]
    pictures = [
        draw_text(ground, text[:n].ljust(len(text)), size=30, font=None)
        for n, ground in zip(lengths, soft(75), strict=True)
    ]
    path = write_clip(tmp_path / "a.mp4", width=WIDTH, height=HEIGHT, pictures=pictures, rate=25)
    assert "we never throw away" in " ".join(texts(path)).replace("\n", " ")


@needs_tesseract
def test_text_that_moves_is_read_at_even_times(tmp_path: Path) -> None:
    pictures = [
        draw_text(ground, "filmed in a garden", 1.1 - at / 100) for at, ground in enumerate(soft(100))
    ]
    path = write_clip(tmp_path / "a.mp4", width=WIDTH, height=HEIGHT, pictures=pictures, rate=25)
    assert "filmed in a garden" in texts(path)


@pytest.mark.parametrize("kind", ["flat", "moving"])
def test_where_there_is_no_text_nothing_is_cut_out(kind: str, tmp_path: Path) -> None:
    pictures = soft(50) if kind == "moving" else [flat("#c0ffee")] * 50
    path = write_clip(tmp_path / "a.mp4", width=WIDTH, height=HEIGHT, pictures=pictures, rate=25)
    assert watched(path).cutouts == []


def test_flicker_costs_no_more_than_so_many_pictures(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    pages = [
        draw_text(flat("white"), "\n".join("".join(rng.permutation(list("abcdefghijklmnopqrst"))) for _ in range(15)),
              0.5, size=28, fill="black", outline=None)
        for _ in range(40)
    ]  # fmt: skip
    path = write_clip(tmp_path / "a.mp4", width=WIDTH, height=HEIGHT, pictures=pages, rate=5)
    cutouts = watched(path, 3).cutouts
    assert cutouts
    assert sum(cutout.picture.size // 3 for cutout in cutouts) <= 3 * 576 * 1024


def test_the_other_pictures_are_the_same(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", n=60, options={"bf": "2"}, gop=12)
    even, changes = read_clip(str(path), key_frames=0), read_clip(str(path), key_frames=5, changes=True)
    assert np.array_equal(even.frames, changes.frames)
    assert (even.seconds, even.n_frames, even.lost_packets) == (
        changes.seconds, changes.n_frames, changes.lost_packets
    )  # fmt: skip


@needs_tesseract
@pytest.mark.parametrize("name", ["a.mp4", "a.avi", "a.mkv"])
def test_every_container_is_watched(name: str, tmp_path: Path) -> None:
    pictures = [draw_text(ground, SLIDES[at // 50]) for at, ground in enumerate(soft(100))]
    path = write_clip(tmp_path / name, width=WIDTH, height=HEIGHT, pictures=pictures, rate=25)
    assert texts(path) == SLIDES[:2]


def test_a_short_side_of_any_size_is_watched() -> None:
    for size in ((1, 1), (8, 3), (7, 40), (64, 64)):
        grey = np.random.default_rng(0).integers(0, 256, size).astype(np.uint8)
        watch = TextWatch([0.0], 1)
        watch.see(0.0, grey, partial(np.repeat, grey[:, :, None], 3, 2))
        assert len(watch.cutouts()) <= 1


def drawn(text: str, font: str | None = None, **style: object) -> Cutout:
    picture = np.asarray(Image.new("RGB", (560, 110), "#3c4a6e"))
    return Cutout(draw_text(picture, text, 0.5, size=44, font=font, **style), 0, 0, 0.0, 2.0, 9)  # type: ignore[arg-type]


@needs_tesseract
@pytest.mark.parametrize(
    "text",
    ["семья это главное", "никогда не сдавайся", "утро", "СВОБОДА", "всё будет хорошо", "η οικογένεια είναι",
     "ΕΛΕΥΘΕΡΙΑ", "המשפחה היא הכל", "العائلة هي كل شيء", "ոճ ազատություն", "თავისუფლება"],
)  # fmt: skip
@pytest.mark.parametrize("style", [{}, {"outline": None}, {"fill": "#ffe100"}])
def test_writing_that_the_languages_do_not_cover_is_no_text(text: str, style: dict[str, object]) -> None:
    font = Path("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf")
    if not font.exists():
        pytest.skip("no font with these letters")
    assert read_cutouts([drawn(text, str(font), **style)]) == []


@needs_tesseract
@pytest.mark.parametrize(
    "text",
    ["never give up", "FREEDOM", "iPhone 15 review", "LOL", "it costs $20", "rodzina jest wszystkim", "guten Morgen"],
)  # fmt: skip
def test_latin_letters_are_text(text: str) -> None:
    (caption,) = read_cutouts([drawn(text)])
    assert caption.text == text
