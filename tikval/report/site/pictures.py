"""Pictures of what the videos of a report show, where they were asked for: small, three of each, of a photo post all;
read by children.
"""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from tikval.ask.video import jpeg, n_pictures
from tikval.config import Limits, ReportConfig
from tikval.files import delete, list_files, write_bytes
from tikval.machine import cores
from tikval.media.child import Child
from tikval.media.fetch import files_of, read_video
from tikval.media.reading import ClipError, Want
from tikval.rows import VideoRow
from tikval.store.folder import Folder
from tikval.store.progress import StageProgress

PICTURES: Final = "pictures"  # folder in the site
PER_VIDEO: Final = 3  # the first, the middle and the last of what is shown
_SIDE_PX: Final = 240  # short side


def pictures_of(config: ReportConfig, catalog: Folder, videos: Sequence[VideoRow]) -> set[str]:
    """Take pictures of videos, of no account that features a minor; return the row keys of those that have some."""
    shown = [row for row in videos if not row["is_minor"]]
    return take_pictures(shown, f"{config.folder}/{PICTURES}", config.folder, config.limits)


def take_pictures(videos: Sequence[VideoRow], place: str, folder_uri: str, limits: Limits) -> set[str]:
    """Write `<row_key>-1.jpg` and so on into `place`. Returns the row keys of the videos that have pictures there.

    Pictures of an earlier run stay, those of videos that are not among these go. A video that cannot be read has none:
    its row in the tables names the reason.
    """
    there = set(list_files(place, ".jpg"))
    names = {row["row_key"]: names_of(row["row_key"], n_shown(row)) for row in videos}
    done = {key for key, own in names.items() if own[-1] in there}  # the last is written last
    for name in there - {name for key in done for name in names[key]}:
        delete(f"{place}/{name}")
    todo = [row for row in videos if row["row_key"] not in done and row["error"] is None]
    children: list[Child] = []
    own = threading.local()

    def start() -> None:
        own.child = Child(limits)
        children.append(own.child)

    def take(row: VideoRow) -> str | None:
        try:
            frames = read_video(own.child, files_of(row), Want(frames=n_shown(row), side=_SIDE_PX)).frames
        except ClipError as err:
            return err.reason.value
        assert frames is not None
        for name, frame in zip(names[row["row_key"]], frames, strict=True):
            write_bytes(f"{place}/{name}", jpeg(frame))
        done.add(row["row_key"])
        return None

    try:
        with (
            StageProgress("pictures", len(todo), len(done), folder_uri) as progress,
            ThreadPoolExecutor(cores(), initializer=start) as pool,
        ):
            for reason in pool.map(take, todo):
                progress.advance(1, {reason: 1} if reason else {})
    finally:
        for child in children:
            child.close()
    return done


def n_shown(video: VideoRow) -> int:
    """How many pictures a page has of a video: of a photo post all of its own."""
    return n_pictures(video["files"]) if video["files"] else PER_VIDEO


def names_of(row_key: str, n: int = PER_VIDEO) -> list[str]:
    """The files of one video's pictures, of which there are `n`."""
    return [f"{row_key}-{i}.jpg" for i in range(1, n + 1)]
