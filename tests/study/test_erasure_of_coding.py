"""Who is erased is gone from where people code, too: lines of tables, sheets that show them, and their videos."""

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import openpyxl
import pytest

from tests.annotate.coding_folders import make_coding_folder
from tests.annotate.test_corrections import ONE
from tests.study.test_erasure_and_export import ANN, IDS, Made
from tests.study.test_erasure_proof import erase
from tikval.annotate.coding_folder import PlanLine, make_known
from tikval.annotate.corrections import correction_history, write_corrections
from tikval.annotate.material import CodingVideo, with_study
from tikval.annotate.sheet import SheetItem
from tikval.sources.ids import name_by_key
from tikval.store.folder import Folder
from tikval.store.runs import Study
from tikval.study.erasure import erase_videos

GONE, OTHER, STAYS = IDS[:3]  # the first two are ANN's


class Coding:
    """A study, and a coding folder of three of its videos with all that may lie in one."""

    def __init__(self, root: Path) -> None:
        self.study = Made(root)
        self.folder = root / "coding"
        keys = {
            row["video_id"]: row["row_key"] for row in Folder(self.study.catalog.folder).read().to_pylist()
        }
        self.shown = name_by_key(keys[OTHER])  # as lists have it where an id names somebody
        self.items = (GONE, self.shown, STAYS)
        plan = [
            PlanLine(item, who, "main", n, None, "")
            for who in ("ann", "bob")
            for n, item in enumerate(self.items, 1)
        ]
        material = [
            SheetItem(item, "main", (f"../media/{n}.mp4",), caption=f"with @{ANN}")
            for n, item in enumerate(self.items)
        ]
        self.coding = make_coding_folder(self.folder, plan, material)
        make_known(self.study.out, self.folder)
        lines = [f'"{item}";ann;endorsed;"wie @{ANN}\nfür {n}"' for n, item in enumerate(self.items)]
        table = "\r\n".join(["video_id;annotator;face;note", *lines, ""]).encode("cp1252")
        self.returned = self.folder / "returned" / "ann.csv"
        self.returned.write_bytes(table)
        tasks = [{"data": {"video": item}, "annotations": [{"result": []}]} for item in self.items]
        (self.folder / "returned" / "tasks.json").write_text(json.dumps(tasks))
        self.workbook = self.folder / "returned" / "bob.xlsx"
        book = openpyxl.Workbook()
        for item in ("video_id", *self.items):
            book.active.append([item, "endorsed"])
        book.save(self.workbook)
        page = f"<p>{GONE}</p>".encode()
        for name in ("sheets/ann.html", "merged/disagreements.html"):
            (self.folder / name).parent.mkdir(exist_ok=True)
            (self.folder / name).write_bytes(page)
        (self.folder / "sheets" / "cem.html").write_text(STAYS)
        (self.folder / "zips").mkdir()
        with zipfile.ZipFile(self.folder / "zips" / "ann.zip", "w", zipfile.ZIP_DEFLATED) as parts:
            parts.writestr("ann.html", page)
        with zipfile.ZipFile(self.folder / "zips" / "cem.zip", "w", zipfile.ZIP_DEFLATED) as parts:
            parts.writestr("cem.html", STAYS)


@pytest.fixture
def coding(tmp_path: Path) -> Coding:
    return Coding(tmp_path)


def texts(folder: Path) -> str:
    """Everything below a folder, unpacked."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            found.append(f"{path.name} {data.decode('latin-1')}")
            if data.startswith(b"PK"):
                with zipfile.ZipFile(io.BytesIO(data)) as parts:
                    found += [parts.read(part).decode("latin-1") for part in parts.infolist()]
    return "\n".join(found)


def test_an_account_is_gone_from_its_coding_folder(coding: Coding) -> None:
    done = erase(coding.study.out, "--account", ANN)
    assert done.exit_code == 0, done.output
    left = texts(coding.folder)
    assert not [name for name in (GONE, OTHER, coding.shown, ANN) if name in left]
    assert [line.item for line in coding.coding.plan()] == [STAYS, STAYS]
    assert list(coding.coding.items()) == [STAYS]
    assert coding.coding.items()[STAYS].caption == "with @someone"
    assert coding.returned.read_bytes().decode("cp1252") == (
        f'video_id;annotator;face;note\r\n"{STAYS}";ann;endorsed;"wie @someone\nfür 2"\r\n'
    )
    assert [
        task["data"]["video"] for task in json.loads((coding.folder / "returned" / "tasks.json").read_text())
    ] == [STAYS]
    rows = openpyxl.load_workbook(coding.workbook).active.iter_rows(values_only=True)
    assert [row for row in rows if row[0]] == [("video_id", "endorsed"), (STAYS, "endorsed")]
    there = {str(path.relative_to(coding.folder)) for path in coding.folder.rglob("*") if path.is_file()}
    assert {"sheets/cem.html", "zips/cem.zip", "media/2.mp4"} <= there
    assert (
        not {"sheets/ann.html", "zips/ann.zip", "merged/disagreements.html", "media/0.mp4", "media/1.mp4"}
        & there
    )
    assert "sheets/ann.html" in done.output
    assert "write anew what is still needed" in " ".join(done.output.split())


def test_a_list_that_is_given_again_brings_nobody_back(coding: Coding) -> None:
    erase_videos(coding.study.out, {OTHER}, set())
    notes: list[str] = []
    found = with_study(
        list(map(CodingVideo, coding.items)), Study(coding.study.out), "coders.csv", notes.append
    )
    assert [video.item for video in found] == [GONE, STAYS]
    assert "videos of coders.csv that were erased from the study, and are left out: 1" in notes


def test_corrections_of_the_erased_are_cut(coding: Coding) -> None:
    ours = replace(ONE, video_id=STAYS, item=STAYS, why=f"not as in {GONE}.mp4")
    for place in (coding.study.out, coding.folder / "merged"):
        write_corrections(f"{place}/corrections.jsonl", [replace(ONE, video_id=GONE, item=GONE), ours])
    erase_videos(coding.study.out, {GONE}, set())
    assert [(one.video_id, one.why) for one in correction_history(coding.study.out)] == [
        (STAYS, "not as in [erased].mp4")
    ]
    assert GONE not in (coding.folder / "merged" / "corrections.jsonl").read_text()


def test_what_cannot_be_cleaned_is_found_and_a_folder_that_is_away_is_named(coding: Coding) -> None:
    (coding.folder / "notes.bin").write_bytes(f"seen: {GONE}".encode())
    done = erase(coding.study.out, GONE)
    assert done.exit_code == 1
    assert f"left: {coding.folder}/notes.bin: in its bytes" in " ".join(done.output.split())
    (coding.folder / "notes.bin").unlink()
    coding.folder.rename(coding.folder.with_name("elsewhere"))
    done = erase(coding.study.out, STAYS)
    assert done.exit_code == 1
    assert "a folder of coders that does not lie there now" in " ".join(done.output.split())


def test_folders_of_accounts_and_projects_for_other_tools_lose_them_too(tmp_path: Path) -> None:
    study = Made(tmp_path)
    ours, project = tmp_path / "accounts", tmp_path / "project"
    for folder in (ours, project):
        (folder / "media").mkdir(parents=True)
        for n in range(3):
            (folder / "media" / f"post-{n}.mp4").write_bytes(b"moving pictures")
        make_known(study.out, folder)
    posts = [
        {"video_id": item, "text": "a cake", "files": [f"../media/post-{n}.mp4"]}
        for n, item in enumerate((GONE, OTHER, STAYS))
    ]
    listed = [{"account": f"@{ANN.upper()}", "posts": posts[:2]}, {"account": "else", "posts": posts[2:]}]
    (ours / "accounts.json").write_text(json.dumps({"format": 1, "accounts": listed}))
    tasks = [{"id": post["video_id"], "video_url": f"/media/post-{n}.mp4"} for n, post in enumerate(posts)]
    (project / "videos.jsonl").write_text("".join(json.dumps(task) + "\n" for task in tasks))
    assert erase(study.out, GONE).exit_code == 0
    left = json.loads((ours / "accounts.json").read_text())["accounts"]
    assert [[post["video_id"] for post in one["posts"]] for one in left] == [[OTHER], [STAYS]]
    assert erase(study.out, "--account", ANN).exit_code == 0
    left = json.loads((ours / "accounts.json").read_text())["accounts"]
    assert [one["account"] for one in left] == ["else"]
    for folder in (ours, project):
        assert [path.name for path in (folder / "media").iterdir()] == ["post-2.mp4"]
    assert [json.loads(line)["id"] for line in (project / "videos.jsonl").open()] == [STAYS]
