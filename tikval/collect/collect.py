"""The collection: list the accounts, choose their posts by the rule, fetch one after another, keep what became of each.

Nothing that the record tells is asked for again: neither an account that was listed nor a post with an outcome, but for
failures of the network and the collector. A run that is refused again and again stops, for a platform that says no
means it.
"""

import errno
import random
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from tikval.collect.collector import Collector, FoundPost, NotCollectedError, Politeness
from tikval.collect.record import Collection, Line, line_outcome
from tikval.collect.targets import Target
from tikval.config import UserError
from tikval.privacy import canonical_account
from tikval.rows import Outcome, PostRow
from tikval.sources.posts import dated, empty_post
from tikval.sources.sample_rule import SampleRule
from tikval.sources.select import select_posts
from tikval.store.progress import StageProgress
from tikval.store.status import now

_REFUSED: Final = (Outcome.BLOCKED, Outcome.FAILED)
_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_MOST_LETTERS: Final = 200
_RANDOM: Final = random.SystemRandom()


class RefusedError(Exception):
    """The platform, or the way to it, has said no too often in a row."""


@dataclass
class WorkLeft:
    """What a collection has still to ask for, in this order."""

    listings: list[Target] = field(default_factory=list)
    posts: list[Target] = field(default_factory=list)
    done: int = 0  # posts that have their outcome


def work_left(
    targets: Sequence[Target], collection: Collection, limits: Politeness, again: bool = False
) -> WorkLeft:
    """The accounts to list and the posts to fetch, each once; posts that failed before come last.

    `again`: also the accounts that were listed, and the posts that were not there.
    """
    work = WorkLeft()
    work.listings = [
        target for target in targets if target.is_listed and _needs_listing(target, collection, limits, again)
    ]
    failed = list[Target]()
    for post in listed_posts(targets, collection):
        line = collection.posts.get(post.key)
        outcome = line_outcome(line) if line else None
        if outcome is None:
            work.posts.append(post)
        elif outcome is Outcome.FAILED or (again and not outcome.has_files):
            failed.append(post)
        else:
            work.done += 1
    work.posts += failed
    return work


def listed_posts(targets: Sequence[Target], collection: Collection) -> list[Target]:
    """The posts that targets name or, as far as they are listed, have; each once."""
    posts: dict[str, Target] = {}
    for target in targets:
        listing = collection.listings.get(target.key, {"posts": []})
        stubs = [
            Target(*(post[name] for name in ("account", "video_id", "url", "pinned")))
            for post in listing["posts"]
        ]
        for post in stubs if target.is_listed else [target]:
            posts.setdefault(post.key, post)
    return list(posts.values())


def _needs_listing(target: Target, collection: Collection, limits: Politeness, again: bool) -> bool:
    """Whether an account was not listed, failed, or was listed for fewer posts than are wanted now."""
    listing = collection.listings.get(target.key)
    if again or listing is None or line_outcome(listing) is Outcome.FAILED:
        return True
    return target.url is None and listing["per_account"] < limits.per_account and not listing["ended"]


def collect_posts(
    targets: Sequence[Target],
    collection: Collection,
    collector: Collector,
    limits: Politeness,
    again: bool = False,
) -> None:
    """List and fetch what the record has not yet, one call at a time.

    Raises RefusedError after `limits.refusals` refusals or failures in a row, UserError where the disk has no room;
    what was done until then stays done.
    """
    asking, folder = _Asking(collection, collector, limits), str(collection.media)
    if listings := work_left(targets, collection, limits, again).listings:
        with StageProgress("list", len(listings), 0, folder) as progress:
            for target in listings:
                progress.advance(1, _without_files(asking.list_one(target)))
    work = work_left(targets, collection, limits, again)
    if posts := work.posts[: limits.most_posts]:
        with StageProgress("collect", len(posts), work.done, folder) as progress:
            for target in posts:
                progress.advance(1, _without_files(asking.fetch_one(target)))


def _without_files(outcome: Outcome) -> dict[str, int]:
    return {} if outcome.has_files else {outcome.value: 1}


def choose_posts(posts: Sequence[FoundPost], n: int) -> list[FoundPost]:
    """An account's sample, by the rule of all lists: every pinned post, and the newest others until there are `n`."""
    rows: list[PostRow] = []
    for post in posts:
        known: Any = {"account": "_", "pinned": post.pinned, **dated(post.posted_at, post.video_id)}
        rows.append(empty_post(post.video_id, "") | known)
    chosen = select_posts(rows, SampleRule(per_account=n)).ids
    return [post for post in posts if post.video_id in chosen]


class _Asking:
    """Calls of the collector, with pauses between them; what each gave is kept before the next one."""

    def __init__(self, collection: Collection, collector: Collector, limits: Politeness) -> None:
        self.collection, self.collector, self.limits = collection, collector, limits
        self.refused: list[
            Callable[[], None]
        ] = []  # one after another until now: how each is kept as a failure
        self.has_asked = False

    def list_one(self, target: Target) -> Outcome:
        """List an account, or what is behind a short address."""
        self._pause()
        n = 1 if target.url else self.limits.per_account
        line: Line = {
            "target": target.key,
            "outcome": Outcome.COLLECTED.value,
            "detail": None,
            "per_account": n,
        }
        line |= {"ended": True, "posts": [], "listed_at": now()}
        try:
            posts, line["ended"] = self._listed(target, n)
            line["posts"] = [_stub(post, target) for post in choose_posts(posts, n)]
        except Exception as err:
            line |= _failure(err)
        self.collection.add_listing(line)
        return self._count(line, self.collection.add_listing)

    def _listed(self, target: Target, n: int) -> tuple[list[FoundPost], bool]:
        """The posts of an account until `n` that are not pinned are there, and whether these are all it has."""
        posts: dict[str, FoundPost] = {}
        ended = True
        for post in self.collector(target, None, self.limits):
            posts.setdefault(post.video_id, post)
            if sum(not post.pinned for post in posts.values()) >= n:
                ended = False
                break
        if any(
            post.pinned for post in posts.values()
        ):  # where some have the mark, those without are not pinned
            return [replace(post, pinned=bool(post.pinned)) for post in posts.values()], ended
        return list(posts.values()), ended

    def fetch_one(self, target: Target) -> Outcome:
        """Fetch a post, and keep its files or why there are none."""
        self._check_room()
        self._pause()
        line: Line = {"video_id": target.video_id, "account": target.account, "url": target.address}
        line |= {"outcome": Outcome.COLLECTED.value, "detail": None, "files": [], "collected_at": now()}
        line["pinned"] = target.pinned
        try:
            part = self.collection.part(target.key)
            post = next(iter(self.collector(target, part, self.limits)), None)
            if post is None or post.video_id != target.video_id:
                raise NotCollectedError(Outcome.FAILED, "the collector gave another post, or none")
            line |= {"account": _account(post.account) or target.account, "collected_at": now()}
            line["outcome"] = (Outcome.SOUND_REMOVED if post.sound_removed else Outcome.COLLECTED).value
            line["pinned"] = post.pinned if target.pinned is None else target.pinned
            self.collection.take_in(line, post, part)
        except Exception as err:
            line |= _failure(err)
            self.collection.add_post(line)
            self.collection.clear_part(target.key)
        return self._count(line, self.collection.add_post)

    def _pause(self) -> None:
        if self.has_asked:
            time.sleep(_RANDOM.uniform(*self.limits.sleep_seconds))
        self.has_asked = True

    def _check_room(self) -> None:
        free = shutil.disk_usage(self.collection.media).free
        if free < 2 * self.limits.most_bytes:
            raise UserError(
                f"{self.collection.media}: {free / 1e6:,.0f} MB left on this disk; make room, and run it again"
            )

    def _count(self, line: Line, keep: Callable[[Line], None]) -> Outcome:
        """The outcome of a line. Raises RefusedError where one refusal is too many; these are asked for again."""
        outcome = line_outcome(line)
        if outcome not in _REFUSED:
            self.refused.clear()
            return outcome
        failed = line | {"outcome": Outcome.FAILED.value}
        self.refused.append(lambda: None if failed == line else keep(failed))
        if len(self.refused) < self.limits.refusals:
            return outcome
        for keep_failed in self.refused:
            keep_failed()
        raise RefusedError(
            f"{len(self.refused)} requests in a row were refused or failed, the last one: "
            f"{line['detail'] or outcome.value}; wait some hours, update yt-dlp, then run the same command again"
        )


def _failure(err: Exception) -> Line:
    """What goes into a line in place of a result. Raises UserError where the disk is full."""
    if isinstance(err, UserError):
        raise err
    if isinstance(err, OSError) and err.errno in _NO_ROOM:
        raise UserError(f"the files cannot be written ({err.strerror}); make room, and run it again") from err
    if isinstance(err, NotCollectedError) and not err.outcome.has_files:
        return {
            "outcome": err.outcome.value,
            "detail": (err.detail or "")[:_MOST_LETTERS] or None,
            "files": [],
        }
    return {"outcome": Outcome.FAILED.value, "detail": type(err).__name__, "files": []}


def _account(name: str | None) -> str | None:
    return (canonical_account(name)[:_MOST_LETTERS] or None) if name else None


def _stub(post: FoundPost, target: Target) -> Line:
    """What is kept of a listed post."""
    return {
        "video_id": post.video_id,
        "account": _account(post.account) or target.account,
        "url": post.url,
        "posted_at": post.posted_at.isoformat() if post.posted_at else None,
        "pinned": post.pinned,
    }
