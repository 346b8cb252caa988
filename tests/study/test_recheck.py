"""A study against a platform: ids for a check, what is named without --yes, and what is erased with it."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.fixtures.posts import FIRST_ID, StudyOfPosts, tell_posts
from tests.study.test_erasure_and_export import mentions
from tikval.cli.commands import app
from tikval.config import UserError
from tikval.rows import Outcome
from tikval.sources.erased import still_there
from tikval.sources.posts import read_posts
from tikval.sources.write_catalog import write_catalog
from tikval.store.folder import Folder
from tikval.store.runs import Study
from tikval.study import recheck
from tikval.study.recheck import age_of_study, ids_to_check, plan_recheck, write_ids

NEVER = "7499999999999999999"


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["recheck", *words])


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def made(tmp_path: Path) -> StudyOfPosts:
    return StudyOfPosts(tmp_path, [Outcome.COLLECTED] * 4 + [Outcome.NO_FILE] * 4, annotated=2)


@pytest.fixture
def deleted(made: StudyOfPosts) -> Path:
    """A reply to a check: one post with a file and one without are gone, others are there."""
    with_file, without, there = (made.posts[n]["video_id"] for n in (1, 5, 2))
    file = made.root / "reply.json"
    rows = [{"id": name, "status": "deleted"} for name in (with_file, without, NEVER)]
    file.write_text(json.dumps({"data": {"videos": [*rows, {"id": there, "status": "active"}]}}))
    return file


def test_without_yes_it_only_says_what_it_would_erase(made: StudyOfPosts, deleted: Path) -> None:
    before = files_of(made.root)
    done = run(made.out, "--deleted", str(deleted))
    assert done.exit_code == 0, done.output
    assert files_of(made.root) == before
    with_file, without = made.posts[1]["video_id"], made.posts[5]["video_id"]
    assert "3 deleted (gone), 1 active (stay)" in done.stdout
    assert f"2 would be erased: {with_file}, {without}" in done.stdout
    assert f"1 not in this study: {NEVER}" in done.stdout
    assert "--yes" in done.stdout


def test_with_yes_they_are_gone_and_stay_away(made: StudyOfPosts, deleted: Path) -> None:
    with_file, without = made.posts[1]["video_id"], made.posts[5]["video_id"]
    done = run(made.out, "--deleted", str(deleted), "--yes")
    assert done.exit_code == 0, done.output
    assert "erased 6 rows of 2 videos" in done.stdout, (
        "two posts, a video, a label, a script and a prediction"
    )
    assert "nothing of them is left" in done.stdout
    assert not mentions(made.out, with_file) | mentions(made.out, without)
    left = {row["video_id"] for row in read_posts(Folder(made.catalog.folder)).to_pylist()}
    assert left == {row["video_id"] for row in made.posts} - {with_file, without}
    assert still_there(made.out, {with_file, without, NEVER, made.posts[2]["video_id"]}) == {
        with_file,
        without,
        NEVER,
    }
    write_catalog(made.catalog)
    assert with_file not in Folder(made.catalog.folder).read(["video_id"])["video_id"].to_pylist()
    again = run(made.out, "--deleted", str(deleted), "--yes")
    assert again.exit_code == 0, again.output
    assert "3 erased before" in again.stdout


def test_ids_in_any_dress_match(made: StudyOfPosts, tmp_path: Path) -> None:
    ids = [row["video_id"] for row in made.posts[:3]]
    (tmp_path / "gone.txt").write_text(
        f"https://www.tiktok.com/@x/video/{ids[0]}?lang=en\n'{ids[1]}\n@someone_video_{ids[2]}.mp4\n"
    )
    done = run(made.out, "--deleted", str(tmp_path / "gone.txt"))
    assert f"3 would be erased: {', '.join(sorted(ids))}" in done.stdout


def test_a_plan_tells_what_is_here_what_was_and_what_never_was(made: StudyOfPosts) -> None:
    ids = {row["video_id"] for row in made.posts[:2]}
    plan = plan_recheck(made.out, {*ids, NEVER})
    assert (plan.here, plan.erased, plan.elsewhere) == (sorted(ids), [], [NEVER])
    assert plan.names.ids >= ids
    with pytest.raises(UserError, match="no finished run"):
        plan_recheck(str(made.root / "nowhere"), ids)


def test_a_study_hands_out_its_ids_in_files_that_a_check_takes(
    made: StudyOfPosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = sorted(row["video_id"] for row in made.posts)
    place = made.root / "ids.txt"
    done = run(made.out, "--ids", str(place))
    assert done.exit_code == 0, done.output
    assert place.read_text().split() == ids
    assert f"8 ids: {place}" in done.stdout
    monkeypatch.setattr(recheck, "IDS_A_FILE", 3)
    names = write_ids(ids, str(place))
    assert [Path(name).name for name in names] == ["ids-1.txt", "ids-2.txt", "ids-3.txt"]
    assert [len(Path(name).read_text().split()) for name in names] == [3, 3, 2]
    assert write_ids(ids, str(made.root / "a.b" / "ids"))[0] == str(made.root / "a.b" / "ids-1")
    assert write_ids([], str(place)) == [str(place)]
    with pytest.raises(UserError, match="cannot be written"):
        write_ids(ids, f"{place}/x.txt")


def test_a_study_of_pseudonyms_and_of_other_names_hands_out_what_a_platform_knows(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in (f"@jane_video_{FIRST_ID}.mp4", "gears.mp4"):
        (tmp_path / "in" / name).write_bytes(b"x")
    made = StudyOfPosts(tmp_path / "made", [Outcome.COLLECTED])
    config = made.catalog.model_copy(
        update={"videos": str(tmp_path / "in"), "out": str(tmp_path / "out"), "ids": "pseudonyms"}
    )
    write_catalog(config)
    found, others = ids_to_check(Study(config.out))
    assert (found, others) == ([str(FIRST_ID)], 1)
    assert plan_recheck(config.out, {str(FIRST_ID)}).here == [str(FIRST_ID)]


def test_how_old_a_study_is_where_it_is_known(made: StudyOfPosts) -> None:
    now = datetime(2026, 11, 28, 12, tzinfo=UTC)
    assert age_of_study(made.study, now).endswith("is not known: no source tells it")
    for n, row in enumerate(made.posts[:3]):
        row["collected_at"] = datetime(2026, 11, 1 + 12 * n, tzinfo=UTC)
    tell_posts(Folder(made.catalog.folder), made.posts)
    assert age_of_study(made.study, now) == (
        "collected of 3 of its 8 posts 2026-11-01 to 2026-11-25, the oldest 27 days ago; 2 are older than the 15 days "
        "after which the Research API's terms want them checked"
    )
    assert "the oldest" in run(made.out).stdout
