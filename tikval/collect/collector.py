"""What a collector is: one function that lists an account's posts and fetches a post's files; yt-dlp's by default."""

import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Protocol

from tikval.collect.targets import Target
from tikval.config import UserError
from tikval.rows import Outcome

DEFAULT: Final = "tikval.collect.ytdlp:fetch_by_ytdlp"


@dataclass(frozen=True)
class Politeness:
    """How little a collection may ask of a platform; a collector keeps to what concerns a single call."""

    per_account: int = 10
    sleep_seconds: tuple[float, float] = (
        3.0,
        8.0,
    )  # between two calls of the collector, at random between these
    bytes_per_second: float = 4e6
    most_bytes: int = 100_000_000  # of one post
    most_seconds: float = 900.0  # length of one video
    most_posts: int = 1000  # asked for in one run
    refusals: int = 8  # refused or failed one after another: the run stops

    @property
    def request_seconds(self) -> float:
        """The pause between two requests of one call."""
        return min(2.0, self.sleep_seconds[0])


@dataclass(frozen=True)
class FoundPost:
    """A post that an account lists, or one that was fetched."""

    video_id: str
    account: str | None = None
    url: str | None = None
    posted_at: datetime | None = None  # UTC
    pinned: bool | None = None  # None: the collector cannot tell
    files: Sequence[Path] = ()  # one video, or pictures in their order and then the sound
    info: Mapping[str, Any] = field(default_factory=dict)  # what is known of it, by yt-dlp's names
    sound_removed: bool = False


class NotCollectedError(Exception):
    """Why an account or a post cannot be had."""

    def __init__(self, outcome: Outcome, detail: str = "") -> None:
        super().__init__(detail or outcome.value)
        self.outcome, self.detail = outcome, detail or None


class Collector(Protocol):
    """The one function that another collector is.

    `folder` is None: it lists. An account gives its posts, the newest first, pinned ones before them where it knows
    which these are; a short address gives the one post behind it. They come one after another, and no more are asked
    for than are needed, so a page is requested only once the one before it is used up.

    `folder` is an empty folder: it fetches the post into it and gives it once, with its files, which lie in this folder
    and have the suffix of what they are.

    It raises NotCollectedError where the platform, or a limit, stands against it; any other exception counts as a
    failure that the next run tries again. Pauses between calls are the caller's, those between requests of one call its
    own.
    """

    def __call__(self, target: Target, folder: Path | None, limits: Politeness) -> Iterator[FoundPost]: ...


def load_collector(name: str) -> Collector:
    """The collector of `module:function`. Raises UserError where there is none, or what it needs is missing."""
    module, colon, function = name.partition(":")
    if not colon or not function.isidentifier():
        raise UserError(f"--collector {name}: expected module:function, such as my_collector:fetch")
    try:
        found: Collector = getattr(importlib.import_module(module), function)
    except ModuleNotFoundError as err:
        if err.name != "yt_dlp":
            raise UserError(
                f"--collector {name}: no module {err.name}; with PYTHONPATH=. the working directory is looked in"
            ) from err
        raise UserError(
            "yt-dlp is not installed: pip install 'tikval[collect]' (or another --collector)"
        ) from err
    except AttributeError as err:
        raise UserError(f"--collector {name}: {module} has no {function}") from err
    return found
