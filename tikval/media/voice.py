"""Where in a sound somebody speaks: Silero's voice detector, which comes inside the package faster-whisper.

It serves for choosing between the sounds of one file. Where the package is not installed (the extra `local`), nothing
is speech and loudness alone decides. S samples of 16 kHz mono sound, W windows of 32 ms.
"""

import importlib.util
import os
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tikval.media.reading import SAMPLE_RATE

_WINDOW: Final = 512  # samples, which the detector fixes
_CONTEXT: Final = 64  # samples before a window that it also hears
_BATCH: Final = 4096  # windows, two minutes
_SURE: Final = 0.5  # its probability
_AUDIBLE: Final = 0.002  # root mean square, full scale 1: -54 dB


@dataclass(frozen=True)
class Voice:
    """The loudness [W] of each window, full scale 1, and whether somebody speaks in it [W]."""

    level: NDArray[np.float64]
    speech: NDArray[np.bool_]

    @property
    def is_audible(self) -> bool:
        return bool((self.level > _AUDIBLE).any())

    @property
    def seconds(self) -> float:
        """How long somebody speaks."""
        return float(self.speech.sum()) * _WINDOW / SAMPLE_RATE

    def seconds_beyond(self, other: "Voice") -> float:
        """How much more is said in this sound than in the other one, less what only the other one says."""
        n = min(len(self.level), len(other.level))
        here, there = self.speech[:n], other.speech[:n]
        faint, faint_there = 4 * self.level[:n] < other.level[:n], 4 * other.level[:n] < self.level[:n]
        more = int((here & (~there | faint_there)).sum()) - int((there & (~here | faint)).sum())
        return more * _WINDOW / SAMPLE_RATE


def voice_of(sound: NDArray[np.int16] | None) -> Voice:
    """Measure [S] samples, or no sound."""
    n = 0 if sound is None else len(sound) // _WINDOW
    if sound is None or not n:
        return Voice(np.zeros(0), np.zeros(0, bool))
    level = np.array([np.sqrt(np.square(x.astype(np.float32) / 32768).mean()) for x in _windows(sound, n)])
    model = _model_file() if (level > _AUDIBLE).any() else None
    speech = _speaks(model, _windows(sound, n)) & (level > _AUDIBLE) if model else np.zeros(n, bool)
    return Voice(level, speech)


def _model_file() -> Path | None:
    """The detector, found without running the package's own code: that would load a recogniser."""
    spec = importlib.util.find_spec("faster_whisper")
    found = [
        path for place in _places(spec) for path in sorted((place / "assets").glob("silero_vad_v*.onnx"))
    ]
    return found[-1] if found and importlib.util.find_spec("onnxruntime") else None


def _places(spec: ModuleSpec | None) -> list[Path]:
    return [Path(place) for place in (spec.submodule_search_locations or [])] if spec else []


def _speaks(model: Path, windows: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Whether somebody speaks in each window [W, 512]."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # it would leave a number of this machine, and report
    import onnxruntime  # type: ignore[import-not-found,import-untyped,unused-ignore]

    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(model), options, ["CPUExecutionProvider"])
    h: NDArray[np.float32] = np.zeros((1, 1, 128), np.float32)
    c = h
    before: NDArray[np.float32] = np.zeros((1, _CONTEXT), np.float32)
    found = []
    for at in range(0, len(windows), _BATCH):
        x = (windows[at : at + _BATCH] / 32768).astype(np.float32)
        context = np.concatenate([before, x[:-1, -_CONTEXT:]])
        sure, h, c = session.run(None, {"input": np.concatenate([context, x], 1), "h": h, "c": c})
        found.append(sure.reshape(-1) > _SURE)
        before = x[-1:, -_CONTEXT:]
    return np.concatenate(found)


def _windows(sound: NDArray[np.int16], n: int) -> NDArray[np.int16]:
    return sound[: n * _WINDOW].reshape(n, _WINDOW)
