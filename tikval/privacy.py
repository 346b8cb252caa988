"""People are in these videos: what must not reach a model or a page by default."""

import re
import unicodedata
from difflib import SequenceMatcher
from typing import Final

_HANDLE: Final = re.compile(r"(?<!\w)@\w(?:[\w.]*\w)?")
_PLACEHOLDER: Final = "@someone"
_SAME_NAME: Final = 0.75  # of the letters of a name and what was read


_INVISIBLE: Final = frozenset(
    "\u00ad\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"
)  # and what Unicode calls so


def canonical_account(name: str) -> str:
    """One spelling of an account for every comparison; never shown.

    Compatible letters are one (full width, ligatures), case and invisible or control characters do not count, nor outer
    spaces and one leading `@`.
    """
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return "".join(letter for letter in text if not _is_invisible(letter)).strip().removeprefix("@").strip()


def _is_invisible(letter: str) -> bool:
    variation = "\ufe00" <= letter <= "\ufe0f" or "\U000e0100" <= letter <= "\U000e01ef"
    return letter in _INVISIBLE or variation or unicodedata.category(letter) in ("Cc", "Cf", "Zl", "Zp")


def strip_handles(text: str, account: str | None = None) -> str:
    """Replace @handles, and the account's own name where it stands as a word, by `@someone`.

    Platforms print the account into the picture as a watermark, so this applies to recognised text as well as
    to captions. An e-mail address keeps its domain: only a handle at the start of a word is one.
    """
    text = _HANDLE.sub(_PLACEHOLDER, text)
    account = account.lstrip("@") if account else ""
    if len(account) > 2:
        text = re.sub(rf"(?<!\w)@?{re.escape(account)}(?!\w)", _PLACEHOLDER, text, flags=re.IGNORECASE)
    return text


def is_watermark(text: str, account: str | None) -> bool:
    """Whether a recognised text is the account's name or a piece of it, misread letters allowed.

    Recognition breaks watermarks up ("pixel" and "pato" of @pixel_pato), and a piece still names a person.
    """
    read, name = _letters(text), _letters(account or "")
    if len(read) < 3 or len(name) < 3:
        return False
    return read in name or SequenceMatcher(None, name, read, autojunk=False).ratio() >= _SAME_NAME


def _letters(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.lower())
