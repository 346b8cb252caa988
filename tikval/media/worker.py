"""The child process that reads hostile files, started by child.py:

    python -m tikval.media.worker LIFELINE PARENT ISOLATION

It answers one request after another and keeps its models. Before the first file it gives up what it does not
need (isolation.py), and arranges to be killed with its whole process group when its parent is gone.
"""

import dataclasses
import fcntl
import os
import resource
import select
import signal
import socket
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path
from typing import Any, BinaryIO

from tikval.media.isolation import isolate, restrict

# before the other imports: pyarrow's starts a thread, which Landlock would not reach
if __name__ == "__main__":
    restrict()
    ISOLATION = () if sys.argv[3] == "off" else isolate(Path.cwd())

import av
import av.logging

from tikval.config import Limits
from tikval.media import wire
from tikval.media.clip import Clip, read_clip
from tikval.media.cutouts import read_cutouts, read_pictures
from tikval.media.ocr import read_captions
from tikval.media.photos import read_photo_post, read_photo_texts, strip_photo_post
from tikval.media.reading import (
    Caption,
    ClipError,
    ClipReading,
    MissingTool,
    Segment,
    StrippedFile,
    Want,
    machine_fault,
)
from tikval.media.remux import remux
from tikval.media.scene import FRAMES, describe_scene
from tikval.media.speech import Recogniser
from tikval.rows import Reason


def main(isolation: tuple[str, ...]) -> None:
    """`isolation`: what is in force."""
    lifeline, parent = int(sys.argv[1]), int(sys.argv[2])
    requests = socket.socket(fileno=0)
    replies = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what a library prints must not come between the replies
    die_with_parent(lifeline, parent)
    av.logging.set_level(None)
    send(replies, wire.message({"ready": True, "isolation": isolation}))
    recogniser: list[Recogniser] = []  # loaded when first needed
    while received := receive(requests):
        request, files = received
        try:
            send(replies, answer(request, files, recogniser))
        finally:
            for file in files:
                os.close(file)


def die_with_parent(lifeline: int, parent: int) -> None:
    """Kill this process group when the parent is gone, whatever this process is doing then.

    The parent holds the other end of the pipe `lifeline` and never writes to it. When the parent dies, the Linux
    kernel itself sends SIGKILL to the group, even while a C call here does not return. PR_SET_PDEATHSIG is no
    way: it follows the parent's thread, and threads of a Ray actor come and go. The polling thread serves other
    systems, and the case that a fork of the parent still holds the pipe.
    """
    if hasattr(fcntl, "F_SETSIG"):
        fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(lifeline, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    poll = select.poll()
    poll.register(lifeline, select.POLLIN)
    if poll.poll(0) or os.getppid() != parent:  # it went before the pipe was armed
        os.killpg(0, signal.SIGKILL)
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os.killpg(0, signal.SIGKILL)


def receive(source: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """The next request and the open files that came with it; None when the caller has closed the socket."""
    length, files, _, _ = socket.recv_fds(source, wire.LENGTH.size, wire.MAX_FILES, socket.MSG_WAITALL)
    if len(length) < wire.LENGTH.size:
        return None
    (size,) = wire.LENGTH.unpack(length)
    return wire.header_of(source.recv(size, socket.MSG_WAITALL)), files


def send(target: BinaryIO, pieces: list[memoryview]) -> None:
    for piece in pieces:
        while piece:
            piece = piece[target.write(piece) :]


def answer(request: dict[str, Any], files: list[int], recogniser: list[Recogniser]) -> list[memoryview]:
    path = request["path"]  # as a name in messages; what is read is the file that came with it
    try:
        if not files:
            raise ClipError(Reason(request["refused"][0]), request["refused"][1])
        limits, pictures = Limits(**request["limits"]), request["pictures"]
        if request["want"] is None and pictures is not None:
            return wire.reply_with_post(strip_photo_post(files, pictures, limits))
        if request["want"] is None:
            return wire.message(dataclasses.asdict(strip(files[0], limits)))
        return wire.reply(read(files, pictures, Want(**request["want"]), limits, recogniser))
    except ClipError as err:
        return wire.message({"error": err.reason, "detail": err.detail})
    except MissingTool as err:
        return wire.message({"missing": err.tool, "remedy": err.remedy})
    except MemoryError:
        return wire.message({"error": Reason.OUT_OF_MEMORY, "detail": "an allocation failed"})
    except Exception as err:
        if fault := machine_fault(err):
            return wire.message({"error": fault.reason, "detail": fault.detail})
        if isinstance(err, av.FFmpegError):  # where a healthy file never fails
            return wire.message({"error": Reason.UNREADABLE, "detail": f"FFmpeg: {err.strerror}"[:300]})
        traceback.print_exc()
        first_line = f"{type(err).__name__}: {err}".replace(path, "the file").split("\n", 1)[0]
        return wire.message({"error": Reason.INTERNAL_ERROR, "detail": first_line[:300]})


def strip(file: int, limits: Limits) -> StrippedFile:
    """Write the stripped file into this process's folder; the only large file that it may write."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    try:
        return remux(file, Path(tempfile.gettempdir()) / wire.STRIPPED, limits)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def read(
    files: list[int], pictures: int | None, want: Want, limits: Limits, recogniser: list[Recogniser]
) -> ClipReading:
    """`pictures`: so many of the files are those of a photo post; None: the file is a video."""
    n_frames = want.frames or (FRAMES if want.scene else 0)
    if pictures is not None:
        clip = read_photo_post(files, pictures, want, n_frames, limits)
    else:
        clip = _read_video(files[0], want, n_frames, limits)
    return _reading(clip, pictures or 0, want, recogniser)


def _read_video(file: int, want: Want, n_frames: int, limits: Limits) -> Clip:
    return read_clip(
        file,
        frames=n_frames,
        key_frames=want.ocr_frames,
        changes=want.ocr_changes,
        side=want.side,
        scaler=want.scaler,
        sound=want.sound or want.speech,
        max_lost_share=want.max_lost_share,
        decoder=want.decoder,
        limits=limits,
    )


def _reading(clip: Clip, photos: int, want: Want, recogniser: list[Recogniser]) -> ClipReading:
    speech: list[Segment] = []
    if want.speech and clip.sound is not None:
        if not recogniser:
            recogniser.append(Recogniser())
        speech = [
            Segment(s.text, s.start_seconds + clip.sound_start, s.end_seconds + clip.sound_start)
            for s in recogniser[0].transcribe(clip.sound)
        ]
    scene = describe_scene(clip.frames, clip.width, clip.height) if want.scene else None
    if scene and photos:  # from one picture to the next is no motion and no cut
        scene = dataclasses.replace(scene, motion="still", cuts=0)
    return ClipReading(
        seconds=clip.seconds,
        width=clip.width,
        height=clip.height,
        n_frames=clip.n_frames,
        photos=photos,
        has_sound=clip.has_sound,
        lost_packets=clip.lost_packets,
        total_packets=clip.total_packets,
        content_sha=clip.content_sha,
        frames=clip.frames if want.frames else None,
        sound=clip.sound if want.sound else None,
        captions=_captions(clip, photos, want) if want.ocr_frames else [],
        speech=speech,
        scene=scene,
        sound_track=clip.sound_track,
        sound_tracks=clip.sound_tracks,
        sound_language=clip.sound_language,
    )


def _captions(clip: Clip, photos: int, want: Want) -> list[Caption]:
    if want.ocr_changes and not photos:
        return read_cutouts(clip.cutouts, want.ocr_languages)
    read = read_pictures if want.ocr_changes else read_photo_texts if photos else read_captions
    return read(clip.key_frames, clip.key_seconds, want.ocr_languages)


if __name__ == "__main__":
    main(ISOLATION)
