"""VideoRow -> ClipRow: what the encoders will see of a video, read by a child process."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tikval.config import EmbedConfig, Sound, UserError
from tikval.embed.plan import EmbeddingPlan
from tikval.media.child import Child, check_tools
from tikval.media.fetch import files_of, read_video
from tikval.media.reading import SAMPLE_RATE, Caption, ClipError, MissingTool, Want
from tikval.privacy import strip_on_screen
from tikval.rows import ClipRow, Reason

MIN_SAMPLES = SAMPLE_RATE // 10  # shorter sound is none: Wav2Vec2 makes one vector of 25 ms


def want_of_embedding(config: EmbedConfig, plan: EmbeddingPlan) -> Want:
    return Want(
        frames=config.video.frames if config.video else 0,
        side=plan.pictures.side_px if plan.pictures else Want.side,
        scaler="pillow",
        sound=config.sound is not None,
        ocr_frames=config.text.ocr.frames if config.text else 0,
        ocr_languages=config.text.ocr.languages if config.text else Want.ocr_languages,
        max_lost_share=config.max_lost_share,
        decoder=config.video.decoder if config.video else Want.decoder,
    )


def check_embedding(config: EmbedConfig, plan: EmbeddingPlan) -> None:
    """What this machine lacks, found out before any actor starts. Raises UserError."""
    try:
        check_tools(want_of_embedding(config, plan))
    except MissingTool as err:
        raise UserError(str(err)) from err


class ClipReader:
    """The stage: one child process that reads files."""

    def __init__(self, config: EmbedConfig, plan: EmbeddingPlan) -> None:
        check_embedding(config, plan)
        self.config, self.plan = config, plan
        self.want = want_of_embedding(config, plan)
        self.child = Child(config.limits)

    def __call__(self, rows: list[Any]) -> list[ClipRow]:
        return [self._read(row) for row in rows]

    def _read(self, row: Any) -> ClipRow:
        if row["error"] is not None:
            return self.failure(row, Reason(row["error"]), row["detail"])
        try:
            reading = read_video(self.child, files_of(row), self.want)
        except ClipError as err:
            return self.failure(row, err.reason, err.detail)
        frames = sound = None
        if reading.frames is not None and self.plan.pictures:
            frames = centre_crop(reading.frames, *self.plan.pictures.crop_px).tobytes()
        if reading.sound is not None and len(reading.sound) >= MIN_SAMPLES and self.config.sound:
            sound = piece(reading.sound, self.config.sound).tobytes()
        return {
            **self._row(row),
            "frames": frames,
            "sound": sound,
            "text": on_screen_text(reading.captions, row["account"]),
            "content_sha": reading.content_sha,
        }

    def failure(self, row: Any, reason: Reason, detail: str | None) -> ClipRow:
        """The failure row of a video."""
        return {**self._row(row), "error": reason.value, "detail": detail}

    def _row(self, row: Any) -> ClipRow:
        return {
            "video_id": row["video_id"],
            "row_key": row["row_key"],
            "attempt": row["attempt"],
            "frames": None,
            "sound": None,
            "text": None,
            "content_sha": None,
            "error": None,
            "detail": None,
        }


def centre_crop(frames_THWC: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """The middle of each picture, as transformers' image processors cut it out (offsets are rounded down)."""
    top, left = (frames_THWC.shape[1] - height) // 2, (frames_THWC.shape[2] - width) // 2
    return frames_THWC[:, top : top + height, left : left + width]


def piece(sound_S: NDArray[np.int16], config: Sound) -> NDArray[np.int16]:
    """The configured seconds of a video's sound; all of it where it is shorter."""
    n = round(config.seconds * SAMPLE_RATE)
    start = {"start": 0, "middle": (len(sound_S) - n) // 2, "end": len(sound_S) - n}[config.part]
    return sound_S[max(0, start) :][:n]


def on_screen_text(captions: list[Caption], account: str | None) -> str | None:
    """What stands in the pictures, in order of time, without handles and the account's watermark."""
    ordered = sorted(captions, key=lambda caption: caption.first_seconds)
    texts = strip_on_screen([(caption.text, caption.first_seconds) for caption in ordered], account)
    return " ".join(" ".join(filter(None, texts)).split()) or None
