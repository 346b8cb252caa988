"""Accounts as one person each: whatever the spelling in manifest, annotations and accounts table, one is kept.

The catalog settles here, once, whose a video is, its genre and whether a minor features in it; later stages read it
from the video's row.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

from tikval.privacy import canonical_account
from tikval.rows import AccountRow, LabelRow, Reason, VideoRow
from tikval.sources.ids import name_by_key, resolve_id


def resolve_posts(
    videos: Sequence[VideoRow],
    labels: Sequence[LabelRow],
    accounts: Sequence[AccountRow],
    spelt: Iterable[str] = (),
) -> dict[str, str]:
    """Bring the three tables together, in place; returns the spelling of each account by its canonical form.

    An annotation names its video by the id that the catalog has, or that a list or report shows in its place, and its
    account where the catalog has one. Each account has the spelling that was seen first; a video's genre and minor's
    flag are those of its account where nothing else tells its genre.
    """
    listed = [video for video in videos if video["error"] != Reason.DUPLICATE_ID]
    names = names_of_listed(listed)
    for label in labels:
        label["video_id"] = resolve_id(label["video_id"], names)
    spelling = {canonical_account(name): name for name in spelt}
    spell_alike([*videos, *labels, *accounts], spelling)
    annotated = {label["video_id"]: label["account"] for label in labels if label["account"]}
    for video in videos:
        video["account"] = video["account"] or annotated.get(video["video_id"])
    owners = {video["video_id"]: video["account"] for video in listed}
    for label in labels:
        label["account"] = owners.get(label["video_id"]) or label["account"]
    _tell_of_accounts(videos, accounts)
    return spelling


def names_of_listed(videos: Sequence[VideoRow]) -> dict[str, str]:
    """The id of each listed video by every name that people may give it: the one that is shown, the alias, the id."""
    listed = [video for video in videos if video["error"] != Reason.DUPLICATE_ID]
    names = {name_by_key(video["row_key"]): video["video_id"] for video in listed}
    names |= {video["alias"]: video["video_id"] for video in listed if video["alias"]}
    return names | {video["video_id"]: video["video_id"] for video in listed}


def spell_alike(rows: Iterable[Any], spelling: dict[str, str]) -> None:
    """Give each account the spelling that it has by its canonical form; the first one seen is added."""
    for row in rows:
        key = canonical_account(row["account"]) if row["account"] else ""
        row["account"] = spelling.setdefault(key, _bare(row["account"], key)) if key else None


def _bare(name: str, key: str) -> str:
    """The name without the one @ before it, unless that would be another's name."""
    text = name.strip()
    bare = text[1:].strip() if unicodedata.normalize("NFKC", text[:1]) == "@" else text
    return bare if canonical_account(bare) == key else text


def _tell_of_accounts(videos: Iterable[VideoRow], accounts: Iterable[AccountRow]) -> None:
    """Give videos what the table of accounts has; of two lines of one account a minor's flag wins over none."""
    minor: dict[str, bool | None] = {}
    genre: dict[str, str] = {}
    for row in accounts:
        told = (minor.get(row["account"]), row["is_minor"])
        minor[row["account"]] = True if True in told else False if False in told else None
        if row["genre"]:
            genre.setdefault(row["account"], row["genre"])
    for video in videos:
        if video["account"]:
            video["genre"] = video["genre"] or genre.get(video["account"])
            video["is_minor"] = minor.get(video["account"])


def unmatched_minors(videos: Iterable[VideoRow], accounts: Iterable[AccountRow]) -> list[str]:
    """Accounts that are marked as a minor's and of whom no video is listed: perhaps a misspelt name."""
    there = {video["account"] for video in videos}
    return sorted({row["account"] for row in accounts if row["is_minor"]} - there)
