"""A sample by rule: what it must hold for whoever reads the methods section."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tikval.config import UserError
from tikval.rows import AccountRow, Outcome, PostRow
from tikval.sources.posts import empty_post
from tikval.sources.sample_rule import SampleRule, merge_posts
from tikval.sources.select import Selected, select_posts

START = datetime(2026, 1, 1, tzinfo=UTC)


def post(n: int, account: str | None, days: float | None = 0.0, **known: Any) -> PostRow:
    when = START + timedelta(days=days) if days is not None else None
    told: Any = {"account": account, "posted_at": when, **known}
    row: PostRow = empty_post(f"{7_400_000_000_000_000_000 + n}", "zeeschuimer") | told
    return row


def of_account(account: str, n: int, first: int, pinned: tuple[int, ...] = ()) -> list[PostRow]:
    """`n` posts, a day apart; the places in `pinned` are, the others are not."""
    return [post(first + i, account, days=i, pinned=i in pinned) for i in range(n)]


@pytest.fixture
def posts() -> list[PostRow]:
    return [
        *of_account("many", 30, 0, pinned=(0, 5)),
        *of_account("few", 4, 100),
        *of_account("pins", 20, 200, pinned=tuple(range(14))),
    ]


def numbers(selected: Selected) -> set[int]:
    return {int(video_id) - 7_400_000_000_000_000_000 for video_id in selected.ids}


def test_all_pinned_posts_and_the_newest_others_make_up_the_number(posts: list[PostRow]) -> None:
    selected = select_posts(posts, SampleRule(per_account=10))
    chosen = numbers(selected)
    assert {n for n in chosen if n < 100} == {0, 5, *range(22, 30)}
    assert {n for n in chosen if 100 <= n < 200} == set(range(100, 104))
    assert {n for n in chosen if n >= 200} == set(range(200, 214))  # all fourteen, and no other
    assert [(one.account, one.listed, one.pinned, one.chosen) for one in selected.accounts] == [
        ("few", 4, 0, 4),
        ("many", 30, 2, 10),
        ("pins", 20, 14, 14),
    ]
    assert selected.listed == 54
    assert not selected.left_out


@pytest.mark.parametrize("order", ["newest", "random"])
def test_neither_the_order_of_a_list_nor_another_account_changes_what_is_chosen(
    posts: list[PostRow], order: Any
) -> None:
    rule = SampleRule(per_account=7, order=order, seed=3)
    chosen = select_posts(posts, rule).ids
    for seed in range(5):
        shuffled = posts.copy()
        random.Random(seed).shuffle(shuffled)
        assert select_posts(shuffled, rule).ids == chosen
        more = [*of_account("another", 40, 5_000, pinned=(1,)), *shuffled]
        assert chosen == {i for i in select_posts(more, rule).ids if i in {row["video_id"] for row in posts}}


def test_posts_of_one_moment_are_told_apart_by_seed_and_id() -> None:
    same = [post(n, "one", days=3) for n in range(40)]
    first = select_posts(same, SampleRule(per_account=5)).ids
    assert select_posts(same[::-1], SampleRule(per_account=5)).ids == first
    assert select_posts(same, SampleRule(per_account=5, seed=1)).ids != first


def test_random_posts_are_spread_and_another_seed_gives_others(posts: list[PostRow]) -> None:
    one, other = (select_posts(posts, SampleRule(per_account=10, order="random", seed=s)) for s in (0, 1))
    assert one.ids != other.ids
    for selected in (one, other):
        assert {0, 5} <= numbers(selected)
        assert [account.chosen for account in selected.accounts] == [4, 10, 14]
        assert min(n for n in numbers(selected) if n not in (0, 5)) < 20


def test_spellings_of_an_account_are_one() -> None:
    rows = [post(n, ("Jane.Doe", "@jane.doe", "JANE.DOE\u200b")[n % 3], days=n) for n in range(9)]
    selected = select_posts(rows, SampleRule(per_account=4))
    assert numbers(selected) == {5, 6, 7, 8}
    assert len(selected.accounts) == 1
    assert select_posts(rows[::-1], SampleRule(per_account=4)).accounts == selected.accounts


def test_a_period_holds_the_number_by_itself() -> None:
    rows = of_account("one", 120, 0, pinned=(0, 1, 2))  # January to April
    months = select_posts(rows, SampleRule(per_account=2, period="month"))
    assert numbers(months) == {0, 1, 2, 57, 58, 88, 89, 118, 119}
    assert numbers(select_posts(rows, SampleRule(per_account=2, period="quarter"))) == {0, 1, 2, 118, 119}
    assert numbers(select_posts(rows, SampleRule(per_account=4, period="year"))) == {0, 1, 2, 119}


def test_from_and_until_bound_the_frame_pinned_posts_too() -> None:
    rows = of_account("one", 30, 0, pinned=(0, 15))
    rule = SampleRule(per_account=3, since=START + timedelta(days=10), until=START + timedelta(days=20))
    selected = select_posts(rows, rule)
    assert numbers(selected) == {15, 18, 19}
    assert selected.left_out == {"too early": 10, "too late": 10}


def test_a_stratum_is_cut_down_after_the_accounts() -> None:
    rows = [post(n, f"a{n % 8}", days=n, is_ad=n % 3 == 0) for n in range(96)]
    rule = SampleRule(per_account=6, stratum="is_ad", per_stratum=10)
    selected = select_posts(rows, rule)
    within = select_posts(rows, SampleRule(per_account=6))
    assert selected.ids < within.ids
    assert [(one.stratum, one.chosen) for one in selected.strata] == [("no", 10), ("yes", 10)]


def test_genre_comes_from_the_accounts_and_what_is_not_known_is_a_stratum() -> None:
    rows = [post(n, ("Gamer", "cook", "nobody")[n % 3], days=n) for n in range(30)]
    table: list[AccountRow] = [
        {"account": "@gamer", "genre": "gaming", "source": None, "is_minor": None, "is_parent_run": None},
        {"account": "cook", "genre": "food", "source": None, "is_minor": None, "is_parent_run": None},
    ]
    selected = select_posts(rows, SampleRule(stratum="genre", per_stratum=4), table)
    assert [tuple(one) for one in selected.strata] == [
        ("food", 10, 4),
        ("gaming", 10, 4),
        ("not known", 10, 4),
    ]


def test_posts_without_a_date_come_last_or_are_left_out_and_posts_of_nobody_are_left_out() -> None:
    rows = [
        post(0, "one", None),
        post(1, "one", 1),
        post(2, "one", 2),
        post(3, None, 3),
        post(4, "two", None),
    ]
    newest = select_posts(rows, SampleRule(per_account=2))
    assert numbers(newest) == {1, 2, 4}
    assert newest.left_out == {"no account": 1}
    by_month = select_posts(rows, SampleRule(per_account=2, period="month"))
    assert numbers(by_month) == {1, 2}
    assert by_month.left_out == {"no date": 2, "no account": 1}
    assert numbers(select_posts(rows, SampleRule(since=START))) == {1, 2, 3}


def test_what_is_gone_or_no_post_takes_no_place() -> None:
    rows = of_account("one", 12, 0)
    rows[11]["outcome"] = Outcome.DELETED.value
    rows[10]["outcome"] = Outcome.LIVE.value
    line: Any = {"video_id": "line 7", "outcome": Outcome.INVALID_ROW.value}
    rows += [empty_post("line 7", "zeeschuimer") | line] * 2  # of two files
    selected = select_posts(rows, SampleRule(per_account=3))
    assert numbers(selected) == {7, 8, 9}
    assert selected.left_out == {"invalid_row": 2, "deleted": 1, "live": 1}
    assert selected.listed == 14


def test_where_pinned_posts_are_not_known_the_accounts_are_counted() -> None:
    rows = [
        *[post(n, "unknown", n) for n in range(3)],
        *[post(10 + n, "known", n, pinned=False) for n in range(3)],
        *[post(20 + n, "partly", n, pinned=True if n == 0 else None) for n in range(3)],
    ]
    assert select_posts(rows, SampleRule(per_account=2)).pinned_unknown == 1


@pytest.mark.parametrize("turned", [False, True])
def test_rows_of_one_post_are_one_and_what_either_knows_counts(turned: bool) -> None:
    """As the list of videos and that of pinned posts, which the Research API tells apart."""
    rows = of_account("one", 8, 0)
    for row in rows:
        row["pinned"] = None
    pin = post(1, "ONE", None, pinned=True)
    from_id = post(7, "one", 400, posted_at_from_id=True)
    both = [*rows, pin, from_id]
    selected = select_posts(both[::-1] if turned else both, SampleRule(per_account=2))
    assert numbers(selected) == {1, 7}
    assert selected.listed == 8
    assert {int(i) % 10 for i in selected.repeated} == {1, 7}
    ends = (rows[7], from_id) if not turned else (from_id, rows[7])
    assert merge_posts(*ends)["posted_at"] == START + timedelta(days=7)
    ends = (rows[1], pin) if not turned else (pin, rows[1])
    merged = merge_posts(*ends)
    assert merged["pinned"] is True
    assert merged["posted_at"] == START + timedelta(days=1)


def test_without_a_rule_everything_is_chosen(posts: list[PostRow]) -> None:
    selected = select_posts(posts, SampleRule())
    assert selected.ids == {row["video_id"] for row in posts}
    assert not SampleRule().chooses


@pytest.mark.parametrize(
    "wrong",
    [
        {"stratum": "genre"},
        {"per_stratum": 3},
        {"stratum": "colour", "per_stratum": 3},
        {"period": "month"},
        {"since": START, "until": START},
    ],
)
def test_a_rule_that_says_nothing_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="--"):
        SampleRule(**wrong)


def test_ninety_one_accounts_have_ten_posts_each_however_many_there_are() -> None:
    chance = random.Random(7)
    rows, n = list[PostRow](), 0
    for account in range(91):
        size = chance.randint(10, 60)
        rows += of_account(f"a{account}", size, n, pinned=tuple(range(chance.randint(0, 3))))
        n += size
    selected = select_posts(rows, SampleRule(per_account=10))
    assert Counter(one.chosen for one in selected.accounts) == {10: 91}
    assert all(one.pinned_chosen == one.pinned for one in selected.accounts)
