"""From listed to annotated: steps are nested, nothing is invented, and every sum adds up."""

import random
import resource
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tests.fixtures.posts import FIRST_ID, StudyOfPosts, post, tell_posts
from tests.fixtures.rows import prediction, script
from tikval.config import UserError
from tikval.evaluate.attrition import Attrition, attrition_of, count_attrition
from tikval.evaluate.attrition_groups import Loss
from tikval.evaluate.attrition_posts import VideoCodes, posts_of
from tikval.evaluate.attrition_steps import STEPS
from tikval.files import write_table
from tikval.rows import AccountRow, Outcome, PostRow, PredictionRow, Reason, ScriptRow, VideoRow, arrow_schema
from tikval.sources.write_catalog import write_catalog
from tikval.store.folder import Folder

GONE = (Outcome.DELETED, Outcome.PRIVATE, Outcome.REGION, Outcome.AGE, Outcome.BLOCKED, Outcome.UNAVAILABLE)


def adds_up(found: Attrition) -> None:
    """Check that steps are nested, that what is lost at each is told in full, and that groups sum up to the total."""
    for groups in ([found.total], *found.groups.values()):
        for place in range(len(STEPS)):
            assert sum(group.reached[place] for group in groups) == found.total.reached[place]
        for group in groups:
            for place in range(1, len(STEPS)):
                lost = sum(loss.posts for loss in group.losses if loss.step == place)
                assert group.reached[place - 1] - group.reached[place] == lost
    for groups in found.groups.values():
        for loss in found.total.losses:
            alike = (
                one.posts for group in groups for one in group.losses if one[:2] == (loss.step, loss.reason)
            )
            assert sum(alike) == loss.posts


def losses(found: Attrition) -> dict[tuple[str, str], int]:
    return {(STEPS[loss.step], loss.reason): loss.posts for loss in found.total.losses}


def test_every_loss_has_its_step_and_its_reason(tmp_path: Path) -> None:
    outcomes = [
        *[Outcome.COLLECTED] * 8,
        *GONE,
        Outcome.NO_FILE,
        Outcome.NO_FILE,
        Outcome.FAILED,
        Outcome.TOO_LARGE,
    ]
    made = StudyOfPosts(tmp_path, outcomes, unreadable=1, silent=2, annotated=3)
    found = attrition_of(made.study)
    assert found.system == "local"
    assert dict(zip(STEPS, found.total.reached, strict=True)) == {
        "listed": 18,
        "reachable": 9,
        "downloaded": 8,
        "readable": 7,
        "judged": 5,
        "annotated": 3,
    }
    assert losses(found) == {
        **{("reachable", outcome.value): 1 for outcome in (*GONE, Outcome.FAILED)},
        ("reachable", "no_file"): 2,
        ("downloaded", "too_large"): 1,
        ("readable", "unreadable"): 1,
        ("judged", "no_text"): 2,
        ("annotated", "not_annotated"): 2,
    }
    assert found.total.not_known == 3, "no file and nobody says why, or the collector failed"
    adds_up(found)


def test_what_is_no_post_is_counted_by_itself(tmp_path: Path) -> None:
    odd = [Outcome.LIVE, Outcome.LIVE, Outcome.OTHER_PLATFORM, Outcome.INVALID_ROW]
    found = attrition_of(StudyOfPosts(tmp_path, [Outcome.COLLECTED, *odd]).study)
    assert found.total.reached[0] == 1
    assert found.set_aside == {"live": 2, "other_platform": 1, "invalid_row": 1}
    adds_up(found)


def test_a_post_without_a_file_is_of_its_accounts_genre_and_minor_flag(tmp_path: Path) -> None:
    outcomes = [Outcome.COLLECTED, Outcome.DELETED] * 6
    made = StudyOfPosts(tmp_path, outcomes, accounts=3)
    rows = [*made.posts, post("7499999999999999999", Outcome.PRIVATE)]
    tell_posts(Folder(made.catalog.folder), rows)
    found = attrition_of(made.study)
    assert [(group.name, group.reached[:3]) for group in found.groups["genre"]] == [
        ("food", (4, 2, 2)),
        ("sports", (4, 2, 2)),
        (None, (5, 2, 2)),
    ]
    assert [(group.name, group.reached[:2]) for group in found.groups["minor"]] == [
        ("yes", (4, 2)),
        ("no", (4, 2)),
        (None, (5, 2)),
    ]
    assert [group.name for group in found.groups["account"]][-1] is None
    adds_up(found)


def test_a_file_that_is_there_could_be_reached_whatever_is_told(tmp_path: Path) -> None:
    made = StudyOfPosts(tmp_path, [Outcome.COLLECTED] * 3)
    told = [
        post(made.files[0], Outcome.DELETED),
        post(made.files[1], Outcome.NO_FILE),
        post(str(FIRST_ID + 99)),  # collected, they say
    ]
    tell_posts(Folder(made.catalog.folder), told)
    found = attrition_of(made.study)
    assert found.total.reached[:4] == (4, 4, 3, 3)
    assert losses(found)[("downloaded", "no_file")] == 1
    adds_up(found)


def test_a_folder_lists_files_and_a_manifest_what_it_names(tmp_path: Path) -> None:
    made = StudyOfPosts(tmp_path, [Outcome.COLLECTED] * 4, told=False, annotated=1)
    assert attrition_of(made.study).total.reached == (4, 4, 4, 4, 4, 1)
    (tmp_path / f"{made.files[0]}.mp4").unlink()
    (tmp_path / f"{made.files[1]}.mp4").write_bytes(b"")
    with (tmp_path / "videos.csv").open("a") as file:
        file.write(f"\n{made.files[2]}.mp4,user\nn\x07o.mp4,user\n")
    write_catalog(made.catalog)
    found = attrition_of(made.study)
    assert found.total.reached == (4, 3, 3, 2, 2, 0)
    assert losses(found)[("reachable", "missing_file")] == 1
    assert losses(found)[("readable", "empty_file")] == 1
    assert found.total.not_known == 1
    assert found.annotated_lost == {"reachable": 1}
    assert found.set_aside["duplicate_id"] == 1
    adds_up(found)


@pytest.mark.parametrize(
    ("first", "second", "step", "why"),
    [
        ("minor", "minor", "judged", "minor"),  # nobody opened it, so nothing says that it cannot be read
        ("timeout", "timeout", "judged", "timeout"),
        ("unreadable", "minor", "readable", "unreadable"),
        (None, "unreadable", "judged", "unreadable"),  # somebody could read it
        ("no_text", "no_text", "judged", "no_text"),
        ("too_long", "too_long", "readable", "too_long"),
    ],
)
def test_readable_is_what_a_stage_read_or_none_failed_to(
    tmp_path: Path, first: str | None, second: str, step: str, why: str
) -> None:
    made = StudyOfPosts(tmp_path, [Outcome.COLLECTED] * 2)
    name = made.files[0]
    for config, kind, row, error in (
        (made.scripts, ScriptRow, script, first),
        (made.systems[0], PredictionRow, prediction, second),
    ):
        made.write(config, kind, [row(name, row_key=made.keys[name], error=error)])
    (tmp_path / f"{made.files[1]}.mp4").unlink()
    found = attrition_of(made.study)
    assert losses(found) == {(step, why): 1, ("readable", "not_opened"): 1}
    adds_up(found)


def test_the_first_system_counts_and_the_others_have_their_line(tmp_path: Path) -> None:
    made = StudyOfPosts(tmp_path, [Outcome.COLLECTED] * 6, annotated=4, silent=1, system="b")
    made.judge("c", only=3)
    found = attrition_of(made.study)
    assert (found.system, found.total.reached[4:], found.others) == ("b", (5, 4), {"c": (3, 3)})
    named = attrition_of(made.study, "c")
    assert (named.system, named.total.reached[4:], named.others) == ("c", (3, 3), {"b": (5, 4)})
    assert losses(named)[("judged", "no_row")] == 3
    assert named.annotated_lost == {"judged": 1}
    adds_up(named)
    with pytest.raises(UserError, match="no system d; there are b, c"):
        attrition_of(made.study, "d")


def test_annotations_of_posts_that_are_not_listed_or_have_no_file(tmp_path: Path) -> None:
    made = StudyOfPosts(tmp_path, [Outcome.COLLECTED] * 3 + [Outcome.DELETED], annotated=2)
    with (tmp_path / "labels.csv").open("a") as file:
        file.write(f"{made.posts[3]['video_id']},1\nnever-listed,1\n")
    write_catalog(made.catalog)
    tell_posts(Folder(made.catalog.folder), made.posts)
    found = attrition_of(made.study)
    assert found.total.reached[5] == 2
    assert found.annotated_lost == {"listed": 1, "reachable": 1}


def test_before_any_system_has_finished_nothing_is_judged(tmp_path: Path) -> None:
    made = StudyOfPosts(tmp_path, [Outcome.COLLECTED] * 3, annotated=1)
    for config in (made.scripts, *made.systems):
        (Path(config.folder) / "run.json").unlink()
    found = attrition_of(made.study)
    assert (found.system, found.total.reached) == (None, (3, 3, 3, 0, 0, 0))
    assert losses(found) == {("readable", "not_opened"): 3}


@pytest.mark.parametrize("seed", range(30))
def test_whatever_is_told_it_adds_up(seed: int) -> None:
    """Any mixture of outcomes, errors, systems and annotations."""
    rng = random.Random(seed)
    ids = [str(FIRST_ID + n) for n in range(200)]
    accounts = [None, *(f"user{n}" for n in range(5))]
    posts = [
        post(
            name,
            rng.choice(list(Outcome)),
            account=rng.choice(accounts),
            source=rng.choice(["ddp", "folder"]),
        )
        for name in ids
    ]
    names = rng.sample(ids, 120)
    errors = [None] * 10 + [reason.value for reason in Reason]
    columns = {field.name: pa.nulls(len(names), field.type) for field in arrow_schema(VideoRow)}
    columns["video_id"] = pa.array(names)
    columns["error"] = pa.array([rng.choice(errors) for _ in names], pa.string())
    columns["genre"] = pa.array([rng.choice([None, "food"]) for _ in names], pa.string())
    flags, genres = [None, True, False], [None, "a", "b"]
    rows = [
        {"account": f"user{n % 4}", "genre": rng.choice(genres), "is_minor": rng.choice(flags)}
        for n in range(6)
    ]
    known = pa.Table.from_pylist(rows, schema=arrow_schema(AccountRow))
    codes = np.random.default_rng(seed)
    labelled = pa.array(rng.sample([*ids, "not listed"], 50))
    videos, told = (
        VideoCodes.of(pa.table(columns), labelled),
        pa.Table.from_pylist(posts, arrow_schema(PostRow)),
    )
    found = count_attrition(
        posts_of(told, pa.chunked_array([names]), videos.annotated, labelled),
        videos,
        known,
        codes.integers(-1, 5, len(names), np.int8),
        {name: codes.integers(-1, 5, len(names), np.int8) for name in ("one", "two")},
        50,
    )
    adds_up(found)
    assert found.total.reached[0] + sum(found.set_aside.values()) == len(ids)
    assert list(found.total.reached) == sorted(found.total.reached, reverse=True)
    assert found.total.reached[5] + sum(found.annotated_lost.values()) == 50


@pytest.mark.full
def test_a_million_posts_are_counted_in_seconds(tmp_path: Path) -> None:
    n = 1_000_000
    ids = pa.array(np.arange(FIRST_ID, FIRST_ID + n)).cast(pa.string())
    outcomes = np.array(["collected", "deleted", "no_file", "private"])[np.arange(n) % 4]
    schema = arrow_schema(PostRow)
    known = {
        "video_id": ids,
        "account": pa.array(np.char.add("user", (np.arange(n) % 50_000).astype(str))),
        "posted_at_from_id": pa.array(np.ones(n, bool)),
        "source": pa.repeat("zeeschuimer", n),
        "outcome": pa.array(outcomes),
    }
    columns = [known.get(field.name, pa.nulls(n, field.type)) for field in schema]
    made = StudyOfPosts(tmp_path, [Outcome.COLLECTED] * 3)
    tell_posts(Folder(made.catalog.folder), [])
    write_table(f"{made.catalog.folder}/_posts-0123456789abcdef.parquet", pa.table(columns, schema=schema))
    begin = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    found = attrition_of(made.study)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_utime - begin < 30
    assert found.total.reached[0] == n
    assert found.total.not_known == n // 4 - 1, "one of the three files"
    of_accounts = [group.reached[0] for group in found.groups["account"]]
    assert len(of_accounts) == 50_000 + 3, "those of the three files are of others"
    assert sum(of_accounts) == n
    assert Loss(1, "deleted", n // 4 - 1) in found.total.losses
