"""Folds: nothing straddles, each row is tested once, labels stay in proportion, an account's name is worth nothing."""

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.leakage import without_validation
from tikval.config import Protocol
from tikval.evaluate.baselines import account_only
from tikval.sources.labels import read_labels
from tikval.stats.arrays import Bools, Ints
from tikval.stats.folds import (
    PARTS,
    Fold,
    balance,
    check_folds,
    folds_hash,
    from_json,
    groups_of,
    make_folds,
    to_json,
)
from tikval.stats.partitions import place
from tikval.stats.thresholds import f1_macro
from tikval.values import LABELS, SLUGS, binary

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT.parent / "shared" / "data" / "tiktok_annotations.csv"
PAPER = Protocol(name="paper", partitions=1, threshold=0.5)
GIVEN = Protocol(name="given")

Study = tuple[list[str], list[str], Bools]  # ids [N], accounts [N], labels [N, L]


def made_up(n_accounts: int = 60, rows: int = 12, n_labels: int = 12) -> Study:
    """Accounts that differ: each has its own rate of each label, as influencers have their topics."""
    rng = np.random.default_rng(7)
    rate_AL = rng.beta(0.5, 2.0, (n_accounts, n_labels))
    account_N = np.repeat(np.arange(n_accounts), rows)
    labels_NL = rng.random((len(account_N), n_labels)) < rate_AL[account_N]
    return (
        [f"video{i:04}" for i in rng.permutation(len(account_N))],
        [f"a{i}" for i in account_N],
        labels_NL,
    )


def published(min_share: float) -> Study:
    if not PUBLISHED.exists():
        pytest.skip("the published annotations are not at hand")
    rows = read_labels(str(PUBLISHED), SLUGS, "schwartz")
    labels_NL = np.array([binary(row["stances"]) for row in rows])
    accounts = [row["account"] or "" for row in rows]
    return [row["video_id"] for row in rows], accounts, labels_NL[:, labels_NL.mean(0) >= min_share]


def by_account(study: Study) -> Ints:
    ids, accounts, _ = study
    return groups_of(accounts, [None] * len(ids), ids)


def folds_of(study: Study, protocol: Protocol) -> list[Fold]:
    return make_folds(study[0], by_account(study), study[2], protocol)


def partitions(folds: list[Fold]) -> list[list[Fold]]:
    return [
        [fold for fold in folds if fold.partition == p] for p in range(1 + max(f.partition for f in folds))
    ]


def check_whole(folds: list[Fold], ids: list[str]) -> None:
    """Every id is in one part of each fold, and in one test part of each partition."""
    for fold in folds:
        assert sorted(fold.train + fold.validation + fold.test) == sorted(ids)
        assert all(list(part) == sorted(part) for part in (fold.train, fold.validation, fold.test))
    for part in partitions(folds):
        assert sorted(name for fold in part for name in fold.test) == sorted(ids)


def check_groups_whole(folds: list[Fold], ids: list[str], groups_N: Ints) -> None:
    group = dict(zip(ids, groups_N.tolist(), strict=True))
    for fold in folds:
        sides = [{group[name] for name in getattr(fold, part)} for part in PARTS]
        assert all(sides)
        assert len(set.union(*sides)) == sum(len(side) for side in sides)


# groups


def test_groups_are_chains_of_accounts_and_near_duplicates() -> None:
    ids = ["e", "d", "c", "b", "a", "f", "g"]
    accounts = ["x", "x", "y", None, None, "z", None]
    near = [None, 1, 1, 2, 2, None, None]
    assert groups_of(accounts, near, ids).tolist() == [1, 1, 1, 0, 0, 2, 3]


def test_an_account_named_like_a_number_is_no_near_duplicate() -> None:
    assert groups_of(["1", None], [None, 1], ["a", "b"]).tolist() == [0, 1]


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([None, "x", "y", "z"]), st.sampled_from([None, 0, 1, 2])), min_size=1),
    st.randoms(use_true_random=False),
)
def test_groups_join_all_that_share_a_name_and_no_others(rows, random) -> None:  # type: ignore[no-untyped-def]
    ids = [f"{i:03}" for i in range(len(rows))]
    groups = groups_of([a for a, _ in rows], [n for _, n in rows], ids).tolist()
    for i, (account, near) in enumerate(rows):
        for j, (other, other_near) in enumerate(rows):
            if (account is not None and account == other) or (near is not None and near == other_near):
                assert groups[i] == groups[j]
    members = Counter(groups)
    for group, (account, near) in zip(groups, rows, strict=True):
        assert members[group] == 1 or (account, near) != (None, None)
    order = list(range(len(rows)))
    random.shuffle(order)
    again = groups_of([rows[i][0] for i in order], [rows[i][1] for i in order], [ids[i] for i in order])
    assert dict(zip(order, again.tolist(), strict=True)) == dict(enumerate(groups))


# folds


@pytest.mark.parametrize("folds", [2, 3, 5])
def test_honest_folds(folds: int) -> None:
    study = made_up()
    made = folds_of(study, Protocol(folds=folds))
    assert [(f.partition, f.fold) for f in made] == [(p, k) for p in range(3) for k in range(folds)]
    check_whole(made, study[0])
    check_groups_whole(made, study[0], by_account(study))
    tests = {frozenset(frozenset(fold.test) for fold in part) for part in partitions(made)}
    assert len(tests) == 3
    for fold in made:
        assert len(fold.validation) / len(fold.train + fold.validation) == pytest.approx(0.2, abs=0.05)
    assert check_folds(made, study[0], by_account(study), study[2], [f"l{i}" for i in range(12)]) == []


def test_paper_folds_are_of_one_size_and_share_accounts() -> None:
    study = made_up(n_accounts=7, rows=11, n_labels=3)
    made = folds_of(study, PAPER)
    check_whole(made, study[0])
    assert sorted(len(fold.test) for fold in made) == [25, 26, 26]
    assert all(fold.validation == () for fold in made)
    again = folds_of(study, PAPER.model_copy(update={"partitions": 2}))
    assert again[:3] == made
    assert {fold.test for fold in again[3:]}.isdisjoint(fold.test for fold in made)
    warnings = check_folds(made, study[0], by_account(study), study[2], ["a", "b", "c"])
    assert "partition 0, fold 0: 7 of 7 groups in the test rows are in the training rows too" in warnings


def test_validation_share_is_honoured() -> None:
    study = made_up()
    for share in (0.1, 0.5):
        for fold in folds_of(study, Protocol(validation_share=share)):
            assert len(fold.validation) / len(fold.train + fold.validation) == pytest.approx(share, abs=0.05)


@pytest.mark.parametrize("protocol", [Protocol(), PAPER, GIVEN])
def test_folds_do_not_depend_on_the_order_of_rows(protocol: Protocol) -> None:
    ids, accounts, labels_NL = made_up()
    split = ["test" if name == "a1" else "train" for name in accounts]
    order = np.random.default_rng(0).permutation(len(ids))
    again = [ids[i] for i in order], [accounts[i] for i in order], labels_NL[order]
    first = make_folds(ids, by_account((ids, accounts, labels_NL)), labels_NL, protocol, split)
    second = make_folds(again[0], by_account(again), again[2], protocol, [split[i] for i in order])
    assert first == second


def test_folds_do_not_depend_on_names_of_groups_or_the_hash_seed() -> None:
    ids, accounts, labels_NL = made_up()
    other = 1000 - by_account((ids, accounts, labels_NL))
    assert make_folds(ids, other, labels_NL, Protocol()) == folds_of((ids, accounts, labels_NL), Protocol())
    code = """if True:
        import numpy as np
        from tikval.config import Protocol
        from tikval.stats.folds import folds_hash, groups_of, make_folds
        ids, accounts = [f"v{i}" for i in range(90)], [f"a{i % 13}" for i in range(90)]
        labels = np.arange(270).reshape(90, 3) * 7919 % 5 < 2
        print(folds_hash(make_folds(ids, groups_of(accounts, [None] * 90, ids), labels, Protocol())))
    """
    hashes = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert hashes == {
        "50faf3501bb00fb5\n"
    }  # that of every machine; another one means other folds for everybody


def test_folds_depend_on_the_labels() -> None:
    ids, accounts, labels_NL = made_up()
    assert folds_of((ids, accounts, labels_NL[::-1]), Protocol()) != folds_of(
        (ids, accounts, labels_NL), Protocol()
    )


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 7), min_size=4, max_size=40),
    st.integers(2, 4),
    st.integers(0, 2**32 - 1),
)
def test_any_small_input_gives_whole_folds_or_an_error(group: list[int], folds: int, seed: int) -> None:
    ids = [f"{i:02}" for i in range(len(group))]
    labels_NL = np.random.default_rng(seed).random((len(group), 3)) < 0.4
    groups_N = np.array(group)
    protocol = Protocol(folds=folds, partitions=2)
    try:
        made = make_folds(ids, groups_N, labels_NL, protocol)
    except ValueError:  # too few groups, or positives in too few of them
        return
    check_whole(made, ids)
    check_groups_whole(made, ids, groups_N)
    for fold in made:
        assert labels_NL[[ids.index(name) for name in fold.train]].any(0).all()
    check_folds(made, ids, groups_N, labels_NL, ["a", "b", "c"])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=2, max_size=12), st.integers(2, 5), st.data())
def test_no_part_stays_empty(sizes: list[int], parts: int, data: st.DataObject) -> None:
    groups_N = np.repeat(np.arange(len(sizes)), sizes)
    labels_NL = np.random.default_rng(sum(sizes)).random((len(groups_N), 2)) < 0.5
    weights = np.array(data.draw(st.lists(st.integers(1, 9), min_size=parts, max_size=parts)), dtype=float)
    if len(sizes) < parts:
        with pytest.raises(ValueError, match="too few"):
            place(groups_N, labels_NL, weights / weights.sum(), seed=0)
    else:
        part_N = place(groups_N, labels_NL, weights / weights.sum(), seed=0)
        assert set(part_N.tolist()) == set(range(parts))


# given


def test_given_takes_the_split_and_draws_validation_by_groups() -> None:
    study = made_up()
    split = ["test" if int(account[1:]) < 15 else "train" for account in study[1]]
    (fold,) = make_folds(study[0], by_account(study), study[2], GIVEN, split)
    assert set(fold.test) == {name for name, part in zip(study[0], split, strict=True) if part == "test"}
    assert len(fold.validation) / len(fold.train + fold.validation) == pytest.approx(0.2, abs=0.05)
    check_groups_whole([fold], study[0], by_account(study))

    own = ["validation" if i % 5 == 0 and part == "train" else part for i, part in enumerate(split)]
    (fold,) = make_folds(study[0], by_account(study), study[2], GIVEN, own)
    for part in PARTS:
        assert len(getattr(fold, part)) == own.count(part)
    # of the fair share of a quarter of the rows: the test rows were picked without a look at labels
    assert 0.05 < balance([fold], study[0], study[2]) < 0.6


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (None, "no split column"),
        (["train"] * 5 + ["dev"], "'dev'; known are train, validation, test"),
        (["train"] * 6, "no rows to test on"),
        (["test"] * 6, "no rows to train on"),
        (["train"] * 5, "columns of 6, 6, 5 rows"),
        (["train"] * 2 + ["test"] * 4, "one group"),
    ],
)
def test_a_wrong_split_is_refused(split: list[str] | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_folds(list("abcdef"), np.array([0, 0, 1, 1, 2, 2]), np.ones((6, 1), dtype=bool), GIVEN, split)


# errors and warnings


def test_wrong_rows_are_refused() -> None:
    yes = np.ones((4, 1), dtype=bool)
    alone = np.arange(4)
    with pytest.raises(ValueError, match="no rows"):
        make_folds([], alone[:0], yes[:0], Protocol())
    with pytest.raises(ValueError, match=r"^b: an id that comes more than once"):
        make_folds(list("abcb"), alone, yes, Protocol())
    with pytest.raises(ValueError, match=r"^b: an id"):
        groups_of([None] * 2, [None] * 2, ["b", "b"])
    with pytest.raises(ValueError, match=r"2 groups .* too few for 3 folds"):
        make_folds(list("abcd"), alone // 2, yes, Protocol())
    with pytest.raises(ValueError, match="4 rows are too few for 5 folds"):
        make_folds(list("abcd"), alone, yes, PAPER.model_copy(update={"folds": 5}))
    with pytest.raises(ValueError, match="one group"):
        make_folds(list("abcd"), alone // 2, yes, Protocol(folds=2, partitions=1))
    with pytest.raises(ValueError, match="of 4 groups, 3 partitions into 2 folds were found"):
        make_folds(list("abcd"), alone, yes, Protocol(folds=2, partitions=9))


@pytest.mark.parametrize("protocol", [Protocol(), PAPER])
def test_labels_without_positives_in_training_are_named(protocol: Protocol) -> None:
    ids, accounts, labels_NL = made_up(n_labels=4)
    labels_NL[:, 1] = False
    labels_NL[:, 3] = [name == "video0007" for name in ids]
    with pytest.raises(ValueError, match=r"some training part: no one, a single one$"):
        make_folds(
            ids,
            by_account((ids, accounts, labels_NL)),
            labels_NL,
            protocol,
            names=["a", "no one", "b", "a single one"],
        )


def test_a_rare_label_is_spread_and_its_lack_is_told() -> None:
    ids, accounts, labels_NL = made_up(n_labels=3)
    labels_NL[:, 2] = False
    for account in ("a3", "a30"):  # two groups for three folds, five positives each
        labels_NL[[i for i, name in enumerate(accounts) if name == account][:5], 2] = True
    study = ids, accounts, labels_NL
    made = folds_of(study, Protocol())
    warnings = check_folds(made, ids, by_account(study), labels_NL, ["a", "b", "rare"])
    assert sum("among the test rows: rare" in line for line in warnings) == 3  # one fold of each partition
    assert not any("train rows" in line for line in warnings)


def test_labels_of_two_groups_can_be_trained_on_in_every_fold() -> None:
    """Large groups, whose frequent labels weigh far more than the one positive that two of them have of each."""
    rng = np.random.default_rng(0)
    groups_N = np.repeat(np.arange(40), 60)
    labels_NL = rng.random((2400, 11)) < np.array([0.3] * 8 + [0] * 3)
    for label in (8, 9, 10):
        labels_NL[rng.choice(40, 2, replace=False) * 60, label] = True
    made = make_folds([f"{i:04}" for i in range(2400)], groups_N, labels_NL, Protocol(partitions=1))
    assert len(made) == 3


def test_a_group_larger_than_a_fold_is_told() -> None:
    ids, accounts, labels_NL = made_up(n_accounts=20)
    accounts = ["giant" if int(name[1:]) < 10 else name for name in accounts]
    study = ids, accounts, labels_NL
    made = folds_of(study, Protocol())
    check_groups_whole(made, ids, by_account(study))
    assert "one group has 50% of the rows" in check_folds(made, ids, by_account(study), labels_NL, LABELS)[0]


# stored


def test_folds_survive_their_file_and_changes_are_seen() -> None:
    made = folds_of(made_up(), Protocol())
    text = to_json(made)
    assert from_json(text) == made
    assert json.loads(text)["hash"] == folds_hash(made)
    assert len(folds_hash(made)) == 16
    assert folds_hash(made) != folds_hash(made[::-1])
    with pytest.raises(ValueError, match="were changed"):
        from_json(text.replace("video0007", "video007"))
    for broken in ("", "[]", "{}", '{"folds": 3}', '{"folds": [{"fold": 1}], "hash": ""}'):
        with pytest.raises(ValueError, match="not a file of folds"):
            from_json(broken)


def test_odd_ids_survive_their_file() -> None:
    made = [Fold(0, 0, ("ü/\udcff",), (), ('"',))]
    assert from_json(to_json(made)) == made


# leakage and balance


@pytest.mark.parametrize("study", ["made up", "published"])
def test_an_accounts_name_is_worth_nothing_under_honest_folds(study: str) -> None:
    ids, accounts, labels_NL = made_up() if study == "made up" else published(0.051)
    predict_all = f1_macro(labels_NL, np.ones_like(labels_NL))
    for part in partitions(folds_of((ids, accounts, labels_NL), Protocol())):
        for folds in (part, [without_validation(fold) for fold in part]):
            predicted = account_only(folds, ids, accounts, labels_NL)
            assert f1_macro(labels_NL, predicted) <= predict_all + 1e-9
    predicted = account_only(folds_of((ids, accounts, labels_NL), PAPER), ids, accounts, labels_NL)
    assert f1_macro(labels_NL, predicted) > predict_all + 0.03
    if study == "published":
        assert predict_all == pytest.approx(0.283, abs=0.001)
        assert f1_macro(labels_NL, predicted) > 0.32


def test_published_labels_stay_in_proportion() -> None:
    study = published(0.05)
    assert study[2].shape == (888, 19)
    start = time.perf_counter()
    made = folds_of(study, Protocol())
    assert time.perf_counter() - start < 5  # about 0.1 s alone on a core
    assert balance(made, study[0], study[2]) < 0.13
    assert balance(folds_of(study, PAPER), study[0], study[2]) > 0.3
    check_groups_whole(made, study[0], by_account(study))


def test_balance_is_the_worst_labels() -> None:
    ids = list("abcdef")
    labels_NL = np.array([[1, 1, 1, 1, 0, 0], [1, 0, 1, 0, 1, 0], [0] * 6], dtype=bool).T
    made = [
        Fold(0, 0, tuple("cdef"), (), tuple("ab")),
        Fold(0, 1, tuple("abef"), (), tuple("cd")),
        Fold(0, 2, tuple("abcd"), (), tuple("ef")),
    ]
    assert balance(made, ids, labels_NL) == pytest.approx(1)  # none of the first label in the last fold
    assert balance(made, ids, labels_NL[:, 1:]) == pytest.approx(0)
    assert np.isnan(balance(made, ids, labels_NL[:, 2:]))
