"""Folders, globs and manifests -> one row per video, its identity, and what shows in a listing; the catalog's job."""

import os
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tikval.config import CatalogConfig, UserError
from tikval.rows import Reason, VideoRow, arrow_schema
from tikval.sources.catalog import list_videos, read_accounts
from tikval.sources.write_catalog import write_catalog
from tikval.store.folder import Folder
from tikval.store.folder_run import FolderRun
from tikval.study.erasure import erase_videos


def touch(path: Path, data: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def listed(source: Path | str) -> list[VideoRow]:
    """The rows, after a check of what must hold for every catalog: keys differ, and Parquet takes it."""
    rows = list(list_videos(str(source)))
    assert len({row["row_key"] for row in rows}) == len(rows)
    results = [row["video_id"] for row in rows if row["error"] is None]
    assert len(set(results)) == len(results)
    pa.Table.from_pylist(rows, schema=arrow_schema(VideoRow)).validate(full=True)
    return rows


def ids(source: Path | str) -> list[str]:
    return [row["video_id"] for row in listed(source)]


def errors(source: Path | str) -> dict[str, str | None]:
    return {row["video_id"]: row["error"] for row in listed(source)}


def manifest(folder: Path, text: str) -> Path:
    return touch(folder / "videos.csv", text.encode())


# folders and globs


def test_a_folder_is_walked_to_the_bottom(tmp_path: Path) -> None:
    for name in ("b.mp4", "a.WEBM", "sub/deep/c.mov", "notes.txt", "sub/mp4", "d.tar.mkv"):
        touch(tmp_path / name)
    rows = listed(tmp_path)
    assert sorted(row["video_id"] for row in rows) == ["a", "b", "d.tar", "sub/deep/c"]
    assert not [row["error"] for row in rows if row["error"]]
    for row in rows:
        assert Path(row["path"]).read_bytes() == b"x"
        assert row["size_bytes"] == 1


def test_the_order_is_the_same_each_time(tmp_path: Path) -> None:
    for n in (3, 1, 2):
        touch(tmp_path / f"{n}/b.mp4")
        touch(tmp_path / f"{n}.mp4")
    assert ids(tmp_path) == ["1", "2", "3", "1/b", "2/b", "3/b"]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.mp4", ["a", "b1"]),
        ("b*.mp4", ["b1"]),
        ("b?.mp4", ["b1"]),
        ("[ab]*.mp4", ["a", "b1"]),
        ("*/*.mp4", ["b/c"]),
        ("b/*.mp4", ["c"]),
        ("**/*.mp4", ["a", "b/c", "b1"]),
        ("*", ["a", "b1"]),
    ],
)
def test_a_glob_names_videos_relative_to_its_fixed_part(
    tmp_path: Path, pattern: str, found: list[str]
) -> None:
    for name in ("a.mp4", "b1.mp4", "b/c.mp4", "a.txt"):
        touch(tmp_path / name)
    assert ids(f"{tmp_path}/{pattern}") == found


def test_a_glob_relative_to_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path / "clips/a.mp4")
    monkeypatch.chdir(tmp_path)
    assert ids("*/*.mp4") == ["clips/a"]
    assert ids("clips/*.mp4") == ids("clips") == ids("./clips/") == ids("clips/a.mp4") == ["a"]


def test_a_folder_whose_name_looks_like_a_glob(tmp_path: Path) -> None:
    touch(tmp_path / "clips [2026]*/a.mp4")
    assert ids(tmp_path / "clips [2026]*") == ["a"]


@pytest.mark.parametrize(
    "name",
    [
        *("two words", "it's", 'say "hi"', "a,b;c", "-rf", "$(id)", "100%", "<script>", "=1+1"),
        *("größe 猫 🙂", "👩\u200d👧 day", "画面\u3000録画", "עברית\u200f", "of unicode 17 \U0001fac8"),
    ],
)
def test_names_may_be_any_text(tmp_path: Path, name: str) -> None:
    touch(tmp_path / f"{name}.mp4")
    assert errors(tmp_path) == {name: None}


def test_names_that_no_table_can_hold(tmp_path: Path) -> None:
    for raw in (b"caf\xe9.mp4", b"caf\xe8.mp4", b"new\nline.mp4", "line\u2028.mp4".encode(), b"\x1b[2J.mp4"):
        with open(os.fsencode(tmp_path) + b"/" + raw, "wb") as file:  # noqa: PTH123 - not UTF-8
            file.write(b"x")
    touch(tmp_path / "good.mp4")
    rows = {row["video_id"]: row for row in listed(tmp_path)}
    assert rows.pop("good")["error"] is None
    assert len(rows) == 5
    for video_id, row in rows.items():
        assert video_id.isprintable()
        assert row["error"] == Reason.INVALID_ID


def test_a_name_that_is_too_long(tmp_path: Path) -> None:
    touch(tmp_path / "/".join(["d" * 250, "e" * 250, "f" * 11]) / "a.mp4")
    touch(tmp_path / "/".join(["d" * 250, "e" * 250, "g" * 8]) / "a.mp4")
    assert sorted((len(row["video_id"]), row["error"] or "") for row in listed(tmp_path)) == [
        (512, ""),
        (512, "invalid_id"),
    ]


def test_what_shows_in_a_listing_fails_at_once(tmp_path: Path) -> None:
    touch(tmp_path / "empty.mp4", b"")
    touch(tmp_path / "folder.mp4/inside.mp4")
    (tmp_path / "dangling.mp4").symlink_to(tmp_path / "nowhere.mp4")
    (tmp_path / "itself.mp4").symlink_to(tmp_path / "itself.mp4")
    os.mkfifo(tmp_path / "pipe.mp4")
    touch(tmp_path / "good.mp4")
    assert errors(tmp_path) == {
        "empty": Reason.EMPTY_FILE,
        "folder": Reason.NOT_A_FILE,
        "folder.mp4/inside": None,
        "dangling": Reason.MISSING_FILE,
        "itself": Reason.MISSING_FILE,
        "pipe": Reason.NOT_A_FILE,
        "good": None,
    }


def test_links_are_followed_once(tmp_path: Path) -> None:
    touch(tmp_path / "clips/a.mp4")
    touch(tmp_path / "elsewhere/b.mp4")
    touch(tmp_path / "clips/sub/c.mp4")
    (tmp_path / "clips/a_loop").symlink_to(tmp_path / "clips")
    (tmp_path / "clips/linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "clips/file.mp4").symlink_to(tmp_path / "elsewhere/b.mp4")
    assert errors(tmp_path / "clips") == {"a": None, "file": None, "linked/b": None, "sub/c": None}


def test_hidden_files_are_left_out(tmp_path: Path) -> None:
    for name in (".a.mp4", "._b.mp4", ".trash/c.mp4", ".mp4", "d.mp4"):
        touch(tmp_path / name)
    assert ids(tmp_path) == ids(f"{tmp_path}/*.mp4") == ids(f"{tmp_path}/**/*.mp4") == ["d"]


def test_two_files_with_one_id(tmp_path: Path) -> None:
    for suffix in ("mp4", "mov", "webm"):
        touch(tmp_path / f"a.{suffix}", suffix.encode())
    rows = listed(tmp_path)
    assert [row["video_id"] for row in rows] == ["a", "a", "a"]
    assert [row["error"] for row in rows] == [None, Reason.DUPLICATE_ID, Reason.DUPLICATE_ID]
    assert rows[0]["path"].endswith(".mov")


def test_a_replaced_file_gets_a_new_key(tmp_path: Path) -> None:
    def keys() -> dict[str, str]:
        return {row["video_id"]: row["row_key"] for row in listed(tmp_path)}

    a, b = touch(tmp_path / "a.mp4", b"1"), touch(tmp_path / "b.mp4", b"1")
    before = keys()
    assert keys() == before
    touch(tmp_path / "0.mp4")
    assert {name: key for name, key in keys().items() if name != "0"} == before
    a.write_bytes(b"22")
    status = b.stat()
    os.utime(b, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    after = keys()
    assert not set(after.values()) & set(before.values())


def test_where_there_are_no_videos(tmp_path: Path) -> None:
    touch(tmp_path / "notes.txt")
    for source in (tmp_path, f"{tmp_path}/*.mp4"):
        with pytest.raises(UserError, match="no videos found"):
            listed(source)
    with pytest.raises(UserError, match="lists no video: no line stands below the column names"):
        listed(manifest(tmp_path, "path,caption\n"))
    with pytest.raises(UserError, match="no such file or folder"):
        listed(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"nowhere\.csv: no such file"):
        listed(tmp_path / "nowhere.csv")


# manifests


def test_a_manifest_in_csv(tmp_path: Path) -> None:
    touch(tmp_path / "sub/a.mp4")
    other = touch(tmp_path / "other/b.mp4")
    rows = listed(
        manifest(
            tmp_path,
            "video_id,path,account,genre,caption,posted_at,views\n"
            'x,sub/a.mp4,ann,Vlog,"all ""mine""\nat last",2026-03-01T12:00:00+02:00,7\n'
            f",{other},,,,2026-03-01,\n",
        )
    )
    assert [row["video_id"] for row in rows] == ["x", str(other.with_suffix(""))]
    first, second = rows
    assert (first["account"], first["genre"]) == ("ann", "Vlog")
    assert first["caption"] == 'all "mine"\nat last'
    assert first["posted_at"] == datetime(2026, 3, 1, 10, tzinfo=UTC)
    assert second["posted_at"] == datetime(2026, 3, 1, tzinfo=UTC)
    assert (second["account"], second["genre"], second["caption"]) == (None, None, None)
    assert [Path(row["path"]).read_bytes() for row in rows] == [b"x", b"x"]


def test_a_manifest_in_parquet(tmp_path: Path) -> None:
    for name in "abc":
        touch(tmp_path / f"{name}.mp4")
    when = datetime(2026, 3, 1, 12)  # a table without time zones
    columns: dict[str, Any] = {
        "path": ["a.mp4", "b.mp4", "c.mp4"],
        "video_id": [0, 1, None],
        "posted_at": [when, when.replace(tzinfo=UTC), None],
    }
    pq.write_table(pa.table(columns), tmp_path / "videos.parquet")
    rows = listed(tmp_path / "videos.parquet")
    assert [row["video_id"] for row in rows] == ["0", "1", "c"]
    assert [row["posted_at"] for row in rows] == [when.replace(tzinfo=UTC)] * 2 + [None]


def test_a_manifest_names_relative_to_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path / "data/a.mp4")
    manifest(tmp_path / "data", "path\na.mp4\n")
    monkeypatch.chdir(tmp_path)
    assert errors("data/videos.csv") == {"a": None}
    monkeypatch.chdir(tmp_path / "data")
    assert errors("videos.csv") == {"a": None}


def test_failures_in_a_manifest(tmp_path: Path) -> None:
    touch(tmp_path / "a.mp4")
    touch(tmp_path / "empty.mp4", b"")
    (tmp_path / "folder.mp4").mkdir()
    long = "n" * 300
    table = f"path\na.mp4\nempty.mp4\nfolder.mp4\nmissing.mp4\na.mp4/b.mp4\n{long}.mp4\n"
    assert errors(manifest(tmp_path, table)) == {
        "a": None,
        "empty": Reason.EMPTY_FILE,
        "folder": Reason.NOT_A_FILE,
        "missing": Reason.MISSING_FILE,
        "a.mp4/b": Reason.MISSING_FILE,
        long: Reason.MISSING_FILE,
    }


def test_ids_of_a_manifest(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        touch(tmp_path / f"{name}.mp4")
    touch(tmp_path / "bad\tname.mp4")
    table = "path,video_id\na.mp4,1\nb.mp4,1\na.mp4,\nc.mp4,1\nc.mp4,\x07\na.mp4,1\na.mp4,1\nbad\tname.mp4,mended\n"
    assert [(row["video_id"], row["error"]) for row in listed(manifest(tmp_path, table))] == [
        ("1", None),
        ("1", Reason.DUPLICATE_ID),
        ("a", None),
        ("1", Reason.DUPLICATE_ID),
        ("\\x07", Reason.INVALID_ID),
        ("1", Reason.DUPLICATE_ID),
        ("1", Reason.DUPLICATE_ID),
        ("mended", None),
    ]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            "video_id,caption\na,b\n",
            "line 1: a manifest needs a column `path`, or `script`; it has video_id, caption",
        ),
        ("path,caption\na.mp4\n", "line 2: 1 cells under 2 column names"),
    ],
)
def test_a_mistake_in_a_manifest_names_file_line_and_column(tmp_path: Path, table: str, message: str) -> None:
    touch(tmp_path / "a.mp4")
    with pytest.raises(UserError, match=rf"videos\.csv: {message}"):
        listed(manifest(tmp_path, table))


@pytest.mark.parametrize(
    ("cells", "detail"),
    [
        (",2026-03-01", "line 3, column path: empty"),
        ("b.mp4,yesterday", "line 3, column posted_at: 'yesterday' is not a date like"),
        ("b.mp4,0001-01-01T00:00:00+05:00", "line 3, column posted_at: .*not a date"),
        (
            "https://me:hunter2@x.test/k/v.mp4,",
            r"line 3, column path: https://\[...\]/v.mp4: https:// is not opened",
        ),
        (
            "s3://bkt?endpoint_override=127.0.0.1:9&scheme=http/k/v.mp4,",
            r"s3://\[...\]/v.mp4: a bucket's name has",
        ),
        ("s3://key:hunter2@bkt/k/v.mp4,", r"s3://\[...\]/v.mp4: a bucket's name has"),
        ("gs://anonymous@bkt/v.mp4,", "a bucket's name has"),
    ],
)
def test_one_bad_line_of_a_manifest_is_one_failed_row(tmp_path: Path, cells: str, detail: str) -> None:
    touch(tmp_path / "a.mp4")
    touch(tmp_path / "c.mp4")
    rows = list(list_videos(str(manifest(tmp_path, f"path,posted_at\na.mp4,\n{cells}\nc.mp4,2026-03-01\n"))))
    assert [row["error"] for row in rows] == [None, Reason.INVALID_ROW, None]
    assert re.search(detail, rows[1]["detail"] or "")
    assert "hunter2" not in str(rows)
    assert "endpoint" not in str(rows)


def test_a_line_with_an_endless_caption_is_one_failed_row(tmp_path: Path) -> None:
    touch(tmp_path / "a.mp4")
    touch(tmp_path / "b.mp4")
    rows = list(list_videos(str(manifest(tmp_path, f"path,caption\na.mp4,{'x' * 200_000}\nb.mp4,short\n"))))
    assert [row["error"] for row in rows] == [Reason.INVALID_ROW, None]
    assert "200000 characters" in str(rows[0]["detail"])


@pytest.mark.parametrize("data", [b"", b"no Parquet", b"PAR1" + b"x" * 20 + b"\x08\0\0\0PAR1"])
def test_a_manifest_that_is_no_parquet(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(UserError, match=r"videos\.parquet: not a Parquet file"):
        listed(touch(tmp_path / "videos.parquet", data))


# accounts


def test_accounts(tmp_path: Path) -> None:
    table = "account,genre,is_minor,is_parent_run\nann,Vlog,yes,FALSE\nbob,,0,\n"
    rows = read_accounts(str(touch(tmp_path / "accounts.csv", table.encode())))
    assert rows == [
        {"account": "ann", "genre": "Vlog", "source": None, "is_minor": True, "is_parent_run": False},
        {"account": "bob", "genre": None, "source": None, "is_minor": False, "is_parent_run": None},
    ]
    pq.write_table(pa.table({"account": ["ann"], "is_minor": [True]}), tmp_path / "accounts.parquet")
    assert read_accounts(str(tmp_path / "accounts.parquet"))[0]["is_minor"] is True


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("account,is_minor\nann,yes\nbob,maybe\n", "line 3, column is_minor: 'maybe' is neither true nor"),
        ("account,is_parent_run\nann,2\n", "line 2, column is_parent_run: '2' is neither"),
        ("account,minor_featured\nann,yes\n", "line 1: unknown column minor_featured; is is_minor meant"),
        ("account,genre\n,Vlog\n", "line 2: column account: empty"),
        ("genre\nVlog\n", "line 1: no column account; there are genre"),
    ],
)
def test_a_mistake_in_the_accounts_names_file_line_and_column(
    tmp_path: Path, table: str, message: str
) -> None:
    path = touch(tmp_path / "accounts.csv", table.encode())
    with pytest.raises(UserError, match=rf"accounts\.csv: {message}"):
        read_accounts(str(path))


def test_accounts_that_videos_name(tmp_path: Path) -> None:
    for name in "12345":
        (tmp_path / f"{name}.mp4").write_bytes(b"x")
    lines = ["1.mp4,ann,", "2.mp4,,", "3.mp4,bob,Vlog", "4.mp4,ann,Art", "5.mp4,bob,Food"]
    (tmp_path / "list.csv").write_text("\n".join(["path,account,genre", *lines]))
    config = CatalogConfig(videos=str(tmp_path / "list.csv"), out=str(tmp_path / "out"))
    write_catalog(config)
    accounts = Folder(config.folder).read_side_table("accounts")
    assert [(row["account"], row["genre"], row["is_minor"]) for row in accounts] == [
        ("ann", "Art", None),
        ("bob", "Vlog", None),
    ]


# the job


@pytest.fixture
def config(tmp_path: Path) -> CatalogConfig:
    """Two videos, one of them broken, with annotations beside."""
    touch(tmp_path / "clips/a.mp4")
    touch(tmp_path / "clips/b.mp4", b"")
    touch(tmp_path / "labels.csv", b"video_id,account,face,humility\na,ann,2,-1\nb,bob,,1\nother,,1,\n")
    return CatalogConfig(
        videos=str(tmp_path / "clips"), annotations=str(tmp_path / "labels.csv"), out=str(tmp_path / "out")
    )


def table_of(config: CatalogConfig) -> dict[str, str | None]:
    return {row["video_id"]: row["error"] for row in Folder(config.folder).read().to_pylist()}


def test_a_catalog_with_annotations_and_accounts(config: CatalogConfig, tmp_path: Path) -> None:
    done = write_catalog(config)
    folder = Folder(config.folder)
    assert (done.rows, done.failed) == (2, {"empty_file": 1})
    assert folder.run() == done
    assert table_of(config) == {"a": None, "b": "empty_file"}
    labels = folder.read_side_table("labels")
    assert [(row["video_id"], row["account"], sum(filter(None, row["stances"]))) for row in labels] == [
        ("a", "ann", 1),
        ("b", "bob", 1),
        ("other", None, 1),
    ]
    assert folder.read(["account"])["account"].to_pylist() == ["ann", "bob"]  # the annotations name them
    assert [(row["account"], row["is_minor"]) for row in folder.read_side_table("accounts")] == [
        ("ann", None),
        ("bob", None),
    ]

    accounts = touch(tmp_path / "accounts.csv", b"account,is_minor\nann,yes\n")
    again = write_catalog(
        config.model_copy(
            update={"accounts": str(accounts), "annotations": None, "without": ("annotations",)}
        )
    )
    assert [row["account"] for row in folder.read_side_table("accounts")] == ["ann"]
    assert folder.read_side_table("labels") == []
    assert again.state != done.state
    assert len(list(Path(config.folder).glob("*.parquet"))) == 2, "a replaced table stayed behind"


def test_an_unchanged_catalog_is_left_as_it_is(config: CatalogConfig) -> None:
    done = write_catalog(config)
    path = Path(config.folder) / "run.json"
    before = path.stat()
    time.sleep(0.01)
    assert write_catalog(config) == done
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert path.stat().st_ino == before.st_ino


def test_one_more_video_changes_the_state_and_keeps_the_keys(config: CatalogConfig) -> None:
    def keys() -> set[str]:
        return set(Folder(config.folder).read(["row_key"])["row_key"].to_pylist())

    before, before_keys = write_catalog(config), keys()
    touch(Path(config.videos) / "c.mp4")
    after = write_catalog(config)
    assert after.state != before.state
    assert after.rows == 3
    assert keys() > before_keys
    assert len(list(Path(config.folder).glob("data-*.parquet"))) == 1


def test_one_more_annotation_changes_the_state(config: CatalogConfig, tmp_path: Path) -> None:
    before = write_catalog(config)
    with (tmp_path / "labels.csv").open("a") as file:
        file.write("c,,1,\n")
    assert write_catalog(config).state != before.state


def test_erased_videos_stay_out(config: CatalogConfig) -> None:
    write_catalog(config)
    erase_videos(config.out, {"a"}, set())
    assert table_of(config) == {"b": "empty_file"}

    def again() -> FolderRun:
        done = write_catalog(config)
        assert table_of(config) == {"b": "empty_file"}
        assert {row["video_id"] for row in Folder(config.folder).read_side_table("labels")} == {"b", "other"}
        return done

    again()
    touch(Path(config.videos) / "a.mp4", b"a new file of the same name")
    again()
    (Path(config.folder) / "run.json").unlink()
    assert again().failed == {"empty_file": 1}


def test_a_mistake_in_the_annotations_leaves_the_catalog_as_it_was(
    config: CatalogConfig, tmp_path: Path
) -> None:
    done = write_catalog(config)
    touch(tmp_path / "labels.csv", b"video_id,purity\na,1\n")
    touch(Path(config.videos) / "c.mp4")
    with pytest.raises(UserError, match="purity"):
        write_catalog(config)
    assert Folder(config.folder).run() == done
    assert set(table_of(config)) == {"a", "b"}


def test_annotations_in_the_values_of_another_codebook(config: CatalogConfig, tmp_path: Path) -> None:
    coded = {"definition": "d", "motivation": "m", "endorsing": ["e"], "confronting": ["c"]}
    values = [{"slug": slug, "title": slug, **coded} for slug in ("care", "purity")]
    book = {"name": "mine", "version": 1, "source": "us", "values": values}
    (tmp_path / "book.yaml").write_text(str(book))
    touch(tmp_path / "labels.csv", b"video_id,purity\na,1\n")
    write_catalog(config.model_copy(update={"codebook": str(tmp_path / "book.yaml")}))
    (row,) = Folder(config.folder).read_side_table("labels")
    assert (row["label_set"], row["stances"]) == ("mine", [None, 1])
    (tmp_path / "book.yaml").write_text("name: mine\n")
    with pytest.raises(UserError, match=r"book\.yaml"):
        write_catalog(config.model_copy(update={"codebook": str(tmp_path / "book.yaml")}))
