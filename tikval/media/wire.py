"""Messages between a caller and its worker: a 4-byte length, a JSON header, then the bytes of its arrays.

No pickle: the worker reads hostile files, so the caller believes nothing that comes out of it. Every field is
checked for type and range and every size is bounded before anything is allocated.
"""

import dataclasses
import json
import math
import struct
from typing import Any, Final, TypeVar, get_type_hints

import numpy as np
from numpy.typing import NDArray

from tikval.config import Limits
from tikval.media.reading import (
    MAX_ASPECT,
    MAX_PICTURES,
    MAX_PICTURES_BYTES,
    SAMPLE_RATE,
    SUFFIXES,
    Caption,
    ClipError,
    ClipReading,
    MissingTool,
    Scene,
    Segment,
    StrippedFile,
    StrippedPost,
    Want,
)
from tikval.rows import Reason

LENGTH: Final = struct.Struct(">I")
MAX_HEADER: Final = 4 * 2**20  # bytes
MAX_FILES: Final = MAX_PICTURES + 1  # of one request
STRIPPED: Final = "stripped"  # name of a file
_MAX_TEXT: Final = 20_000  # characters of one field
_MAX_LIST: Final = 10_000  # captions or segments of one video
_MAX_NUMBER: Final = 2**53

_Record = TypeVar("_Record")


class Garbage(Exception):  # noqa: N818
    """What came is no reply of a healthy worker."""


def message(header: dict[str, Any], arrays: list[NDArray[Any]] | None = None) -> list[memoryview]:
    """The pieces of a message, to write one after another."""
    text = json.dumps(header).encode("ascii")
    pieces = [memoryview(LENGTH.pack(len(text)) + text)]
    return pieces + [np.ascontiguousarray(array).data.cast("B") for array in arrays or [] if array.size]


def request(
    path: str,
    want: Want | None,
    limits: Limits,
    refused: ClipError | None = None,
    pictures: int | None = None,
) -> list[memoryview]:
    """What to read of a video; None: write it anew without its metadata, as the file STRIPPED in the worker's folder.

    `refused`: why no open file comes with it; the worker answers with that. `pictures`: so many of the files that come
    with it are pictures of a photo post, and one more its sound; that is written anew into the reply.
    """
    header = {"path": path, "want": want and dataclasses.asdict(want), "limits": limits.model_dump()}
    more = {"pictures": pictures, "refused": refused and [refused.reason, refused.detail]}
    return message(header | more)


def reply_with_post(post: StrippedPost) -> list[memoryview]:
    sizes = {"pictures": [len(picture) for picture in post.pictures], "sound": post.sound and len(post.sound)}
    parts = [*post.pictures, *([post.sound] if post.sound else [])]
    arrays = [np.frombuffer(part, np.uint8) for part in parts]
    return message({**sizes, "content_sha": post.content_sha}, arrays)


def post_sizes(header: dict[str, Any], pictures: int, limits: Limits) -> tuple[list[int], int | None]:
    """Bytes of each picture and of the sound that follow the header of a stripped photo post. Raises Garbage."""
    sizes = [int(_number(int, size)) for size in _list(header.get("pictures"))]
    if not 0 < len(sizes) <= pictures or sum(sizes) > MAX_PICTURES_BYTES:
        raise Garbage("too many pictures")
    sound = header.get("sound")
    if sound is not None:
        sound = int(_number(int, sound))
        # no more than the samples themselves, which may be twice as many as allowed, see payload_sizes
        if sound > 4 * limits.video_seconds * SAMPLE_RATE + 2**16:
            raise Garbage("too much sound")
    return sizes, sound


def post_of(header: dict[str, Any], pictures: list[bytes], sound: bytes | None) -> StrippedPost:
    """The stripped photo post of a reply. Raises Garbage."""
    if not all(picture.startswith(b"\xff\xd8\xff") for picture in pictures):
        raise Garbage("a picture that is no JPEG")
    if sound is not None and not sound.startswith(b"fLaC"):
        raise Garbage("a sound that is no FLAC")
    return StrippedPost(tuple(pictures), sound, _text(header.get("content_sha")))


def stripped_of(header: dict[str, Any]) -> StrippedFile:
    """The stripped file that a reply is about. Raises Garbage."""
    container, content_sha = _text(header.get("container")), _text(header.get("content_sha"))
    if container not in SUFFIXES:
        raise Garbage("no such container")
    return StrippedFile(container, content_sha)


def reply(reading: ClipReading) -> list[memoryview]:
    header = {
        field.name: getattr(reading, field.name)
        for field in dataclasses.fields(reading)
        if field.name not in ("frames", "sound", "captions", "speech", "scene")
    }
    header["captions"] = [dataclasses.asdict(caption) for caption in reading.captions]
    header["speech"] = [dataclasses.asdict(segment) for segment in reading.speech]
    header["scene"] = None if reading.scene is None else dataclasses.asdict(reading.scene)
    header["frames"] = None if reading.frames is None else reading.frames.shape[:3]
    header["sound"] = None if reading.sound is None else len(reading.sound)
    return message(header, [array for array in (reading.frames, reading.sound) if array is not None])


def header_of(text: bytes) -> dict[str, Any]:
    """The JSON mapping in a message. Raises Garbage."""
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as err:
        raise Garbage("no JSON") from err
    if not isinstance(header, dict):
        raise Garbage("no mapping")
    return header


def isolation_of(header: dict[str, Any]) -> tuple[str, ...]:
    """What the first message of a worker says is in force. Raises Garbage if it is none."""
    if header.get("ready") is not True:
        raise Garbage("did not report that it is ready")
    return tuple(_text(name) for name in _list(header.get("isolation", [])))


def raise_failure(header: dict[str, Any]) -> None:
    """Raise the ClipError or MissingTool that a reply carries, if it does; Garbage if it is neither."""
    if "missing" in header:
        raise MissingTool(_text(header["missing"]), _text(header.get("remedy")))
    if "error" in header:
        try:
            reason = Reason(_text(header["error"]))
        except ValueError as err:
            raise Garbage("no such reason") from err
        raise ClipError(reason, _text(header.get("detail"))[:300])


def payload_sizes(header: dict[str, Any], want: Want, limits: Limits) -> tuple[list[int] | None, int | None]:
    """Shape [T, H, W] of the frames and number of samples that follow the header. Raises Garbage."""
    shape, samples = header.get("frames"), header.get("sound")
    if shape is not None:
        if not isinstance(shape, list) or len(shape) != 3:
            raise Garbage("frames have no shape")
        count, height, width = (_number(int, size) for size in shape)
        if (
            count != want.frames
            or min(height, width) != want.side
            or max(height, width) > MAX_ASPECT * want.side + 1
        ):
            raise Garbage("frames of a wrong shape")
        shape = [int(count), int(height), int(width)]
    elif want.frames:
        raise Garbage("no frames")
    if samples is not None:
        samples = int(_number(int, samples))
        # twice: a resampler may round up, and a track is checked after each packet only
        if not want.sound or samples > 2 * limits.video_seconds * SAMPLE_RATE:
            raise Garbage("too much sound")
    return shape, samples


def reading_of(
    header: dict[str, Any], frames: NDArray[np.uint8] | None, sound: NDArray[np.int16] | None
) -> ClipReading:
    """The reading that a header and its arrays make, every field checked. Raises Garbage."""
    facts = {**header, "frames": frames, "sound": sound}
    facts["captions"] = [_record(Caption, item) for item in _list(header.get("captions"))]
    facts["speech"] = [_record(Segment, item) for item in _list(header.get("speech"))]
    facts["scene"] = None if header.get("scene") is None else _record(Scene, header["scene"])
    for name, kind in get_type_hints(ClipReading).items():
        if kind in (str, int, float, bool):
            facts[name] = _value(kind, facts.get(name))
    if facts.keys() != {field.name for field in dataclasses.fields(ClipReading)}:
        raise Garbage("unknown fields")
    return ClipReading(**facts)


def _record(kind: type[_Record], data: Any) -> _Record:
    hints = get_type_hints(kind)
    if not isinstance(data, dict) or data.keys() != hints.keys():
        raise Garbage(f"no {kind.__name__}")
    return kind(**{name: _value(hint, data[name]) for name, hint in hints.items()})


def _value(kind: type, value: Any) -> str | int | float | bool:
    if kind is str:
        return _text(value)
    if kind is bool:
        if not isinstance(value, bool):
            raise Garbage("not a truth value")
        return value
    return _number(kind, value)


def _number(kind: type, value: Any) -> int | float:
    fits = isinstance(value, int) if kind is int else isinstance(value, int | float)
    if not fits or isinstance(value, bool) or not math.isfinite(value) or not 0 <= value < _MAX_NUMBER:
        raise Garbage("not a number in range")
    return kind(value)  # type: ignore[no-any-return]


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > _MAX_TEXT:
        raise Garbage("not a text of sane length")
    # a control character or half a surrogate pair in a text breaks terminals, CSV files and Parquet
    return "".join(char if char.isprintable() or char == "\n" else " " for char in value)


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list) or len(value) > _MAX_LIST:
        raise Garbage("not a list of sane length")
    return value
