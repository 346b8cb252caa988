"""Pass 1 over a video file: every packet once, pictures undecoded: their times, what is lost, and the sound.

Only the worker process imports this module: the files are hostile and FFmpeg is large.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Final, NamedTuple

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Stream
from av.video.stream import VideoStream
from numpy.typing import NDArray

from tikval.config import Limits
from tikval.media.clock import Part, Timeline, span_of, with_silence, without_jumps
from tikval.media.hearing import heard_track, uncancelled
from tikval.media.hevc import Layers
from tikval.media.packets import JUMPING, MATROSKA, MOV, OF_SOUND, Source, opened, opened_again, read_packets
from tikval.media.reading import SAMPLE_RATE, ClipError
from tikval.media.sound import SoundTrack
from tikval.rows import Reason

_STATES_DURATION: Final = frozenset({MATROSKA, "avi", "flv"})  # in the header, so a truncated file shows


class Shown(NamedTuple):
    """A packet of the picture track, in decoding order."""

    pts: int | None  # in units of the track's time base
    dts: int | None
    is_keyframe: bool
    is_shown: bool  # False: corrupt, or outside the edit list and only decoded for the sake of others


@dataclass(frozen=True)
class Packets:
    pictures: list[Shown]
    spare: list[bool]  # of each picture whether it can be left out; empty where that is not known
    jumped: (
        list[float] | None
    )  # where the clock jumps: seconds of the pictures shown, in order, on the one clock
    start: Fraction  # seconds on the file's clock at which its presentation starts
    seconds: float  # length of the presentation
    sound: NDArray[np.int16] | None  # [S]
    sound_start: float  # seconds from the start of the presentation to the first sample
    has_sound: bool
    lost: int
    total: int


def demux(
    container: InputContainer, video: VideoStream, audio: AudioStream | None, sound: bool, source: Source
) -> Packets:
    """Read every packet of the picture and sound tracks once. Raises ClipError."""
    limits, jumps = source.limits, container.format.name in JUMPING
    streams: list[VideoStream | AudioStream] = [video, audio] if audio else [video]
    timelines = [Timeline(stream.time_base or Fraction(1, 1000)) for stream in streams]
    most = limits.video_seconds / timelines[0].tick
    pictures: list[Shown] = []
    layers = Layers(video.codec_context.name, video.codec_context.extradata)
    track = SoundTrack() if audio and sound else None
    lost = n_sound = 0
    for place, packet in enumerate(read_packets(container, streams)):
        if packet.stream is audio:
            if packet.size:
                n_sound += 1
                if not packet.is_discard:
                    timelines[1].add(packet, place)
            if track:
                lost += track.add(packet)
                if track.n_samples > limits.video_seconds * SAMPLE_RATE:
                    raise ClipError(Reason.TOO_LONG, f"sound of more than {limits.video_seconds:.0f} s")
        elif packet.size:
            shown = not packet.is_discard and not packet.is_corrupt
            lost += packet.is_corrupt
            layers.add(packet)
            pictures.append(Shown(packet.pts, packet.dts, packet.is_keyframe, shown))
            if shown:
                timelines[0].add(packet, place)
                if not jumps and timelines[0].end - timelines[0].start > most:
                    raise _too_long(limits)
    samples, lost_last = track.finish() if track else (None, 0)
    if track and audio:
        samples = uncancelled(source, audio.index, track, samples)
    parts = without_jumps(timelines, alone=container.format.name != "flv") if jumps else []
    start, seconds = span_of(timelines)
    if seconds > limits.video_seconds:
        raise _too_long(limits)
    sound_start = (track.start - (start or 0)) if track and track.start is not None else Fraction(0)
    if parts and samples is not None and parts[-1]:
        sound_start += parts[-1][0].shift
        samples = with_silence(samples, parts[-1])
    total = len(pictures) + n_sound
    missing = 0 if parts else _missing(container, streams, total, seconds)
    return Packets(
        pictures=pictures,
        spare=layers.spare,
        jumped=_seconds_of_pictures(timelines[0], start) if parts else None,
        start=start or Fraction(0),
        seconds=float(seconds),
        sound=samples,
        sound_start=float(sound_start),
        has_sound=n_sound > 0 if samples is None and not sound else samples is not None,
        lost=lost + lost_last + missing,
        total=max(total + missing, 1),
    )


def joints(source: Source, indexes: list[int]) -> dict[int, list[Part]]:
    """The parts of these tracks, the sound last, by their index, where the file's clock jumps. Raises ClipError."""
    with opened_again(source) as container:
        if container.format.name not in JUMPING:
            return {}
        streams = [_timed(container.streams[index]) for index in indexes]
        timelines = {stream.index: Timeline(stream.time_base or Fraction(1, 1000)) for stream in streams}
        for place, packet in enumerate(read_packets(container, streams)):
            if packet.size:
                timelines[packet.stream.index].add(packet, place)
        alone = container.format.name != "flv"
        parts = without_jumps(list(timelines.values()), alone=alone, lap=Fraction(0))
    return dict(zip(indexes, parts, strict=False))


def _timed(stream: Stream) -> VideoStream | AudioStream:
    assert isinstance(stream, VideoStream | AudioStream)
    return stream


@dataclass(frozen=True)
class SoundFile:
    """A file of sound alone."""

    sound: NDArray[np.int16] | None  # [S]; None: nothing in it, or not asked for
    seconds: float
    lost: int  # packets
    total: int


def read_sound_file(file: int, limits: Limits, *, decode: bool) -> SoundFile:
    """Read an open file of sound. Raises ClipError."""
    source = Source(file, limits, formats=OF_SOUND)
    with opened(source) as container:
        audio = heard_track(container, source, listen=decode).stream
        if audio is None:
            raise ClipError(Reason.UNREADABLE, "no sound in the file of sound")
        timeline, track, lost, total = Timeline(audio.time_base or Fraction(1, 1000)), SoundTrack(), 0, 0
        for packet in read_packets(container, [audio]):
            total += packet.size > 0
            if packet.size and not packet.is_discard:
                timeline.add(packet, total)
            lost += track.add(packet) if decode else 0
            if max(float(timeline.seconds), track.n_samples / SAMPLE_RATE) > limits.video_seconds:
                raise ClipError(Reason.TOO_LONG, f"sound of more than {limits.video_seconds:.0f} s")
        samples, lost_last = track.finish() if decode else (None, 0)
        samples = uncancelled(source, audio.index, track, samples)
    return SoundFile(samples, float(timeline.seconds), lost + lost_last, max(total, 1))


def _too_long(limits: Limits) -> ClipError:
    return ClipError(Reason.TOO_LONG, f"more than {limits.video_seconds:.0f} s")


def _seconds_of_pictures(timeline: Timeline, start: Fraction | None) -> list[float]:
    return [float(pts * timeline.tick - (start or 0)) for pts in sorted(timeline.pts)]


def _missing(
    container: InputContainer, streams: list[VideoStream | AudioStream], total: int, seconds: Fraction
) -> int:
    """How many more packets the file states than the `total` of these `seconds` that could be read."""
    if container.format.name == MOV:  # its index names every packet, whether the data is there or not
        return max(0, sum(len(stream.index_entries) for stream in streams) - total)
    if container.format.name in _STATES_DURATION and container.duration and seconds > 0:
        share = 1 - seconds / (container.duration / av.time_base)
        return round(total * share / (1 - share)) if share > 0.02 else 0  # less is rounding
    return 0
