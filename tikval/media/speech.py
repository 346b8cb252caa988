"""English speech -> text, by the small model that comes inside the package moonshine-voice. No network, no GPU.

S samples of 16 kHz mono sound.
"""

import importlib.util
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tikval.media.reading import SAMPLE_RATE, MissingTool, Segment

_REMEDY: Final = "pip install 'tikval[local]' (moonshine-voice 0.0.73; later versions carry no model)"
_MIN_LOUDNESS: Final = 0.002  # -54 dB of full scale; speech that anyone hears is above -40
_MIN_DISTINCT: Final = 0.3  # share of different words


def _model_folder() -> Path:
    """The model's folder, found without running the package's own code. Raises MissingTool."""
    spec = importlib.util.find_spec("moonshine_voice")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (Path(folder) / "assets" / "tiny-en").is_dir():
            return Path(folder) / "assets" / "tiny-en"
    raise MissingTool("moonshine-voice", _REMEDY)


def check_speech() -> None:
    """Raise MissingTool where the recogniser or its model is not installed."""
    _model_folder()


class Recogniser:
    """The bundled English model, loaded once. Two threads, which the library fixes. Raises MissingTool."""

    def __init__(self) -> None:
        folder = _model_folder()
        # Not `from moonshine_voice import ...`: its microphone part needs PortAudio, these two modules do not.
        from moonshine_voice.moonshine_api import ModelArch
        from moonshine_voice.transcriber import Transcriber

        self._model = Transcriber(folder, ModelArch.TINY, options={"return_audio_data": "false"})

    def transcribe(self, sound: NDArray[np.int16]) -> list[Segment]:
        """Recognise speech in [S] samples; times count from the first. Nothing for silence, noise and music."""
        if loudness(sound) < _MIN_LOUDNESS:
            return []
        samples = (sound.astype(np.float32) / 32768).tolist()  # the binding copies sample by sample anyway
        lines = self._model.transcribe_without_streaming(samples, SAMPLE_RATE).lines
        segments = [
            Segment(line.text.strip(), max(0.0, line.start_time), max(0.0, line.start_time + line.duration))
            for line in sorted(lines, key=lambda line: line.start_time)
        ]
        return [segment for segment in segments if is_plausible(segment.text)]


def loudness(sound: NDArray[np.int16]) -> float:
    """Root mean square of the loudest second, full scale = 1."""
    squares = np.square(sound.astype(np.float32) / 32768)
    seconds = [squares[at : at + SAMPLE_RATE] for at in range(0, len(squares), SAMPLE_RATE)]
    return max((float(np.sqrt(second.mean())) for second in seconds), default=0.0)


def is_plausible(text: str) -> bool:
    """False for no words at all, and for the loops that small models fall into on music ("you you you you")."""
    words = [word.strip(".,!?'\"").lower() for word in text.split()]
    words = [word for word in words if any(char.isalnum() for char in word)]
    if len(words) < 4:
        return len(words) > 0
    return len(set(words)) / len(words) > _MIN_DISTINCT
