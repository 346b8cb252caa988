"""Make the example of docs/collecting.md: `python examples/collecting/make_example.py`.

Twelve invented accounts with four posts each, as Zeeschuimer would have exported them; a table of the accounts; and a
folder as `tikval collect` leaves it, whose files are links to the example clips. Nothing in them is anybody's.

    POSTS --> export.ndjson, accounts.csv, media/<account>/<id>.mp4, media/collected.jsonl
"""

import argparse
import csv
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
COLLECTED: Final = datetime(2026, 5, 2, 9, 30, tzinfo=UTC)
_VIDEO: Final = 13 << 8  # what kind of thing an id names


@dataclass(frozen=True)
class Account:
    name: str
    genre: str
    source: str  # how it came into the sample
    clips: tuple[str, ...]  # its posts that were collected, the oldest first
    lost: str | None = None  # what became of its other post in the sample
    pinned: int | None = None  # the place of a pinned post among the four, from the oldest
    is_minor: bool = False
    is_parent_run: bool = False


ACCOUNTS: Final = (
    Account("ramp.riley", "vlogging", "survey", ("skate_first_drop", "broken_upload")),
    Account("tidy.tomas", "vlogging", "survey", ("library_one_step",), "private"),
    Account("crafty_mo", "crafts and DIY", "survey", ("paint_row_tour", "gear_lamp"), pinned=0),
    Account("glow_with_ines", "beauty and skincare", "survey; model", ("gold_flake_jar",), "region"),
    Account("wig_and_wit", "beauty and skincare", "model", ("wig_live_stream",), "age"),
    Account("nana_and_theo", "lifestyle", "survey", ("dumpling_fold", "caramel_cake"), None, 1, True, True),
    Account("lake.lena", "lifestyle", "model", ("lake_sack",), "deleted", pinned=1),
    Account("prank_depot", "entertainment and pranks", "survey; model", ("soap_fountain",), "deleted"),
    Account("ring_toss_rob", "entertainment and pranks", "survey", ("rings_at_the_beach",), "too_large"),
    Account("pixel_pato", "gaming", "survey; model", ("season_ladder", "castle_server"), pinned=0),
    Account("marble_max", "gaming", "survey", ("crate_slots",), "unavailable", is_minor=True),
    Account("stepbystep_lu", "dancing, singing and lip-syncing", "model", ("studio_for_me", "circle_dance")),
)
CAPTIONS: Final = {
    "skate_first_drop": "Saturday with @ramp.riley at the big pipe, filmed by my brother",
    "castle_server": "Rules of pixel_pato's kingdom",
    "gear_lamp": "Sketches in the comments #lamp #gears",
    "dumpling_fold": "Happy New Year from our kitchen to yours",
    "soap_fountain": "Part 2 when this hits 10k #ad",
}


@dataclass(frozen=True)
class Post:
    account: Account
    video_id: str
    when: datetime
    pinned: bool
    clip: str | None  # its file
    outcome: str | None  # of a post that is in the sample


def posts() -> Iterator[Post]:
    """Four posts of each account, ten days apart; the sample of two has the pinned and the newest ones."""
    for a, account in enumerate(ACCOUNTS):
        newest = [place for place in (3, 2, 1, 0) if place != account.pinned]
        pinned = [] if account.pinned is None else [account.pinned]
        sample = sorted([*pinned, *newest[: 2 - len(pinned)]])
        there = sample[: len(account.clips)] if account.lost else sample
        for place in range(4):
            when = datetime(2026, 3, 1 + a, 15, 4 * place, tzinfo=UTC) + timedelta(days=10 * place)
            video_id = str(int(when.timestamp()) << 32 | _VIDEO | (a * 4 + place + 1))
            clip = account.clips[there.index(place)] if place in there else None
            outcome = None if place not in sample else "collected" if clip else account.lost
            yield Post(account, video_id, when, place == account.pinned, clip, outcome)


def item(post: Post, n: int) -> dict[str, Any]:
    """A line of Zeeschuimer's: the platform's item in its envelope."""
    captured = int(COLLECTED.timestamp() * 1000) + n
    caption = CAPTIONS.get(post.clip or "", f"clip {n + 1} #clip")
    tags = [word.removeprefix("#") for word in caption.split() if word.startswith("#")]
    likes = 90 + 37 * (n * 7 % 23)
    data = {
        "id": post.video_id,
        "desc": caption,
        "createTime": int(post.when.timestamp()),
        "author": {"uniqueId": post.account.name, "nickname": "", "verified": False, "privateAccount": False},
        "stats": {
            "diggCount": likes,
            "shareCount": likes // 9,
            "commentCount": likes // 7,
            "playCount": 40 * likes,
        },
        "music": {"title": "original sound"},
        "challenges": [{"title": tag} for tag in tags],
        "video": {"duration": 8 + n % 5, "height": 640, "width": 360},
        **({"isAd": True} if "ad" in tags else {}),
        **({"isPinnedItem": True} if post.pinned else {}),
    }
    return {
        "nav_index": f"1:1:{n}",
        "item_id": post.video_id,
        "timestamp_collected": captured,
        "source_platform": "tiktok.com",
        "source_platform_url": f"https://www.tiktok.com/@{post.account.name}",
        "data": data,
    }


def make(folder: Path) -> None:
    """Write the example; files that are there already are written anew."""
    every = list(posts())
    lines = [item(post, n) for n, post in enumerate(every)]
    lines.append(lines[5])  # scrolled past twice
    _write_lines(folder / "export.ndjson", lines)
    with (folder / "accounts.csv").open("w", newline="") as sink:
        table = csv.writer(sink, lineterminator="\n")
        table.writerow(
            ["account", "genre", "source", "is_minor", "is_parent_run", "checked_by_1", "checked_by_2"]
        )
        for one in ACCOUNTS:
            flags = ("yes" if flag else "no" for flag in (one.is_minor, one.is_parent_run))
            table.writerow([one.name, one.genre, one.source, *flags, "ann", "bob"])
    records = []
    for n, post in enumerate(post for post in every if post.outcome):
        file = f"{post.account.name}/{post.video_id}.mp4"
        records.append(
            {
                "video_id": post.video_id,
                "account": post.account.name,
                "url": f"https://www.tiktok.com/@{post.account.name}/video/{post.video_id}",
                "outcome": post.outcome,
                "detail": None,
                "files": [file] if post.clip else [],
                "collected_at": (COLLECTED + timedelta(minutes=n)).isoformat(),
                "pinned": post.pinned,
            }
        )
        if post.clip:
            _link(folder / "media" / file, HERE.parent / "clips" / f"{post.clip}.mp4")
    _write_lines(folder / "media" / "collected.jsonl", records)


def _write_lines(to: Path, lines: list[dict[str, Any]]) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_text("".join(json.dumps(line) + "\n" for line in lines))


def _link(at: Path, clip: Path) -> None:
    at.parent.mkdir(parents=True, exist_ok=True)
    at.unlink(missing_ok=True)
    at.symlink_to(os.path.relpath(clip.resolve(), at.parent.resolve()))


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the example of docs/collecting.md.")
    parser.add_argument("--out", type=Path, default=HERE, help="folder of the example")
    make(parser.parse_args().out)


if __name__ == "__main__":
    main()
