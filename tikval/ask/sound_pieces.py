"""The sound of a video as a model that hears takes it: WAV files of at most half a minute, 16 kHz mono.

Nothing else is in them: no metadata, no name. One sample is 16 bits; full scale is 1 where samples are floats.
"""

import io
import wave
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tikval.media.reading import SAMPLE_RATE

PIECE_SECONDS: Final = 30  # the most that Gemma's processor takes of one sound: 750 tokens of 40 ms
# Each piece is filled with silence up to a whole token of 40 ms: vLLM 0.27 counts a token too few of a broken one
_TOKEN: Final = SAMPLE_RATE // 25  # samples


def n_pieces(seconds: float) -> int:
    """The number of pieces of a sound of this length."""
    return int(-(-seconds // PIECE_SECONDS))


def sound_pieces(sound: NDArray[np.int16] | None, seconds: float) -> list[bytes]:
    """WAV files of the first `seconds` of a sound [S], in order of time; none where there is nothing to hear."""
    if sound is None or not sound.any():
        return []
    heard = sound[: round(seconds * SAMPLE_RATE)]
    heard = np.pad(heard, (0, -len(heard) % _TOKEN))
    step = PIECE_SECONDS * SAMPLE_RATE
    return [_wav(heard[start : start + step]) for start in range(0, len(heard), step)]


def wav_samples(piece: bytes) -> NDArray[np.float32]:
    """The samples [S] of such a file, full scale 1."""
    with wave.open(io.BytesIO(piece)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    return samples.astype(np.float32) / np.float32(2**15)


def _wav(samples: NDArray[np.int16]) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(samples.astype("<i2").tobytes())
    return out.getvalue()
