"""What a collection says before and after: what it will ask for and whose terms apply, and what became of it."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from tikval.collect.collect import WorkLeft, listed_posts
from tikval.collect.collector import Politeness
from tikval.collect.record import Collection, line_outcome
from tikval.collect.targets import Target
from tikval.rows import Outcome
from tikval.stats.limits import counted

TERMS: Final = """\
The terms of {hosts} apply to you, and so do the law and the ethics board where you work; they may forbid automated
collection, and tikval cannot tell whether you are allowed to. You are responsible for what you fetch.
Lists from TikTok's Research API stay under its terms: no media come through it, non-profit research only, notice before
publication. Refresh every 15 days, and delete what its authors have deleted (tikval recheck). Children cannot consent:
find out whether a minor features in an account, mark it in your table of accounts, and keep it from outside models."""


def describe_plan(targets: Sequence[Target], work: WorkLeft, limits: Politeness, collector: str) -> str:
    """What a run would ask for at most, how long it would wait, and whose terms apply. Nothing is asked for this."""
    accounts = sum(target.url is None for target in work.listings)
    short = len(work.listings) - accounts
    most = len(work.posts) + accounts * limits.per_account + short
    posts = min(most, limits.most_posts)
    calls = max(0, len(work.listings) + posts - 1)
    low, high = ((seconds + limits.request_seconds) * calls for seconds in limits.sleep_seconds)
    parts = [
        f"{counted(accounts, 'account')} to list, {limits.per_account} posts of each (all pinned ones that are "
        "known as such, then the newest)"
        if accounts
        else "",
        f"{counted(short, 'short address')} to follow".replace("addresss", "addresses") if short else "",
        f"{counted(len(work.posts), 'post')} by id" if work.posts else "",
        f"{counted(work.done, 'post')} collected before, not again" if work.done else "",
    ]
    hosts = sorted({target.host for target in targets})
    return "\n".join(
        [
            "will fetch: " + ("; ".join(filter(None, parts)) or "nothing"),
            f"at most {counted(posts, 'post')} in this run, {limits.most_bytes / 1e6:g} MB each "
            f"({posts * limits.most_bytes / 1e9:,.1f} GB), {limits.bytes_per_second / 1e6:g} MB/s, one at a time",
            f"pauses of {limits.sleep_seconds[0]:g} to {limits.sleep_seconds[1]:g} s between two: "
            f"{_duration(low)} to {_duration(high)} of waiting",
            f"by {collector} from {', '.join(hosts) or 'nobody'}",
            "",
            TERMS.format(hosts=", ".join(hosts) or "the platform"),
        ]
    )


def describe_result(targets: Sequence[Target], collection: Collection, work: WorkLeft) -> list[str]:
    """The outcomes of all posts and accounts by number, and what is known of pinned ones; one line each."""
    posts = [
        collection.posts[post.key]
        for post in listed_posts(targets, collection)
        if post.key in collection.posts
    ]
    listings = [collection.listings[target.key] for target in targets if target.key in collection.listings]
    lines = [f"{counted(len(posts), 'post')}: {_numbers(line_outcome(line) for line in posts)}"]
    if work.posts:
        lines.append(f"left for the next run: {counted(len(work.posts), 'post')}")
    if missing := [outcome for line in listings if not (outcome := line_outcome(line)).has_files]:
        lines.append(f"accounts and short addresses without posts: {_numbers(missing)}")
    accounts = [line for line in listings if line["posts"] and line["target"].startswith("@")]
    if unknown := [line for line in accounts if all(post["pinned"] is None for post in line["posts"])]:
        lines.append(
            f"pinned posts: unknown of {len(unknown)} of {counted(len(accounts), 'account')}: the newest were taken"
        )
    more = [
        line for line in accounts if sum(bool(post["pinned"]) for post in line["posts"]) > line["per_account"]
    ]
    if more:
        lines.append(
            f"{counted(len(more), 'account')} with more pinned posts than asked for: all of them were taken"
        )
    return lines


def _numbers(outcomes: object) -> str:
    counts = Counter(outcomes)  # type: ignore[call-overload]
    order = [outcome for outcome in Outcome if counts[outcome]]
    return ", ".join(f"{counts[outcome]} {outcome.value}" for outcome in order) or "none"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
