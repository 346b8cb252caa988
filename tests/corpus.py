"""Small real clips with text on them, for tests of whole jobs."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tests.clips import tone, write_clip
from tests.mutations import box

TEXTS = (
    "I TAUGHT MYSELF\nTO REPAIR RADIOS",
    "THEY LAUGHED AT HIM\nAND LEFT HIM ALONE",
    "NEVER THROW PLASTIC\nINTO THE SEA",
)


def write_captioned(path: Path, text: str, seconds: float = 1.0, sound: bool = False) -> Path:
    """A clip of 360 x 640 that shows white text on a dark, slowly changing ground."""
    font = ImageFont.load_default(28)
    pictures = []
    for index in range(max(1, int(seconds * 10))):
        image = Image.new("RGB", (360, 640), (20, 40, 60 + index % 40))
        ImageDraw.Draw(image).multiline_text((20, 260), text, font=font, fill="white", spacing=10)
        pictures.append(np.asarray(image))
    return write_clip(
        path, width=360, height=640, rate=10, pictures=pictures, sound=tone(seconds) if sound else None
    )


def write_unlike(folder: Path, n: int, seconds: float = 1.0) -> list[str]:
    """`n` videos that look the same and differ in their bytes, made in no time. Returns their ids."""
    folder.mkdir(parents=True, exist_ok=True)
    data = write_captioned(folder / "one.tmp.mp4", TEXTS[0], seconds=seconds, sound=True).read_bytes()
    (folder / "one.tmp.mp4").unlink()
    ids = [f"v{i:04}" for i in range(n)]
    for name in ids:
        (folder / f"{name}.mp4").write_bytes(data + box(b"free", name.encode()))
    return ids


def write_corpus(folder: Path, n: int) -> list[str]:
    """`n` videos of a few kinds, every sixth of them broken. Returns their ids."""
    folder.mkdir(parents=True, exist_ok=True)
    kinds = [write_captioned(folder / f"kind{k}.tmp.mp4", text).read_bytes() for k, text in enumerate(TEXTS)]
    for k in range(len(kinds)):
        (folder / f"kind{k}.tmp.mp4").unlink()
    ids = [f"clip {i:03}" for i in range(n)]
    for i, name in enumerate(ids):
        data = kinds[i % 3] if i % 6 != 5 else b"<html>gone</html>"
        (folder / f"{name}.mp4").write_bytes(data)
    return ids
