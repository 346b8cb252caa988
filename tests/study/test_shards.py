"""Shards of a study: disjoint by key, put together once, the same rows as without them; without Ray and models."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.fixtures.offline import tikval, without_ray
from tikval.config import UserError
from tikval.llm.client import Reply, Usage
from tikval.llm.gate import read_spent
from tikval.llm.ledger import Entry, Ledger, ledger_key
from tikval.store.folder import Folder
from tikval.store.lock import InUseError
from tikval.store.row_keys import keys_of
from tikval.store.runs import Study
from tikval.store.shards import Shard, merged_usd, shard_outs, whole_study
from tikval.study.erasure import erase_videos
from tikval.study.merge import merge_shards

OF = 3


class Place:
    """Videos of some accounts, one id twice, and a folder for what comes out."""

    def __init__(self, root: Path) -> None:
        self.root, self.out, self.videos = root, str(root / "out"), root / "videos.csv"
        self.listed(12)

    def listed(self, n: int) -> None:
        for k in range(n):
            file = self.root / f"v{k}.mp4"
            file.write_bytes(b"x" * (k + 1))
            os.utime(
                file, (1_700_000_000, 1_700_000_000)
            )  # a key, and so its shard, is of name, size and time
        lines = [f"v{k}.mp4,account{k % 3},v{k}" for k in range(n)]
        self.videos.write_text(
            "\n".join(["path,account,video_id", *lines, "v1.mp4,account1,v0", "gone.mp4,a,gone"])
        )

    def analyze(self, out: str, *words: str, code: int = 0) -> str:
        return tikval("analyze", str(self.videos), "--out", out, *words, code=code).output

    def shards(self, *words: str) -> None:
        for n in range(1, OF + 1):
            self.analyze(self.out, "--shard", f"{n}/{OF}", *words)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    without_ray(monkeypatch)
    monkeypatch.setattr("tikval.report.site.gather._figures", lambda *_: None)
    return Place(tmp_path)


def rows(out: str, stage: str) -> list[dict[str, Any]]:
    """The finished table of a stage, in the order of its keys."""
    [folder] = Study(out).folders(stage)
    found = sorted(folder.read().to_pylist(), key=lambda row: row["row_key"])
    assert len({row["row_key"] for row in found}) == len(found)
    return found


def stages(out: str) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in Path(out).glob("*-*/run.json")}


def test_every_key_is_of_one_shard_and_stays_there() -> None:
    keys = np.frombuffer(np.random.default_rng(1).bytes(16 * 20_000), "S16")
    held = np.array([Shard(n, 16).holds(keys) for n in range(1, 17)])
    assert (held.sum(axis=0) == 1).all()
    assert held.sum(axis=1).min() > 1_100
    assert (Shard(3, 16).holds(keys[:100]) == held[2, :100]).all()
    assert Shard(1, 2).holds(np.empty(0, "S16")).shape == (0,)


@pytest.mark.parametrize("words", ["0/4", "5/4", "x", "1/", "1/0", "1/99999", "-1/4"])
def test_what_is_no_shard_is_refused(words: str) -> None:
    with pytest.raises(UserError, match="write NUMBER/HOW-MANY"):
        Shard.parse(words)


def test_the_ledger_of_all_shards_is_the_study_s(tmp_path: Path) -> None:
    out = f"{tmp_path}/out"
    assert whole_study(Shard(3, 16).out(out)) == out == whole_study(out)
    assert whole_study(f"{tmp_path}/shards/mine") == f"{tmp_path}/shards/mine"
    key = ledger_key({"n": 1})
    Ledger(Shard(1, 2).out(out)).put(key, Entry("v", Reply("text", "m", Usage(tokens_in=3)), 0.01, "now"))
    assert Ledger(out).get(key) is not None
    assert Ledger(Shard(2, 2).out(out)).get(key) is not None


def test_shards_are_what_the_study_is_without_them(place: Place) -> None:
    whole = str(place.root / "whole")
    place.analyze(whole)
    place.shards()
    parts = [{row["row_key"] for row in rows(out, "predictions")} for out in shard_outs(place.out)]
    assert sum(map(len, parts)) == len(set().union(*parts)) == 14
    assert all(parts)
    assert not Study(place.out).folders("report")
    printed = tikval("merge", place.out).output
    assert "merged: 28 rows into 2 stages" in printed
    for stage in ("catalog", "scripts", "predictions"):
        assert rows(place.out, stage) == rows(whole, stage)
    before = stages(place.out)
    place.analyze(place.out)
    after = stages(place.out)
    assert {name: after[name] for name in before} == before  # nothing was computed
    assert Study(place.out).folders("report")
    assert "merged before: nothing is new" in tikval("merge", place.out).output
    assert stages(place.out) == after


def test_a_growing_study_keeps_its_shards(place: Place) -> None:
    place.shards()
    tikval("merge", place.out)
    first = [{row["row_key"] for row in rows(out, "predictions")} for out in shard_outs(place.out)]
    place.listed(20)
    place.analyze(place.out, "--shard", f"1/{OF}")
    with pytest.raises(
        UserError, match=rf"shard 2/{OF} lacks \d videos of the catalog.*--shard 2/{OF} again"
    ):
        merge_shards(place.out)
    place.shards()
    later = [{row["row_key"] for row in rows(out, "predictions")} for out in shard_outs(place.out)]
    assert all(old <= new for old, new in zip(first, later, strict=True))
    assert [stage.copied for stage in merge_shards(place.out)] == [8, 8]
    assert len(rows(place.out, "predictions")) == 22


def test_a_study_that_began_without_shards_computes_nothing_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.analyze(place.out)
    monkeypatch.setattr("tests.fixtures.offline.script", None)  # nothing can be computed
    monkeypatch.setattr("tests.fixtures.offline.prediction", None)
    place.shards()
    shutil.rmtree(f"{place.out}/shards/1-of-{OF}")
    place.shards()
    assert [stage.copied for stage in merge_shards(place.out)] == [0, 0]


def test_a_merge_that_was_killed_goes_on(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.shards()
    seal, calls = Folder.seal, []

    def killed(self: Folder, *args: Any, **more: Any) -> Any:
        calls.append(self.uri)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return seal(self, *args, **more)

    monkeypatch.setattr(Folder, "seal", killed)
    with pytest.raises(KeyboardInterrupt):
        merge_shards(place.out)
    done = merge_shards(place.out)
    assert [stage.rows for stage in done] == [14, 14]
    assert len(rows(place.out, "predictions")) == 14
    for out in shard_outs(place.out):
        assert rows(out, "predictions")


@pytest.mark.parametrize("wrong", ["missing", "divided", "unfinished", "recipe", "settings", "none"])
def test_what_does_not_fit_is_refused_and_nothing_is_merged(place: Place, wrong: str) -> None:
    place.shards()
    last = Path(Shard(OF, OF).out(place.out))
    [scripts], [predictions] = last.glob("scripts-*"), last.glob("predictions-*")
    if wrong == "missing":
        shutil.rmtree(last)
        message = f"{OF}/{OF} is not there"
    elif wrong == "divided":
        place.analyze(place.out, "--shard", "1/2")
        message = "parts of different divisions"
    elif wrong == "unfinished":
        (predictions / "run.json").unlink()
        message = f"shard {OF}/{OF} has not finished it"
    elif wrong == "recipe":
        scripts.rename(last / "scripts-0123456789ab")
        message = "has scripts-0123456789ab instead|shard 1/3 has scripts"
    elif wrong == "settings":
        (predictions / "calibration.json").write_text("{}")
        message = "calibration.json of shard 3/3 is not that of shard 1/3"
    else:
        shutil.rmtree(last.parent)
        message = "holds no shards"
    with pytest.raises(UserError, match=message):
        merge_shards(place.out)
    assert {name.partition("-")[0] for name in stages(place.out)} == {"catalog"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--profile", "cascade"), "looks at all rows"),
        (("--profile", "distill"), "looks at all rows"),
    ],
)
def test_what_looks_at_all_rows_is_no_shard_s(place: Place, words: tuple[str, ...], message: str) -> None:
    assert message in place.analyze(place.out, "--shard", "1/3", *words, code=2)
    assert not Path(place.out).exists() or not stages(place.out)


def test_another_driver_that_lists_is_waited_for(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    from tikval.sources.write_catalog import write_catalog

    tries: list[int] = []

    def busy(config: Any) -> Any:
        tries.append(1)
        if len(tries) < 3:
            raise InUseError("in use")
        return write_catalog(config)

    monkeypatch.setattr("tikval.study.shards.write_catalog", busy)
    monkeypatch.setattr("tikval.study.shards._LOOK_SECONDS", 0)
    assert "another driver lists the videos" in place.analyze(place.out, "--shard", "1/3")
    assert len(tries) == 3


def test_what_shards_paid_is_counted_once(place: Place) -> None:
    place.shards()
    for n, out in enumerate(shard_outs(place.out)):
        [folder] = Path(out).glob("predictions-*")
        spent = {"settled_usd": n + 1.0}
        (folder / "calls.json").write_text(json.dumps({"spent": spent, "open": {}, "window": []}))
    merge_shards(place.out)
    merge_shards(place.out)
    [whole] = Study(place.out).folders("predictions")
    assert merged_usd(whole.uri) == 6.0
    spent_here = read_spent(whole.uri)
    assert spent_here is not None
    assert spent_here.settled_usd == 6.0


@pytest.mark.parametrize("merged", [False, True])
def test_the_erased_are_in_no_shard_and_do_not_come_back(place: Place, merged: bool) -> None:
    place.shards()
    if merged:
        merge_shards(place.out)
    found, _ = erase_videos(place.out, {"v3"}, {"account1"})
    assert found == {"v3", "v0", "v1", "v4", "v7", "v10"}  # one file of account1 has the id v0
    for path in Path(place.out).rglob("*.parquet"):
        table = Folder(str(path.parent)).table(path.name) if not path.name.startswith("_") else None
        assert table is None or not {"v3", "v4"} & set(table["video_id"].to_pylist())
    place.shards()
    merge_shards(place.out)
    listed = keys_of(Study(place.out).catalog().read(["row_key"])["row_key"])
    [predictions] = Study(place.out).folders("predictions")
    assert set(predictions.keys().tolist()) == set(listed.tolist())
    assert "v3" not in predictions.read(["video_id"])["video_id"].to_pylist()
