"""Near-duplicates: planted ones are found among vectors that crowd around their mean, and none other."""

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tikval.embed.duplicates as module
from tikval.config import CatalogConfig, EmbedConfig
from tikval.embed.duplicates import Floats, Groups, Ints, Pairs, Scale, Stream, cosines, find
from tikval.files import read_parquet
from tikval.flow.duplicates import mark_near_duplicates
from tikval.flow.erase import erase
from tikval.flow.folder import Folder, Run
from tikval.rows import DuplicateRow, EmbeddingRow, Reason, arrow_schema, row_key

D = 96
Split = list[set[int]]


def unit(x: Floats) -> Floats:
    return np.asarray(x / np.linalg.norm(x, axis=-1, keepdims=True))


def random_units(n: int, rng: np.random.Generator, width: int = D) -> Floats:
    return unit(rng.standard_normal((n, width), dtype=np.float32))


def near(x_ND: Floats, cosine: float, rng: np.random.Generator) -> Floats:
    """For each unit vector another one that has this cosine with it."""
    other_ND = random_units(len(x_ND), rng, x_ND.shape[1])
    across_ND = unit(other_ND - (other_ND * x_ND).sum(axis=1, keepdims=True) * x_ND)
    return np.asarray(cosine * x_ND + (1 - cosine**2) ** 0.5 * across_ND)


def as_a_model_says(x_ND: Floats, rng: np.random.Generator) -> Floats:
    """Far from the origin, each dimension in a unit of its own: any two have a raw cosine above 0.9."""
    spread_D = np.exp(rng.standard_normal(x_ND.shape[1]))
    moved_ND = (x_ND * spread_D + 5 * spread_D.max()).astype(np.float32)
    assert (unit(moved_ND) @ unit(moved_ND[:1]).T).min() > 0.9
    return moved_ND


def stream(x_ND: Floats, at: Ints | None = None, batch: int = 500) -> Stream:
    places = np.arange(len(x_ND)) if at is None else at

    def batches() -> Iterator[tuple[Ints, Floats]]:
        for row in range(0, len(x_ND), batch):
            yield places[row : row + batch], x_ND[row : row + batch]

    return batches


def found(x_ND: Floats, min_cosine: float = 0.95) -> tuple[Split, Pairs]:
    """Groups of several, and pairs, after a check that the pairs alone span the groups."""
    groups = Groups(len(x_ND))
    pairs = find(stream(x_ND), groups, min_cosine, threads=1)
    again = Groups(len(x_ND))
    assert again.join(pairs.a, pairs.b).all(), "more pairs than a forest has"
    assert (again.of(np.arange(len(x_ND))) == groups.of(np.arange(len(x_ND)))).all()
    assert (pairs.a < pairs.b).all()
    assert (pairs.cosine >= min_cosine - 1e-5).all()
    return split(groups), pairs


def split(groups: Groups) -> Split:
    sets: dict[int, set[int]] = {}
    for at, name in enumerate(groups.of(np.arange(len(groups.parent_N))).tolist()):
        sets.setdefault(name, set()).add(at)
    assert all(name == min(members) for name, members in sets.items())
    return [members for members in sets.values() if len(members) > 1]


def by_hand(x_ND: Floats, min_cosine: float) -> Split:
    """The same from the full matrix, in float64."""
    z_ND = (x_ND.astype(np.float64) - x_ND.mean(0, np.float64)) / x_ND.std(0, dtype=np.float64)
    z_ND /= np.linalg.norm(z_ND, axis=1, keepdims=True)
    groups = Groups(len(x_ND))
    groups.join(*np.nonzero(np.triu(z_ND @ z_ND.T >= min_cosine, 1)))
    return split(groups)


@pytest.fixture(params=["all with all", "by lists"])
def either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "by lists":
        monkeypatch.setattr(module, "EXACT_VECTORS", 0)


# groups and scale


@given(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=40))
def test_groups_are_connected_components(edges: list[tuple[int, int]]) -> None:
    groups, least = Groups(20), list(range(20))
    joined = groups.join(*np.array(edges, np.int64).reshape(-1, 2).T)
    for (a, b), new in zip(edges, joined, strict=True):
        low, high = sorted((least[a], least[b]))
        assert new == (low != high)
        least = [low if name == high else name for name in least]
    assert groups.of(np.arange(20)).tolist() == least


@given(batch=st.integers(1, 60), offset=st.sampled_from([0.0, 1e3, -1e5]))
def test_scale_is_that_of_the_whole(batch: int, offset: float) -> None:
    rng = np.random.default_rng(batch)
    x_ND = (rng.standard_normal((50, 6)) * [1, 2, 5, 100, 0, 1] + offset).astype(np.float32)
    scale = Scale(stream(x_ND, batch=batch))
    assert scale.n == 50
    np.testing.assert_allclose(scale.mean_D, x_ND.mean(0, np.float64), rtol=1e-12, atol=1e-12)
    spread_D = x_ND.std(axis=0, dtype=np.float64)
    np.testing.assert_allclose(scale.inverse_D[spread_D > 0], 1 / spread_D[spread_D > 0], rtol=1e-9)
    assert scale.inverse_D[4] == 0
    assert np.isfinite(scale.unit(x_ND)).all()


# find


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("width", [D, 400])
def test_planted_near_duplicates_are_found_and_none_other(width: int) -> None:
    rng = np.random.default_rng(1)
    x_ND = random_units(3000, rng, width)
    x_ND[1000:1300] = near(x_ND[:300], 0.965, rng)
    x_ND[1300:1600] = near(x_ND[300:600], 0.999, rng)
    x_ND[1600:1900] = near(x_ND[600:900], 0.93, rng)
    x_ND = as_a_model_says(x_ND[rng.permutation(3000)], rng)
    groups, pairs = found(x_ND)
    assert groups == by_hand(x_ND, 0.95)
    assert len(groups) == len(pairs.a) == 600
    assert found(x_ND, 0.9)[0] == by_hand(x_ND, 0.9)
    assert len(found(x_ND, 0.9)[0]) == 900


@pytest.mark.usefixtures("either_way")
def test_pairs_say_their_cosine() -> None:
    rng = np.random.default_rng(2)
    x_ND = random_units(2000, rng)
    x_ND[1000:1100] = near(x_ND[:100], 0.97, rng)
    x_ND = as_a_model_says(x_ND, rng)
    _, pairs = found(x_ND)
    z_ND = (x_ND - x_ND.mean(0, np.float64)) / x_ND.std(0, dtype=np.float64)
    z_ND /= np.linalg.norm(z_ND, axis=1, keepdims=True)
    np.testing.assert_allclose(pairs.cosine, (z_ND[pairs.a] * z_ND[pairs.b]).sum(1), atol=1e-6)
    np.testing.assert_allclose(cosines(stream(x_ND), 2000, pairs), pairs.cosine, atol=1e-6)


@pytest.mark.usefixtures("either_way")
def test_what_was_uploaded_thousands_of_times_stays_linear() -> None:
    rng = np.random.default_rng(3)
    master_1D = random_units(1, rng)
    x_ND = np.concatenate(
        [
            random_units(9000, rng),
            master_1D.repeat(2000, axis=0),  # the very same
            near(master_1D.repeat(1000, axis=0), 0.99, rng),  # newly encoded
            near(near(master_1D, 0.2, rng).repeat(500, axis=0), 0.98, rng),  # another popular one
        ]
    )
    order = rng.permutation(len(x_ND))
    x_ND = as_a_model_says(x_ND[order], rng)
    groups, pairs = found(x_ND)
    wanted = [np.flatnonzero((order >= lo) & (order < hi)) for lo, hi in ((9000, 12000), (12000, 12500))]
    assert sorted(groups, key=len, reverse=True) == [set(rows.tolist()) for rows in wanted]
    assert len(pairs.a) == 2999 + 499


@pytest.mark.usefixtures("either_way")
def test_a_chain_is_one_group() -> None:
    """Each link a little further on the same arc: neighbours are near, the ends are not."""
    rng = np.random.default_rng(4)
    x_ND = random_units(1200, rng)
    x_ND[-200:, :] = 0
    turn = np.linspace(0, 20, 200)  # about 0.1 radians each
    x_ND[-200:, 0], x_ND[-200:, 1] = np.cos(turn), np.sin(turn)
    x_ND[-200:, 2] = 0.5 * turn
    x_ND = unit(x_ND)
    order = rng.permutation(1200)
    groups, pairs = found(as_a_model_says(x_ND[order], rng))
    assert groups == [set(np.flatnonzero(order >= 1000).tolist())]
    assert len(pairs.a) == 199
