"""Pictures by decord2, for those who want it; what packets tell, and the sound, come from PyAV's pass as ever.

Slower than the default reader, and not exact. Seen with decord2 3.4.0 (tests/media/test_decoders.py):
  - a file with an edit list: the pictures that it cuts are counted, so others come than asked for (2 s off in one
    real file)
  - open groups of pictures (common in HEVC), MPEG-TS, and AVI with B-frames: other pictures than asked for
  - turned by quarters as FFmpeg does, never mirrored; some turned pictures narrower than 160 pixels are refused
  - one packet that does not decode fails the whole file, and so no lost packet but those of pass 1 is counted
  - its own FFmpeg reads the file without the limits on formats and protocols of the default reader; it sees only
    files that have passed those, all of one in memory
Its AudioReader leaks memory and is not used. Only the worker process imports this module.

H x W pixels.
"""

import os

import numpy as np
from av.video.frame import VideoFrame

from tikval.media.pictures import Picture, Small, Taken
from tikval.media.reading import ClipError
from tikval.rows import Reason


def take_by_decord(file: int, frames: int, key_frames: int, size: Small) -> Taken:
    """The pictures at round(linspace(0, N - 1, frames)) of the N that decord counts. Raises ClipError."""
    import decord  # type: ignore[import-not-found,unused-ignore]

    decord.logging.set_level(decord.logging.QUIET)
    try:
        os.lseek(file, 0, os.SEEK_SET)
        # it takes a name, which a worker may not open, or all bytes: twice in memory, as it copies them
        with open(file, "rb", closefd=False) as content:
            reader = decord.VideoReader(content, ctx=decord.cpu(0), num_threads=1)
        small = np.linspace(0, len(reader) - 1, frames).round().astype(int).tolist()
        full = np.linspace(0, len(reader) - 1, key_frames).round().astype(int).tolist()
        kept: dict[int, Picture] = {}
        key: dict[int, Picture] = {}
        height = width = 0
        for index in sorted({0, *small, *full}):
            picture = reader[index].asnumpy()
            if picture.ndim != 3 or picture.shape[2] != 3:
                raise ClipError(Reason.UNREADABLE, "decord cannot turn pictures as small as these")
            height, width = picture.shape[:2]
            frame = VideoFrame.from_ndarray(picture, format="rgb24")
            kept[index] = size.of(frame, *size.lengths(frame))
            if index in full:
                key[index] = picture
        seconds = [max(0.0, float(reader.get_frame_timestamp(index)[0])) for index in full]
    except (
        decord.DECORDError,
        decord.DECORDLimitReachedError,
        RuntimeError,
        AssertionError,
        IndexError,
    ) as err:
        raise ClipError(Reason.DAMAGED, "decord cannot decode its pictures") from err
    return Taken(
        frames=np.stack([kept[index] for index in small] or [kept[0]])[: len(small)],
        key_frames=[key[index] for index in full],
        key_seconds=seconds,
        n_frames=len(reader),
        width=width,
        height=height,
        lost=0,
    )
