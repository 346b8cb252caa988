"""The bundled recogniser on synthetic speech, and on what is no speech."""

import importlib.util
import shutil
import subprocess
import wave
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.fixtures import clips
from tikval.config import Limits
from tikval.media.child import Child
from tikval.media.clip import read_clip
from tikval.media.reading import SAMPLE_RATE, Want
from tikval.media.speech import Recogniser, is_plausible, loudness

SENTENCES = "Honesty matters more than money. I try to help my neighbours every day."

needs_model = pytest.mark.skipif(
    importlib.util.find_spec("moonshine_voice") is None, reason="moonshine-voice is not installed"
)
needs_speaker = pytest.mark.skipif(not shutil.which("espeak-ng"), reason="no espeak-ng")


def speak(text: str, folder: Path) -> tuple[NDArray[np.int16], int]:
    """[S] samples of a synthetic voice, and how many there are a second."""
    spoken = folder / "speech.wav"
    subprocess.run(["espeak-ng", "-v", "en-us", "-s", "140", "-w", str(spoken), text], check=True)
    with wave.open(str(spoken)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), np.int16), file.getframerate()


def word_error_rate(truth: str, text: str) -> float:
    """Edit distance in words over the number of true words."""
    a, b = ([word.strip(".,!?").lower() for word in line.split()] for line in (truth, text))
    distances = list(range(len(b) + 1))
    for i, word in enumerate(a, 1):
        before, distances[0] = distances[0], i
        for j, other in enumerate(b, 1):
            before, distances[j] = (
                distances[j],
                min(distances[j] + 1, distances[j - 1] + 1, before + (word != other)),
            )
    return distances[-1] / len(a)


@pytest.fixture(scope="module")
def recogniser() -> Recogniser:
    return Recogniser()


@pytest.mark.local_models
@needs_model
@needs_speaker
def test_recognises_a_sentence_and_its_time(recogniser: Recogniser, tmp_path: Path) -> None:
    voice, rate = speak(SENTENCES, tmp_path)
    spoken = read_clip(str(clips.write_clip(tmp_path / "a.mp4", sound=voice, sound_rate=rate))).sound
    assert spoken is not None
    pause = np.zeros(3 * SAMPLE_RATE, np.int16)
    segments = recogniser.transcribe(np.concatenate([pause, spoken, pause]))
    errors = word_error_rate(SENTENCES, " ".join(segment.text for segment in segments))
    print(f"word error rate {errors:.2f}")
    assert errors < 0.5
    assert 2.5 < segments[0].start_seconds < 4
    assert segments[-1].end_seconds < 3 + len(spoken) / SAMPLE_RATE + 1
    assert all(segment.start_seconds < segment.end_seconds for segment in segments)


@pytest.mark.local_models
@needs_model
def test_says_nothing_for_silence_noise_and_music(recogniser: Recogniser) -> None:
    rng = np.random.default_rng(0)
    n = 6 * SAMPLE_RATE
    seconds = np.arange(n) / SAMPLE_RATE
    notes = np.repeat(rng.choice([262, 294, 330, 392, 440, 523], 24), n // 24)
    melody = np.sin(2 * np.pi * np.cumsum(notes) / SAMPLE_RATE) * np.exp(-(seconds * 4 % 1) * 3)
    for name, sound in {
        "nothing": np.zeros(0),
        "silence": np.zeros(n),
        "hum": 30 * np.sin(2 * np.pi * 50 * seconds),
        "noise": rng.normal(0, 3000, n),
        "tone": 8000 * np.sin(2 * np.pi * 440 * seconds),
        "melody": 8000 * melody,
    }.items():
        assert recogniser.transcribe(sound.astype(np.int16)) == [], name


@pytest.mark.local_models
@needs_model
@needs_speaker
def test_speech_of_a_whole_video(tmp_path: Path) -> None:
    voice, rate = speak(SENTENCES, tmp_path)
    path = clips.write_clip(tmp_path / "talk.mp4", n=120, sound=voice, sound_rate=rate)
    with Child(Limits(seconds=60)) as child:
        reading = child.read(str(path), Want(speech=True))
        assert word_error_rate(SENTENCES, " ".join(segment.text for segment in reading.speech)) < 0.5
        assert reading.sound is None
        assert child.read(str(path), Want()).speech == []


def test_loudness_is_of_the_loudest_second() -> None:
    sound = np.zeros(5 * SAMPLE_RATE, np.int16)
    assert loudness(sound) == 0
    sound[:SAMPLE_RATE] = 16384
    assert loudness(sound) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("text", "plausible"),
    [
        ("I try to help.", True),
        ("No.", True),
        ("no, no, no!", True),
        ("you you you you you you", False),
        ("la la la la, la la la", False),
        ("thank you thank you thank you thank you", False),
        ("...", False),
        ("", False),
    ],
)
def test_loops_are_no_speech(text: str, plausible: bool) -> None:
    assert is_plausible(text) == plausible
