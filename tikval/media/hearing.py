"""Which sound of a file is heard: of several tracks the one with speech, and no mixture in which channels cancel.

A file of one track whose channels do not cancel, which nearly every file is, costs nothing here.

Only the worker process imports this module: the files are hostile and FFmpeg is large.
"""

import re
from dataclasses import dataclass
from typing import Final

import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from numpy.typing import NDArray

from tikval.media.packets import Source, opened_again, read_packets
from tikval.media.reading import SAMPLE_RATE
from tikval.media.sound import SoundTrack, Weights
from tikval.media.voice import voice_of

_MOST: Final = 8  # tracks of a file that are listened to
_MORE: Final = (
    2.0  # times the speech, and 1 s, that another track must have over the one that the file prefers
)
_GAIN: Final = 0.5  # seconds of speech that another mixture must bring back


@dataclass(frozen=True)
class HeardSound:
    """The track that is heard, and which of how many that is."""

    stream: AudioStream | None = None
    number: int = 0  # from 1
    tracks: int = 0

    @property
    def language(self) -> str:
        """The code that the file gives the track, such as `spa`; empty for none."""
        code = self.stream.metadata.get("language", "") if self.stream else ""
        return code if re.fullmatch("[a-z]{2,3}", code) and code != "und" else ""


def heard_track(container: InputContainer, source: Source, listen: bool = True) -> HeardSound:
    """The track that the file prefers, unless another has more than twice its speech, or it is silent.

    To find that out every track is decoded where there are several, if they are to `listen` to. Raises ClipError.
    """
    tracks = [track for track in container.streams.audio if track.codec_context is not None]
    if not tracks:
        return HeardSound()
    best = container.streams.best("audio")
    preferred = next((track for track in tracks if track is best), tracks[0])
    chosen = _spoken(preferred, tracks, source) if listen and len(tracks) > 1 else preferred
    return HeardSound(chosen, tracks.index(chosen) + 1, len(tracks))


def _spoken(preferred: AudioStream, tracks: list[AudioStream], source: Source) -> AudioStream:
    others = [track for track in tracks if track is not preferred][: _MOST - 1]
    voices = {track.index: voice_of(heard_alone(source, track.index)) for track in [preferred, *others]}
    spoken = max(others, key=lambda track: voices[track.index].seconds)
    if voices[spoken.index].seconds > _MORE * voices[preferred.index].seconds + 1:
        return spoken
    if not voices[preferred.index].is_audible:
        return next((track for track in others if voices[track.index].is_audible), preferred)
    return preferred


def heard_alone(source: Source, index: int) -> NDArray[np.int16] | None:
    """The sound [S] of one track, with nothing cancelled. Raises ClipError."""
    track = _decoded(source, index, None)
    sound, _ = track.finish()
    return uncancelled(source, index, track, sound)


def uncancelled(
    source: Source, index: int, track: SoundTrack, mixed: NDArray[np.int16] | None
) -> NDArray[np.int16] | None:
    """The `mixed` sound [S] of a track, or another mixture of its channels where that brings back what was lost.

    That is speech or, where nobody speaks, any sound: music in opposite phase under a voice in the middle is better
    lost. Raises ClipError.
    """
    if not track.cancels or mixed is None:
        return mixed
    before, found, gain = voice_of(mixed), mixed, 0.0
    for weights in track.other_weights():
        other, _ = _decoded(source, index, weights).finish()
        if other is None:
            continue
        after = voice_of(other)
        if (brings := after.seconds_beyond(before)) > gain + _GAIN:
            found, gain = other, brings
        elif found is mixed and not before.speech.any() and 4 * before.level.mean() < after.level.mean():
            found = other
    return found


def _decoded(source: Source, index: int, weights: Weights | None) -> SoundTrack:
    """One track, or a mixture of its channels."""
    track = SoundTrack(weights)
    with opened_again(source) as container:
        streams = [one for one in container.streams.audio if one.index == index]
        for packet in read_packets(container, [*streams]) if streams else ():
            track.add(packet)
            if track.n_samples > source.limits.video_seconds * SAMPLE_RATE:
                break
    return track
