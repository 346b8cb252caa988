"""Sound packets -> 16 kHz mono samples [S], and whether the mixture of the channels lets something vanish.

Only the worker process imports this module: the files are hostile and FFmpeg is large.
"""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Final, TypeAlias

import av
import numpy as np
from av.audio.fifo import AudioFifo
from av.audio.frame import AudioFrame, format_dtypes
from av.audio.resampler import AudioResampler
from numpy.typing import NDArray

from tikval.media.reading import SAMPLE_RATE

_BLOCK: Final = (
    32_768  # samples at most that are resampled and compared at once: less work than frame by frame
)
# Energy of the channels' sum over that of the channels: 1 where they have nothing in common, their number where they
# are the same, 0 in opposite phase.
_CANCELS: Final = 0.5
_SHARE: Final = 0.1  # of all energy, in blocks that cancel
_MOST: Final = 8  # channels that are listened to
# channels in planes of their own that are compared: PyAV counts planes up to an empty one, which follows eight and no
# more, and so reads what lies behind them
_PLANES: Final = 8

Weights: TypeAlias = NDArray[np.float64]  # of channels


class SoundTrack:
    """Decodes packets one after another. `weights` [C]: of the channels, instead of those of FFmpeg's mixture."""

    def __init__(self, weights: Weights | None = None) -> None:
        self.start: Fraction | None = None  # seconds on the file's clock
        self.n_samples = 0
        self._weights = weights
        self._shared: Weights = np.zeros((0, 0))  # [C, C] products of the channels, where they cancel
        self._cancelled = self._whole = 0.0
        self._parts: list[NDArray[np.int16]] = []
        self._resampler: AudioResampler | None = None
        self._waiting = AudioFifo()
        self._packets = 0  # that wait
        self._kind: tuple[str, str, int] | None = None

    @property
    def cancels(self) -> bool:
        """Whether channels cancel each other in a part of the sound that counts."""
        return self._cancelled > _SHARE * self._whole

    def other_weights(self) -> Iterator[Weights]:
        """Ways to mix the channels that cancel: turned to the phase of the loudest, then each alone, loudest first."""
        order = np.argsort(-np.diag(self._shared))[:_MOST]
        if len(order):
            yield np.where(self._shared[order[0]] < 0, -1, 1) / len(self._shared)
            yield from np.eye(len(self._shared))[order]

    def add(self, packet: Any) -> int:
        """Decode one packet; returns how many are lost."""
        try:
            frames = packet.decode()
        except (av.FFmpegError, OSError):
            return 1
        lost = 0
        for frame in frames:
            assert isinstance(frame, AudioFrame)
            if self.start is None and frame.pts is not None and frame.time_base is not None:
                self.start = frame.pts * frame.time_base
            kind = (frame.format.name, frame.layout.name, frame.sample_rate)
            if kind != self._kind:  # at first, and where a stream changes its format midway
                lost += self._drain()
                self._resampler = AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
                self._kind = kind
            frame.pts = None  # the samples stay without gaps, whatever the packets' times say
            self._waiting.write(frame)
        self._packets += 1
        if self._waiting.samples >= _BLOCK:
            lost += self._resample()
        return lost

    def finish(self) -> tuple[NDArray[np.int16] | None, int]:
        """All samples [S], None where there are none, and how many packets the last ones lost."""
        lost = self._drain()
        return np.concatenate(self._parts) if self.n_samples else None, lost

    def _drain(self) -> int:
        lost = self._resample()
        if self._resampler is not None:
            self._keep(self._resampler.resample(None))
        self._waiting = AudioFifo()
        return lost

    def _resample(self) -> int:
        n, self._packets = self._packets, 0
        frame = self._waiting.read() if self._waiting.samples else None
        if frame is None or self._resampler is None:
            return 0
        try:
            if frame.layout.nb_channels > 1:
                frame = self._weighed(frame)
            self._keep(self._resampler.resample(frame))
        except (av.FFmpegError, ValueError):  # a damaged header can promise a sound that cannot be
            self._kind = self._resampler = None
            return n
        return 0

    def _weighed(self, frame: AudioFrame) -> AudioFrame:
        """The block itself, or one channel of it; notes the channels' energies and what their sum loses."""
        count = frame.layout.nb_channels
        if frame.format.name not in format_dtypes:  # not for NumPy
            return frame
        if frame.format.is_planar and count > _PLANES:
            return frame
        raw = frame.to_ndarray()
        planes = (raw if frame.format.is_planar else raw.reshape(-1, count).T).astype(np.float32)
        if self._weights is not None:
            return _mixed(planes, self._weights, frame) if len(self._weights) == count else frame
        planes -= planes.mean(1, keepdims=True)  # a constant is no sound
        shared = np.einsum("cs,ds->cd", planes, planes).astype(np.float64)  # no BLAS: its threads spin
        whole = float(np.trace(shared))
        self._whole += whole
        if shared.sum() < _CANCELS * whole:
            self._cancelled += whole
            self._shared = shared if len(self._shared) != count else self._shared + shared
        return frame

    def _keep(self, frames: list[AudioFrame]) -> None:
        for frame in frames:
            samples = frame.to_ndarray().reshape(-1).astype(np.int16, copy=False)
            self._parts.append(samples)
            self.n_samples += len(samples)


def _mixed(planes: NDArray[np.float32], weights: Weights, of: AudioFrame) -> AudioFrame:
    """The weighted sum of channels [C, S]; full scale is 1."""
    kind = of.format.name.removesuffix("p")
    full = {"u8": 2**7, "s16": 2**15, "s32": 2**31}.get(kind, 1)
    plane = np.einsum("c,cs->s", weights, planes - (full if kind == "u8" else 0)) / full
    frame = AudioFrame.from_ndarray(plane[None].astype(np.float32), format="fltp", layout="mono")
    frame.sample_rate = of.sample_rate
    return frame
