"""What a language model gets of a video: the file itself, or pictures from it and its speech as text or its sound."""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tikval.ask.hearing import Hearing, check_hearing, parts_to_hear
from tikval.ask.multilingual import Heard
from tikval.ask.sound_pieces import PIECE_SECONDS, n_pieces, sound_pieces
from tikval.ask.withheld import Withheld
from tikval.config import Gemini, Limits, Llm, Look, UserError, find_file
from tikval.media.child import Child, check_tools
from tikval.media.fetch import Video, files_of, read_video
from tikval.media.reading import SAMPLE_RATE, ClipError, ClipReading, MissingTool, Want
from tikval.privacy import strip_handles
from tikval.prompt_text import render_material
from tikval.rows import AskRow, Reason, sha256
from tikval.sources.photo_posts import is_sound

PICTURES_PROMPT: Final = "prompts/pictures.txt"
SOUND_PROMPT: Final = "prompts/pictures_and_sound.txt"
SOUND_CUT_PROMPT: Final = "prompts/sound_cut.txt"
PHOTO_POST_PROMPT: Final = "prompts/photo_post.txt"
_JPEG_QUALITY: Final = 85


def takes_videos(llm: Llm) -> bool:
    return isinstance(llm, Gemini)


def fixed_prompt(llm: Llm, look: Look, prompt: str) -> str:
    """The prompt for a video, with the note for a model that gets pictures in its place."""
    if takes_videos(llm):
        return prompt
    if look.sound == "audio":
        return prompt + _text(SOUND_PROMPT).format(seconds=PIECE_SECONDS)
    return prompt + _text(PICTURES_PROMPT)


def most_media(look: Look) -> dict[str, int]:
    """The most that one row holds of each kind of media, as vLLM names them."""
    sounds = n_pieces(look.sound_seconds) if look.sound == "audio" else 0
    return {"image": look.frames, "video": 0, **({"audio": sounds} if sounds else {})}


@dataclass(frozen=True)
class SeenVideo:
    """What was read of one video."""

    reading: ClipReading
    pictures: list[bytes] | None  # JPEG; None: the model takes the video itself
    sounds: list[bytes] | None  # WAV; None: the model does not hear, or takes the video itself
    heard: Heard


class Looker:
    """Reads videos in a child process, for one model. Threads wait for each other."""

    def __init__(self, llm: Llm, look: Look, limits: Limits) -> None:
        """`look`: what to read for a model that takes pictures. Raises UserError where this machine lacks a tool."""
        self.look = None if takes_videos(llm) else look
        self.want = want_of_model(llm, look)
        self.child = Child(limits)
        check_recognisers(llm, look)
        self.hearing = Hearing(look.speech) if self.look else None

    def read(self, video: Video) -> SeenVideo:
        """Read one video; one that cannot be read here is not sent, and not paid for. Raises ClipError."""
        want = self.want
        if self.look is not None and not isinstance(video, str):  # each picture once, as far as there is room
            want = replace(want, frames=min(want.frames, n_pictures(video)))
        reading = read_video(self.child, video, want)
        if self.hearing is None:
            return SeenVideo(reading, None, None, Heard([]))
        assert reading.frames is not None
        assert self.look is not None
        hears = self.look.sound == "audio"
        sounds = sound_pieces(reading.sound, self.look.sound_seconds) if hears else None
        return SeenVideo(reading, [jpeg(frame) for frame in reading.frames], sounds, self.hearing(reading))


def want_of_model(llm: Llm, look: Look) -> Want:
    if takes_videos(llm):
        return Want()  # its length, its hash, and that it is one
    return Want(
        frames=look.frames,
        side=look.side_px,
        **(parts_to_hear(look.speech) | ({"sound": True} if look.sound == "audio" else {})),
        max_lost_share=look.max_lost_share,
        decoder=look.decoder,
    )


def check_recognisers(llm: Llm, look: Look) -> None:
    """Raise UserError where this machine lacks what a model's view of a video needs."""
    try:
        check_tools(want_of_model(llm, look))
    except MissingTool as err:
        raise UserError(str(err)) from err
    if not takes_videos(llm):
        check_hearing(look.speech)


def n_pictures(files: Sequence[str]) -> int:
    """The number of pictures among the files of a photo post."""
    return sum(not is_sound(file) for file in files)


def photo_note(files: Sequence[str] | None, *, has_sound: bool) -> str:
    """What a model is told of a photo post, between the prompt and the post's texts; "" for a video."""
    if not files:
        return ""
    n = n_pictures(files)
    note = _text(PHOTO_POST_PROMPT)
    sound = "with a sound" if has_sound else "without sound"
    return note.format(pictures=f"{n} picture{'s' * (n != 1)}", sound=sound)


def sound_note(look: Look, seconds: float) -> str:
    """What a model that hears is told of a sound that is longer than what it gets; else ""."""
    if look.sound != "audio" or seconds <= look.sound_seconds:
        return ""
    return _text(SOUND_CUT_PROMPT).format(given=look.sound_seconds, whole=round(seconds))


class Asking:
    """VideoRow -> AskRow: the part that scripts and direct extraction share."""

    def __init__(self, llm: Llm, look: Look, limits: Limits, fixed: str, withheld: Withheld) -> None:
        """`fixed`: the prompt before the post."""
        self.looker, self.look = Looker(llm, look, limits), look
        self.fixed, self.withheld = fixed, withheld

    def __call__(self, rows: list[Any]) -> list[AskRow]:
        return [self._ask(row) for row in rows]

    def failure(self, row: Any, reason: Reason, detail: str | None) -> AskRow:
        return asked(row, error=reason.value, detail=detail, carried=json.dumps({}))

    def _ask(self, row: Any) -> AskRow:
        if row["error"] is not None:
            return self.failure(row, Reason(row["error"]), row["detail"])
        if why := self.withheld.reason(row["row_key"]):
            return self.failure(row, Reason.MINOR, why)
        try:
            seen = self.looker.read(files_of(row))
        except ClipError as err:
            return self.failure(row, err.reason, err.detail)
        reading = seen.reading
        caption = strip_handles(row["caption"], row["account"]) if row["caption"] else None
        spoken = spoken_text(seen.heard)
        speech = strip_handles(spoken, row["account"]) if spoken else None
        note = photo_note(row["files"], has_sound=reading.has_sound)
        if seen.sounds and reading.sound is not None:
            note += sound_note(self.look, len(reading.sound) / SAMPLE_RATE)
        material = note + render_material(None, caption, speech)
        carried = {
            "account": row["account"],
            "caption": caption,
            "seconds": reading.seconds,
            "has_sound": reading.has_sound,
            "language": seen.heard.language,
            "language_probability": seen.heard.probability,
            "lost_packets": reading.lost_packets,
            "content_sha": reading.content_sha,
        }
        return asked(
            row,
            prompt=self.fixed + material,
            video=row["path"] if seen.pictures is None and not row["files"] else None,
            files=row["files"] if seen.pictures is None else None,
            pictures=seen.pictures,
            sounds=seen.sounds,
            seconds=reading.seconds,
            has_sound=reading.has_sound,
            input_sha=sha256(f"{reading.content_sha}\0{material}"),
            carried=json.dumps(carried),
        )


def spoken_text(heard: Heard) -> str:
    """What was said, then the recogniser's own English where that was another language, marked so."""
    words, english = (" ".join(each.text for each in some) for some in (heard.segments, heard.translations))
    return f"{words}\n(translated by the recogniser: {english})" if english else words


def asked(row: Any, **what: Any) -> AskRow:
    ask: AskRow = dict.fromkeys(AskRow.__annotations__) | {  # type: ignore[assignment]
        **{name: row[name] for name in ("video_id", "row_key", "attempt")},
        **what,
    }
    return ask


def _text(path: str) -> str:
    return find_file(path).read_text(encoding="utf-8")


def jpeg(picture: NDArray[np.uint8]) -> bytes:
    """A picture as JPEG, from uint8 [H, W, 3] RGB."""
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "JPEG", quality=_JPEG_QUALITY)
    return out.getvalue()
