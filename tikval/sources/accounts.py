"""Accounts as one person each: whatever the spelling in manifest, annotations and accounts table, one is kept.

The catalog settles here, once, whose a video is, its genre and whether a minor features in it; later stages read it
from the video's row.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tikval.privacy import canonical_account
from tikval.rows import AccountRow, LabelRow, Reason, VideoRow
from tikval.sources.ids import name_by_key, resolve_id, spellings_of


@dataclass(frozen=True)
class ResolvedPosts:
    """What annotations and accounts tell of a study's videos. Of these only what an annotation may name is held."""

    spelling: dict[str, str]  # of each account by its canonical form
    listed: dict[str, VideoRow]  # videos that annotations name, by id
    annotated: dict[str, str]  # accounts that annotations name, by video
    minor: dict[str, bool | None]  # by account
    genre: dict[str, str]

    def told(self, videos: Iterable[VideoRow]) -> Iterator[VideoRow]:
        """The videos one by one with their accounts as they are spelt, and what is known of these."""
        for video in videos:
            spell_alike([video], self.spelling)
            video["account"] = video["account"] or self.annotated.get(video["video_id"])
            if video["account"]:
                video["genre"] = video["genre"] or self.genre.get(video["account"])
                video["is_minor"] = self.minor.get(video["account"])
            yield video


def resolve_posts(
    videos: Iterable[VideoRow],
    labels: Sequence[LabelRow],
    accounts: Sequence[AccountRow],
    spelt: Iterable[str] = (),
) -> ResolvedPosts:
    """Bring the three tables together: annotations and accounts in place, the videos, which are read once, by `told`.

    An annotation names its video by the id that the catalog has, or that a list or report shows in its place, and its
    account where the catalog has one. Each account has the spelling that was seen first; a video's genre and minor's
    flag are those of its account where nothing else tells its genre.
    """
    spelling = {canonical_account(name): name for name in spelt}
    wanted = {name for label in labels for name in spellings_of(label["video_id"])}
    meant = list[VideoRow]()
    for video in videos:
        spell_alike([video], spelling)
        shown = name_by_key(video["row_key"]) if wanted else ""
        if not wanted.isdisjoint((video["video_id"], video["alias"], shown)):
            meant.append(video)
    names = names_of_listed(meant)
    for label in labels:
        label["video_id"] = resolve_id(label["video_id"], names)
    spell_alike([*labels, *accounts], spelling)
    annotated = {label["video_id"]: label["account"] for label in labels if label["account"]}
    owners = {
        video["video_id"]: video["account"] or annotated.get(video["video_id"])
        for video in meant
        if video["error"] != Reason.DUPLICATE_ID
    }
    for label in labels:
        label["account"] = owners.get(label["video_id"]) or label["account"]
    listed = {video["video_id"]: video for video in meant if video["error"] != Reason.INVALID_ID}
    return ResolvedPosts(spelling, listed, annotated, *_told_of_accounts(accounts))


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


def _told_of_accounts(accounts: Iterable[AccountRow]) -> tuple[dict[str, bool | None], dict[str, str]]:
    """Minors' flags and genres by account; of two lines of one account a minor's flag wins over none."""
    minor: dict[str, bool | None] = {}
    genre: dict[str, str] = {}
    for row in accounts:
        told = (minor.get(row["account"]), row["is_minor"])
        minor[row["account"]] = True if True in told else False if False in told else None
        if row["genre"]:
            genre.setdefault(row["account"], row["genre"])
    return minor, genre


def unmatched_minors(of_videos: Iterable[str], accounts: Iterable[AccountRow]) -> list[str]:
    """Accounts that are marked as a minor's and of whom no video is listed: perhaps a misspelt name."""
    return sorted({row["account"] for row in accounts if row["is_minor"]}.difference(of_videos))
