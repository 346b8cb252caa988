"""Which posts of a list are collected: a sample by a rule that others can repeat.

Within each account, and each of its periods where the rule has them, all pinned posts stay, and the newest or random
ones fill up what is left of its number; of an account with more pinned posts than that all of them stay. Then strata
are cut down in the same way. What decides is a post's own date and a hash of seed and id, so that the same posts come
out of the same list in whatever order, and no account changes another's.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from tikval.privacy import canonical_account
from tikval.rows import AccountRow, Outcome, PostRow
from tikval.sources.cells import as_text
from tikval.sources.sample_rule import NOT_DRAWN, OF_ACCOUNTS, SampleRule, known_of, period_of, severity

UNKNOWN_STRATUM: Final = "not known"  # posts without what the stratum names are one of their own


class AccountDraw(NamedTuple):
    """What a list has of an account, and what the rule took."""

    account: str
    listed: int
    pinned: int
    pinned_unknown: int  # posts of which nothing says whether they are pinned
    chosen: int
    pinned_chosen: int  # of them


class StratumDraw(NamedTuple):
    """Likewise of a stratum."""

    stratum: str
    listed: int
    chosen: int


@dataclass(frozen=True)
class Selected:
    """The posts that a rule chose, and the counts that say how."""

    rule: SampleRule
    ids: frozenset[str]
    listed: int  # posts, each once
    repeated: frozenset[str]  # ids of which the list has several rows: these are one post
    left_out: dict[str, int]  # posts that the rule did not choose among, by why
    accounts: list[AccountDraw] = field(default_factory=list)
    strata: list[StratumDraw] = field(default_factory=list)

    @property
    def pinned_chosen(self) -> int:
        return sum(one.pinned_chosen for one in self.accounts)

    @property
    def pinned_unknown(self) -> int:
        """Accounts of which some posts may be pinned, and nothing in the list says so."""
        return sum(one.pinned_unknown > 0 and one.pinned == 0 for one in self.accounts)


class _Listed:
    """What of a post the rule needs."""

    __slots__ = ("account", "outcome", "pinned", "stratum", "told", "when")

    def __init__(self, post: PostRow, account: str | None, stratum: str | None) -> None:
        when = post["posted_at"]
        self.when = when.timestamp() if when else None
        self.told = not post["posted_at_from_id"]
        self.account, self.stratum, self.pinned = account, stratum, post["pinned"]
        self.outcome = Outcome(post["outcome"])

    def add(self, other: "_Listed") -> None:
        """Another row of the same post; which of them came first does not count (see merge_posts)."""
        if other.when is not None and (
            self.when is None or (other.told, other.when) > (self.told, self.when)
        ):
            self.when, self.told = other.when, other.told
        self.account = known_of(self.account, other.account)
        self.stratum = known_of(self.stratum, other.stratum)
        self.pinned = known_of(self.pinned, other.pinned)
        self.outcome = max(self.outcome, other.outcome, key=severity)


def select_posts(posts: Iterable[PostRow], rule: SampleRule, accounts: Iterable[AccountRow] = ()) -> Selected:
    """The posts of a list that a rule chooses. Rows are taken one by one; a few numbers of each stay in memory.

    Several rows of one id are one post. `accounts`: what strata by account need. Left out, and counted: what is no
    post or gone; posts of nobody, where there is a number for each account; and posts without a date, where there is a
    period, a first or a last day.
    """
    found, repeated, no_posts, names = _read(posts, rule, accounts)
    left_out = Counter(no_posts)
    drawn: dict[str, _Listed] = {}
    for video_id, post in found.items():
        if why := _why_left_out(post, rule):
            left_out[why] += 1
        else:
            drawn[video_id] = post
    chosen: Iterable[str] = drawn
    if rule.per_account:
        chosen = _fill(drawn, chosen, rule, rule.per_account, lambda post: post.account)
    if rule.per_stratum:
        chosen = _fill(drawn, chosen, rule, rule.per_stratum, lambda post: post.stratum)
    ids = frozenset(chosen)
    return Selected(
        rule,
        ids,
        len(found) + sum(no_posts.values()),
        frozenset(repeated),
        dict(left_out.most_common()),
        _by_account(found, ids, names),
        _by_stratum(found, ids) if rule.stratum else [],
    )


def _read(
    posts: Iterable[PostRow], rule: SampleRule, accounts: Iterable[AccountRow]
) -> tuple[dict[str, _Listed], set[str], Counter[str], dict[str, str]]:
    """The posts by id, the ids that came twice, what named none, and how each account is spelt."""
    found: dict[str, _Listed] = {}
    repeated, no_posts, keys, names = set[str](), Counter[str](), dict[str, str](), dict[str, str]()
    strata = _strata_of(accounts, rule.stratum)
    for post in posts:
        if post["outcome"] == Outcome.INVALID_ROW:  # its id is the number of its line
            no_posts[post["outcome"]] += 1
            continue
        key = None
        if name := post["account"]:
            if name not in keys:
                keys[name] = canonical_account(name)
                names[keys[name]] = min(names.get(keys[name], name), name)
            key = keys[name] or None
        told = strata.get(key or "") if strata is not None else _cell(post, rule.stratum)
        listed = _Listed(post, key, told)
        if (before := found.setdefault(post["video_id"], listed)) is not listed:
            before.add(listed)
            repeated.add(post["video_id"])
    return found, repeated, no_posts, names


def _strata_of(accounts: Iterable[AccountRow], stratum: str | None) -> dict[str, str] | None:
    """The stratum of each account; None where posts tell their own."""
    if stratum not in OF_ACCOUNTS:
        return None
    strata: dict[str, str] = {}
    for row in accounts:
        if told := _word(row[OF_ACCOUNTS[stratum]]):  # type: ignore[literal-required]
            key = canonical_account(row["account"])
            strata[key] = max(strata.get(key, told), told)  # of two lines of one account: yes wins over no
    return strata


def _cell(post: PostRow, column: str | None) -> str | None:
    return _word(post[column]) if column else None  # type: ignore[literal-required]


def _word(value: Any) -> str | None:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return (" ".join(value) if isinstance(value, list) else as_text(value)) or None


def _why_left_out(post: _Listed, rule: SampleRule) -> str | None:
    if post.outcome in NOT_DRAWN:
        return post.outcome.value
    if rule.per_account and post.account is None:
        return "no account"
    if rule.needs_dates and post.when is None:
        return "no date"
    if rule.since and post.when is not None and post.when < rule.since.timestamp():
        return "too early"
    if rule.until and post.when is not None and post.when >= rule.until.timestamp():
        return "too late"
    return None


def _fill(
    posts: dict[str, _Listed],
    among: Iterable[str],
    rule: SampleRule,
    most: int,
    group_of: Callable[[_Listed], str | None],
) -> list[str]:
    """In each cell of group and period all pinned posts, and others in the rule's order up to `most`."""
    cells: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for video_id in among:
        post = posts[video_id]
        cells[group_of(post) or UNKNOWN_STRATUM, period_of(post.when, rule.period)].append(video_id)
    chosen: list[str] = []
    for ids in cells.values():
        pinned = [video_id for video_id in ids if posts[video_id].pinned]
        others = (video_id for video_id in ids if not posts[video_id].pinned)
        room = max(0, most - len(pinned))
        chosen += pinned
        chosen += sorted(others, key=lambda video_id: _rank(video_id, posts[video_id], rule))[:room]
    return chosen


def _rank(video_id: str, post: _Listed, rule: SampleRule) -> tuple[float, bytes]:
    """What comes first is chosen first; of posts by date those without one come last."""
    drawn = hashlib.blake2b(f"{rule.seed} {video_id}".encode(), digest_size=8).digest()
    if rule.order == "random":
        return 0.0, drawn
    return (-post.when if post.when is not None else float("inf")), drawn


def _by_account(posts: dict[str, _Listed], ids: frozenset[str], names: dict[str, str]) -> list[AccountDraw]:
    counts: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0, 0])
    for video_id, post in posts.items():
        if post.account is not None:
            count, is_drawn = counts[post.account], post.outcome not in NOT_DRAWN
            count[0] += 1
            count[1] += post.pinned is True
            count[2] += is_drawn and post.pinned is None
            count[3] += video_id in ids
            count[4] += video_id in ids and post.pinned is True
    return [AccountDraw(names[key], *counts[key]) for key in sorted(counts)]


def _by_stratum(posts: dict[str, _Listed], ids: frozenset[str]) -> list[StratumDraw]:
    listed = Counter(post.stratum or UNKNOWN_STRATUM for post in posts.values())
    chosen = Counter(post.stratum or UNKNOWN_STRATUM for video_id, post in posts.items() if video_id in ids)
    return [StratumDraw(name, listed[name], chosen[name]) for name in sorted(listed)]
