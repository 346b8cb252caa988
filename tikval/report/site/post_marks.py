"""What the pages show of a post, as its source told it."""

from collections.abc import Mapping
from typing import Any, Final

COUNTS: Final = ("plays", "likes", "comments", "shares", "saves")
_MARKS: Final = {  # of a column of PostRow: what it says where it is true, and where it is false
    "pinned": ("pinned", "not pinned"),
    "is_ad": ("ad", "no ad"),
    "is_aigc": ("marked as made by AI", "not marked as made by AI"),
    "is_slideshow": ("photo post", None),
}
OF_POSTS: Final = (*_MARKS, *COUNTS)


def marks_of(post: Mapping[str, Any]) -> tuple[str, ...]:
    """What is known of a post: a source that does not tell whether it is an ad says neither."""
    found = (words[not post[name]] for name, words in _MARKS.items() if post[name] is not None)
    return tuple(filter(None, found))
