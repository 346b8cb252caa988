"""Decisions as bits are those of the array that they were made of."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tikval.stats.decisions import Decisions
from tikval.stats.prevalence import rate_sums


@given(values=arrays.arrays(bool, st.tuples(st.integers(0, 20), st.integers(1, 40))), data=st.data())
def test_rows_and_columns_are_those_of_the_array(values: np.ndarray, data: st.DataObject) -> None:
    n, labels = values.shape
    held = Decisions.of(values)
    assert (held.shape, len(held)) == ((n, labels), n)
    for k in range(labels):
        assert held[:, k].tolist() == values[:, k].tolist()
    at = np.array(data.draw(st.lists(st.integers(0, n - 1), max_size=9) if n else st.just([])), np.int64)
    assert held[at].tolist() == values[at].tolist()
    assert held.only(at)[:, labels - 1].tolist() == values[at, labels - 1].tolist()
    assert not Decisions.none(n, labels)[np.arange(n)].any()


def test_ten_million_videos_of_38_labels_are_50_megabytes() -> None:
    assert Decisions.none(10_000_000, 38).held.nbytes == 50_000_000


@pytest.mark.parametrize("weights", [None, np.array([1.0, 0, 2, 5])])
def test_sums_over_accounts_are_the_same_of_bits_of_shares_and_of_an_array(
    weights: np.ndarray | None,
) -> None:
    values = np.array([[1, 0, 1], [0, 0, 1], [1, 1, 1], [0, 1, 0]])
    account, labelled, true = np.array([0, 1, 0, 1]), np.array([2, 1]), np.ones((2, 3))
    plain = rate_sums(values, account, labelled, true, None, weights)
    for held in (Decisions.of(values), Decisions(values.astype(np.float32), 3)):
        sums = rate_sums(held, account, labelled, true, None, weights)
        assert sums.predicted[:, :].tolist() == plain.predicted[:, :].tolist()
        assert sums.sample.predicted.tolist() == plain.sample.predicted.tolist()
