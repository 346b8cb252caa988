"""Projects for Potato and Label Studio, written from a plan; captions and codebooks are hostile."""

import json
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from typer.testing import CliRunner

from tests.annotate.coding_folders import make_coding_folder
from tikval.annotate.coding_folder import PlanLine
from tikval.annotate.sheet import SheetItem
from tikval.annotate.tools.label_studio_project import label_studio_projects
from tikval.annotate.tools.potato_project import potato_project
from tikval.annotate.tools.task_answers import item_and_round
from tikval.annotate.tools.tool_project import ToolProject, write_tool_project
from tikval.cli.commands import app
from tikval.codebook import Codebook, load_codebook
from tikval.config import UserError

BOOK = load_codebook(Path("prompts/codebook.yaml"))
HOSTILE = "</script><script>alert(1)</script> ]]> {{7*7}} {% x %} $video &amp; \" ' : # - \x00\n- é"
WORDS = ["confronted", "absent", "endorsed", "dominant", "not_sure"]
PASSWORDS = {"ann": "a-pass", "bob": "b-pass", "cem": "c-pass"}


def video(name: str, *files: str) -> SheetItem:
    return SheetItem(name, "main", files or (f"../clips/{name}.mp4",), HOSTILE)


ITEMS = {name: video(name) for name in ("1", "2", "0073")} | {
    "pics": video("pics", "../clips/a.JPG", "../clips/b.png", "../clips/s.mp3"),
    "gone": SheetItem("gone", "main", ()),
}


def plan(coder: str, *items: str, again: Sequence[str] = ()) -> list[PlanLine]:
    lines = [PlanLine(item, coder, "main", n, None, "") for n, item in enumerate(items, start=1)]
    return lines + [
        PlanLine(item, coder, "again", len(items) + n, None, "") for n, item in enumerate(again, 1)
    ]


PLAN = [*plan("ann", "2", "1", "pics", again=["2"]), *plan("bob", "0073", "2", "gone", again=["2"])]
PRACTICE = PlanLine("1", "bob", "practice", 1, None, "")


def potato() -> ToolProject:
    coders = ["ann", "bob"]
    return potato_project([*PLAN, PRACTICE], ITEMS, BOOK, coders=coders, third="cem", passwords=PASSWORDS)


def tasks_of(project: ToolProject) -> dict[str, Any]:
    lines = map(json.loads, project.files["data/videos.jsonl"].splitlines())
    return {line["id"]: line for line in lines}


def label_studio(book: Codebook = BOOK) -> ToolProject:
    tokens = {"ann": "0a" * 20, "bob": "0b" * 20}
    coders = ["ann", "bob"]
    return label_studio_projects(
        [*PLAN, PRACTICE], ITEMS, book, coders=coders, passwords=PASSWORDS, tokens=tokens
    )


def test_potato_gives_each_coder_what_the_plan_says() -> None:
    project = potato()
    config = yaml.safe_load(project.files["config.yaml"])
    groups = {group["name"]: group["instances"] for group in config["batch_assignment"]["groups"]}
    assert groups == {"ann": ["2", "1", "pics", "2__again__1"], "bob": ["0073", "2", "2__again__2"]}
    assert [item_and_round(task) for task in groups["ann"]][-1] == ("2", "again")
    assert project.left_out == ["gone"]
    assert set(tasks_of(project)) == {*groups["ann"], *groups["bob"]}
    assert config["require_password"] is True
    assert config["user_config"] == {"allow_all_users": False, "users": ["ann", "bob", "cem"]}
    assert config["adjudication"]["adjudicator_users"] == ["cem"]
    assert config["adjudication"]["show_annotator_names"] is False
    assert "--host 127.0.0.1" in project.files["start.sh"]


def test_potato_asks_for_every_value_under_its_heading() -> None:
    config = yaml.safe_load(potato().files["config.yaml"])
    *schemes, note = config["annotation_schemes"]
    assert [scheme["name"] for scheme in schemes] == list(BOOK.slugs)
    assert all(scheme["label_requirement"] == {"required": True} for scheme in schemes)
    names = [label if isinstance(label, str) else label["name"] for label in schemes[3]["labels"]]
    assert (names, note["name"]) == (WORDS, "Note")
    assert schemes[3]["description"].startswith("Hedonism: Pleasure and sensuous gratification")
    assert [group.get("title") for group in config["layout"]["groups"]] == [*BOOK.sections, None]


def test_a_picture_post_is_shown_with_its_sound() -> None:
    project = potato()
    config = yaml.safe_load(project.files["config.yaml"])
    keys = [field["key"] for field in config["instance_display"]["fields"]]
    assert keys == ["video_url", "pictures", "sound_url", "text"]
    tasks = tasks_of(project)
    assert all(
        set(keys) <= task.keys() for task in tasks.values()
    )  # Potato shows none of a field that one lacks
    assert [name.rpartition(".")[2] for name in tasks["pics"]["pictures"]] == ["jpg", "png"]
    assert tasks["pics"]["video_url"] == ""
    assert tasks["2"]["video_url"] == tasks["2__again__1"]["video_url"]
    assert project.media[tasks["2"]["video_url"].removeprefix("/")] == "../clips/2.mp4"


def hostile_book() -> Codebook:
    value = BOOK.values[0].model_copy(update={"title": HOSTILE, "definition": HOSTILE, "section": HOSTILE})
    return BOOK.model_copy(update={"values": (value, *BOOK.values[1:])})


def test_texts_of_posts_and_codebook_do_nothing_in_potato() -> None:
    book = hostile_book()
    project = potato_project(PLAN, ITEMS, book, coders=["ann", "bob"], third="cem", passwords=PASSWORDS)
    text = project.files["config.yaml"] + project.files["data/videos.jsonl"]
    assert "<" not in text
    assert "\x00" not in text
    assert "{{" not in project.files["config.yaml"]
    assert "{%" not in project.files["config.yaml"]
    assert tasks_of(project)["1"]["text"].endswith("\n- é")


def test_there_is_no_project_without_anybody_who_codes() -> None:
    for coders in ([], ["eve"]):
        with pytest.raises(UserError, match="gives nothing to a coder who has not left"):
            potato_project(PLAN, ITEMS, BOOK, coders=coders, third="cem", passwords=PASSWORDS)


def test_a_coder_may_not_be_called_as_a_folder_of_potatos() -> None:
    with pytest.raises(UserError, match="coder exports: Potato has a folder"):
        potato_project(plan("exports", "1"), ITEMS, BOOK, coders=["exports"], third="cem", passwords={})


def test_label_studio_has_a_project_of_its_own_for_each_coder() -> None:
    project = label_studio()
    tasks = {
        name: [task["data"] for task in json.loads(project.files[name])]
        for name in ("ann/videos.json", "ann/pictures.json", "bob/videos.json")
    }
    assert {
        name: [(task["video_id"], task["round"], task["coder"]) for task in of] for name, of in tasks.items()
    } == {
        "ann/videos.json": [("2", "main", "ann"), ("1", "main", "ann"), ("2", "again", "ann")],
        "ann/pictures.json": [("pics", "main", "ann")],
        "bob/videos.json": [("0073", "main", "bob"), ("2", "main", "bob"), ("2", "again", "bob")],
    }
    assert project.left_out == ["gone"]
    place = tasks["bob/videos.json"][0]["video"].removeprefix("/data/local-files/?d=")
    assert project.media[f"media/{place}"] == "../clips/0073.mp4"
    assert len(tasks["ann/pictures.json"][0]["pictures"]) == 2
    assert project.secret == {"ann/login.env", "bob/login.env"}
    assert (
        "a-pass"
        not in project.files["ann/videos.xml"] + project.files["README.md"] + project.files["bob/login.env"]
    )


def test_label_studios_interface_is_xml_that_says_what_the_codebook_says() -> None:
    for kind, shown in (("videos", "Video"), ("pictures", "Image")):
        root = ElementTree.fromstring(label_studio().files[f"ann/{kind}.xml"])
        choices = root.findall("Choices")
        assert [choice.get("name") for choice in choices] == list(BOOK.slugs)
        assert {choice.get("required") for choice in choices} == {"true"}
        assert [option.get("value") for option in choices[0]] == WORDS
        assert root[0].tag == shown
        titles = [header.get("value") for header in root.findall("Header")]
        assert set(titles) > {"Openness to change", "Hedonism", "Note"}
    project = label_studio(hostile_book())
    headers = ElementTree.fromstring(project.files["ann/videos.xml"]).findall("Header")
    assert not any("$" in str(header.get("value")) for header in headers)
    assert "<script" not in "".join(project.files[name] for name in project.files if name.startswith("ann/"))


def test_label_studio_refuses_a_value_called_as_a_column_of_its_exports() -> None:
    value = BOOK.values[0].model_copy(update={"slug": "round"})
    book = BOOK.model_copy(update={"values": (value,)})
    with pytest.raises(UserError, match="value round: Label Studio has a column"):
        label_studio(book)


def test_what_is_written_is_for_one_pair_of_eyes(tmp_path: Path) -> None:
    sheets = make_coding_folder(tmp_path / "coding", PLAN, ITEMS.values()).sheets
    project = potato()
    write_tool_project(project, tmp_path / "out", sheets)
    modes = {
        name: stat.S_IMODE((tmp_path / "out" / name).stat().st_mode)
        for name in ("users.jsonl", "start.sh", "")
    }
    assert modes == {"users.jsonl": 0o600, "start.sh": 0o755, "": 0o700}
    for place, file in project.media.items():
        assert (tmp_path / "out" / place).read_bytes() == Path(file).name.encode() * 100
        assert Path(place).stem not in file
    with pytest.raises(UserError, match="give an empty folder"):
        write_tool_project(project, tmp_path / "out", sheets)
    (sheets / ITEMS["2"].files[0]).unlink()
    with pytest.raises(UserError, match=r"2.mp4: no such file \(1 of 6"):
        write_tool_project(project, tmp_path / "other", sheets)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(("tool", "secret"), [("potato", "users.jsonl"), ("label-studio", "ann/login.env")])
def test_the_command_says_what_it_wrote_and_what_it_left_out(tmp_path: Path, tool: str, secret: str) -> None:
    coding = make_coding_folder(tmp_path / "coding", [*PLAN, PRACTICE], ITEMS.values())
    command = ["annotate", "project", str(coding.path), "--tool", tool, "--to", str(tmp_path / "out")]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 1, done.output
    assert "1 video left out, for no file of theirs is known: gone" in done.output
    assert "practice is left to the sheets" in done.output
    assert f"2 coders, 6 files of videos: {tmp_path / 'out'}" in done.output
    assert f"passwords: {tmp_path / 'out' / secret}" in done.output
    assert f"on 127.0.0.1 alone: {tmp_path / 'out' / 'start.sh'}" in done.output
    assert PASSWORDS["ann"] not in (tmp_path / "out" / secret).read_text()
    readme = (tmp_path / "out" / "README.md").read_text()
    assert "ann, bob code here" in readme
    assert "127.0.0.1" in readme
