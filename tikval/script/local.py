"""VideoRow -> ScriptRow without GPU or network: a speech recogniser and Tesseract write the script."""

import functools
from typing import Any, Final

import pyarrow.compute as pc

from tikval.ask.hearing import Hearing, check_hearing, model_of_speech, parts_to_hear
from tikval.config import Limits, LocalWriter, UserError
from tikval.media.child import Child, check_tools
from tikval.media.fetch import files_of, read_video
from tikval.media.reading import ClipError, MissingTool, Want
from tikval.privacy import strip_handles
from tikval.rows import Reason, ScriptRow
from tikval.script.compose import compose
from tikval.store.folder import Folder

GIVEN: Final = "given"  # in the place of a model: the list had the script


def want_of_writer(config: LocalWriter) -> Want:
    return Want(
        **parts_to_hear(config.speech),
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
    check_hearing(config.speech)


def has_videos(catalog: Folder) -> bool:
    """Whether any video is to be opened: a list of scripts needs neither Tesseract nor a recogniser."""
    tables = catalog.tables(["error", "script"])
    return any(pc.any(pc.and_(*(pc.is_null(column) for column in table.columns))).as_py() for table in tables)


class LocalScripts:
    """The stage: one child process that reads files, and a recogniser, per actor; `opens`: there are files to read."""

    def __init__(self, config: LocalWriter, limits: Limits, *, opens: bool = True) -> None:
        self.config = config
        self.want = want_of_writer(config)
        self.child = Child(limits)
        if opens:
            check_writer(config)
            self.child.start_soon()
            self.hearing  # noqa: B018 - loaded before the first video comes

    @functools.cached_property
    def hearing(self) -> Hearing:
        return Hearing(self.config.speech)

    def __call__(self, rows: list[Any]) -> list[ScriptRow]:
        return [self._write(row) for row in rows]

    def _write(self, row: Any) -> ScriptRow:
        if row["error"] is not None:
            return self.failure(row, Reason(row["error"]), row["detail"])
        if row.get("script") is not None:
            return self._given(row)
        try:
            reading = read_video(self.child, files_of(row), self.want)
        except ClipError as err:
            return self.failure(row, err.reason, err.detail)
        heard = self.hearing(reading)
        written: dict[str, Any] = {
            **compose(reading, row["genre"], row["account"], heard)._asdict(),
            "caption": strip_handles(row["caption"], row["account"]) if row["caption"] else None,
            "seconds": reading.seconds,
            "has_sound": reading.has_sound,
            "language": heard.language,
            "language_probability": heard.probability,
            "translated": bool(heard.translations),
            "lost_packets": reading.lost_packets,
            "content_sha": reading.content_sha,
            "model_served": self._with_tesseract(self.hearing.served),
        }
        script_row: ScriptRow = self._row(row) | written  # type: ignore[assignment]
        return script_row

    def _given(self, row: Any) -> ScriptRow:
        """The script that the list has of a video, without handles; nothing is opened or recognised."""
        given = {
            "script": strip_handles(row["script"], row["account"]),
            "caption": strip_handles(row["caption"], row["account"]) if row["caption"] else None,
            "model": GIVEN,
            "model_served": GIVEN,
        }
        script_row: ScriptRow = self._row(row) | given  # type: ignore[assignment]
        return script_row

    def _with_tesseract(self, heard: str) -> str:
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
            "model": self._with_tesseract(model_of_speech(self.config.speech)),
        }
