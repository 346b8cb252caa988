"""What is heard in a video, by the recogniser that a configuration names; for scripts, and for models without ears."""

from typing import TypedDict

from tikval.ask.multilingual import Heard, Multilingual, check_multilingual
from tikval.ask.whisper import Whisper
from tikval.config import Speech
from tikval.media.reading import ClipReading

_CHILD: tuple[str, ...] = ("moonshine", "fast")  # heard by the English recogniser of the process that reads
_HERE: tuple[str, ...] = ("every_language", "fast", "whisper")  # take the sound itself


class HeardParts(TypedDict):
    sound: bool
    speech: bool


def parts_to_hear(speech: Speech) -> HeardParts:
    """What the reading process must send for a recogniser: keys of Want."""
    return {"sound": speech.engine in _HERE, "speech": speech.engine in _CHILD}


def check_hearing(speech: Speech) -> None:
    """Raise UserError where this machine lacks the recogniser; what the reading process needs is asked elsewhere."""
    if speech.engine in ("every_language", "fast"):
        check_multilingual(speech)


def model_of_speech(speech: Speech) -> str:
    """What is asked to listen, in short; empty: nothing is."""
    names = {
        "none": "",
        "moonshine": "moonshine-tiny-en",
        "fast": "moonshine-tiny-en + whisper-base for the language",
    }
    if speech.engine == "every_language" and speech.model == "base":
        return "whisper-base"
    return names.get(speech.engine, speech.model)


class Hearing:
    """A recogniser with its model, loaded once. Raises UserError where that cannot be had."""

    def __init__(self, speech: Speech) -> None:
        self.engine = speech.engine
        self._multilingual = Multilingual(speech) if speech.engine in ("every_language", "fast") else None
        self._whisper = Whisper(speech.model, speech.revision) if speech.engine == "whisper" else None
        loaded = self._multilingual or self._whisper
        self.served = loaded.served if loaded and speech.engine != "fast" else model_of_speech(speech)

    def __call__(self, reading: ClipReading) -> Heard:
        sound = reading.sound
        if self._multilingual is None and self._whisper is None:
            return Heard(reading.speech, "en" if reading.speech else None)
        if sound is None or not len(sound):
            return Heard([])
        if self._whisper is not None:
            return Heard(*self._whisper.transcribe(sound))
        assert self._multilingual is not None
        if self.engine == "fast":
            return self._multilingual.only_english(sound, reading.speech)
        return self._multilingual.transcribe(sound)
