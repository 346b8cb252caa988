"""The files of a photo post -> pictures, sound and facts, as of a video; and the same drawn anew, to be sent.

N pictures of the post; T frames, H x W pixels, S samples of 16 kHz mono sound, as in clip.py.

A post lasts three seconds a picture, as players show it, or as long as its sound where that is longer. Its key frames
are all its pictures. Pictures are read by Pillow: the first one of an animation, turned as Exif says, on white where
they are transparent. The small frames have the shape of the first picture; others are fitted into it, on black.

Only the worker process imports this module: the files are hostile.
"""

import hashlib
import io
import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Final

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from numpy.typing import NDArray
from PIL import Image, ImageOps

from tikval.config import Limits
from tikval.media.changes import WORK_SIDE_PX
from tikval.media.clip import Clip
from tikval.media.demux import SoundFile, read_sound_file
from tikval.media.ocr import check_ocr, read_blocks
from tikval.media.packets import check_size, file_state, hash_file
from tikval.media.pictures import Picture
from tikval.media.reading import (
    MAX_PICTURES_BYTES,
    PICTURE_SECONDS,
    SAMPLE_RATE,
    Caption,
    ClipError,
    StrippedPost,
    Want,
    machine_fault,
)
from tikval.rows import Reason

_FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "AVIF")
_HEIC: Final = (b"ftypheic", b"ftypheix", b"ftyphevc", b"ftypmif1", b"ftypmsf1")
_SENT_SIDES: Final = (
    2048,
    1536,
    1024,
    640,
)  # long side; the next where all pictures together are too many bytes
_QUALITY: Final = 90  # of JPEG


def read_photo_post(files: Sequence[int], n_pictures: int, want: Want, n_frames: int, limits: Limits) -> Clip:
    """Read open files: `n_pictures` pictures in order, then perhaps a sound; T = `n_frames`.

    A picture that cannot be read is replaced by the one before it, and counted as lost, as is such a sound. Raises
    ClipError where no picture can be read, or more are lost than `want` allows, and where a file changes meanwhile.
    """
    before = [file_state(file) for file in files]
    content_sha = _content_sha(files, n_pictures, limits)
    small: list[Picture | None] = []
    full: dict[int, Picture] = {}
    shape: tuple[int, int] | None = None  # width and height of the first one
    why = None
    for at, read in enumerate(_each_picture(files[:n_pictures], limits)):
        if isinstance(read, ClipError):
            why = why or read
            small.append(None)
            continue
        shape = shape or read.size
        small.append(_fitted(read, shape, want.side) if n_frames else None)
        full[at] = _for_reading(read)
    if shape is None:
        assert why is not None
        raise ClipError(why.reason, f"none of {n_pictures} pictures: {why.detail}"[:300])
    lost = n_pictures - len(full)
    if lost > want.max_lost_share * n_pictures:
        raise ClipError(Reason.DAMAGED, f"{lost} of {n_pictures} pictures cannot be read")
    sound = _sound(files[n_pictures:], limits, decode=want.sound or want.speech)
    if [file_state(file) for file in files] != before:  # what was hashed is not what was read
        raise ClipError(Reason.DAMAGED, "a file changed while it was read")
    shown = PICTURE_SECONDS * n_pictures
    return Clip(
        frames=_spread_over(small, n_frames),
        key_frames=list(full.values()) if want.ocr_frames else [],
        key_seconds=[PICTURE_SECONDS * at for at in full] if want.ocr_frames else [],
        sound=sound.sound if sound else None,
        sound_start=0.0,
        has_sound=sound is not None and sound.lost < sound.total,
        seconds=max(shown, sound.seconds) if sound else shown,
        width=shape[0],
        height=shape[1],
        n_frames=n_pictures,
        lost_packets=lost + (sound.lost if sound else 0),
        total_packets=n_pictures + (sound.total if sound else 0),
        content_sha=content_sha,
    )


def read_photo_texts(pictures: list[Picture], times: list[float], languages: str) -> list[Caption]:
    """The blocks of text in each picture, in order; one that comes again word for word comes once.

    Captions of a video that differ by a letter are one that was read twice; those of two pictures are two. Raises
    what read_captions raises.
    """
    check_ocr(languages)
    found: dict[str, Caption] = {}
    for blocks, seconds in zip(read_blocks(pictures, languages), times, strict=True):
        for text, _ in blocks:
            same = " ".join(text.lower().split())
            found[same] = replace(found.get(same, Caption(text, seconds, seconds)), last_seconds=seconds)
    return list(found.values())


def strip_photo_post(files: Sequence[int], n_pictures: int, limits: Limits) -> StrippedPost:
    """Draw the pictures that can be read, and write the sound, anew. Raises ClipError."""
    content_sha = _content_sha(files, n_pictures, limits)
    pictures: list[bytes] = []
    for side in _SENT_SIDES:
        read = list(_jpegs(files[:n_pictures], side, limits))
        pictures = [data for data in read if isinstance(data, bytes)]
        if sum(map(len, pictures)) <= MAX_PICTURES_BYTES:
            break
    if not pictures:
        raise ClipError(Reason.UNREADABLE, f"none of {n_pictures} pictures can be read")
    sound = _sound(files[n_pictures:], limits, decode=True)
    samples = sound.sound if sound else None
    return StrippedPost(tuple(pictures), None if samples is None else _flac(samples), content_sha)


def _content_sha(files: Sequence[int], n_pictures: int, limits: Limits) -> str:
    """SHA-256 of the hashes of all files in turn. Raises ClipError for what is no file, and too many bytes."""
    sizes = [file_state(file)[0] for file in files]
    if sum(sizes) > limits.file_mb * 2**20:
        raise ClipError(Reason.TOO_LARGE, f"{sum(sizes) / 2**20:.0f} MB, allowed are {limits.file_mb}")
    hashes = [hash_file(file, limits) if size else "" for file, size in zip(files, sizes, strict=True)]
    return hashlib.sha256("\n".join([str(n_pictures), *hashes]).encode()).hexdigest()


def _each_picture(files: Sequence[int], limits: Limits) -> Iterator[Image.Image | ClipError]:
    """Each picture, upright and in RGB, or why it cannot be read. Raises ClipError where one is too large."""
    Image.init()
    formats = tuple(name for name in _FORMATS if name in Image.OPEN)
    for file in files:
        try:
            yield _picture(file, formats, limits)
        except ClipError as err:
            if err.reason is not Reason.UNREADABLE:
                raise
            yield err


def _picture(file: int, formats: tuple[str, ...], limits: Limits) -> Image.Image:
    os.lseek(file, 0, os.SEEK_SET)
    with open(file, "rb", closefd=False) as content, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if content.read(12)[4:] in _HEIC:
                raise ClipError(Reason.UNREADABLE, "a HEIC picture, which is not read here; save it as JPEG")
            content.seek(0)
            with Image.open(content, formats=formats) as picture:
                check_size(*picture.size, limits)  # before a pixel is decoded
                picture.load()
                return _rgb(_upright(picture))
        except Image.DecompressionBombError as err:
            raise ClipError(Reason.TOO_LARGE, "a picture of too many pixels") from err
        except (ClipError, MemoryError):
            raise
        except Exception as err:  # whatever a hostile file makes of a reader in Python
            fault = machine_fault(err)
            raise fault or ClipError(Reason.UNREADABLE, "no picture that can be read") from err


def _upright(picture: Image.Image) -> Image.Image:
    """The picture turned and mirrored as its Exif says, where that can be read."""
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:
        return picture


def _rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I"):  # 16 bits of grey
        return Image.fromarray((np.asarray(picture) >> 8).clip(0, 255).astype(np.uint8)).convert("RGB")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    return picture.convert("RGB")


def _fitted(picture: Image.Image, shape: tuple[int, int], side: int) -> Picture:
    """A picture as a small frame, in the middle of one of the shape [width, height] of the first picture."""
    width, height = (int(length * side / min(shape)) for length in shape)
    scale = min(width / picture.width, height / picture.height)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    frame = Image.new("RGB", (width, height))
    place = ((width - size[0]) // 2, (height - size[1]) // 2)
    frame.paste(picture.resize(size, Image.Resampling.BILINEAR), place)
    return np.asarray(frame)


def _for_reading(picture: Image.Image) -> Picture:
    """A picture as large as text is read at: several at full size would not fit into memory."""
    scale = WORK_SIDE_PX / min(picture.size)
    if scale < 1:
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        picture = picture.resize(size, Image.Resampling.BOX)
    return np.asarray(picture)


def _spread_over(small: Sequence[Picture | None], n_frames: int) -> NDArray[np.uint8]:
    """[T, H, W, 3]: frames evenly spread over the pictures; one that is lost is the one before it."""
    if not n_frames:
        return np.empty((0, 1, 1, 3), np.uint8)
    last = next(picture for picture in small if picture is not None)
    shown = []
    for picture in small:
        last = last if picture is None else picture
        shown.append(last)
    return np.stack([shown[at] for at in np.linspace(0, len(shown) - 1, n_frames).round().astype(int)])


def _sound(files: Sequence[int], limits: Limits, *, decode: bool) -> SoundFile | None:
    """None: there is no file of sound. One that cannot be read is one lost packet."""
    if not files:
        return None
    try:
        return read_sound_file(files[0], limits, decode=decode)
    except ClipError as err:
        if err.reason is not Reason.UNREADABLE:
            raise
        return SoundFile(None, 0.0, 1, 1)


def _jpegs(files: Sequence[int], side: int, limits: Limits) -> Iterator[bytes | ClipError]:
    """Each picture as JPEG, its long side at most `side` pixels; drawn from pixels alone, so nothing comes along."""
    for picture in _each_picture(files, limits):
        if isinstance(picture, ClipError):
            yield picture
            continue
        picture.thumbnail((side, side))
        out = io.BytesIO()
        Image.fromarray(np.asarray(picture)).save(out, "JPEG", quality=_QUALITY)
        yield out.getvalue()


def _flac(sound: NDArray[np.int16]) -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format="flac", container_options={"fflags": "+bitexact"}) as target:
        track = target.add_stream("flac", rate=SAMPLE_RATE, layout="mono")
        assert isinstance(track, AudioStream)
        track.codec_context.format = "s16"
        for start in range(0, len(sound), 4096):
            frame = AudioFrame.from_ndarray(sound[None, start : start + 4096], format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, start, Fraction(1, SAMPLE_RATE)
            target.mux(track.encode(frame))
        target.mux(track.encode(None))
    return out.getvalue()
