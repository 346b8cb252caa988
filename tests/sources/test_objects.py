"""A manifest of objects in a store: how many requests its catalog takes, and what one bad line costs."""

import time
from pathlib import Path
from typing import Any

import pyarrow.fs as pafs
import pytest

from tikval.rows import VideoRow
from tikval.sources import objects
from tikval.sources.catalog import list_videos

WHEN = 1_700_000_000_000_000_000


class FakeStore:
    """Objects by place, in buckets that may refuse; counts what it is asked."""

    def __init__(self, places: list[str]) -> None:
        self.places, self.faults = dict.fromkeys(places, 7), dict[str, OSError]()
        self.heads = self.listings = 0
        self.seconds_per_listing, self.may_list = 0.0, True

    def get_file_info(self, what: Any) -> Any:
        place = what if isinstance(what, str) else what.base_dir
        if fault := self.faults.get(place.partition("/")[0]):
            self.heads += 1
            raise fault
        if isinstance(what, str):
            self.heads += 1
            size = self.places.get(what)
            if size is None:
                return pafs.FileInfo(what, pafs.FileType.NotFound)
            return pafs.FileInfo(what, pafs.FileType.File, size=size, mtime_ns=WHEN)
        self.listings += 1
        time.sleep(self.seconds_per_listing)
        if not self.may_list:
            raise PermissionError("AWS Error ACCESS_DENIED during ListObjectsV2")
        below = [name for name in self.places if name.startswith(f"{place}/")]
        found = [name for name in below if what.recursive or "/" not in name.removeprefix(f"{place}/")]
        # with the fractions of a second that some stores state in a listing only
        return [
            pafs.FileInfo(name, pafs.FileType.File, size=7, mtime_ns=WHEN + 123_000_000) for name in found
        ]


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Any:
    def made(*places: str) -> FakeStore:
        store = FakeStore(list(places))
        monkeypatch.setattr(objects, "filesystem", lambda uri: (store, uri.partition("://")[2]))
        return store

    return made


def catalog(tmp_path: Path, *paths: str) -> list[VideoRow]:
    """With an id for each line, and the same rows however the store was asked."""
    lines = [f"s3://{path},id{n}" for n, path in enumerate(paths)]
    (tmp_path / "videos.csv").write_text("\n".join(["path,video_id", *lines]))
    return list(list_videos(f"{tmp_path}/videos.csv"))


MANY = [f"bkt/clips/{n:05}.mp4" for n in range(5_000)]


def test_a_prefix_is_listed_once(make: Any, tmp_path: Path) -> None:
    store = make(*MANY, *(f"bkt/clips/other/{n}.mp4" for n in range(10)))
    rows = catalog(tmp_path, *MANY, "bkt/clips/gone.mp4")
    assert (store.heads, store.listings) == (0, 1)
    assert [row["error"] for row in rows] == [None] * 5_000 + ["missing_file"]
    assert {(row["size_bytes"], row["etag"]) for row in rows[:-1]} == {(7, str(WHEN))}


def test_a_listed_object_has_the_key_that_it_had(make: Any, tmp_path: Path) -> None:
    make(*MANY)
    (single,) = catalog(tmp_path, MANY[0])
    assert catalog(tmp_path, *MANY)[0]["row_key"] == single["row_key"]


def test_a_folder_for_each_video_is_listed_from_above(make: Any, tmp_path: Path) -> None:
    places = [f"bkt/posts/{n}/video.mp4" for n in range(3_000)]
    store = make(*places)
    assert all(row["error"] is None for row in catalog(tmp_path, *places))
    assert (store.heads, store.listings) == (0, 1)


def test_a_few_objects_are_asked_for_singly(make: Any, tmp_path: Path) -> None:
    store = make(*MANY)
    assert all(row["error"] is None for row in catalog(tmp_path, *MANY[:20]))
    assert (store.heads, store.listings) == (20, 0)


@pytest.mark.parametrize("why", ["it holds far more", "it may not be listed"])
def test_what_cannot_be_listed_is_asked_for_singly(
    why: str, make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "_LEAST_SECONDS", 0.05)
    monkeypatch.setattr(objects, "_SECONDS_PER_HEAD", 0.0)
    store = make(*MANY)
    store.may_list = why != "it may not be listed"
    store.seconds_per_listing = 0.0 if not store.may_list else 0.6
    assert all(row["error"] is None for row in catalog(tmp_path, *MANY[:150]))
    assert (store.heads, store.listings) == (150, 1)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (OSError("When getting information: AWS Error NO_SUCH_BUCKET"), "missing_file"),
        (FileNotFoundError("bucket not found"), "missing_file"),
        (
            OSError("AWS Error ACCESS_DENIED during HeadObject operation: No response body."),
            "permission_denied",
        ),
        (PermissionError("403"), "permission_denied"),
        (OSError("AWS Error NETWORK_CONNECTION: curlCode: 7, Couldn't connect to server"), "server_error"),
    ],
)
@pytest.mark.parametrize("lines", [1, 500])
def test_a_bucket_that_refuses_costs_its_own_lines(
    fault: OSError, reason: str, lines: int, make: Any, tmp_path: Path
) -> None:
    store = make("bkt/a.mp4", "bkt/b.mp4")
    store.faults["bad"] = fault
    rows = catalog(tmp_path, "bkt/a.mp4", *(f"bad/{n}.mp4" for n in range(lines)), "bkt/b.mp4")
    assert [row["error"] for row in rows] == [None, *[reason] * lines, None]
    assert len({row["video_id"] for row in rows}) == lines + 2
    if reason == "server_error":
        assert store.heads <= 10, "a store that does not answer is not asked a thousand times"


def test_a_long_listing_is_told_of(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(objects, "_SECONDS_BETWEEN_LINES", 0.05)
    make(*MANY).seconds_per_listing = 0.5
    catalog(tmp_path, *MANY)
    assert "catalog: listing s3://bkt/clips, where 5000 objects are looked for" in capsys.readouterr().err
