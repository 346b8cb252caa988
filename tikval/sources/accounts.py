"""Accounts as one person each: whatever the spelling in manifest, annotations and accounts table, one is kept."""

from collections.abc import Iterable, Sequence

from tikval.privacy import canonical_account
from tikval.rows import AccountRow, LabelRow, VideoRow


def resolve_accounts(
    videos: Sequence[VideoRow], labels: Sequence[LabelRow], accounts: Sequence[AccountRow]
) -> None:
    """Give each account the spelling that was seen first, in all rows; a video without one has its annotation's.

    Rows are changed in place. Everything later compares accounts letter by letter.
    """
    spelling: dict[str, str] = {}

    def spelled(name: str | None) -> str | None:
        key = canonical_account(name) if name else ""
        return spelling.setdefault(key, str(name).strip()) if key else None

    for video in videos:
        video["account"] = spelled(video["account"])
    for label in labels:
        label["account"] = spelled(label["account"])
    for account in accounts:
        account["account"] = spelled(account["account"]) or account["account"]
    annotated = {row["video_id"]: row["account"] for row in labels if row["account"]}
    for video in videos:
        video["account"] = video["account"] or annotated.get(video["video_id"])


def unmatched_minors(videos: Iterable[VideoRow], accounts: Iterable[AccountRow]) -> list[str]:
    """Accounts that are marked as a minor's and of whom no video is listed: perhaps a misspelt name."""
    there = {video["account"] for video in videos}
    return sorted({row["account"] for row in accounts if row["is_minor"]} - there)
