"""Whisper base through faster-whisper: any language, named only where it is sure; no words where nobody speaks."""

import shutil
import subprocess
import sys
import wave
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.fixtures import clips
from tests.media.test_speech import word_error_rate
from tikval.ask.hearing import Hearing, check_hearing
from tikval.ask.multilingual import Heard, Multilingual, is_invented
from tikval.config import Limits, LocalWriter, Speech
from tikval.hub.bundled import WHISPER_BASE, cached_folder
from tikval.media.clip import read_clip
from tikval.media.reading import SAMPLE_RATE, Segment
from tikval.media.speech import Recogniser
from tikval.script.local import LocalScripts

ENGLISH = "Helping my family makes me happy. Every Sunday we cook for the neighbours who live alone."
SPANISH = "Ayudar a mi familia me hace feliz. Cada domingo cocinamos para los vecinos que viven solos."
GERMAN = "Meiner Familie zu helfen macht mich glücklich. Jeden Sonntag kochen wir für die Nachbarn, die allein leben."

needs_model = pytest.mark.skipif(
    cached_folder(WHISPER_BASE) is None or not shutil.which("espeak-ng"),
    reason="the recogniser is not here (python -m tikval.hub.bundled), or no espeak-ng",
)
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def say(text: str, voice: str, folder: Path) -> NDArray[np.int16]:
    """A synthetic voice, as a video's sound: int16 [S] at SAMPLE_RATE."""
    spoken = folder / "speech.wav"
    subprocess.run(["espeak-ng", "-v", voice, "-s", "140", "-w", str(spoken), text], check=True)
    with wave.open(str(spoken)) as file:
        voiced, rate = np.frombuffer(file.readframes(file.getnframes()), np.int16), file.getframerate()
    frames = max(2, round(30 * len(voiced) / rate))
    sound = read_clip(str(clips.write_clip(folder / "a.mp4", n=frames, sound=voiced, sound_rate=rate))).sound
    assert sound is not None
    return sound


def text_of(segments: list[Segment]) -> str:
    return " ".join(segment.text for segment in segments)


@pytest.fixture(scope="module")
def whisper() -> Multilingual:
    return Multilingual(Speech(engine="every_language"))


@pytest.mark.local_models
@needs_model
def test_english_and_its_times(whisper: Multilingual, tmp_path: Path) -> None:
    sound = say(ENGLISH, "en-us", tmp_path)
    pause = np.zeros(3 * SAMPLE_RATE, np.int16)
    heard = whisper.transcribe(np.concatenate([pause, sound, pause, pause, sound]))
    assert (heard.language, heard.translations) == ("en", [])
    assert heard.probability is not None
    assert heard.probability > 0.8
    assert word_error_rate(f"{ENGLISH} {ENGLISH}", text_of(heard.segments)) < 0.3
    assert 2.5 < heard.segments[0].start_seconds < 3.6
    again = 9 + len(sound) / SAMPLE_RATE
    assert any(again - 0.6 < segment.start_seconds < again + 0.6 for segment in heard.segments)
    assert heard == whisper.transcribe(np.concatenate([pause, sound, pause, pause, sound]))


@pytest.mark.local_models
@needs_model
@pytest.mark.parametrize(("voice", "text"), [("es", SPANISH), ("de+m3", GERMAN)])
def test_another_language_is_named_and_translated_and_never_english(
    whisper: Multilingual, voice: str, text: str, tmp_path: Path
) -> None:
    sound = say(text, voice, tmp_path)
    heard = whisper.transcribe(sound)
    assert heard.language == voice[:2]
    assert {segment.language for segment in heard.segments} == {voice[:2]}
    assert word_error_rate(text, text_of(heard.segments)) < 0.7
    assert "family" in text_of(heard.translations).lower()


@pytest.mark.local_models
@needs_model
@pytest.mark.parametrize(
    ("voice", "text"),
    [
        ("de", GERMAN),
        ("es", SPANISH),
        ("ru", "Помогать моей семье делает меня счастливым."),
        ("ar", "مساعدة عائلتي تجعلني سعيدا. كل يوم أحد نطبخ للجيران الذين يعيشون وحدهم."),
        ("cmn", "帮助我的家人让我很开心。每个星期天我们为独居的邻居做饭。"),
        ("hi", "अपने परिवार की मदद करने से मुझे खुशी मिलती है।"),
        ("it", "Aiutare la mia famiglia mi rende felice."),
    ],
)
def test_the_english_recogniser_says_nothing_in_other_languages(
    whisper: Multilingual, voice: str, text: str, tmp_path: Path
) -> None:
    """It makes English sentences of them all."""
    pytest.importorskip("moonshine_voice")
    sound = say(text, voice, tmp_path)
    invented = Recogniser().transcribe(sound)
    assert invented
    fast = whisper.only_english(sound, invented)
    assert fast.segments == []
    assert fast.language != "en"
    assert whisper.transcribe(sound).language != "en"


@pytest.mark.local_models
@needs_model
def test_of_two_languages_one_after_the_other_each_is_itself(whisper: Multilingual, tmp_path: Path) -> None:
    more = (
        "Mi abuela me enseñó a hacer pan. Trabajamos juntos en la cocina y cantamos canciones antiguas. "
        "Después llevamos la comida a los vecinos. Respetar a los mayores es muy importante para nosotros."
    )
    spanish, english = say(f"{SPANISH} {more}", "es", tmp_path), say(ENGLISH, "en-us", tmp_path)
    pause = np.zeros(SAMPLE_RATE, np.int16)
    heard = whisper.transcribe(np.concatenate([spanish, pause, spanish[: len(spanish) // 2], pause, english]))
    assert heard.language == "es"
    assert all(
        segment.language == ("en" if "neighbors who live" in segment.text else "es")
        for segment in heard.segments
    )


def sounds_without_speech() -> dict[str, NDArray[np.int16]]:
    rng = np.random.default_rng(0)
    n = 8 * SAMPLE_RATE
    at = np.arange(n) / SAMPLE_RATE
    notes = np.repeat(rng.choice([262, 294, 330, 392, 440, 523], 32), n // 32)
    melody = np.sin(2 * np.pi * np.cumsum(notes) / SAMPLE_RATE) * np.exp(-(at * 4 % 1) * 3)
    drum = np.sin(2 * np.pi * 60 * at) * np.exp(-(at * 2 % 1) * 12)
    hat = rng.normal(0, 1, n) * np.exp(-((at * 2 + 0.5) % 1) * 25)
    voiced = 2 * (np.cumsum(110 + 20 * np.sin(2 * np.pi * 5 * at)) / SAMPLE_RATE % 1) - 1
    made = {
        "nothing": np.zeros(0),
        "a moment": np.zeros(10),
        "silence": np.zeros(n),
        "noise": rng.normal(0, 3000, n),
        "noise of 0.3 s": rng.normal(0, 3000, n // 27),
        "melody with a beat": 6000 * melody + 8000 * drum + 3000 * hat,
        "beat": 9000 * drum + 4000 * hat,
        "whistling": 8000
        * np.sin(2 * np.pi * np.cumsum(1500 + 500 * np.sin(2 * np.pi * 0.7 * at)) / SAMPLE_RATE),
        "humming": np.convolve(6000 * voiced, np.ones(30) / 30, "same"),
        "clicks": 20000 * ((at * 3 % 1) < 0.002),
    }
    return {name: np.clip(sound, -32768, 32767).astype(np.int16) for name, sound in made.items()}


@pytest.mark.local_models
@needs_model
def test_no_words_where_nobody_speaks(whisper: Multilingual) -> None:
    for name, sound in sounds_without_speech().items():
        assert whisper.transcribe(sound) == Heard([]), name
        assert whisper.only_english(sound, [Segment("You", 1.0, 2.0)]) == Heard([]), name


@pytest.mark.local_models
@needs_model
@pytest.mark.parametrize("word", ["No.", "Stop!", "Thank you."])
def test_a_word_that_is_spoken_stays(whisper: Multilingual, word: str, tmp_path: Path) -> None:
    heard = whisper.transcribe(say(word, "en-us", tmp_path))
    assert word_error_rate(word, text_of(heard.segments)) == 0


@pytest.mark.local_models
@needs_model
def test_a_video_in_another_language_from_file_to_script(tmp_path: Path) -> None:
    say(SPANISH, "es", tmp_path)
    row = {"video_id": "v", "row_key": "k", "attempt": 1, "path": str(tmp_path / "a.mp4"), "genre": None}
    row |= {"account": None, "caption": None, "error": None, "detail": None}
    [every] = LocalScripts(LocalWriter(speech="every_language"), Limits())([row])  # type: ignore[arg-type]
    assert (every["error"], every["language"], every["translated"]) == (None, "es", True)
    assert 'SPEAKER (ES): "' in (every["script"] or "")
    assert 'TRANSLATED: "' in (every["script"] or "")
    assert (every["model_served"] or "").startswith("whisper-base sha256:d01c3014881c")
    for times in (every["line_starts"] or [], every["line_ends"] or []):
        assert len(times) == len((every["script"] or "").splitlines())
        assert times[-1] is not None
        assert 0 <= times[-1] <= (every["seconds"] or 0)
    pytest.importorskip("moonshine_voice")
    [fast] = LocalScripts(LocalWriter(speech="fast"), Limits())([row])  # type: ignore[arg-type]
    assert (fast["error"], fast["language"], fast["translated"]) == (None, "es", False)
    assert "SPEAKER" not in (fast["script"] or "")


def decoded(
    text: str, log_probability: float = -0.4, no_speech: float = 0.1, compression: float = 1.1
) -> object:
    return SimpleNamespace(
        text=text, avg_logprob=log_probability, no_speech_prob=no_speech, compression_ratio=compression
    )


@pytest.mark.parametrize(
    ("segment", "invented"),
    [
        (decoded(" We work hard every day."), False),
        (decoded(" Help!", -0.8, 0.3), False),
        (decoded(" No."), False),
        (decoded(" Thank you."), False),
        (decoded(" Thank you.", -0.95), True),
        (decoded(" you", -0.6, 0.7), True),
        (decoded(" Bye.", -0.9, 0.6), True),
        (decoded(" We work hard every day.", -1.1), True),
        (decoded(" We work hard and we work hard and we work hard", compression=2.6), True),
        (decoded(" you you you you you"), True),
        (decoded(" [Music]"), True),
        (decoded(" ♪ ♪"), True),
        (decoded(" ♪ la la ♪"), True),
        (decoded(" (applause)"), True),
        (decoded(" ..."), True),
        (decoded(" 1-1-4-4-5-1-2"), True),
        (decoded(" 4,000 people saw it."), False),
        (decoded(" Untertitel der Amara.org-Community"), True),
        (decoded(" Sous-titrage ST' 501"), True),
        (decoded(" Subtítulos por la comunidad de Amara.org"), True),
        (decoded("ご視聴ありがとうございました"), True),
    ],
)
def test_inventions(segment: object, invented: bool) -> None:
    assert is_invented(segment) == invented


def test_importing_it_loads_nothing() -> None:
    loaded = "[name for name in ('faster_whisper', 'ctranslate2', 'torch') if name in sys.modules]"
    code = f"import sys, tikval.ask.hearing; print({loaded})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_where_the_package_is_missing_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for engine in ("every_language", "fast"):
        with pytest.raises(Exception, match=r"pip install 'tikval\[local\]'"):
            check_hearing(Speech.model_validate(engine))
    check_hearing(Speech(engine="none"))
    assert Hearing(Speech(engine="none")).served == ""
