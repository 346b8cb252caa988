"""What a source tells of what became of a post, and of which platform it is."""

import re
from collections.abc import Mapping
from typing import Any, Final

from tikval.rows import Outcome, PostRow

_HOST: Final = re.compile(
    r"https?://(?:[^/@\s]*@)?(?:[^/:?#\s]*\.)?(?:(tiktok|instagram|youtube)\w*\.com|(youtu)\.be)(?![^/:?#])",
    re.IGNORECASE,
)
_SITE: Final = re.compile(r"tiktok|instagram|youtube", re.IGNORECASE)
_LIVE: Final = re.compile(r"/live(?:[/?#]|$)", re.IGNORECASE)
# a code of the platform, or words, where there is an error and no post
_WHY: Final = (
    (re.compile(r"10216|10222|privat", re.IGNORECASE), Outcome.PRIVATE),
    (re.compile(r"10204|block|captcha", re.IGNORECASE), Outcome.BLOCKED),
    (re.compile(r"region|country|geo", re.IGNORECASE), Outcome.REGION),
    (re.compile(r"\bage\b|age.restrict|log.?in", re.IGNORECASE), Outcome.AGE),
    (re.compile(r"delet|remov|not.?found|not.?exist|404|gone", re.IGNORECASE), Outcome.DELETED),
)
_FINE: Final = frozenset({"0", "200", "ok", "success", "succeeded", "public", "none", "false", "true"})
_OUTCOMES: Final = frozenset(Outcome)


def site_of(platform: str | None, url: str | None) -> tuple[str, str]:
    """The platform of a row, "" where nothing tells it; and why it is of none that is known, or ""."""
    if name := _SITE.search(platform or ""):
        return name[0].lower(), ""
    if host := _HOST.match(url or ""):
        return (host[1] or "youtube").lower(), ""
    return "", "not of TikTok, Instagram or YouTube" if platform or url else ""


def why_missing(status: str | None) -> Outcome | None:
    """What a code or word of the platform means that stands where a post should be; None for one that is fine."""
    if not status or status.casefold() in _FINE:
        return None
    return next((outcome for pattern, outcome in _WHY if pattern.search(status)), Outcome.UNAVAILABLE)


def outcome_of(row: PostRow, told: Mapping[str, Any]) -> tuple[Outcome, str | None]:
    """What a source tells of what became of a post, and in words why."""
    if (word := told.get("outcome")) in _OUTCOMES:
        return Outcome(word), None
    if is_live(row, told):
        return Outcome.LIVE, "a live room"
    if told.get("deleted"):
        return Outcome.DELETED, "marked as deleted"
    if told.get("private"):
        return Outcome.PRIVATE, "marked as private"
    empty = row["duration"] is None and not row["is_slideshow"] and row["caption"] is None
    if empty and (why := why_missing(told.get("status"))):
        return why, "the source has an error in its place"
    return Outcome.NO_FILE, None


def is_live(row: PostRow, told: Mapping[str, Any]) -> bool:
    """Whether a row is of a live room, by a mark of its source or by its address.

    An id is not asked for the kind of thing that it names: those that people make up for a try have any.
    """
    program = (told.get("platform") or "").casefold()
    return bool(told.get("live") or program.endswith("live") or _LIVE.search(row["url"] or ""))


def bare(row: PostRow) -> bool:
    """Whether of a post nothing is left but its id: no account, text, length or counts."""
    return all(row[name] is None for name in ("account", "caption", "duration", "plays", "likes"))
