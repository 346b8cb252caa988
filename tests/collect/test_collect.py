"""`tikval collect` by yt-dlp from a platform on loopback: what it asks for, when, and what it keeps."""

import csv
import io
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.fixtures.platform import FakeAccount, FakePost, Platform, accounts_of_the_paper, post_id
from tikval.cli.commands import app
from tikval.cli.guard import guard
from tikval.collect.collector import FoundPost, NotCollectedError, Politeness
from tikval.collect.targets import Target
from tikval.config import CatalogConfig
from tikval.rows import Outcome
from tikval.sources.posts import read_posts
from tikval.sources.write_catalog import write_catalog
from tikval.store.folder import Folder

QUICK = ("--sleep", "0", "--rate", "1000", "--most-mb", "2")
LED = ("--collector", "tests.fixtures.platform:collector")
KINDS = {
    "video": "collected",
    "photo": "collected",
    "muted": "sound_removed",
    "large": "too_large",
    "long": "too_large",
    "flaky": "failed",
}


def command(*words: str, env: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tikval.cli", "collect", *words],
        cwd=ROOT,
        env=os.environ | env | {"COLUMNS": "100"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def collect(*words: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """The command in this process, as its console script runs it."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        for name, value in {**env, "COLUMNS": "100"}.items():
            patch.setenv(name, value)
        try:
            code = guard(lambda: app(["collect", *words]) or 0)
        except SystemExit as end:
            code = int(end.code or 0)
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def last_lines(media: Path) -> dict[str, dict[str, Any]]:
    return {line["video_id"]: line for line in lines(media / "collected.jsonl")}


def sample_of(account: FakeAccount, n: int = 10) -> set[str]:
    """The posts of an account that the rule draws."""
    pinned = [post for post in account.posts if post.pinned and account.tells_pinned]
    others = sorted((post for post in account.posts if post not in pinned), key=lambda post: -post.created)
    if (
        not account.tells_pinned
    ):  # nothing tells which they are: those that the page shows first are posts like others
        page = sorted(account.posts, key=lambda post: (not post.pinned, -post.created))[:n]
        return {post.video_id for post in page}
    return {post.video_id for post in [*pinned, *others[: max(0, n - len(pinned))]]}


@dataclass
class Collected:
    platform: Platform
    media: Path
    done: subprocess.CompletedProcess[str]


def run_all(accounts: Sequence[FakeAccount], media: Path) -> Iterator[Collected]:
    with Platform(accounts) as platform:
        words = ("--out", str(media), "--yes", *QUICK, *LED)
        yield Collected(platform, media, collect(*platform.accounts, *words, env=platform.env))


@pytest.fixture(scope="module")
def twelve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collected]:
    yield from run_all(accounts_of_the_paper(12), tmp_path_factory.mktemp("twelve") / "media")


def check_all(run: Collected) -> None:
    """The rule for each account, each post once with its outcome and files, and a second run that asks for nothing."""
    assert run.done.returncode == 0, run.done.stderr
    found, platform = last_lines(run.media), run.platform
    assert len(lines(run.media / "collected.jsonl")) == len(found)
    expected = set[str]()
    for account in platform.accounts.values():
        mine = {video_id for video_id, line in found.items() if line["account"] == account.name}
        assert mine == (set() if account.private else sample_of(account)), account
        expected |= mine
    assert set(found) == expected
    for video_id, line in found.items():
        post, account = platform.posts[video_id], platform.owner[video_id]
        assert line["outcome"] == KINDS.get(post.kind, post.kind), line
        some = any(post.pinned for post in account.posts)
        assert line["pinned"] == (post.pinned if account.tells_pinned and some else None)
        check_files(run.media, line, post)
    listed = {line["target"]: line for line in lines(run.media / "listed.jsonl")}
    assert {name.lstrip("@") for name in listed} == set(platform.accounts)
    assert {name for name in platform.accounts if listed[f"@{name}"]["outcome"] == "private"} == {
        name for name, account in platform.accounts.items() if account.private
    }
    check_numbers(run, found)
    before = (platform.requests.copy(), (run.media / "collected.jsonl").read_bytes())
    again = collect(*platform.accounts, "--out", str(run.media), "--yes", *QUICK, *LED, env=platform.env)
    assert again.returncode == 0, again.stderr
    assert (platform.requests, (run.media / "collected.jsonl").read_bytes()) == before
    assert f"{len(found)} posts collected before, not again" in again.stdout


def check_files(media: Path, line: dict[str, Any], post: FakePost) -> None:
    there = {path.relative_to(media).as_posix() for path in media.glob(f"*/{post.video_id}*")}
    stem = f"{line['account']}/{post.video_id}"
    if not Outcome(line["outcome"]).has_files:
        assert (there, line["files"]) == (set(), [])
        return
    files = (
        [f"{stem}_{n}.jpg" for n in (1, 2, 3)] + [f"{stem}.mp3"] if post.kind == "photo" else [f"{stem}.mp4"]
    )
    assert line["files"] == files
    assert there == {*files, f"{stem}.info.json"}
    info = json.loads((media / f"{stem}.info.json").read_text())
    assert (info["id"], info["extractor_key"], info["timestamp"]) == (post.video_id, "TikTok", post.created)
    assert (
        not {"url", "formats", "http_headers", "cookies", "thumbnails", "requested_downloads"} & info.keys()
    )
    assert info.get("is_slideshow") == (True if post.kind == "photo" else None)
    assert "token" not in json.dumps(info)


def check_numbers(run: Collected, found: dict[str, dict[str, Any]]) -> None:
    """What is summary at the end adds up."""
    summary = re.search(r"^(\d+) posts: (.*)$", run.done.stdout, re.MULTILINE)
    assert summary
    numbers = {kind: int(n) for n, kind in re.findall(r"(\d+) (\w+)", summary[2])}
    assert numbers == Counter(line["outcome"] for line in found.values())
    assert sum(numbers.values()) == int(summary[1]) == len(found)


def test_twelve_accounts(twelve: Collected) -> None:
    check_all(twelve)


@pytest.mark.full
@pytest.mark.timeout(600)
def test_ninety_one_accounts(tmp_path: Path) -> None:
    for run in run_all(accounts_of_the_paper(91), tmp_path / "media"):
        assert sum(not account.private for account in run.platform.accounts.values()) == 85
        check_all(run)


def test_the_folder_is_a_study(twelve: Collected, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = CatalogConfig(out=str(tmp_path), videos=str(twelve.media))
    write_catalog(config)
    assert "passed over" not in capsys.readouterr().err
    found = {post["video_id"]: post for post in read_posts(Folder(config.folder)).to_pylist()}
    for video_id, line in last_lines(twelve.media).items():
        post = twelve.platform.posts[video_id]
        row = found.pop(video_id)
        for name in ("account", "url", "outcome", "detail", "pinned"):
            assert row[name] == line[name], name
        assert int(row["posted_at"].timestamp()) == post.created
        if line["files"]:
            assert (row["plays"], row["hashtags"], row["posted_at_from_id"]) == (900, ["help"], False)
            assert row["is_slideshow"] == (True if post.kind == "photo" else None)
    assert not found


def test_unknown_pinned_posts_are_counted(twelve: Collected) -> None:
    listed = [line for line in lines(twelve.media / "listed.jsonl") if line["posts"]]
    unknown = sum(all(post["pinned"] is None for post in line["posts"]) for line in listed)
    assert f"pinned posts: unknown of {unknown} of {len(listed)} accounts" in twelve.done.stdout
    assert "1 account with more pinned posts than asked for" in twelve.done.stdout


def test_no_account_is_named_in_what_it_says(twelve: Collected) -> None:
    assert "invented." not in (twelve.done.stdout + twelve.done.stderr).replace(str(twelve.media), "")


def test_nothing_is_asked_and_nothing_made_without_yes(tmp_path: Path) -> None:
    with Platform(accounts_of_the_paper(3)) as platform:
        table = tmp_path / "accounts.csv"
        with table.open("w") as file:
            csv.writer(file).writerows([["account"], *([name] for name in platform.accounts)])
        done = collect(str(table), post_id(999), "--out", str(tmp_path / "media"), *LED, env=platform.env)
    assert done.returncode == 2
    assert "nothing was fetched; --yes fetches it" in done.stderr
    for words in (
        *("3 accounts to list, 10 posts of each", "1 post by id", "at most 31 posts", "100 MB each"),
        *("(3.1 GB)", "from www.tiktok.com", "The terms of www.tiktok.com apply to you", "responsible"),
        *("Research API", "every 15 days", "minor", "pauses of 3 to 8 s", "min of waiting"),
    ):
        assert words in " ".join(done.stdout.split()), words
    assert not platform.requests
    assert not (tmp_path / "media").exists()


def one_account(kinds: Sequence[str], name: str = "jane") -> FakeAccount:
    return FakeAccount(name, tuple(FakePost(post_id(n), kind) for n, kind in enumerate(kinds)))


def test_posts_by_id_address_and_short_address(tmp_path: Path) -> None:
    with Platform([one_account(["video"] * 4)]) as platform:
        first, second, third, _ = platform.posts
        words = (
            *(first, f"https://www.tiktokv.com/share/video/{second}/", "https://vm.tiktok.com/short2"),
            *(f"https://www.tiktok.com/@jane/video/{first}", "--out", str(tmp_path), "--yes", *QUICK, *LED),
        )
        done = collect(*words, env=platform.env)
        assert done.returncode == 0, done.stderr
        found = last_lines(tmp_path)
        assert set(found) == {first, second, third}
        assert {line["account"] for line in found.values()} == {"jane"}
        assert platform.requests["short", "short2"] == 1
        before = platform.requests.copy()
        assert collect(*words, env=platform.env).returncode == 0
        assert platform.requests == before


def test_failures_are_asked_again_and_nothing_else(tmp_path: Path) -> None:
    with Platform([one_account(["flaky", "video", "deleted", "private"])]) as platform:
        words = ("@jane", "--out", str(tmp_path), "--yes", *QUICK, *LED)
        first = collect(*words, env=platform.env)
        flaky, video, deleted, private = platform.posts
        assert last_lines(tmp_path)[flaky]["outcome"] == "failed"
        assert "left for the next run: 1 post" in first.stdout
        before = platform.requests.copy()
        collect(*words, env=platform.env)
        assert platform.requests - before == Counter({("page", flaky): 1, ("media", flaky): 1})
        assert last_lines(tmp_path)[flaky]["outcome"] == "collected"
        before = platform.requests.copy()
        collect(*words, "--again", env=platform.env)
        asked = platform.requests - before
        assert {name for what, name in asked if what == "page"} == {deleted, private}
        assert asked["listing", "jane"] == 1
        assert ("media", video) not in asked


def test_a_platform_that_says_no_is_not_hammered(tmp_path: Path) -> None:
    with Platform([one_account(["blocked"] * 12)]) as platform:
        words = (
            "@jane",
            "--per-account",
            "12",
            "--out",
            str(tmp_path),
            "--yes",
            "--refusals",
            "4",
            *QUICK,
            *LED,
        )
        done = collect(*words, env=platform.env)
        assert done.returncode == 1
        assert "4 requests in a row were refused or failed" in done.stderr
        asked = {name for what, name in platform.requests if what == "page"}
        assert len(asked) == 4
        assert {last_lines(tmp_path)[video_id]["outcome"] for video_id in asked} == {"failed"}
        collect(*words, env=platform.env)
        both = {name for what, name in platform.requests if what == "page"}
        assert len(both) == 8  # those that were never asked for come first


def test_a_run_ends_after_so_many_posts(tmp_path: Path) -> None:
    with Platform([one_account(["video"] * 6)]) as platform:
        words = ("@jane", "--out", str(tmp_path), "--yes", "--most-posts", "4", *QUICK, *LED)
        done = collect(*words, env=platform.env)
        assert done.returncode == 0
        assert "left for the next run: 2 posts" in done.stdout
        assert len(last_lines(tmp_path)) == 4
        collect(*words, env=platform.env)
        assert len(last_lines(tmp_path)) == 6
        assert max(platform.sent.values()) == 1


def test_more_posts_than_before_are_listed_anew(tmp_path: Path) -> None:
    with Platform([one_account(["video"] * 9)]) as platform:
        words = ("@jane", "--out", str(tmp_path), "--yes", *QUICK, *LED)
        collect(*words, "--per-account", "3", env=platform.env)
        collect(*words, "--per-account", "2", env=platform.env)
        assert (len(last_lines(tmp_path)), platform.requests["listing", "jane"]) == (3, 1)
        collect(*words, "--per-account", "30", env=platform.env)
        collect(*words, "--per-account", "40", env=platform.env)  # all that there are were listed
        assert (len(last_lines(tmp_path)), platform.requests["listing", "jane"]) == (9, 2)
        assert max(platform.sent.values()) == 1


def test_pauses_between_requests_and_a_limited_rate(tmp_path: Path) -> None:
    with Platform([one_account(["video", "video", "large"])]) as platform:
        words = ("@jane", "--out", str(tmp_path), "--yes", "--sleep", "0.3-0.5", "--rate", "1.5", *LED)
        start = time.monotonic()
        assert collect(*words, "--most-mb", "20", env=platform.env).returncode == 0
        gaps = [later - earlier for earlier, later in zip(platform.times, platform.times[1:], strict=False)]
        assert sum(gap > 0.25 for gap in gaps) >= 4  # account, list, three posts: four pauses at least
        assert time.monotonic() - start > 3.0 / 1.5


def test_a_file_that_does_not_tell_its_size_is_cut_off(tmp_path: Path) -> None:
    with Platform([one_account(["unsized"])]) as platform:
        words = ("@jane", "--out", str(tmp_path), "--yes", *QUICK, *LED)
        assert collect(*words, env=platform.env).returncode == 0
        (line,) = last_lines(tmp_path).values()
    assert (line["outcome"], line["detail"]) == ("too_large", "more than 2 MB")
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size > 10_000]


def test_one_collection_of_a_folder_at_a_time(tmp_path: Path) -> None:
    with Platform([one_account(["video"] * 3)]) as platform:
        platform.hang_at = next(iter(platform.posts))
        words = ("@jane", "--out", str(tmp_path), "--yes", *QUICK, *LED)
        with command(*words, env=platform.env) as first:
            assert platform.hanging.wait(60)
            second = collect(*words, env=platform.env)
            first.kill()
        assert second.returncode == 2
        assert "in use by another run" in second.stderr


def own_collector(target: Target, folder: Path | None, limits: Politeness) -> Iterator[FoundPost]:
    """What somebody else's collector may be: two posts of every account, the second one gone."""
    if folder is None:
        yield from (FoundPost(post_id(n), pinned=n == 1) for n in (1, 2))
        return
    if target.video_id == post_id(2):
        raise NotCollectedError(Outcome.DELETED, "its author took it away")
    (folder / "anything.mp4").write_bytes(b"a video")
    yield FoundPost(
        post_id(1), "jane", files=[folder / "anything.mp4"], info={"title": "x", "extractor_key": "Own"}
    )


def test_another_collector_is_one_function(tmp_path: Path) -> None:
    own = ("--collector", f"{__name__}:own_collector", "--sleep", "0")
    done = collect("@jane", "--out", str(tmp_path), "--yes", *own, env={})
    assert done.returncode == 0, done.stderr
    found = last_lines(tmp_path)
    assert [(line["outcome"], line["detail"], line["pinned"], line["files"]) for line in found.values()] == [
        ("collected", None, True, [f"jane/{post_id(1)}.mp4"]),
        ("deleted", "its author took it away", False, []),
    ]
    assert (tmp_path / "jane" / f"{post_id(1)}.mp4").read_bytes() == b"a video"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere_at_all:fetch", "no module nowhere_at_all; with PYTHONPATH=."),
        ("tests.fixtures.platform:nothing", "has no nothing"),
        ("tests.fixtures.platform", "expected module:function"),
    ],
)
def test_a_collector_that_is_none(name: str, message: str, tmp_path: Path) -> None:
    done = collect("@jane", "--out", str(tmp_path / "media"), "--collector", name, env={})
    assert done.returncode == 2
    assert message in done.stderr
    assert not (tmp_path / "media").exists()


@pytest.mark.parametrize("sleep", ["-3", "8-3", "quick", "3-", "nan", "1e9"])
def test_pauses_that_are_none(sleep: str, tmp_path: Path) -> None:
    done = collect("@jane", "--out", str(tmp_path / "media"), f"--sleep={sleep}", *LED, env={})
    assert done.returncode == 2, done.stdout
    assert "expected seconds" in done.stderr


def test_yt_dlp_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "yt_dlp.py").write_text("raise ModuleNotFoundError('No module named yt_dlp', name='yt_dlp')")
    with command("@jane", "--out", str(tmp_path), env={"PYTHONPATH": f"{tmp_path}:{ROOT}"}) as process:
        _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "pip install 'tikval[collect]'" in err
