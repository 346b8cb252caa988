"""What is known of a post, cut to what a study needs: no addresses of files (with tokens), no headers, no cookies."""

from collections.abc import Mapping
from typing import Any, Final

_TEXTS: Final = (
    *(
        "title",
        "description",
        "uploader",
        "uploader_id",
        "uploader_url",
        "channel",
        "channel_id",
        "channel_url",
    ),
    *("track", "album", "webpage_url", "extractor", "extractor_key", "upload_date", "ext", "_type"),
    *("availability", "live_status", "language"),
)
_NUMBERS: Final = (
    *("timestamp", "duration", "view_count", "like_count", "comment_count", "repost_count", "save_count"),
    *("width", "height", "fps", "epoch", "age_limit", "channel_follower_count"),
)
_MARKS: Final = ("pinned", "sound_removed", "is_live")
_LISTS: Final = ("artists", "tags", "categories")
_MOST_LETTERS, _MOST_ITEMS = 10_000, 100


def clean_info(info: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of yt-dlp's metadata that are kept, each of its type and of bounded length; others are left out."""
    kept: dict[str, Any] = {}
    for name in _TEXTS:
        if isinstance(value := info.get(name), str):
            kept[name] = _cut(value)
    for name in _NUMBERS:
        value = info.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**62:
            kept[name] = value
    kept |= {name: info[name] for name in _MARKS if isinstance(info.get(name), bool)}
    for name in _LISTS:
        if isinstance(value := info.get(name), list):
            kept[name] = [_cut(item) for item in value[:_MOST_ITEMS] if isinstance(item, str)]
    if info.get("pictures"):
        kept["is_slideshow"] = True
    if isinstance(version := info.get("_version"), Mapping) and isinstance(version.get("version"), str):
        kept["_version"] = {"version": _cut(version["version"])}
    return kept


def _cut(text: str) -> str:
    return text[:_MOST_LETTERS].encode("utf-8", "replace").decode()
