"""AskRow -> Question: what of a row a client sends, once what is sent of its video is there."""

from typing import Any

from tikval.llm.client import Question
from tikval.media.fetch import Sent, Video
from tikval.media.reading import StrippedPost


def to_send_of(row: Any) -> Video | None:
    """What of an AskRow is written anew before it is sent: its video or the files of its photo post; None: nothing."""
    return row["files"] or row["video"]  # type: ignore[no-any-return]


def question_of(row: Any, sent: Sent | None, seed: int | None) -> Question:
    """`sent`: what is there of the video; None where the row has pictures of it, or nothing."""
    if isinstance(sent, StrippedPost):
        return Question(row["prompt"], None, sent.pictures, seed, row["video_id"], sent.sound)
    pictures, sounds = (tuple(row[name] or ()) for name in ("pictures", "sounds"))
    return Question(row["prompt"], sent, pictures, seed, row["video_id"], sounds=sounds)
