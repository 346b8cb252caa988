"""The default collector: yt-dlp as a library, with its limits on and everything else of it off.

No account is logged in, no cookies are read or kept, no settings of the user's yt-dlp are taken over.
"""

import functools
import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from yt_dlp import YoutubeDL

from tikval.collect.collector import FoundPost, NotCollectedError, Politeness
from tikval.collect.extractors import extractors
from tikval.collect.outcomes import not_collected
from tikval.collect.targets import Target, target_in
from tikval.rows import Outcome

_PICTURES: Final = {b"\xff\xd8\xff": "jpg", b"\x89PNG": "png", b"RIFF": "webp"}  # by their first bytes
_SOUNDS: Final = frozenset({"mp3", "m4a", "aac", "ogg", "opus", "wav"})
_VIDEOS: Final = frozenset({"mp4", "webm", "mov", "mkv", "m4v"})
_SILENT: Final = logging.getLogger("tikval.collect.silent")  # yt-dlp's lines name accounts
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False


def fetch_by_ytdlp(
    target: Target, folder: Path | None, limits: Politeness, classes: Sequence[type] | None = None
) -> Iterator[FoundPost]:
    """A Collector by yt-dlp, asking no extractor but those of `classes` (None: extractors.py)."""
    ydl = _downloader(limits, tuple(classes or extractors()))
    try:
        if folder is None:
            yield from _listed(ydl, target)
        else:
            yield _fetched(ydl, target, folder, limits)
    except (NotCollectedError, GeneratorExit):
        raise
    except Exception as err:  # yt-dlp has no one class for what goes wrong on its way
        raise not_collected(err) from err


@functools.lru_cache(
    maxsize=1
)  # one for all calls of a run: a platform sees one visitor, connections are used again
def _downloader(limits: Politeness, classes: tuple[type, ...]) -> YoutubeDL:
    fits = f"[filesize<?{limits.most_bytes}]"  # the best that is small enough, or of unknown size

    def stop_at_limit(status: Mapping[str, Any]) -> None:
        if max(status.get("downloaded_bytes") or 0, status.get("total_bytes") or 0) > limits.most_bytes:
            raise NotCollectedError(Outcome.TOO_LARGE, f"more than {limits.most_bytes / 1e6:g} MB")

    options = {
        "quiet": True,
        "noprogress": True,
        "logger": _SILENT,
        "cachedir": False,
        "format": f"b{fits}/b*{fits}/b/b*",
        "ignore_no_formats_error": True,  # of a post of pictures without a sound
        "sleep_interval_requests": limits.request_seconds,
        "ratelimit": limits.bytes_per_second,
        "socket_timeout": 30,
        "retries": 2,
        "extractor_retries": 1,
        "updatetime": False,
        "progress_hooks": [stop_at_limit],
    }
    ydl = YoutubeDL(options, auto_init=False)
    for each in classes:
        ydl.add_info_extractor(each())
    return ydl


def _listed(ydl: YoutubeDL, target: Target) -> Iterator[FoundPost]:
    info = ydl.extract_info(target.address, download=False, process=False)
    if info.get("_type") in ("url", "url_transparent"):
        yield _behind(str(info.get("url")))
        return
    for entry in info.get("entries") or ():
        yield _found(entry, target)


def _behind(address: str) -> FoundPost:
    """The post that a short address leads to."""
    try:
        target = target_in(address)
    except ValueError as err:
        raise NotCollectedError(Outcome.UNAVAILABLE, "the short address leads to no post") from err
    if target.video_id is None:
        raise NotCollectedError(Outcome.UNAVAILABLE, "the short address leads to no post")
    return FoundPost(target.video_id, target.account, target.address)


def _fetched(ydl: YoutubeDL, target: Target, folder: Path, limits: Politeness) -> FoundPost:
    info = ydl.extract_info(target.address, download=False)
    if info is None or info.get("_type", "video") != "video":
        raise NotCollectedError(Outcome.UNAVAILABLE, "no single post is there")
    if info.get("is_live") or info.get("live_status") == "is_live":
        raise NotCollectedError(Outcome.LIVE, "a live room")
    pictures, seconds = info.get("pictures") or [], info.get("duration") or 0
    if seconds > limits.most_seconds and not pictures:
        raise NotCollectedError(Outcome.TOO_LARGE, f"{seconds:g} s, more than {limits.most_seconds:g}")
    files: list[Path] = []
    for n, url in enumerate(pictures, 1):
        files.append(_picture(ydl, url, folder / f"{n}", info))
        _check_size(files, limits)
    if info.get("url"):
        if info.get("vcodec") == "none" and not files:
            raise NotCollectedError(Outcome.UNAVAILABLE, "only its sound is offered")
        files.append(_media(ydl, info, folder))
    if not files:
        raise NotCollectedError(Outcome.UNAVAILABLE, "no file of it is offered")
    _check_size(files, limits)
    return _found(info, target, files)


def _check_size(files: Sequence[Path], limits: Politeness) -> None:
    if sum(file.stat().st_size for file in files) > limits.most_bytes:
        raise NotCollectedError(Outcome.TOO_LARGE, f"more than {limits.most_bytes / 1e6:g} MB")


def _media(ydl: YoutubeDL, info: Mapping[str, Any], folder: Path) -> Path:
    suffix = str(info.get("ext"))
    if suffix not in (_SOUNDS if info.get("vcodec") == "none" else _VIDEOS):
        raise NotCollectedError(Outcome.FAILED, f"a file of the kind {suffix[:20]!r} is offered")
    return _download(ydl, folder / f"media.{suffix}", dict(info))


def _picture(ydl: YoutubeDL, url: str, place: Path, info: Mapping[str, Any]) -> Path:
    request = {"url": url, "ext": "jpg", "protocol": "https", "http_headers": info.get("http_headers") or {}}
    file = _download(ydl, place, request)
    with file.open("rb") as stream:
        start = stream.read(4)
    suffix = next((suffix for mark, suffix in _PICTURES.items() if start.startswith(mark)), None)
    if suffix is None:
        raise NotCollectedError(Outcome.FAILED, "a picture is of no kind that is known")
    return file.rename(place.with_suffix(f".{suffix}"))


def _download(ydl: YoutubeDL, place: Path, request: dict[str, Any]) -> Path:
    done, _ = ydl.dl(str(place), request)
    if not done or not place.is_file():
        raise NotCollectedError(Outcome.FAILED, "the download did not end")
    return place


def _found(info: Mapping[str, Any], target: Target, files: Sequence[Path] = ()) -> FoundPost:
    timestamp, account = info.get("timestamp"), info.get("uploader")
    posted = (
        datetime.fromtimestamp(timestamp, UTC)
        if isinstance(timestamp, int) and 0 < timestamp < 2**33
        else None
    )
    return FoundPost(
        video_id=str(info.get("id") or ""),
        account=account if isinstance(account, str) else target.account,
        url=target.url if target.video_id and target.url else None,
        posted_at=posted,
        pinned=info.get("pinned"),
        files=files,
        info=YoutubeDL.sanitize_info(dict(info), remove_private_keys=True) if files else {},
        sound_removed=info.get("sound_removed") is True,
    )
