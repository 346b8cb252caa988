"""A person's own data as TikTok hands them out: the posts that they watched, liked, kept, shared and made.

Only what leads to these lists is ever looked into, by the names on the way. Messages, comments, the profile and all
other parts pass by value by value and are built into nothing. A time is when the person watched or liked, and never
when the post was posted, except for the person's own posts.
"""

from collections.abc import Iterator
from typing import IO, Any, Final

import ijson

from tikval.config import UserError
from tikval.sources.exports.archives import DAMAGED
from tikval.sources.exports.maps import SourceMap
from tikval.sources.json_records import READING, BoundedFile, Open, SourceRecord

SOURCE: Final = "data_donation"
DONATED: Final = ("user_data_tiktok.json", "user_data.json")  # in the archive that TikTok hands out
_TOPS: Final = frozenset({"your activity", "activity", "likes and favorites", "post", "video"})
_OTHER_TOPS: Final = frozenset(
    {
        *(
            "comment",
            "profile",
            "app settings",
            "tiktok live",
            "tiktok shop",
            "direct message",
            "direct messages",
        ),
        *("ads and data", "income plus wallet transactions", "profile and settings"),
    }
)
_OWN: Final = frozenset({"posts", "videos"})
_SECTIONS: Final = _OWN | {
    *("watch history", "video browsing history", "like list", "favorite videos", "share history"),
    "likes and favorites",
}
_LISTS: Final = frozenset({"videolist", "itemfavoritelist", "favoritevideolist", "sharehistorylist"})
_ON_THE_WAY: Final = _SECTIONS | _LISTS | _TOPS
_STEPS: Final = {"start_map": 1, "start_array": 1, "end_map": -1, "end_array": -1}
_KEPT: Final = frozenset({"date", "link", "videolink", "likes", "title", "sound", "aigeneratedcontent"})
_LINK: Final = ("link", "videolink")
WATCHED: Final = SourceMap(title="a data donation", columns={"video_id": _LINK, "url": _LINK})
OWN: Final = SourceMap(
    title=WATCHED.title,
    columns={
        **WATCHED.columns,
        "caption": ("title",),
        "posted_at": ("date",),
        "likes": ("likes",),
        "music": ("sound",),
        "is_aigc": ("aigeneratedcontent",),
    },
)


def is_donation_key(key: str) -> bool:
    """Whether an outermost name may be one of a data donation."""
    return key.strip().casefold() in _TOPS | _OTHER_TOPS


def is_donation(open_: Open) -> bool:
    """Whether a document is a data donation: two of its parts are there, or one with a list of posts."""
    known: set[str] = set()
    with open_() as file:
        try:
            for path, event, value in _walk(file):
                if event == "map_key" and not path and is_donation_key(value):
                    known.add(value)
                if len(known) > 1 or (known and len(path) > 1):
                    return True
        except (ijson.JSONError, *DAMAGED):
            return False
    return False


def donated_entries(open_: Open, name: str, *, own: bool) -> Iterator[SourceRecord]:
    """What the lists hold: the person's own posts, or all others'. Raises UserError where the rest cannot be read."""
    number = 0
    entry: dict[str, Any] | None = None
    key = ""
    with open_() as file:
        try:
            for path, event, value in _walk(file):
                if len(path) < 3 or path[-1] not in _LISTS or (path[-2] in _OWN) is not own:
                    continue
                if event == "start_map":
                    entry = {}
                elif event == "map_key":
                    key = value.casefold()
                elif event == "end_map" and entry is not None:
                    number += 1
                    yield SourceRecord(f"{'own post' if own else 'entry'} {number}", entry)
                    entry = None
                elif entry is not None and key in _KEPT and event in ("string", "number", "boolean"):
                    entry[key] = value
        except (ijson.JSONError, *DAMAGED) as err:
            why = " ".join(str(err).split())[:60]
            raise UserError(
                f"{name}: behind entry {number}: not JSON ({why}); ask for the data again"
            ) from err


def _walk(file: IO[bytes]) -> Iterator[tuple[tuple[str, ...], str, Any]]:
    """The events of a document below the names that lead to lists of posts; each with these names, in lower case.

    Of what stands under another name no event comes out.
    """
    path: tuple[str, ...] = ()
    began: list[int] = []  # the depth at which each name of the path opened
    depth, name = 0, ""
    skipped: int | None = None  # depth within a value that is passed over; None: outside of one
    bounded = BoundedFile(file)
    for event, value in ijson.basic_parse(bounded, **READING):
        bounded.silent = 0
        step = _STEPS.get(event, 0)
        if skipped is not None and event != "map_key":
            skipped += step
            skipped = skipped or None
        elif event == "map_key" and skipped is None:
            yield path, event, value
            name = value.strip().casefold()
            allowed = _TOPS if not path else _KEPT if path[-1] in _LISTS else _ON_THE_WAY
            skipped = None if name in allowed else 0
        elif skipped is None:
            depth += max(step, 0)
            if step > 0 and name:
                path, began = (*path, name), [*began, depth]
            name = ""
            yield path, event, value
            if step < 0:
                if began and began[-1] == depth:
                    path, began = path[:-1], began[:-1]
                depth -= 1
