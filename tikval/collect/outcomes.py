"""What yt-dlp says when it gets nothing, as the outcome of a post. This module needs yt-dlp."""

import re
from typing import Final

from yt_dlp.networking.exceptions import HTTPError, RequestError
from yt_dlp.utils import (
    DownloadError,
    ExtractorError,
    GeoRestrictedError,
    UnavailableVideoError,
    UserNotLive,
    YoutubeDLError,
)

from tikval.collect.collector import NotCollectedError
from tikval.rows import Outcome

_BY_STATUS: Final = {
    401: Outcome.BLOCKED,
    403: Outcome.BLOCKED,
    404: Outcome.DELETED,
    410: Outcome.DELETED,
    429: Outcome.BLOCKED,
    451: Outcome.REGION,
}
# in this order: of two that fit the first counts
_BY_WORDS: Final = (
    (Outcome.BLOCKED, r"IP address is blocked|requiring login for access to this content|captcha|not a bot"),
    (
        Outcome.BLOCKED,
        r"Unexpected response from webpage|challenge|rate.?limit|too many requests|keeps sending the same",
    ),
    (
        Outcome.AGE,
        r"not be comfortable for some audiences|confirm your age|age.?restricted|inappropriate for some users",
    ),
    (Outcome.REGION, r"(?:from|in) your (?:location|country|region)|geo.?restrict"),
    (
        Outcome.PRIVATE,
        r"permission to view this post|account is (?:likely either )?private|is private|private video",
    ),
    (Outcome.PRIVATE, r"(?:friends|followers|members) only|only available for registered users"),
    (
        Outcome.DELETED,
        r"(?:has been|been|was) (?:removed|deleted)|does not exist|no longer (?:available|exists)|terminated",
    ),
    (Outcome.UNAVAILABLE, r"not available|unavailable|does not have any videos|No video formats"),
)
_ADDRESS: Final = re.compile(r"\S*(?:https?://|@)\S+")
_ADVICE: Final = re.compile(r"[;.] (?:Use --|please report|Confirm you are|See ).*|\(caused by .*", re.DOTALL)


def not_collected(err: BaseException) -> NotCollectedError:
    """What an error of yt-dlp means. What is not known is a failure, which the next run tries again."""
    if isinstance(err, NotCollectedError):
        return err
    while isinstance(err, DownloadError) and err.exc_info and isinstance(err.exc_info[1], YoutubeDLError):
        err = err.exc_info[1]
    message = _plain(str(getattr(err, "orig_msg", None) or err))
    for cause in (err, getattr(err, "cause", None)):
        if isinstance(cause, HTTPError):
            return NotCollectedError(_BY_STATUS.get(cause.status, Outcome.FAILED), f"HTTP {cause.status}")
    if isinstance(err, GeoRestrictedError):
        return NotCollectedError(Outcome.REGION, message)
    if isinstance(err, UserNotLive):
        return NotCollectedError(Outcome.LIVE, message)
    if isinstance(err, RequestError) or isinstance(getattr(err, "cause", None), RequestError):
        return NotCollectedError(Outcome.FAILED, message)
    if isinstance(err, ExtractorError | UnavailableVideoError):
        for outcome, words in _BY_WORDS:
            if re.search(words, message, re.IGNORECASE):
                return NotCollectedError(outcome, message)
    return NotCollectedError(Outcome.FAILED, f"{type(err).__name__}: {message}")


def _plain(message: str) -> str:
    """A message without addresses, names and advice on yt-dlp's own options."""
    return " ".join(_ADVICE.sub("", _ADDRESS.sub("[...]", message)).split())[:200]
