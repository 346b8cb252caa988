"""A study as a whole: what it holds, what leaves it for other tools, and how a video is forgotten."""

import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.fixtures.rows import prediction, script
from tikval.config import CatalogConfig, ExtractConfig, JobConfig, ScriptConfig, UserError
from tikval.files import read_parquet, write_bytes
from tikval.report.export.values import Export, export_table
from tikval.report.export.write import write_export
from tikval.rows import PredictionRow, Reason, ScriptRow, arrow_schema
from tikval.sources.write_catalog import write_catalog
from tikval.stats.folds import Fold, to_json
from tikval.store.folder import Folder
from tikval.store.folder_run import FolderRun
from tikval.store.runs import Study
from tikval.study.erasure import erase_videos
from tikval.values import SLUGS

IDS = ("first-video", "second-video", "third-video", "broken-video")
ANN, BOB = "ann.of.cleves", "bob.the.builder"


class Scores(JobConfig):
    stage = "scores"


class Report(JobConfig):
    stage = "report"


def sealed(config: JobConfig, kind: type, rows: Sequence[Any]) -> FolderRun:
    """A finished folder of these rows, written as two parts."""
    folder = Folder(config.folder)
    for part in (rows[:1], rows[1:]):
        folder.write_part(pa.Table.from_pylist(list(part), schema=arrow_schema(kind)))
    return folder.seal(config, {}, 1.0)


class Made:
    """A study of four videos by two accounts, written as the jobs write it."""

    def __init__(self, root: Path) -> None:
        self.root, self.out = root, str(root / "out")
        for name in IDS:
            (root / f"{name}.mp4").write_bytes(b"x")
        owners = zip(IDS, (ANN, ANN, BOB, BOB), strict=True)
        (root / "videos.csv").write_text(
            "path,account,caption\n" + "".join(f"{name}.mp4,{who},by {who}\n" for name, who in owners)
        )
        (root / "labels.csv").write_text(
            f"video_id,account,face\nfirst-video,{ANN},1\nthird-video,{BOB},2\nnever-downloaded,{ANN},1\n"
        )
        (root / "accounts.csv").write_text(f"account,is_minor\n{ANN},yes\n{BOB},no\n")
        self.catalog = CatalogConfig(
            videos=str(root / "videos.csv"),
            annotations=str(root / "labels.csv"),
            accounts=str(root / "accounts.csv"),
            out=self.out,
        )
        self.scripts = ScriptConfig(videos=self.catalog, out=self.out)
        self.system = ExtractConfig(scripts=self.scripts, system="local", out=self.out)
        write_catalog(self.catalog)
        keys = {row["video_id"]: row["row_key"] for row in Folder(self.catalog.folder).read().to_pylist()}
        broken = {"error": Reason.UNREADABLE.value, "detail": "no"}
        self.script_rows = [script(name, row_key=keys[name]) for name in IDS[:3]]
        self.script_rows += [script(IDS[3], row_key=keys[IDS[3]], **broken)]
        self.rows = [
            prediction("first-video", "face+", "humility-", row_key=keys["first-video"]),
            prediction("second-video", row_key=keys["second-video"]),
            prediction("third-video", "achievement+", row_key=keys["third-video"]),
            prediction("broken-video", row_key=keys["broken-video"], **broken),
        ]
        sealed(self.scripts, ScriptRow, self.script_rows)
        sealed(self.system, PredictionRow, self.rows)

    def folder(self, job: JobConfig) -> Folder:
        return Folder(job.folder)


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path)


# studies


def test_a_study_is_what_has_finished_below_one_folder(made: Made) -> None:
    (made.root / "out" / "notes").mkdir()
    study = Study(f"{made.out}/")
    assert study.out == made.out
    assert {run.stage for _, run in study.runs} == {"catalog", "scripts", "predictions"}
    assert [folder.uri for folder in study.folders("scripts")] == [made.scripts.folder]
    assert study.catalog().uri == made.catalog.folder
    assert {name: folder.uri for name, (folder, _) in study.systems().items()} == {
        "local": made.system.folder
    }
    assert study.latest("report") is None
    (Path(made.system.folder) / "run.json").unlink()
    assert Study(made.out).systems() == {}


def test_of_two_runs_the_one_that_finished_last_counts(made: Made) -> None:
    other = made.system.model_copy(update={"codebook": "prompts/extract.txt"})
    assert other.folder != made.system.folder
    run = sealed(other, PredictionRow, made.rows)
    for when, wanted in (("2000-01-01", made.system), ("2999-01-01", other)):
        Folder(other.folder).rewrite_run(replace(run, finished_at=f"{when}T00:00:00+00:00"), {})
        study = Study(made.out)
        assert study.systems()["local"][0].uri == wanted.folder
        latest = study.latest("predictions")
        assert latest is not None
        assert latest[0].uri == wanted.folder


def test_where_no_study_lies(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UserError, match="no finished run"):
            Study(str(place))


def test_a_study_without_a_catalog(made: Made) -> None:
    Folder(made.catalog.folder).remove()
    with pytest.raises(UserError, match="holds no catalog"):
        Study(made.out).catalog()


# export


def exported(made: Made) -> dict[str, dict[str, Any]]:
    return {row["video_id"]: row for row in export_table(Study(made.out)).to_pylist()}


def test_export_has_a_line_per_video_and_system(made: Made) -> None:
    second = made.system.model_copy(update={"system": "another"})
    sealed(second, PredictionRow, [row | {"system": "another"} for row in made.rows])
    table = export_table(Study(made.out))
    lines = list(zip(table["system"].to_pylist(), table["video_id"].to_pylist(), strict=True))
    assert lines == [(system, name) for system in ("another", "local") for name in sorted(IDS)]


def test_export_gives_stances(made: Made) -> None:
    lines = exported(made)
    values = {name: {slug: line[slug] for slug in SLUGS if line[slug] != 0} for name, line in lines.items()}
    assert values["first-video"] == {"face": 1, "humility": -1}
    assert values["second-video"] == {}
    assert values["third-video"] == {"achievement": 1}
    assert lines["first-video"]["error"] is None


def test_a_failure_is_empty_and_not_absent(made: Made) -> None:
    line = exported(made)["broken-video"]
    assert line["error"] == "unreadable"
    assert {line[slug] for slug in SLUGS} == {None}


def test_export_leaves_out_what_the_catalog_no_longer_lists(made: Made) -> None:
    (made.root / "videos.csv").write_text("path\nfirst-video.mp4\n")
    write_catalog(made.catalog)
    assert list(exported(made)) == ["first-video"]


def test_nothing_to_export(made: Made) -> None:
    Folder(made.system.folder).remove()
    with pytest.raises(UserError, match="no system has finished"):
        export_table(Study(made.out))


STRANGE = ("=1+1", "+1", "-1", "@SUM(A1)", "\tx", "plain", 'a "b", c', "größe 🙂")


def strange() -> Export:
    table = pa.table(
        {
            "video_id": list(STRANGE),
            "system": ["local"] * len(STRANGE),
            "error": ["timeout", *[None] * (len(STRANGE) - 1)],
            "face": pa.array([None, 1, -1, 0, 0, 0, 0, 0], pa.int8()),
        }
    )
    return Export("values", table.schema, table.num_rows, lambda: iter([table.slice(0, 5), table.slice(5)]))


def test_export_as_csv(tmp_path: Path) -> None:
    write_export([strange()], str(tmp_path / "new" / "values.csv"))
    with (tmp_path / "new" / "values.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["video_id"].removeprefix("'") for row in rows] == list(STRANGE)
    assert not [row for row in rows if row["video_id"][0] in "=+-@\t\r"]
    assert [row["video_id"] for row in rows[5:]] == list(STRANGE[5:])
    assert [row["face"] for row in rows[:4]] == ["", "1", "-1", "0"]
    assert [row["error"] for row in rows[:2]] == ["timeout", ""]


def test_export_as_parquet_and_jsonl_is_exact(tmp_path: Path) -> None:
    write_export([strange()], str(tmp_path / "values.parquet"))
    table = pa.concat_tables(strange().tables())
    assert pq.read_table(tmp_path / "values.parquet").equals(table)
    write_export([strange()], str(tmp_path / "values.jsonl"))
    lines = (tmp_path / "values.jsonl").read_bytes().decode().split("\n")
    assert [json.loads(line) for line in lines[:-1]] == table.to_pylist()
    assert lines[-1] == ""


@pytest.mark.parametrize("name", ["values.xls", "values", "csv"])
def test_a_form_that_export_does_not_know(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=rf"{name}: the name must end in \.csv, \.xlsx, "):
        write_export([strange()], str(tmp_path / name))
    assert not list(tmp_path.iterdir())


def test_export_to_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        write_export([strange()], str(tmp_path / "file" / "values.csv"))


# erase


def mentions(out: str, text: str) -> set[str]:
    """Files below `out` that hold a text, in their bytes or in a table's cells (which may be compressed)."""
    found = set()
    for path in Path(out).rglob("*"):
        if path.is_file():
            cells = repr(read_parquet(str(path)).to_pylist()) if path.suffix == ".parquet" else ""
            if text.encode() in path.read_bytes() or text in cells:
                found.add(str(path.relative_to(out)))
    return found


def remaining(made: Made, job: JobConfig) -> set[str]:
    return set(made.folder(job).read(["video_id"])["video_id"].to_pylist())


def test_erasing_a_video(made: Made) -> None:
    assert len(mentions(made.out, "first-video")) == 4  # catalog, labels, scripts, predictions
    assert erase_videos(made.out, {"first-video"}, set()) == ({"first-video"}, 4)
    assert not mentions(made.out, "first-video")
    for job in (made.catalog, made.scripts, made.system):
        assert remaining(made, job) == set(IDS[1:])
        assert made.folder(job).finished().rows == 3
    assert made.folder(made.system).finished().failed == {"unreadable": 1}
    others = made.folder(made.system).read().sort_by("video_id").to_pylist()
    assert others == sorted(made.rows[1:], key=lambda row: row["video_id"])
    labelled = [row["video_id"] for row in made.folder(made.catalog).read_side_table("labels")]
    assert labelled == ["third-video", "never-downloaded"]
    assert erase_videos(made.out, {"first-video"}, set()) == (set(), 0)


def test_erasing_a_failure_counts_it_no_more(made: Made) -> None:
    erase_videos(made.out, {"broken-video"}, set())
    assert made.folder(made.system).finished().failed == {}
    assert made.folder(made.scripts).finished().failed == {}


def test_erasing_changes_the_state_of_what_it_touched_only(made: Made) -> None:
    jobs = (made.catalog, made.scripts, made.system)
    before = [made.folder(job).finished().state for job in jobs]
    erase_videos(made.out, {"unknown"}, set())
    assert [made.folder(job).finished().state for job in jobs] == before
    erase_videos(made.out, {"first-video"}, set())
    assert not set(before) & {made.folder(job).finished().state for job in jobs}


def test_erasing_an_account(made: Made) -> None:
    assert mentions(made.out, ANN)
    found, rows = erase_videos(made.out, set(), {ANN})
    assert found == {"first-video", "second-video", "never-downloaded"}
    assert rows == 2 + 2 + 2 + 2 + 1  # catalog, labels, scripts, predictions, accounts
    for text in (ANN, "first-video", "second-video", "never-downloaded"):
        assert not mentions(made.out, text)
    assert remaining(made, made.system) == {"third-video", "broken-video"}
    assert [row["account"] for row in made.folder(made.catalog).read_side_table("accounts")] == [BOB]
    assert erase_videos(made.out, set(), {ANN}) == (set(), 0)


def test_an_erased_account_does_not_come_back(made: Made) -> None:
    erase_videos(made.out, set(), {ANN})
    (made.root / "new.mp4").write_bytes(b"x")
    with (made.root / "videos.csv").open("a") as file:
        file.write(f"new.mp4,{ANN},\n")
    write_catalog(made.catalog)
    assert not mentions(made.out, ANN)
    assert remaining(made, made.catalog) == {"third-video", "broken-video"}
    assert [row["account"] for row in made.folder(made.catalog).read_side_table("accounts")] == [BOB]


def test_what_is_kept_of_the_erased_names_nobody(made: Made) -> None:
    erase_videos(made.out, {"first-video", "not-there-yet"}, {BOB})
    kept = (Path(made.out) / "erased.json").read_text()
    assert not [name for name in (*IDS, "not-there-yet", BOB) if name in kept]
    (made.root / "other").mkdir()
    other = Made(made.root / "other")
    erase_videos(other.out, {"first-video"}, set())
    hashes = set(json.loads((Path(other.out) / "erased.json").read_text())["videos"])
    assert not hashes & set(json.loads(kept)["videos"]), "two studies can be matched"


def test_scores_and_pages_go_whole(made: Made) -> None:
    scores, report = Scores(out=made.out), Report(out=made.out)
    for job in (scores, report):
        for name in (
            "index.html",
            "data/videos.js",
            "videos/0.html",
            "charts/a.csv",
            "pictures/first-video.jpg",
        ):
            write_bytes(f"{job.folder}/{name}", b"<p>first-video</p>")
        made.folder(job).write_run(job, [], {}, 0, {}, 0)
    erase_videos(made.out, {"first-video"}, set())
    for job in (scores, report):
        assert made.folder(job).run() is None
    assert not mentions(made.out, "first-video")


def test_folds_that_name_the_erased_go_also_without_a_result(made: Made) -> None:
    """A sweep's table has no ids, and a training that died has no table."""

    def folds(*test: str) -> bytes:
        return to_json([Fold(0, 0, train=("other",), validation=(), test=test)]).encode()

    written = {
        "sweep-aaaaaaaaaaaa": folds("first-video"),
        "finetune-bbbbbbbbbbbb": folds("first-video", "another"),
        "pretrain-cccccccccccc": folds("another"),
        "finetune-dddddddddddd": folds("first-video")[:40],
    }
    for name, data in written.items():
        write_bytes(f"{made.out}/{name}/folds.json", data)
    erase_videos(made.out, {"first-video"}, set())
    left = sorted(path.parent.name for path in Path(made.out).rglob("folds.json"))
    assert left == ["pretrain-cccccccccccc"]


def test_parts_that_no_run_names_are_erased_too(made: Made) -> None:
    """A part that came late, and the folder of a run that was killed."""
    part = pa.Table.from_pylist(made.script_rows, schema=arrow_schema(ScriptRow))
    made.folder(made.scripts).write_part(part)
    unfinished = made.scripts.model_copy(
        update={"writer": made.scripts.writer.model_copy(update={"max_lost_share": 0.1})}
    )
    assert unfinished.folder != made.scripts.folder
    made.folder(unfinished).write_part(part)
    page = Report(out=made.out)
    write_bytes(f"{page.folder}/index.html", b"<p>first-video</p>")
    Path(made.scripts.folder, ".tmp-0123456789abcdef").write_bytes(b"PAR1 first-video")
    assert len(mentions(made.out, "first-video")) == 8
    erase_videos(made.out, {"first-video"}, set())
    assert not mentions(made.out, "first-video")
    assert made.folder(unfinished).run() is None
    assert len(made.folder(unfinished).seen().done) == 3


def test_erase_touches_nothing_that_is_not_tikvals(made: Made) -> None:
    theirs = Path(made.out) / "mine" / "first-video.parquet"
    theirs.parent.mkdir()
    pq.write_table(pa.table({"other": ["first-video"]}), theirs)
    erase_videos(made.out, {"first-video"}, {ANN})
    assert theirs.exists()
    assert [path.name for path in theirs.parent.iterdir()] == [theirs.name]


def test_erase_waits_for_no_run_at_work(made: Made) -> None:
    with made.folder(made.system).lock(), pytest.raises(UserError, match="in use by another run"):
        erase_videos(made.out, {"first-video"}, set())
    erase_videos(made.out, {"first-video"}, set())
    assert not mentions(made.out, "first-video")
