"""Hostile video files: sound ones broken by chance, and tricks that name other files and addresses.

Everything follows from a seed: file `index` of seed `seed` is always the same.
"""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from tests import clips

_PARENTS: Final = {
    b"moov",
    b"trak",
    b"mdia",
    b"minf",
    b"dinf",
    b"stbl",
    b"edts",
    b"udta",
    b"mvex",
    b"moof",
    b"traf",
}
_EXTREMES: Final = (0, 1, 7, 8, 2**15, 2**16 - 1, 2**16, 2**24, 2**31 - 1, 2**31, 2**32 - 1)
_TABLES: Final = (b"stts", b"ctts", b"stsc", b"stsz", b"stco", b"stss", b"elst", b"trun", b"tfhd", b"dref")
_TIMES: Final = (b"mvhd", b"mdhd", b"tkhd", b"elst", b"stts", b"mehd", b"tfdt")

Rng = np.random.Generator
Mutate = Callable[[bytes, Rng], bytes]


def write_seeds(folder: Path) -> list[bytes]:
    """Small sound files of every container that the reader takes."""
    folder.mkdir()
    moving = clips.moving(30, 160, 96)
    shape: dict[str, Any] = {"pictures": moving, "width": 160}
    fragments = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    tone = clips.tone(1.2)
    hevc = {"x265-params": "log-level=none:pools=1"}
    vp9 = {"deadline": "realtime", "cpu-used": "8"}
    paths = [
        clips.write_clip(folder / "a.mp4", **shape, options={"bf": "2"}, sound=tone),
        clips.write_clip(folder / "b.mp4", **shape, sound=tone, container_options={"movflags": "faststart"}),
        clips.write_clip(folder / "c.mp4", **shape, sound=tone, container_options=fragments),
        clips.write_clip(folder / "d.mp4", **shape, codec="libx265", options=hevc),
        clips.write_clip(folder / "e.mkv", **shape, options={"bf": "2"}, sound=tone),
        clips.write_clip(folder / "f.webm", **shape, codec="libvpx-vp9", options=vp9),
        clips.write_clip(folder / "g.ts", **shape, sound=tone),
        clips.write_clip(folder / "h.avi", **shape, codec="mpeg4"),
        clips.write_clip(folder / "i.flv", **shape, sound=tone),
    ]
    return [path.read_bytes() for path in paths]


def broken(index: int, seeds: list[bytes], seed: int = 0) -> tuple[str, bytes]:
    """File `index`: the name of what was done to it, and its bytes."""
    rng = np.random.default_rng([seed, index])
    mutate = _MUTATIONS[index % len(_MUTATIONS)]
    content = seeds[int(rng.integers(4 if mutate in _MP4_ONLY else len(seeds)))]
    return mutate.__name__, mutate(content, rng)


def bits(content: bytes, rng: Rng) -> bytes:
    """Bytes anywhere, some or many."""
    data = bytearray(content)
    for at in rng.integers(0, len(data), int(rng.choice([1, 10, 100, 1000]))):
        data[at] = int(rng.integers(256))
    return bytes(data)


def runs(content: bytes, rng: Rng) -> bytes:
    """Runs of noise, zeros, or of the file's own bytes from elsewhere."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 8))):
        length = int(rng.integers(1, 4096))
        at, other = (int(x) for x in rng.integers(0, len(data), 2))
        data[at : at + length] = (rng.bytes(length), bytes(length), data[other : other + length])[
            rng.integers(3)
        ]
    return bytes(data)


def cut(content: bytes, rng: Rng) -> bytes:
    """Its beginning, its end, or without a piece of its middle."""
    first, last = sorted(int(x) for x in rng.integers(1, len(content), 2))
    return (content[:last], content[first:], content[:first] + content[last:])[rng.integers(3)]


def mixed(content: bytes, rng: Rng) -> bytes:
    """Two files in one, or the same many times."""
    at = int(rng.integers(len(content)))
    return (content[:at] + content, content * int(rng.integers(2, 30)), content[at:] + content[:at])[
        rng.integers(3)
    ]


def media(content: bytes, rng: Rng) -> bytes:
    """The codec's own data: headers of pictures, lengths, parameter sets."""
    data = bytearray(content)
    start = max(0, data.find(b"mdat"))
    for at in start + rng.integers(4, max(5, len(data) - start), int(rng.choice([1, 5, 50, 500]))):
        if at < len(data):
            data[at] ^= 1 << int(rng.integers(8))
    for name in (b"avcC", b"hvcC", b"esds"):
        at = data.find(name)
        if at > 0 and rng.random() < 0.4:
            data[at + 4 + int(rng.integers(40))] = int(rng.integers(256))
    return bytes(data)


def sizes(content: bytes, rng: Rng) -> bytes:
    """Boxes that claim another length."""
    data = bytearray(content)
    for at in rng.permutation(_boxes(content))[: int(rng.integers(1, 4))]:
        data[at - 4 : at] = struct.pack(">I", int(rng.choice(_EXTREMES)))
    return bytes(data)


def tables(content: bytes, rng: Rng) -> bytes:
    """Counts, offsets and lengths of the index at their extremes."""
    return _overwrite(content, rng, _TABLES, 4)


def times(content: bytes, rng: Rng) -> bytes:
    """Durations of centuries, clocks that stand still or run too fast."""
    return _overwrite(content, rng, _TIMES, 4)


def dimensions(content: bytes, rng: Rng) -> bytes:
    """Pictures that claim to be huge, empty or a line."""
    data = bytearray(content)
    for name in (b"avc1", b"hev1", b"hvc1"):
        at = data.find(name)
        if at > 0:
            width, height = (int(rng.choice([0, 1, 160, 4096, 32767, 65535])) for _ in range(2))
            data[at + 28 : at + 32] = struct.pack(">HH", width, height)
    for name in (b"avcC", b"hvcC"):  # what the decoder believes
        at = data.find(name)
        if at > 0:
            for _ in range(int(rng.integers(1, 4))):
                data[at + 12 + int(rng.integers(20))] = int(rng.integers(256))
    return bytes(data)


def structure(content: bytes, rng: Rng) -> bytes:
    """Boxes lost, doubled, renamed, or nested thousands deep, with lengths that hold."""

    def change(name: bytes, inner: bytes) -> bytes:
        turn = rng.random()
        if turn < 0.04:
            return b""
        if turn < 0.08:
            return box(name, inner) * int(rng.integers(2, 50))
        if turn < 0.12:
            name = bytes(rng.permutation(np.frombuffer(name, np.uint8)))
        if turn > 0.98:
            for _ in range(2000):
                inner = box(b"moov", inner)
        return box(name, inner)

    return rebuilt(content, change)


_MUTATIONS: Final[list[Mutate]] = [bits, runs, cut, mixed, media, sizes, tables, times, dimensions, structure]
_MP4_ONLY: Final = (sizes, tables, times, dimensions, structure)


def box(name: bytes, inner: bytes) -> bytes:
    return struct.pack(">I", 8 + len(inner)) + name + inner


def without_media(content: bytes) -> bytes:
    """The MP4 file with zeros for its pictures and sound."""
    return rebuilt(content, lambda name, inner: box(name, bytes(len(inner)) if name == b"mdat" else inner))


def rebuilt(content: bytes, change: Callable[[bytes, bytes], bytes]) -> bytes:
    """The boxes of an MP4 file, each replaced by what `change(name, inner)` makes of it, innermost first."""
    out, at = b"", 0
    while at + 8 <= len(content):
        length = struct.unpack_from(">I", content, at)[0]
        name = content[at + 4 : at + 8]
        if length < 8 or at + length > len(content):
            break
        inner = content[at + 8 : at + length]
        out += change(name, rebuilt(inner, change) if name in _PARENTS else inner)
        at += length
    return out + content[at:]


def _boxes(content: bytes) -> list[int]:
    """Places of the names of boxes."""
    names = [
        *_PARENTS,
        *_TABLES,
        *_TIMES,
        b"mdat",
        b"stsd",
        b"avcC",
        b"hvcC",
        b"esds",
        b"hdlr",
        b"ftyp",
        b"sidx",
    ]
    return sorted({at for name in names for at in _places(content, name)})


def _places(content: bytes, name: bytes) -> list[int]:
    found, at = [], content.find(name)
    while at >= 0:
        found.append(at)
        at = content.find(name, at + 1)
    return found


def _overwrite(content: bytes, rng: Rng, names: tuple[bytes, ...], count: int) -> bytes:
    """Numbers of 32 bits within some of the boxes, after version and flags, at their extremes."""
    data = bytearray(content)
    places = [at for name in names for at in _places(content, name)]
    for at in rng.permutation(places)[: int(rng.integers(1, count))]:
        at = int(at) + 8 + 4 * int(rng.integers(0, 8))
        data[at : at + 4] = struct.pack(">I", int(rng.choice(_EXTREMES)))
    return bytes(data)
