"""Strings from strangers on their way into a page: captions, scripts, ids, replies."""

import functools
import re
from typing import Any, Final

from tikval.privacy import strip_handles

_NO_TEXT: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def clean_text(value: Any) -> Any:
    """What a template prints: no control characters (not HTML) and no lone surrogates (not UTF-8).

    Anything but a plain string is returned as it is.
    """
    plain = isinstance(value, str) and not hasattr(value, "__html__")
    return _NO_TEXT.sub("\ufffd", value) if plain else value


@functools.lru_cache(16)  # a video's page asks for its script once per system
def hidden(text: str | None, account: str | None) -> str | None:
    """Text without handles and without the video's account. Ids stay whole: they name the video."""
    return strip_handles(text, account) if text else text
