"""A post's id out of what people and downloaders write: addresses, file names, cells that a spreadsheet has dressed up.

An id names a post and nobody's account: `@jane_doe_video_7412345678901234567.mp4` is 7412345678901234567.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Final, NamedTuple

_ID: Final = re.compile(r"(?<!\d)\d{19}(?!\d)")
_ACCOUNT: Final = r"(?P<account>[^\W_](?:[\w.-]*\w)?|\w+)"
_ADDRESS: Final = re.compile(rf"(?:^|[/.])tiktok\.com/@{_ACCOUNT}/(?:video|photo)/(?P<id>\d+)", re.IGNORECASE)
_DOWNLOAD: Final = re.compile(rf"@{_ACCOUNT}_(?:video|photo)_\d{{19}}(?!\d)")
_CUT: Final = re.compile(
    r"'?\d(?:[.,]\d+)?[eE]\+?\d+"
)  # a number as a spreadsheet or a float column shows a long one
_DRESS: Final = re.compile(r"[^\w]|_|(?<=\.)0+(?=\W*$)")


class Post(NamedTuple):
    video_id: str
    account: str | None  # where the address or the file's name tells it


def post_in(text: str) -> Post | None:
    """The post that the last part of an address or path names; None unless exactly one id of 19 digits is in it."""
    if address := _ADDRESS.search(text):
        return Post(address["id"], address["account"])
    name = re.split(r"[?#]", text)[0].rstrip("/") if "://" in text else text
    name = name.rpartition("/")[2]
    ids = set(_ID.findall(name))
    if len(ids) != 1:
        return None
    download = _DOWNLOAD.search(name)
    return Post(ids.pop(), download["account"] if download else None)


def id_in_cell(cell: str) -> Post:
    """What a cell names: a post's address, a downloader's file name or an id in any dress, else the cell itself.

    Raises ValueError for a number of which a spreadsheet or a float column has kept the first digits only.
    """
    text = cell.strip()
    if _CUT.fullmatch(text):
        raise ValueError(
            f"{text} is what a spreadsheet or a float column has left of an id: its last digits are gone; "
            "export the table again with its ids as text"
        )
    post = post_in(text)
    if post and ("@" in text or "/" in text or _DRESS.sub("", text) == post.video_id):
        return post
    return Post(cell, None)


def resolve_id(video_id: str, names: Mapping[str, str]) -> str:
    """The listed video that an id means: `names` has every id and alias of a catalog. One that is not listed stays."""
    post = post_in(video_id)
    return names.get(video_id) or (names.get(post.video_id) if post else None) or video_id


def pseudonym(video_id: str, key: bytes) -> str:
    """A name that stays the same for who has the key, and tells nothing to who has not."""
    return "v" + hashlib.blake2b(video_id.encode(), key=key, digest_size=8).hexdigest()
