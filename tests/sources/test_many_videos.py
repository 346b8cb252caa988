"""Lists that are longer than what is in memory at once: the same catalog, whatever the size of its files."""

import random
from pathlib import Path

import pyarrow as pa
import pytest

from tests.fixtures.rows import video
from tikval.config import CatalogConfig
from tikval.sources import catalog_files as module
from tikval.sources.many_ids import IdsByPath, SeenIds
from tikval.sources.video_rows import VideoRows, video_tables
from tikval.sources.write_catalog import write_catalog
from tikval.store.folder import Folder


def test_ids_are_counted_as_a_dictionary_counts_them() -> None:
    draw, seen, counts = random.Random(0), SeenIds(), dict[str, int]()
    for _ in range(60):
        ids = [f"id{draw.randrange(2_000)}" for _ in range(draw.randrange(200))]
        expected = []
        for name in ids:
            expected.append(counts.get(name, 0))
            counts[name] = counts.get(name, 0) + 1
        assert seen.times_before(ids) == expected
    assert max(counts.values()) > 2


def test_the_later_row_of_a_path_counts_and_a_new_path_has_none() -> None:
    tables = [
        pa.table(
            {"path": ["a", "b\udc80".encode("utf-8", "backslashreplace").decode()], "video_id": ["1", "2"]}
        ),
        pa.table({"path": ["c", "a"], "video_id": ["3", "4"]}),
    ]
    known = IdsByPath(tables)
    assert (len(known), known.get("a"), known.get("c"), known.get("d")) == (4, "4", "3", None)
    assert IdsByPath([]).get("a") is None


def test_rows_come_back_as_they_were_as_often_as_wanted() -> None:
    rows = [video(str(n), account="ann" if n % 2 else None) for n in range(25_000)]
    on_disk = VideoRows(rows)
    assert list(on_disk) == list(on_disk) == rows
    assert [table.num_rows for table in video_tables(rows, 10_000)] == [10_000, 10_000, 5_000]
    assert [table.num_rows for table in video_tables([], 10)] == [0]
    assert [table.num_rows for table in video_tables(rows[:10], 5)] == [5, 5]


@pytest.fixture
def config(tmp_path: Path) -> CatalogConfig:
    (tmp_path / "x.mp4").write_bytes(b"x")
    lines = [f"{n},x.mp4,account{n % 3}" for n in range(7)]
    (tmp_path / "list.csv").write_text("\n".join(["video_id,path,account", *lines, "3,x.mp4,account0"]))
    (tmp_path / "labels.csv").write_text("video_id,hedonism\n2,1\n6,0\n")
    labels = str(tmp_path / "labels.csv")
    return CatalogConfig(videos=str(tmp_path / "list.csv"), annotations=labels, out=str(tmp_path / "out"))


def test_a_catalog_in_one_file_stays_though_it_would_now_be_several(
    config: CatalogConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, files = write_catalog(config), sorted(Path(config.folder).iterdir())
    monkeypatch.setattr(module, "SEALED_ROWS", 3)
    assert write_catalog(config) == before
    assert sorted(Path(config.folder).iterdir()) == files


def test_several_files_hold_what_one_does_and_one_more_video_leaves_all_but_the_last(
    config: CatalogConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_catalog(config)
    in_one = Folder(config.folder).read()
    again = config.model_copy(update={"out": str(tmp_path / "other")})
    monkeypatch.setattr(module, "SEALED_ROWS", 3)
    run = write_catalog(again)
    assert (len(run.files), run.rows, run.failed) == (3, 8, {"duplicate_id": 1})
    assert Folder(again.folder).read().equals(in_one)
    with (tmp_path / "list.csv").open("a") as file:
        file.write("\n9,x.mp4,account9")
    more = write_catalog(again)
    assert more.files[:2] == run.files[:2]
    assert more.files[2] != run.files[2]
    assert more.rows == 9
    assert len(list(Path(again.folder).glob("data-*.parquet"))) == 3
