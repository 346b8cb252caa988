"""A post's id out of what people and downloaders write: addresses, file names, cells that a spreadsheet has dressed up.

An id names a post and nobody's account: `@jane_doe_video_7412345678901234567.mp4` is 7412345678901234567.
"""

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any, Final, NamedTuple

from tikval.sources.cells import as_text, trimmed

_ID: Final = re.compile(r"(?<!\d)\d{19}(?!\d)")
_ACCOUNT: Final = r"(?P<account>[^\W_](?:[\w.-]*\w)?|\w+)"
_ADDRESS: Final = re.compile(rf"(?:^|[/.])tiktok\.com/@{_ACCOUNT}/(?:video|photo)/(?P<id>\d+)", re.IGNORECASE)
_REEL: Final = re.compile(
    r"(?:^|[/.])instagram\.com/(?:(?P<account>[\w.]+)/)?(?:reels?|p|tv)/(?!audio\b|videos\b)(?P<id>[\w-]{5,40})(?![\w-])",
    re.IGNORECASE | re.ASCII,
)
_SHORT: Final = re.compile(
    r"(?:^|[/.])(?:youtube(?:-nocookie)?\.com/(?:shorts/|embed/|watch\?(?:[^#\s]*&)?v=)|youtu\.be/)(?P<id>[\w-]{11})(?![\w-])",
    re.IGNORECASE | re.ASCII,
)
_NO_ACCOUNT: Final = frozenset({"share", "reel", "reels", "p", "tv", "explore", "stories"})
_DOWNLOAD: Final = re.compile(rf"@{_ACCOUNT}_(?:video|photo)_\d{{19}}(?!\d)")
_CUT: Final = re.compile(
    r"'?\d(?:[.,]\d+)?[eE]\+?\d+"
)  # a number as a spreadsheet or a float column shows a long one
_GROUPED: Final = re.compile(r"\d(?:[,.' \xa0\u202f]\d{3}){6}")  # 19 digits as a spreadsheet shows a number
_DRESS: Final = re.compile(r"[^\w]|_|(?<=\.)0+(?=\W*$)")
_AS_TEXT: Final = re.compile(
    r'="(?P<text>[^"]*)"|\'(?P<digits>[\d.-]+)'
)  # how a cell is kept from being a number
_PLATFORM: Final = re.compile(r"(?:^|[/.])(?:tiktok|tiktokv)\.com(?:[/?#:]|$)", re.IGNORECASE)
_NO_VIDEO: Final = re.compile(
    r"/(?:music|tag|effect|sticker|place|channel|discover|search|live|playlist|collection|amp|t|story)(?:[/?#-]|$)",
    re.IGNORECASE,
)
ID_SECONDS: Final = (
    1_420_000_000,
    2_200_000_000,
)  # 2015 to 2039: when an id of the platform was given, its upper bits
_VIDEO: Final = 13  # the kind of thing that bits 8 to 12 name; all 888 published ids have it
_FLOAT: Final = 2**53  # above it a float has no longer every whole number


class RoundedIdError(ValueError):
    """A spreadsheet or a float column has taken an id's last digits: no id of its table can be trusted."""


class Post(NamedTuple):
    video_id: str
    account: str | None  # where the address or the file's name tells it


def post_in(text: str) -> Post | None:
    """The post that the last part of an address or path names; None unless exactly one id of 19 digits is in it.

    A Reel or a post of Instagram and a Short are what their addresses call them, in letters.
    """
    if address := _ADDRESS.search(text):
        return Post(address["id"], address["account"])
    if (reel := _REEL.search(text)) and reel[
        "account"
    ] != "share":  # which is a short link, and no post's name
        return Post(reel["id"], None if reel["account"] in _NO_ACCOUNT else reel["account"])
    if short := _SHORT.search(text):
        return Post(short["id"], None)
    name = re.split(r"[?#]", text)[0].rstrip("/") if "://" in text else text.replace("\\", "/")
    name = name.rpartition("/")[2]
    ids = set(_ID.findall(name))
    if len(ids) != 1:
        return None
    download = _DOWNLOAD.search(name)
    return Post(ids.pop(), download["account"] if download else None)


def id_in_cell(cell: Any) -> Post:
    """What a cell names: a post's address, a downloader's file name or an id in any dress, else the cell itself.

    Raises RoundedIdError for a number that a spreadsheet or a float column has rounded and for what a spreadsheet has
    made a date, ValueError for an address of the platform that is no video's.
    """
    if isinstance(cell, date):
        raise RoundedIdError(f"{cell} is a date: a spreadsheet has changed the id; format the column as text")
    if isinstance(cell, float) and abs(cell) >= _FLOAT:
        raise RoundedIdError(_cut(repr(cell)))
    text = trimmed(as_text(cell))
    if _CUT.fullmatch(text):
        raise RoundedIdError(_cut(text))
    if _GROUPED.fullmatch(text):
        text = re.sub(r"\D", "", text)
    post = post_in(text)
    if _PLATFORM.search(text) and (post is None or _NO_VIDEO.search(text.partition(".com")[2])):
        raise ValueError(
            f"{text[:100]!r} is not the address of a video: it names an account, a sound, a hashtag or a short link; "
            "open it and copy the video's own address"
        )
    if post and ("@" in text or "/" in text or "\\" in text or _DRESS.sub("", text) == post.video_id):
        if is_rounded(post.video_id):
            raise RoundedIdError(_cut(text))
        return post
    plain = _AS_TEXT.fullmatch(text)
    return Post(plain["text"] or plain["digits"] or text if plain else text, None)


def is_rounded(video_id: str) -> bool:
    """Whether 19 digits are what is left of an id of the platform: a multiple of what a float can tell apart, or with
    zeros at its end where the bits of a video's kind are not a video's any more.
    """
    if not _ID.fullmatch(video_id):
        return False
    number = int(video_id)
    if not ID_SECONDS[0] <= number >> 32 <= ID_SECONDS[1]:
        return False
    return number % 1024 == 0 or (number % 10_000 == 0 and number >> 8 & 31 != _VIDEO)


def posted_at_of(video_id: str) -> datetime | None:
    """When the post of an id was posted, which its upper 32 bits tell to within a minute; None for other ids."""
    if not _ID.fullmatch(video_id):
        return None
    seconds = int(video_id) >> 32
    return datetime.fromtimestamp(seconds, UTC) if ID_SECONDS[0] <= seconds <= ID_SECONDS[1] else None


def _cut(text: str) -> str:
    return (
        f"{text} is what a spreadsheet or a float column has left of an id: its last digits are gone; "
        "export the table again with its ids as text"
    )


def resolve_id(video_id: str, names: Mapping[str, str]) -> str:
    """The listed video that an id means: `names` has every id and alias of a catalog. One that is not listed stays.

    Letters count as the same whether they are composed (as most tables have them) or not (as some disks do).
    """
    return next((names[name] for name in spellings_of(video_id) if name in names), video_id)


def spellings_of(video_id: str) -> tuple[str, ...]:
    """The names under which resolve_id looks for a video, the likeliest first."""
    post = post_in(video_id)
    spelt = (unicodedata.normalize(form, video_id) for form in ("NFC", "NFD"))
    return (video_id, *spelt, *([post.video_id] if post else []))


def name_by_key(row_key: str) -> str:
    """What lists and reports call a video whose id names somebody: nobody can guess it without the file."""
    return f"video-{row_key[:12]}"


def pseudonym(video_id: str, key: bytes) -> str:
    """A name that stays the same for who has the key, and tells nothing to who has not."""
    return "v" + hashlib.blake2b(video_id.encode(), key=key, digest_size=8).hexdigest()
