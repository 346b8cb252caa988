"""Near-duplicates: planted ones are found among vectors that crowd around their mean, and none other."""

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tikval.embed.duplicates as module
from tikval.config import CatalogConfig, EmbedConfig
from tikval.embed.duplicate_marks import mark_near_duplicates
from tikval.embed.duplicates import Floats, Groups, Pairs, Scale, Stream, cosines, find_duplicates, link
from tikval.files import read_parquet
from tikval.rows import DuplicateRow, EmbeddingRow, Reason, arrow_schema, row_key
from tikval.stats.arrays import Ints
from tikval.store.folder import Folder
from tikval.store.folder_run import FolderRun
from tikval.study.erasure import erase_videos

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


def as_a_model_encodes(x_ND: Floats, rng: np.random.Generator) -> Floats:
    """Vectors far from the origin, each dimension in a unit of its own: any two have a raw cosine above 0.9."""
    spread_D = np.exp(rng.standard_normal(x_ND.shape[1]))
    moved_ND: Floats = (x_ND * spread_D + 5 * spread_D.max()).astype(np.float32)
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
    pairs = find_duplicates(stream(x_ND), groups, min_cosine, threads=1)
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
    """The groups and pairs from the full matrix, in float64."""
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


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=40))
def test_groups_are_connected_components(edges: list[tuple[int, int]]) -> None:
    groups, least = Groups(20), list(range(20))
    joined = groups.join(*np.array(edges, np.int64).reshape(-1, 2).T)
    for (a, b), new in zip(edges, joined, strict=True):
        low, high = sorted((least[a], least[b]))
        assert new == (low != high)
        least = [low if name == high else name for name in least]
    assert groups.of(np.arange(20)).tolist() == least


@settings(deadline=None)
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
    x_ND = random_units(2000, rng, width)
    x_ND[600:800] = near(x_ND[:200], 0.965, rng)
    x_ND[800:1000] = near(x_ND[200:400], 0.999, rng)
    x_ND[1000:1200] = near(x_ND[400:600], 0.93, rng)
    x_ND = as_a_model_encodes(x_ND[rng.permutation(2000)], rng)
    for min_cosine, pairs in ((0.95, 400), (0.9, 600)):
        groups, _ = found(x_ND, min_cosine)
        assert groups == by_hand(x_ND, min_cosine)
        assert len(groups) == pairs


@pytest.mark.usefixtures("either_way")
def test_pairs_say_their_cosine() -> None:
    rng = np.random.default_rng(2)
    x_ND = random_units(2000, rng)
    x_ND[1000:1100] = near(x_ND[:100], 0.97, rng)
    x_ND = as_a_model_encodes(x_ND, rng)
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
            random_units(7000, rng),
            master_1D.repeat(2000, axis=0),  # exact copies
            near(master_1D.repeat(300, axis=0), 0.99, rng),  # newly encoded
            near(near(master_1D, 0.2, rng).repeat(200, axis=0), 0.98, rng),  # another popular one
        ]
    )
    order = rng.permutation(len(x_ND))
    x_ND = as_a_model_encodes(x_ND[order], rng)
    groups, pairs = found(x_ND)
    wanted = [np.flatnonzero((order >= lo) & (order < hi)) for lo, hi in ((7000, 9300), (9300, 9500))]
    assert sorted(groups, key=len, reverse=True) == [set(rows.tolist()) for rows in wanted]
    assert len(pairs.a) == 2299 + 199


class Counted:
    """Vectors that count how often a row of them is asked for."""

    def __init__(self, x_MD: Floats) -> None:
        self.x_MD, self.rows = x_MD, 0

    def __len__(self) -> int:
        return len(self.x_MD)

    def __getitem__(self, rows: Ints) -> Floats:
        self.rows += len(rows)
        return self.x_MD[rows]


def test_a_popular_video_costs_passes_and_no_square(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", 100)
    rng = np.random.default_rng(10)
    copies = near(random_units(1, rng).repeat(9900, axis=0), 0.99, rng)
    x_MD = Counted(rng.permutation(np.concatenate([random_units(100, rng), copies])))
    groups = Groups(10_000)
    link(x_MD, np.arange(10_000), groups, 0.95)  # type: ignore[arg-type]
    assert [len(members) for members in split(groups)] == [9900]
    assert x_MD.rows < 10 * 10_000  # all with all: 100 for each row


@pytest.mark.usefixtures("either_way")
def test_two_popular_copies_of_one_video_meet() -> None:
    """Each is so dense that it could fill lists of its own."""
    rng = np.random.default_rng(0)
    one_1D = random_units(1, rng)
    copies = [near(copy_1D.repeat(400, axis=0), 0.999, rng) for copy_1D in (one_1D, near(one_1D, 0.985, rng))]
    groups, _ = found(as_a_model_encodes(np.concatenate([random_units(3000, rng), *copies]), rng))
    assert groups == [set(range(3000, 3800))]


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
    groups, pairs = found(as_a_model_encodes(x_ND[order], rng))
    assert groups == [set(np.flatnonzero(order >= 1000).tolist())]
    assert len(pairs.a) == 199


@settings(deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(8, 60),
    width=st.integers(2, 6),
    min_cosine=st.floats(0.3, 0.999),
    block=st.integers(3, 70),
)
def test_blocks_and_seeds_change_nothing(
    seed: int, n: int, width: int, min_cosine: float, block: int
) -> None:
    """Few dimensions, so that many are near: groups of every size, chains and copies."""
    rng = np.random.default_rng(seed)
    x_ND = random_units(n, rng, width)[rng.integers(0, n, n)] + 3
    if by_hand(x_ND, min_cosine - 1e-5) != by_hand(x_ND, min_cosine + 1e-5):
        return  # a pair lies on the threshold
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK", block)
        patch.setattr(module, "SEEDS", 2)
        assert found(x_ND, min_cosine)[0] == by_hand(x_ND, min_cosine)


@pytest.mark.usefixtures("either_way")
def test_equal_vectors_reach_a_threshold_of_one() -> None:
    rng = np.random.default_rng(5)
    x_ND = as_a_model_encodes(random_units(60, rng), rng)
    x_ND[50:] = x_ND[:10]
    assert found(x_ND, 1.0)[0] == [{at, at + 50} for at in range(10)]


@pytest.mark.parametrize(("n", "some"), [(0, False), (1, False), (7, False), (8, True)])
def test_too_few_vectors_give_no_scale(n: int, some: bool) -> None:
    rng = np.random.default_rng(6)
    x_ND = random_units(n, rng)
    x_ND[1::2] = x_ND[: n // 2 * 2 : 2]
    assert bool(found(x_ND)[0]) == some


@pytest.mark.usefixtures("either_way")
def test_videos_without_a_vector_are_near_to_none() -> None:
    rng = np.random.default_rng(7)
    x_ND = random_units(40, rng)
    x_ND[20:] = x_ND[:20]
    at = rng.permutation(100)[:40]
    groups = Groups(100)
    find_duplicates(stream(x_ND, at), groups, 0.95, threads=1)
    pairs = {frozenset(pair) for pair in at.reshape(2, 20).T.tolist()}
    assert {frozenset(members) for members in split(groups)} == pairs
    some = Pairs(np.sort(at[[0, 1]]), np.sort(at[[20, 21]]), np.ones(2))
    some = Pairs(np.append(some.a, 0), np.append(some.b, min({*range(1, 100)} - {*at.tolist()})), np.ones(3))
    assert np.isnan(cosines(stream(x_ND, at), 100, some)).tolist() == [False, False, True]
    assert np.isnan(cosines(stream(x_ND[:7], at[:7]), 100, some)).all()


def test_what_is_one_group_already_needs_no_pair() -> None:
    rng = np.random.default_rng(8)
    x_ND = random_units(30, rng)
    x_ND[10:20] = x_ND[:10]
    groups = Groups(30)
    groups.join(np.arange(10), np.arange(10, 20))
    assert len(find_duplicates(stream(x_ND), groups, 0.95, threads=1).a) == 0


# the column and the table

PICTURES, SOUND = slice(0, D), slice(D, D + 16)
WIDTH = D + 16


def embedding(video_id: str, vector: Floats | None, **changes: Any) -> EmbeddingRow:
    """A result with pictures and sound; without a vector a failure."""
    failed = vector is None
    row: EmbeddingRow = {
        "video_id": video_id,
        "row_key": row_key(video_id, 1, "1"),
        "attempt": 1,
        "vector": None if vector is None else vector.tolist(),
        "has_video": None if failed else True,
        "has_sound": None if failed else True,
        "has_text": None,
        "near_duplicates": None,
        "content_sha": secrets.token_hex(32),
        "model": "fake",
        "model_served": None,
        "error": Reason.UNREADABLE.value if failed else None,
        "detail": None,
    }
    assert changes.keys() <= row.keys()
    return {**row, **changes}  # type: ignore[typeddict-item]


class Study:
    """A folder of embeddings whose every part is a file of its own in the finished table."""

    def __init__(self, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.config = EmbedConfig(videos=CatalogConfig(videos="clips", out=str(out)), out=str(out))
        self.folder = Folder(self.config.folder)
        self.finish = mark_near_duplicates(PICTURES, SOUND, 0.95)
        monkeypatch.setattr("tikval.store.folder.SEALED_ROWS", 10)

    def write(self, rows: list[EmbeddingRow]) -> None:
        schema = arrow_schema(EmbeddingRow, vector=WIDTH)
        for at in range(0, len(rows), 10):
            self.folder.write_part(pa.Table.from_pylist(list(rows[at : at + 10]), schema=schema))

    def seal(self) -> FolderRun:
        return self.folder.seal(self.config, {}, 1.0, self.finish)

    def column(self) -> dict[str, int | None]:
        rows = self.folder.read(["video_id", "near_duplicates"]).to_pylist()
        return {row["video_id"]: row["near_duplicates"] for row in rows}

    def groups(self) -> dict[int, set[str]]:
        groups: dict[int, set[str]] = {}
        for video_id, number in self.column().items():
            if number is not None:
                groups.setdefault(number, set()).add(video_id)
        return groups

    def pairs(self) -> dict[tuple[str, str], DuplicateRow]:
        rows = self.folder.read_side_table("near_duplicates")
        assert all(row["near_duplicates"] == self.column()[row["video_id"]] for row in rows)
        return {(row["video_id"], row["other_id"]): row for row in rows}


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    return Study(tmp_path, monkeypatch)


def videos(n: int, seed: int = 0) -> dict[str, Floats]:
    """Vectors of n videos, none like another."""
    rng = np.random.default_rng(seed)
    parts = [as_a_model_encodes(random_units(n, rng, width), rng) for width in (D, 16)]
    return {f"v{at:02}": vector for at, vector in enumerate(np.hstack(parts))}


def test_column_and_table(study: Study) -> None:
    vectors = videos(40)
    vectors["v31"][PICTURES] = vectors["v35"][PICTURES] = vectors["v02"][PICTURES]
    vectors["v20"] = vectors["v01"].copy()
    vectors["v25"] = vectors["v11"].copy()
    rows = [embedding(name, vector) for name, vector in vectors.items()]
    rows[35] = embedding("v35", vectors["v35"], has_sound=False)
    rows[25] = embedding("v25", vectors["v25"], content_sha=rows[11]["content_sha"])
    rows[39] = embedding("v39", None, content_sha=rows[38]["content_sha"])
    study.write(rows)
    run = study.seal()
    assert study.groups() == {0: {"v01", "v20"}, 1: {"v02", "v31", "v35"}, 2: {"v11", "v25"}}
    pairs = study.pairs()
    assert len(pairs) == 4
    assert [row["near_duplicates"] for row in pairs.values()] == [0, 1, 1, 2]
    assert [pair for pair, row in pairs.items() if row["same_file"]] == [("v11", "v25")]
    assert all(row["cosine"] == pytest.approx(1, abs=2e-6) for row in pairs.values())
    heard = {pair: row["sound_cosine"] for pair, row in pairs.items()}
    assert heard["v01", "v20"] == pytest.approx(1)
    assert heard["v11", "v25"] == pytest.approx(1)
    assert {None} == {value for pair, value in heard.items() if "v35" in pair}
    alike = [value for pair, value in heard.items() if pair == ("v02", "v31")]
    assert all(value is not None and abs(value) < 0.9 for value in alike)
    pairs = read_parquet(f"{study.folder.uri}/{run.side_tables['near_duplicates']}")
    assert pairs.schema == arrow_schema(DuplicateRow)
    assert study.folder.read().schema == arrow_schema(EmbeddingRow, vector=WIDTH)
    kept = {row["video_id"]: {**row, "near_duplicates": None} for row in study.folder.read().to_pylist()}
    assert kept == {row["video_id"]: row for row in rows}
    on_disk = {path.name for path in Path(study.folder.uri).iterdir()}
    assert on_disk == {*run.files, *run.side_tables.values(), "run.json"}


def test_a_file_without_change_keeps_its_name(study: Study) -> None:
    vectors = videos(40)
    vectors["v33"] = vectors["v01"].copy()
    rows = [embedding(name, vector) for name, vector in vectors.items()]
    study.write(rows)
    study.finish = lambda folder, names: (names, {})
    before = study.seal().files
    assert len(before) == 4
    study.finish = mark_near_duplicates(PICTURES, SOUND, 0.95)
    after = study.seal()
    assert len({*before} & {*after.files}) == 2
    assert all(name.startswith("full-") for name in after.files)
    assert study.groups() == {0: {"v01", "v33"}}
    again = study.seal()
    assert (again.files, again.side_tables) == (after.files, after.side_tables)
    study.write([embedding("v00-again", vectors["v00"])])
    later = study.seal()
    assert study.groups() == {0: {"v00", "v00-again"}, 1: {"v01", "v33"}}
    assert later.side_tables != after.side_tables


def test_the_order_of_rows_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(9)
    names, vectors = zip(*videos(60).items(), strict=True)
    rows = [embedding(name, vectors[at]) for name, at in zip(names, rng.integers(0, 40, 60), strict=True)]
    lines = []
    for at in range(2):
        study = Study(tmp_path / str(at), monkeypatch)
        study.write([rows[row] for row in rng.permutation(60)])
        study.seal()
        lines.append((study.column(), study.pairs()))
    assert lines[0] == lines[1]
    assert len(lines[0][1]) > 5


def test_a_lower_threshold_finds_more(study: Study) -> None:
    study.write([embedding(name, vector) for name, vector in videos(40).items()])
    study.seal()
    assert (study.groups(), study.pairs()) == ({}, {})
    study.finish = mark_near_duplicates(PICTURES, SOUND, 0.01)
    study.seal()
    assert len(study.groups()[0]) > 30


def test_the_same_file_counts_whatever_its_vector_and_however_few_there_are(study: Study) -> None:
    vectors = videos(5)
    rows = [embedding(name, vector) for name, vector in vectors.items()]
    for row in rows[1:4]:
        row["content_sha"] = "ab" * 32
    rows[4]["vector"] = rows[0]["vector"]  # no scale, so nobody knows
    rows[0]["content_sha"] = rows[4]["content_sha"] = None
    study.write([*rows, embedding("v05", None, content_sha="ab" * 32)])
    study.seal()
    assert study.groups() == {0: {"v01", "v02", "v03"}}
    pairs = study.pairs()
    assert {*pairs} == {("v01", "v02"), ("v01", "v03")}
    assert all(row["same_file"] and row["cosine"] == 1 for row in pairs.values())
    assert {row["sound_cosine"] for row in pairs.values()} == {None}


def test_a_file_joins_what_shows_the_same(study: Study) -> None:
    """One file read twice with other results: what is like the one belongs with what is like the other."""
    vectors = videos(20)
    vectors["v10"], vectors["v11"] = vectors["v00"].copy(), vectors["v01"].copy()
    rows = [embedding(name, vector) for name, vector in vectors.items()]
    rows[1]["content_sha"] = rows[0]["content_sha"]
    study.write(rows)
    study.seal()
    assert study.groups() == {0: {"v00", "v01", "v10", "v11"}}
    assert {*study.pairs()} == {("v00", "v01"), ("v00", "v10"), ("v01", "v11")}


def test_a_video_is_not_its_own_duplicate(study: Study) -> None:
    """Its file was replaced: the row of the old one stays in the table."""
    vectors = videos(20)
    rows = [embedding(name, vector) for name, vector in vectors.items()]
    twice = [embedding(name, vectors[name], row_key=row_key(name, 2, "2")) for name in ("v03", "v04")]
    study.write([*rows, *twice, embedding("v99", vectors["v04"])])
    study.seal()
    assert study.groups() == {0: {"v04", "v99"}}
    assert {*study.pairs()} == {("v04", "v99")}


def test_videos_without_pictures_are_not_alike(study: Study) -> None:
    vectors = videos(20)
    for name in ("v05", "v06"):
        vectors[name][PICTURES] = 0
    rows = [embedding(name, vector, has_video=name not in ("v05", "v06")) for name, vector in vectors.items()]
    study.write(rows)
    study.seal()
    assert study.groups() == {}


def test_without_pictures_the_whole_vector_is_compared(study: Study) -> None:
    vectors = videos(20)
    vectors["v01"] = vectors["v00"].copy()
    vectors["v03"][PICTURES] = vectors["v02"][PICTURES]  # here: another modality, the same in both
    vectors["v04"] = vectors["v05"] = np.zeros(WIDTH, np.float32)  # nothing to hear or read in either
    rows = [
        embedding(name, vector, has_video=None, has_sound=name not in ("v04", "v05"), has_text=False)
        for name, vector in vectors.items()
    ]
    study.write(rows)
    study.finish = mark_near_duplicates(None, SOUND, 0.99)
    study.seal()
    assert study.groups() == {0: {"v00", "v01"}}
    study.finish = mark_near_duplicates(None, None, 0.99)
    study.seal()
    assert [row["sound_cosine"] for row in study.pairs().values()] == [None]


def test_a_table_without_rows(study: Study) -> None:
    study.folder.write_part(arrow_schema(EmbeddingRow, vector=WIDTH).empty_table())
    run = study.seal()
    assert (run.rows, study.pairs()) == (0, {})
    study.write([embedding("v00", None)])
    assert study.seal().rows == 1
    assert study.column() == {"v00": None}


def test_erasing_a_video_takes_its_pairs_along(study: Study, tmp_path: Path) -> None:
    vectors = videos(30)
    vectors["v11"] = vectors["v01"].copy()
    vectors["v22"], vectors["v23"] = vectors["v02"].copy(), vectors["v02"].copy()
    study.write([embedding(name, vector) for name, vector in vectors.items()])
    study.seal()
    assert len(study.pairs()) == 3
    assert erase_videos(str(tmp_path), {"v11"}, set()) == ({"v11"}, 2)
    assert all("v11" not in pair for pair in study.pairs())
    assert len(study.pairs()) == 2
    for path in Path(study.folder.uri).glob("*.parquet"):
        assert "'v11'" not in repr(read_parquet(str(path)).to_pylist())
    study.seal()
    assert study.groups() == {0: {"v02", "v22", "v23"}}
