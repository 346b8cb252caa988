"""People are in these videos: what must not reach a model or a page by default."""

import re
from typing import Final

_HANDLE: Final = re.compile(r"(?<!\w)@\w(?:[\w.]*\w)?")
_PLACEHOLDER: Final = "@someone"


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
