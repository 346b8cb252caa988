"""What sources told of posts goes with the erased, in every column, and a hundred thousand ids go at once."""

import json
import random
import resource
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.fixtures.posts import FIRST_ID, StudyOfPosts, post, tell_posts
from tests.study.test_erasure_and_export import mentions
from tikval.files import read_parquet, write_bytes, write_table
from tikval.rows import Outcome, PostRow, arrow_schema
from tikval.sources.posts import read_posts
from tikval.sources.write_catalog import write_catalog
from tikval.store.folder import Folder
from tikval.study.erased_names import ErasedNames
from tikval.study.erasure import erase_names, erase_videos, names_to_erase
from tikval.study.erasure_proof import search_study

WHO = "user.01.name"


@pytest.fixture
def made(tmp_path: Path) -> StudyOfPosts:
    """Posts with and without files, of which some mention another's account."""
    one = StudyOfPosts(tmp_path, [Outcome.COLLECTED] * 4 + [Outcome.DELETED] * 4)
    ids = [row["video_id"] for row in one.posts]
    mentioned: Any = {
        "caption": f"duet with @{WHO}",
        "music": f"original sound - {WHO}",
        "hashtags": ["fun", WHO],
        "detail": f"a copy of {ids[1]}",
        "url": f"https://www.tiktok.com/@user.00.name/video/{ids[0]}?from={WHO}",
    }
    one.posts[0] = {**one.posts[0], **mentioned}
    nameless = post(
        str(FIRST_ID + 50), Outcome.DELETED, url=f"https://www.tiktok.com/@{WHO}/video/{FIRST_ID + 50}"
    )
    tell_posts(Folder(one.catalog.folder), [*one.posts, nameless])
    return one


def told(made: StudyOfPosts) -> dict[str, PostRow]:
    return {row["video_id"]: row for row in read_posts(Folder(made.catalog.folder)).to_pylist()}


def test_a_post_goes_by_its_id_with_or_without_a_file(made: StudyOfPosts) -> None:
    with_file, without = made.posts[1]["video_id"], made.posts[6]["video_id"]
    found, rows = erase_videos(made.out, {with_file, without}, set())
    assert found == {with_file, without}
    assert rows == 5, "two posts, a video, its script and its prediction"
    assert not {with_file, without} & told(made).keys()
    assert len(told(made)) == 7
    assert not mentions(made.out, with_file) | mentions(made.out, without)
    assert "[erased]" in str(told(made)[made.posts[0]["video_id"]]["detail"])


def test_an_account_goes_with_the_posts_whose_address_alone_names_it(made: StudyOfPosts) -> None:
    names = names_to_erase(made.out, set(), {f"@{WHO.upper()}"})
    assert str(FIRST_ID + 50) in names.ids
    erase_names(made.out, names)
    left = told(made)
    assert {row["account"] for row in left.values()} == {"user.00.name", "user.02.name", "user.03.name"}
    first = left[made.posts[0]["video_id"]]
    assert first["caption"] == "duet with @someone"
    assert first["music"] == "original sound - @someone"
    assert first["hashtags"] == ["fun", "@someone"]
    assert str(first["url"]).endswith("from=@someone")
    assert not search_study(made.out, names).finds
    assert not mentions(made.out, WHO)


def test_every_column_of_a_post_is_searched(made: StudyOfPosts) -> None:
    """The proof finds a name wherever it stands in a table of posts that no run names."""
    stray = f"{made.catalog.folder}/_posts-fedcba9876543210.parquet"
    values: Any = (
        ("url", f"https://www.tiktok.com/@{WHO}/photo/1"),
        ("hashtags", [WHO]),
        ("music", WHO),
    )
    for column, value in values:
        row = post("7499999999999999999", **{column: value})
        write_table(stray, pa.Table.from_pylist([row], schema=arrow_schema(PostRow)))
        finds = search_study(made.out, ErasedNames(frozenset(), frozenset({WHO}))).finds
        assert any(find.file.endswith("fedcba9876543210.parquet") and column in find.where for find in finds)


def test_the_erased_do_not_come_back_with_the_next_listing(made: StudyOfPosts) -> None:
    gone = made.posts[1]["video_id"]
    erase_videos(made.out, {gone}, set())
    write_catalog(made.catalog)
    assert gone not in Folder(made.catalog.folder).read(["video_id"])["video_id"].to_pylist()
    assert gone not in told(made)


def by_hand(names: ErasedNames, text: bytes) -> list[tuple[int, int, bool]]:
    """All places of all names, looked for one by one."""
    found = set()
    for needle, account in names._all_needles.items():
        start = text.lower().find(needle)
        while start >= 0:
            if names._stands_alone(text, start, start + len(needle), account):
                found.add((start, start + len(needle), account))
            start = text.lower().find(needle, start + 1)
    return sorted(found)


@pytest.mark.parametrize("seed", range(20))
def test_long_numbers_are_found_as_every_name_is(seed: int) -> None:
    rng = random.Random(seed)
    ids = [str(FIRST_ID + n) for n in range(3)]
    names = ErasedNames(
        frozenset(
            {
                *ids,
                f"@jane_video_{ids[0]}.mp4",
                f"https://www.tiktok.com/@jane.doe/video/{ids[1]}",
                "clip-of-x",
            }
        ),
        frozenset({"jane.doe"}),
    )
    parts = [
        *(part.encode() for name in names.ids for part in (name, name.upper(), json.dumps(name)[1:-1])),
        *(
            b"%20",
            b"%2F",
            b"%2f",
            b"\\u0020",
            b"\\n",
            b"1",
            b"0" * 9,
            b"x",
            b"/",
            b" ",
            b"@jane.doe",
            b"-",
            b"_video_",
        ),
    ]
    for _ in range(300):
        text = b"".join(rng.choices(parts, k=rng.randint(1, 6)))
        assert names.mentions(text) == by_hand(names, text), text
        cells = pa.array([text.decode(), None, "nothing"])
        masked = names.mask(cells).to_pylist()
        assert not any(masked[1:])
        assert masked[0] or not by_hand(names, text), text
        blob = pa.array([text], pa.large_binary())
        assert names.mask(blob)[0].as_py() or not by_hand(names, text)


@pytest.mark.full
def test_a_hundred_thousand_ids_go_at_once(tmp_path: Path) -> None:
    """Three hundred thousand listed posts, of which a third is erased, with files named after them."""
    n = 300_000
    made = StudyOfPosts(tmp_path, [Outcome.COLLECTED] * 3)
    ids = [str(FIRST_ID + number) for number in range(n)]
    schema = arrow_schema(PostRow)
    known = {
        "video_id": pa.array(ids),
        "account": pa.array([f"user{number % 5000}" for number in range(n)]),
        "url": pa.array(
            [f"https://www.tiktok.com/@user{number % 5000}/video/{name}" for number, name in enumerate(ids)]
        ),
        "caption": pa.array([f"see {ids[(7 * number) % n]} #fun" for number in range(n)]),
        "posted_at_from_id": pa.array(np.zeros(n, bool)),
        "source": pa.repeat("research_api", n),
        "outcome": pa.repeat("no_file", n),
    }
    columns = [known.get(field.name, pa.nulls(n, field.type)) for field in schema]
    tell_posts(Folder(made.catalog.folder), [])
    table = f"{made.catalog.folder}/_posts-0123456789abcdef.parquet"
    write_table(table, pa.table(columns, schema=schema))
    write_bytes(f"{made.out}/notes.txt", " ".join(ids).encode())
    begin = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    names = names_to_erase(made.out, set(ids[::3]), set())
    erase_names(made.out, names)
    proof = search_study(made.out, names)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_utime - begin < 90
    assert [find.file for find in proof.finds] == ["notes.txt"], "in no stage's folder"
    left = read_parquet(
        f"{made.catalog.folder}/{Folder(made.catalog.folder).finished().side_tables['posts']}"
    )
    assert left.num_rows == 2 * n // 3
    assert replace(names, ids=frozenset()).mentions(b"x") == []
