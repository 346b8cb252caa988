"""tikval annotate sheet and leave: from a list to files for coders, a later list, and a coder who leaves."""

import json
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.fixtures.coding import CodingStudy, hand_in
from tikval.annotate.coding_folder import CodingFolder, known_coding_folders
from tikval.annotate.sheet_files import sheet_of
from tikval.cli.commands import app
from tikval.config import UserError


class Coding:
    def __init__(self, root: Path) -> None:
        self.study, self.out = CodingStudy(root), root / "coding"

    def sheet(self, n: int, *words: str, study: bool = True) -> str:
        """What the command prints of a sample of `n` videos."""
        return self.sheet_of(self.study.draw(n, f"{n}.csv"), *words, study=study)

    def sheet_of(self, videos: Path, *words: str, study: bool = True, code: int = 0) -> str:
        given = ["--out", str(self.out), *(["--study", self.study.out] if study else [])]
        book = [] if self.out.exists() else ["--codebook", str(self.study.codebook)]
        return self("sheet", str(videos), *given, *book, *words, code=code)

    def __call__(self, *words: str, code: int = 0) -> str:
        done = CliRunner().invoke(app, ["annotate", *words])
        if isinstance(done.exception, UserError):
            raise done.exception
        assert done.exit_code == code, done.output
        return done.output

    @property
    def folder(self) -> CodingFolder:
        return CodingFolder(self.out)

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (self.out / "sheets").iterdir()}

    def who(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for line in self.folder.plan():
            if line.round == "main":
                found.setdefault(line.item, set()).add(line.coder)
        return found


THREE = ("--coder", "ann", "--coder", "bob", "--coder", "cem")


@pytest.fixture
def coding(tmp_path: Path) -> Coding:
    return Coding(tmp_path)


def test_from_a_list_to_sheets_that_name_nobody(coding: Coding) -> None:
    printed = coding.sheet(9, *THREE, "--zip", "by_all=0", "again=2", "gap=3")
    assert "ann: 6 videos, 2 of them twice" in printed
    assert f"next: put what coders send back into {coding.out / 'returned'}" in printed
    listed = {line["video_id"].lstrip("'"): line for line in coding.study.listed("9.csv")}
    assert coding.who().keys() == listed.keys()
    assert all(len(who) == 2 for who in coding.who().values())
    for line in coding.folder.plan():
        assert line.probability == float(listed[line.item]["probability"])
        assert line.stratum == listed[line.item]["stratum"]
    names = {"ann.html", "ann.xlsx", "bob.html", "bob.xlsx", "cem.html", "cem.xlsx", "guide.html"}
    assert coding.files().keys() == names
    everything = b"".join(
        path.read_bytes() for path in coding.out.rglob("*") if path.is_file() and path.suffix != ".mp4"
    )
    assert b"jane" not in everything
    assert b"mo_smith" not in everything
    assert not any("jane" in path.name for path in coding.out.rglob("*"))
    assert known_coding_folders(coding.study.out) == [coding.out]
    assert coding.folder.study == coding.study.out


def test_a_zip_holds_what_the_sheet_shows(coding: Coding) -> None:
    coding.sheet(9, *THREE, "--zip")
    sheet = sheet_of(coding.folder, "bob", 1)
    assert f"codebook {sheet.codebook}" in coding.files()["bob.html"].decode()
    with zipfile.ZipFile(coding.out / "zips" / "bob.zip") as packed:
        inside = set(packed.namelist())
    media = {f"media/{Path(name).name}" for item in sheet.items for name in item.files}
    assert inside == {"sheets/bob.html", "sheets/bob.xlsx", "sheets/guide.html", *media}


def test_the_same_list_again_changes_nothing_and_a_deleted_sheet_is_made_anew(coding: Coding) -> None:
    printed = coding.sheet(9, *THREE)
    assert "ann: 0 of 3 videos come a second time: too few for gap=20" in " ".join(printed.split())
    plan, files = coding.folder.plan(), coding.files()
    (coding.out / "sheets" / "ann.html").unlink()
    (coding.out / "sheets" / "bob.html").write_text("somebody codes here")
    printed = coding.sheet(9)
    assert "no video of the list is new" in printed
    assert "1 new file" in printed
    assert coding.folder.plan() == plan
    assert coding.files() == files | {"bob.html": b"somebody codes here"}
    assert len(coding.folder.protocol.batches) == 1


def test_a_larger_sample_adds_sheets_and_moves_nothing(coding: Coding) -> None:
    coding.sheet(6, *THREE, "again=0", "seed=4")
    before, files = coding.who(), coding.files()
    printed = coding.sheet(12, "--coder", "dora", study=False)
    assert "probability of this sample from now on: 6" in printed
    assert coding.who().keys() > before.keys()
    assert all(coding.who()[item] == who for item, who in before.items())
    assert {line.probability for line in coding.folder.plan()} == {1.0}
    assert {item.probability for item in coding.folder.items().values()} == {1.0}
    assert {name: data for name, data in coding.files().items() if name in files} == files
    assert coding.files().keys() - files.keys() >= {"dora.html", "dora.xlsx", "ann-2.html", "ann-2.xlsx"}
    assert [batch.videos for batch in coding.folder.protocol.batches] == [6, 6]
    assert coding.folder.protocol.rules.seed == 4, "rules stay until others are given"
    assert not {item.item for item in sheet_of(coding.folder, "ann", 2).items} & before.keys()


def test_practice_comes_first_with_the_right_answers(coding: Coding, tmp_path: Path) -> None:
    practised, gold, videos = coding.study.rows[-1]["video_id"], tmp_path / "gold.csv", coding.study.draw(12)
    gold.write_text(f"video_id,hedonism\n{practised},endorsed\n")
    lines = videos.read_text().splitlines(keepends=True)
    videos.write_text("".join(line for line in lines if practised not in line))
    coding.sheet_of(videos, *THREE, "--practice", str(gold))
    for coder in ("ann", "bob", "cem"):
        first, *others = sheet_of(coding.folder, coder, 1).items
        assert (first.round, first.files) == ("practice", (f"../media/{practised}.mp4",))
        assert first.gold is not None
        assert first.gold.answers == {"hedonism": "endorsed"}
        assert others
        assert all(item.round != "practice" and item.gold is None for item in others)


def test_a_file_that_is_gone_is_left_out_and_comes_in_later(coding: Coding) -> None:
    videos = coding.study.draw(12)
    gone = Path(coding.study.rows[7]["path"])
    away = gone.rename(gone.with_suffix(".away"))
    printed = coding.sheet_of(videos, *THREE, code=1)
    assert "left out, for their files cannot be read: no such file 1" in printed
    assert len(coding.who()) == 11
    away.rename(gone)
    coding.sheet_of(videos)
    assert len(coding.who()) == 12


@pytest.mark.parametrize("stopped", ["write_items", "write_plan", "write_protocol"])
def test_a_command_that_was_stopped_can_be_given_again(
    coding: Coding, stopped: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*args: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(CodingFolder, stopped, stop)
        with pytest.raises(UserError, match="No space left"):
            coding.sheet(6, *THREE)
    coding.sheet(6, *THREE)
    assert len(coding.who()) == 6
    plan = coding.folder.plan()
    assert len(plan) == len({(line.coder, line.sheet, line.place) for line in plan})
    assert coding.folder.protocol.active == ("ann", "bob", "cem")


def test_who_leaves_keeps_what_is_finished(coding: Coding) -> None:
    coding.sheet(12, *THREE, "by_all=0", "again=2", "gap=3")
    before, files = coding.who(), coding.files()
    finished = hand_in(coding.folder, "bob", 3, unanswered=2)
    printed = coding("leave", str(coding.out), "bob", "--to", "cem", "--to", "dora")
    assert "bob has left: 3 videos finished" in printed
    folder, after = coding.folder, coding.who()
    assert {item for item, who in after.items() if "bob" in who} == set(finished)
    assert all(len(who) == 2 for who in after.values())
    assert all(after[item] >= who - {"bob"} for item, who in before.items()), "nobody else's moves"
    assert folder.protocol.active == ("ann", "cem", "dora")
    assert folder.protocol.coders[1].left is not None
    assert not any(line.coder == "bob" and line.round == "again" for line in folder.plan())
    new = coding.files().keys() - files.keys()
    assert new >= {"dora.html", "dora.xlsx"}
    assert {name: data for name, data in coding.files().items() if name in files} == files
    loads = Counter(coder for who in after.values() for coder in who)
    assert loads["ann"] == 8, "who is not named gets nothing"
    with pytest.raises(UserError, match="bob: has left on"):
        coding("leave", str(coding.out), "bob")
    with pytest.raises(UserError, match=r"bob: left on .*nobody had"):
        coding.sheet(12, "--coder", "bob")


def test_leaving_that_was_stopped_can_be_asked_for_again(
    coding: Coding, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*args: object) -> None:
        raise OSError(28, "No space left on device")

    coding.sheet(12, *THREE)
    words = ("leave", str(coding.out), "bob", "--to", "dora")
    with monkeypatch.context() as patch:
        patch.setattr(CodingFolder, "write_protocol", stop)
        with pytest.raises(UserError, match="No space left"):
            coding(*words)
    assert "dora.html" in coding(*words)
    assert coding.folder.protocol.active == ("ann", "cem", "dora")
    assert not any("bob" in who for who in coding.who().values())
    assert {len(who) for who in coding.who().values()} == {2, 3}


def test_nobody_can_leave_whose_videos_nobody_can_take(coding: Coding) -> None:
    coding.sheet(12, "--coder", "ann", "--coder", "bob")
    plan = coding.folder.plan()
    with pytest.raises(UserError, match=r"12 videos, .* with --to"):
        coding("leave", str(coding.out), "bob")
    assert coding.folder.plan() == plan
    assert coding.folder.protocol.active == ("ann", "bob")
    assert "dora: takes over 12 videos" in coding("leave", str(coding.out), "bob", "--to", "dora")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--coder", "ann"], "1 of the 2 coders"),
        (["--coder", "ann", "--coder", "../bob"], "a short name"),
        ([*THREE, "agian=3"], "agian: unknown key"),
        ([*THREE, "--codebook", "none.yaml"], "none.yaml"),
        ([*THREE, "--out", "."], "no coding folder"),
    ],
)
def test_a_mistake_leaves_nothing_behind(coding: Coding, words: list[str], why: str) -> None:
    with pytest.raises(UserError, match=why):
        coding.sheet(6, *words)
    assert not coding.out.exists()


def test_another_codebook_or_sample_is_another_folder(coding: Coding, tmp_path: Path) -> None:
    coding.sheet(6, *THREE)
    (tmp_path / "book.yaml").write_text(coding.study.codebook.read_text().replace("version: 1", "version: 2"))
    with pytest.raises(UserError, match="answers to two codebooks"):
        coding.sheet(6, "--codebook", str(tmp_path / "book.yaml"))
    lines = coding.study.draw(12).read_text().splitlines(keepends=True)
    (tmp_path / "other.csv").write_text("".join([lines[0], *lines[3:]]))
    with pytest.raises(UserError, match="draw one sample that holds both"):
        coding.sheet_of(tmp_path / "other.csv")


def test_a_protocol_is_for_people_too(coding: Coding) -> None:
    coding.sheet(6, *THREE, "third=eve")
    protocol = json.loads((coding.out / "protocol.json").read_text())
    assert (protocol["third"], protocol["study"]) == ("eve", "../study")
    assert [coder["name"] for coder in protocol["coders"]] == ["ann", "bob", "cem"]
