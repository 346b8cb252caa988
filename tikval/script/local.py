"""VideoRow -> ScriptRow without GPU or network: a small speech recogniser and Tesseract write the script."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tikval.ask.whisper import Whisper
from tikval.config import Limits, LocalWriter, UserError
from tikval.media.child import Child, check_tools
from tikval.media.fetch import files_of, read_video
from tikval.media.reading import ClipError, ClipReading, MissingTool, Segment, Want
from tikval.privacy import strip_handles
from tikval.rows import Reason, ScriptRow
from tikval.script.compose import compose


class SpeechRecogniser(Protocol):
    served: str

    def transcribe(self, sound: NDArray[np.int16]) -> tuple[list[Segment], str | None]: ...


def want_of_writer(config: LocalWriter) -> Want:
    return Want(
        sound=config.speech.engine == "whisper",
        speech=config.speech.engine == "moonshine",
        ocr_frames=config.ocr.frames,
        ocr_changes=config.ocr.when == "changes",
        ocr_languages=config.ocr.languages,
        scene=True,
        max_lost_share=config.max_lost_share,
        decoder=config.decoder,
    )


def check_writer(config: LocalWriter) -> None:
    """What this machine lacks for the stage, found out before any actor starts. Raises UserError."""
    try:
        check_tools(want_of_writer(config))
    except MissingTool as err:
        raise UserError(str(err)) from err


def load_recogniser(config: LocalWriter) -> SpeechRecogniser | None:
    """Whisper where it is configured; the bundled recogniser works in the child and needs nothing here."""
    return Whisper(config.speech.model, config.speech.revision) if config.speech.engine == "whisper" else None


class LocalScripts:
    """The stage: one child process that reads files, and with Whisper its model, per actor."""

    def __init__(self, config: LocalWriter, limits: Limits) -> None:
        check_writer(config)
        self.config = config
        self.want = want_of_writer(config)
        self.child = Child(limits)
        self.recogniser = load_recogniser(config)

    def __call__(self, rows: list[Any]) -> list[ScriptRow]:
        return [self._write(row) for row in rows]

    def _write(self, row: Any) -> ScriptRow:
        if row["error"] is not None:
            return self.failure(row, Reason(row["error"]), row["detail"])
        try:
            reading = read_video(self.child, files_of(row), self.want)
        except ClipError as err:
            return self.failure(row, err.reason, err.detail)
        speech, language = self._listen(reading)
        reading.speech[:] = speech
        written: dict[str, Any] = {
            "script": compose(reading, row["genre"], row["account"]),
            "caption": strip_handles(row["caption"], row["account"]) if row["caption"] else None,
            "seconds": reading.seconds,
            "has_sound": reading.has_sound,
            "language": language,
            "lost_packets": reading.lost_packets,
            "content_sha": reading.content_sha,
            "model_served": self._served(),
        }
        script_row: ScriptRow = self._row(row) | written  # type: ignore[assignment]
        return script_row

    def _listen(self, reading: ClipReading) -> tuple[list[Segment], str | None]:
        if self.recogniser is not None and reading.sound is not None and len(reading.sound):
            return self.recogniser.transcribe(reading.sound)
        return reading.speech, "en" if reading.speech else None

    def _served(self) -> str:
        return self.recogniser.served if self.recogniser else self._model()

    def _model(self) -> str:
        engine = self.config.speech.engine
        heard = self.config.speech.model if engine == "whisper" else f"{engine}-tiny-en" * (engine != "none")
        return " + ".join(filter(None, [heard, "tesseract" if self.config.ocr.frames else ""])) or "none"

    def failure(self, row: Any, reason: Reason, detail: str) -> ScriptRow:
        """The failure row of a video."""
        script_row: ScriptRow = self._row(row) | {"error": reason.value, "detail": detail}  # type: ignore[assignment]
        return script_row

    def _row(self, row: Any) -> dict[str, Any]:
        empty: dict[str, Any] = dict.fromkeys(ScriptRow.__annotations__)
        return empty | {
            "video_id": row["video_id"],
            "row_key": row["row_key"],
            "attempt": row["attempt"],
            "model": self._model(),
        }
