"""What a source's value says of a field of a post; None for what is none: an odd value is nobody's number."""

import math
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from tikval.sources.cells import as_text, date_in, number_in, trimmed

MOST_LETTERS: Final = 20_000  # of a caption, several times what platforms allow
_NAME: Final = 500  # letters of an account, a sound, an address
_TAGS, _TAG = 200, 200  # of a post, and letters of one
_FLAGS: Final = {
    "true": True,
    "yes": True,
    "y": True,
    "t": True,
    "false": False,
    "no": False,
    "n": False,
    "f": False,
}
_LISTED: Final = re.compile(r"[^\s,;|#'\"\[\](){}]+")
_HASHTAG: Final = re.compile(r"#(\w+)")
_EMPTY: Final = frozenset({"", "None", "NULL", "null", "nan", "NaN", "NaT", "<NA>", "undefined"})
_LONGEST: Final = 7 * 86_400  # seconds: longer is no post


def _plain(cell: Any, most: int) -> str | None:
    """A text as Parquet can hold it: without lone halves of letters and NULs."""
    if cell is None or isinstance(cell, bool | dict | list):
        return None
    text = trimmed(as_text(cell)[: most + 100].replace("\0", ""))[:most]
    if text in _EMPTY:
        return None
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def caption_in(cell: Any) -> str | None:
    """A text of several lines; of a list the parts."""
    if isinstance(cell, list):
        cell = "\n".join(filter(None, (_plain(part, MOST_LETTERS) for part in cell[:_TAGS])))
    return _plain(cell, MOST_LETTERS)


def name_in(cell: Any) -> str | None:
    """A short text in one line, such as a sound's title."""
    text = _plain(cell, _NAME)
    return " ".join(text.split()) or None if text else None


def handle_in(cell: Any) -> str | None:
    """What stands behind @, without it."""
    return (name_in(cell) or "").removeprefix("@").strip() or None


def address_in(cell: Any) -> str | None:
    """An address of the web; others are nothing."""
    text = _plain(cell, 2_000) or ""
    return text if re.match(r"https?://\S+$", text, re.IGNORECASE) else None


def time_in(cell: Any) -> datetime | None:
    """A time, in UTC; None for one that is none, or of no post."""
    if cell is None or isinstance(cell, bool | dict | list):
        return None
    try:
        return date_in(cell)
    except (ValueError, OverflowError):
        return None


def count_in(cell: Any) -> int | None:
    """A whole number of at least 0; `1.2M` is none."""
    number = _number(cell)
    return (
        int(number)
        if number is not None and number >= 0 and number == int(number) and number < 2**62
        else None
    )


def seconds_in(cell: Any) -> float | None:
    """A length; 0 is what a slideshow has, and not known."""
    number = _number(cell)
    return float(number) if number is not None and 0 < number <= _LONGEST else None


def _number(cell: Any) -> int | float | None:
    if isinstance(cell, bool | dict | list) or cell is None:
        return None
    if isinstance(cell, int):
        return cell if abs(cell) < 2**62 else None
    if isinstance(cell, str):
        cell = trimmed(cell[:40])
        if cell.isascii() and cell.isdecimal():
            return int(cell)
    number = number_in(cell if isinstance(cell, str) else float(cell))
    return number if number is not None and math.isfinite(number) else None


def flag_in(cell: Any) -> bool | None:
    """Yes or no, however it is written; a number is yes unless it is 0."""
    if cell is None or isinstance(cell, bool):
        return cell
    if isinstance(cell, str) and (word := trimmed(cell[:40]).lower()) in _FLAGS:
        return _FLAGS[word]
    number = _number(cell)
    return None if number is None else number != 0


def tags_in(cell: Any) -> list[str] | None:
    """Hashtags, each once: a list of names, or a text with marks between them."""
    if isinstance(cell, list):
        names = [name.removeprefix("#") for part in cell[:_TAGS] if (name := name_in(part))]
    else:
        names = _LISTED.findall(_plain(cell, MOST_LETTERS) or "")
    return _each_once(names)


def tags_in_text(cell: Any) -> list[str] | None:
    """Hashtags among the words of a text."""
    return _each_once(_HASHTAG.findall(caption_in(cell) or ""))


def _each_once(names: list[str]) -> list[str] | None:
    return [name[:_TAG] for name in dict.fromkeys(filter(None, names))][:_TAGS] or None


READ: Final[dict[str, Callable[[Any], Any]]] = {
    "account": handle_in,
    "url": address_in,
    "caption": caption_in,
    "posted_at": time_in,
    "posted_at_from_id": flag_in,
    "pinned": flag_in,
    "duration": seconds_in,
    "is_ad": flag_in,
    "is_aigc": flag_in,
    "is_slideshow": flag_in,
    "likes": count_in,
    "shares": count_in,
    "comments": count_in,
    "plays": count_in,
    "saves": count_in,
    "music": name_in,
    "hashtags": tags_in,
    "hashtags_in_text": tags_in_text,
    "collected_at": time_in,
    "source": name_in,
    "outcome": name_in,
    "detail": name_in,
    "platform": name_in,
    "status": name_in,
    "live": flag_in,
    "deleted": flag_in,
    "private": flag_in,
}
FLAGS: Final = frozenset(name for name, read in READ.items() if read is flag_in)
