"""A collection that is killed, at any moment: nothing half is taken for whole, nothing finished is fetched twice."""

import os
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.collect.test_collect import LED, QUICK, command, last_lines, lines, sample_of
from tests.fixtures.platform import FakeAccount, FakePost, Platform, accounts_of_the_paper, collector, post_id
from tikval.collect import record
from tikval.collect.collect import collect_posts
from tikval.collect.collector import FoundPost, Politeness
from tikval.collect.record import Collection, folder_of_account, open_collection
from tikval.collect.targets import Target
from tikval.config import UserError
from tikval.files import move_file

GENTLE = Politeness(sleep_seconds=(0.0, 0.0), most_bytes=2_000_000, bytes_per_second=1e9)


class Killed(BaseException):
    """What no handler of errors catches."""


def jane(n: int) -> FakeAccount:
    return FakeAccount("jane", tuple(FakePost(post_id(i), "photo" if i == 1 else "video") for i in range(n)))


def run_here(media: Path, platform: Platform, patch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    patch.setenv(*next(iter(platform.env.items())))
    with open_collection(str(media)) as collection:
        collect_posts([Target(name) for name in platform.accounts], collection, collector, GENTLE)
    return last_lines(media)


def check_whole(media: Path, found: dict[str, dict[str, Any]], platform: Platform) -> None:
    expected = set[str]().union(*(sample_of(a) for a in platform.accounts.values() if not a.private))
    assert set(found) == expected
    there = {
        path.relative_to(media).as_posix()
        for path in media.rglob("*")
        if path.is_file() and path.parent != media
    }
    infos = {f"{line['account']}/{video_id}.info.json" for video_id, line in found.items() if line["files"]}
    assert there == {file for line in found.values() for file in line["files"]} | infos
    for file in there:
        assert (media / file).stat().st_size > 100


@pytest.mark.timeout(280)
def test_killed_again_and_again_nothing_is_fetched_twice(tmp_path: Path) -> None:
    with Platform(accounts_of_the_paper(7)) as platform:
        words = (*platform.accounts, "--out", str(tmp_path), "--yes", *QUICK, *LED)
        for wanted in (2, 11, 25):
            with command(*words, env=platform.env) as process:
                limit = time.monotonic() + 60
                while platform.sent.total() < wanted and time.monotonic() < limit and process.poll() is None:
                    time.sleep(0.001)
                process.send_signal(signal.SIGKILL)
            finished = last_lines(tmp_path)
            assert finished or wanted == 2
            before = platform.requests.copy()
        with command(*words, env=platform.env) as process:
            _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        asked_again = {name for _, name in (platform.requests - before)}
        assert not asked_again & set(finished)
        found = last_lines(tmp_path)
        check_whole(tmp_path, found, platform)
        assert len(lines(tmp_path / "collected.jsonl")) == len(found)
        twice = {name.partition("-")[0] for name, n in platform.sent.items() if n > 1}
        assert len(twice) <= 3  # at most the one of each kill that was not finished
        assert all(platform.requests["listing", name] <= 2 for name in platform.accounts)


def test_killed_in_the_middle_of_a_file(tmp_path: Path) -> None:
    with Platform([jane(5)]) as platform:
        ids = sorted(platform.posts, reverse=True)
        platform.hang_at = ids[2]
        words = ("@jane", "--out", str(tmp_path), "--yes", *QUICK, *LED)
        with command(*words, env=platform.env) as process:
            assert platform.hanging.wait(60)
            process.send_signal(signal.SIGKILL)
        assert list(last_lines(tmp_path)) == ids[:2]
        assert not list(tmp_path.glob(f"jane/{ids[2]}*"))
        platform.hang_at = ""
        with command(*words, env=platform.env) as process:
            process.communicate(timeout=60)
        check_whole(tmp_path, last_lines(tmp_path), platform)
        assert set(platform.sent.values()) == {1}


@pytest.mark.parametrize(
    "step", ["before the first move", "after one move", "after all moves", "half a line"]
)
def test_killed_while_a_fetched_post_is_put_in_its_place(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moves = {"before the first move": 0, "after one move": 1}.get(step, 99)
    done = Counter[str]()
    append = record._append

    def moving(made: Path, uri: str) -> None:
        if done["moves"] == moves:
            raise Killed
        done["moves"] += 1
        move_file(made, uri)

    def appending(file: Path, line: dict[str, Any]) -> None:
        if "outcome" in line and file.name == "collected.jsonl":
            if step == "half a line":
                file.write_bytes(b'{"video_id": "74')
            raise Killed
        append(file, line)

    with Platform([jane(2)]) as platform:
        first = sorted(platform.posts, reverse=True)[0]  # a post of pictures
        with monkeypatch.context() as patch:
            patch.setattr("tikval.collect.record.move_file", moving)
            patch.setattr("tikval.collect.record._append", appending)
            with pytest.raises(Killed):
                run_here(tmp_path, platform, patch)
        assert first not in last_lines_of(tmp_path)
        check_whole(tmp_path, run_here(tmp_path, platform, monkeypatch), platform)
        assert platform.requests["page", first] == 1
        assert set(platform.sent.values()) == {1}


def last_lines_of(media: Path) -> dict[str, Any]:
    return Collection.read(str(media)).posts


def test_what_is_not_tikvals_is_no_record(tmp_path: Path) -> None:
    (tmp_path / "collected.jsonl").write_text('{"id": 1}\n')
    with pytest.raises(UserError, match=r"collected\.jsonl: line 1"):
        Collection.read(str(tmp_path))
    with pytest.raises(UserError, match="folder of this machine"):
        Collection.read("s3://bucket/media")


@pytest.mark.parametrize(
    ("account", "folder"),
    [("jane.doe_9", "jane.doe_9"), (None, "_")],
)
def test_a_plain_account_is_its_folder(account: str | None, folder: str) -> None:
    assert folder_of_account(account) == folder


@pytest.mark.parametrize(
    "account", ["../../etc", "..", ".ssh", "a/b", "a\\b", "ан на", "x" * 300, "a\nb", "con:"]
)
def test_no_account_leads_out_of_the_folder(account: str, tmp_path: Path) -> None:
    name = folder_of_account(account)
    assert (tmp_path / name).resolve().parent == tmp_path.resolve()
    assert not name.startswith(".")
    assert len(name) < 80
    assert folder_of_account(account + "x") != name


def hostile(what: str) -> Any:
    """A collector whose answers are made to harm."""

    def collect(target: Target, folder: Path | None, limits: Politeness) -> Any:
        if folder is None:
            yield FoundPost("../../../tmp/x" if what == "id" else post_id(1), "../../etc")
            return
        file = folder / ("a.mp4" if what != "suffix" else "a.mp4;rm")
        file.write_bytes(b"x" * 200)
        if what == "outside":
            file = folder.parent.parent / "outside.mp4"
            file.write_bytes(b"x")
        if what == "link":
            file = folder / "b.mp4"
            file.symlink_to("/etc/hostname")
        info = {
            "title": "t" * 10**6,
            "url": "https://x/?token=1",
            "uploader": "\ud800",
            "tags": ["a" * 99] * 9999,
        }
        yield FoundPost("other" if what == "other" else post_id(1), "../../etc", files=[file], info=info)

    return collect


@pytest.mark.parametrize("what", ["id", "outside", "link", "suffix", "other", "account"])
def test_a_collector_that_cannot_be_trusted(what: str, tmp_path: Path) -> None:
    media = tmp_path / "media"
    with open_collection(str(media)) as collection:
        collect_posts([Target("jane")], collection, hostile(what), GENTLE)
        (line,) = collection.posts.values()
    files = [path for path in tmp_path.rglob("*.mp4*") if path.name != "outside.mp4"]
    if what != "account":
        assert (line["outcome"], files) == ("failed", [])
        return
    assert line["outcome"] == "collected"
    assert all(media.resolve() in path.resolve().parents for path in files)
    (info,) = media.rglob("*.info.json")
    text = info.read_text()
    assert len(text) < 40_000
    assert "token" not in text
    assert os.path.commonpath([media, info]) == str(media)
