"""What a cell of a table says: its text without what nobody sees, its number, its date."""

import math
import re
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

EARLIEST: Final = datetime(2005, 1, 1, tzinfo=UTC)  # no platform of short videos is older
_SPACES: Final = "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000"
_MARKS: Final = "\xad\u034f\u061c\u115f\u1160\u180e\u2800\u3164\ufeff\uffa0"  # without width or shape
_WIDTHLESS: Final = (*range(0x2000, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070))
_UNSEEN: Final = _SPACES + _MARKS + "".join(map(chr, _WIDTHLESS))
_MINUS: Final = str.maketrans(dict.fromkeys("\u2212\u2010\u2011\u2012\u2013\u2014\ufe63\uff0d", "-"))
_NUMBER: Final = re.compile(r"[+-]?\d+(?:[.,]\d+)?")
_DAY: Final = re.compile(r"(?:19|20)\d{6}")  # 20260301
_ZONE: Final = re.compile(r"\s*(?:UTC|GMT|Z)$", re.IGNORECASE)


def trimmed(text: str) -> str:
    """A text without spaces and invisible marks at its ends (a byte-order mark, zero-width and hard spaces)."""
    return text.strip(_UNSEEN)


def as_text(cell: Any) -> str:
    """A cell as text, "" for an empty one: a whole number is its digits, whatever its column's type (1.0 is "1")."""
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**53:
        return str(int(cell))
    return cell.isoformat() if isinstance(cell, date | datetime) else str(cell)


def number_in(cell: Any) -> float | None:
    """The number that a cell is, written with a point or a comma and with any minus; None where it is none."""
    if isinstance(cell, int | float) and not isinstance(cell, bool):
        return float(cell)
    text = str(cell).translate(_MINUS)
    return float(text.replace(",", ".")) if _NUMBER.fullmatch(text) else None


def date_in(cell: Any) -> datetime:
    """When a post was published, in UTC: an ISO date, or seconds or milliseconds since 1970, as number or text.

    Raises ValueError for what is none of these, and for a time before there were short videos or after today: then it
    was read wrongly, or is no date of a post.
    """
    shown, when = repr(str(cell)[:100]), _parsed(cell)
    if when is None:
        raise ValueError(f"{shown} is not a date like 2026-03-01T12:00:00Z, nor Unix seconds or milliseconds")
    if not EARLIEST <= when <= datetime.now(UTC) + timedelta(days=1):
        raise ValueError(f"{shown} is not a date of a post: it would be {when:%Y-%m-%d}")
    return when


def _parsed(cell: Any) -> datetime | None:
    try:
        if isinstance(cell, datetime):
            when = cell
        elif isinstance(cell, date):
            when = datetime(cell.year, cell.month, cell.day, tzinfo=UTC)
        elif (number := number_in(cell)) is not None and not _DAY.fullmatch(str(cell)):
            if (
                not math.isfinite(number) or abs(number) < 10**8
            ):  # a year, or days as spreadsheets count them, from one of two first days
                return None
            while abs(number) >= 10**11:  # milliseconds, or smaller ones
                number /= 1000
            when = datetime.fromtimestamp(number, UTC)
        else:
            when = datetime.fromisoformat(_ZONE.sub("+00:00", str(cell)))
        return when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError):
        return None
