"""Which rows count, against sorting by everything at once; keys that share their first half among them."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tikval.rows import Reason
from tikval.store import row_keys
from tikval.store.row_keys import KEY, KeyIndex, KeyPlaces, contains, keys_of

halves = st.sampled_from(["00" * 8, "0a" + "00" * 7, "ff" * 8])
rows = st.tuples(
    st.builds("".join, st.tuples(halves, halves)),
    st.integers(1, 3),
    st.sampled_from([None, "unreadable", "timeout", "not_asked"]),
)


def table_of(part: list[tuple[str, int, str | None]]) -> pa.Table:
    columns = list(zip(*part, strict=True)) or [(), (), ()]
    types = {"row_key": pa.string(), "attempt": pa.int64(), "error": pa.string()}
    return pa.table(
        {name: pa.array(values, types[name]) for name, values in zip(types, columns, strict=True)}
    )


@settings(max_examples=200, deadline=None)
@given(parts=st.lists(st.lists(rows, max_size=12), max_size=4))
def test_the_rows_that_count_are_those_of_one_sort_by_everything(
    parts: list[list[tuple[str, int, str | None]]],
) -> None:
    disk = [row for part in parts for row in part]
    index = KeyIndex(table_of(part) for part in parts)

    def order(n: int) -> tuple[object, ...]:
        key, attempt, error = disk[n]
        retryable = error is not None and not Reason(error).terminal
        return key, error is not None, retryable, -attempt, error == "not_asked", n

    first = list({disk[n][0]: n for n in sorted(range(len(disk)), key=order, reverse=True)}.items())[::-1]
    kept = np.flatnonzero(np.concatenate([np.empty(0, bool), *index.the_one_that_counts()]))
    assert kept.tolist() == sorted(n for _, n in first)
    seen = index.seen()
    again = [(key, n) for key, n in sorted(first) if disk[n][2] in ("timeout", "not_asked")]
    keys = [key for key, _ in again]
    assert seen.retry.tolist() == keys_of(pa.chunked_array([keys], pa.string())).tolist()
    assert seen.attempts.tolist() == [disk[n][1] - (disk[n][2] == "not_asked") for _, n in again]
    done = sorted({row[0] for row in disk} - set(keys))
    assert seen.done.tolist() == keys_of(pa.chunked_array([done], pa.string())).tolist()
    assert seen.done.dtype == np.dtype(KEY)


@settings(max_examples=200, deadline=None)
@given(
    there=st.lists(st.builds("".join, st.tuples(halves, halves)), max_size=12),
    asked=st.lists(st.builds("".join, st.tuples(halves, halves)), max_size=12),
)
def test_the_place_of_a_key_is_that_of_the_first_like_it(there: list[str], asked: list[str]) -> None:
    places = KeyPlaces(keys_of(pa.chunked_array([there], pa.string())))
    found = places.find(keys_of(pa.chunked_array([asked], pa.string())))
    assert found.tolist() == [there.index(key) if key in there else -1 for key in asked]


@pytest.mark.parametrize("at_once", [1, 3, 100])
def test_keys_are_looked_up_some_at_a_time(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_keys, "_AT_ONCE", at_once)
    keys = keys_of(pa.chunked_array([[f"{n:032x}" for n in (9, 2, 7, 2, 4)]]))
    there = np.sort(keys_of(pa.chunked_array([[f"{n:032x}" for n in (2, 7, 8)]])))
    assert contains(there, keys).tolist() == [False, True, True, True, False]
    assert contains(there[:0], keys).tolist() == [False] * 5
    assert contains(there, keys[:0]).tolist() == []
    assert KeyPlaces(keys).find(there).tolist() == [1, 2, -1]
