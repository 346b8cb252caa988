"""Which videos people annotate: drawn by a rule with known probabilities, listed for coders, and back as weights."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from tests.fixtures.rows import prediction, video
from tikval.cli.commands import app
from tikval.config import CatalogConfig, ExtractConfig, ScriptConfig, UserError
from tikval.evaluate.prevalence import prevalence_of
from tikval.evaluate.sample import Allocation, VideoSample, allocate, draw_sample, read_frame
from tikval.rows import PredictionRow, VideoRow, arrow_schema
from tikval.sources.write_catalog import write_catalog
from tikval.store.folder import Folder
from tikval.store.runs import Study


def frame(sizes: dict[str, int], per_account: int = 5) -> pa.Table:
    """Videos of genres of these sizes, in accounts of one genre each; what is called none has no genre."""
    rows = [
        video(
            f"{genre}{n:03}", genre=None if genre == "none" else genre, account=f"{genre}-{n // per_account}"
        )
        for genre, size in sizes.items()
        for n in range(size)
    ]
    return pa.Table.from_pylist(rows, schema=arrow_schema(VideoRow))


def ids_of(videos: pa.Table, drawn: VideoSample) -> list[str]:
    ids: list[str] = videos["video_id"].take(pa.array(drawn.at)).to_pylist()
    return ids


SIZES = {"beauty": 60, "gaming": 25, "food": 5, "none": 10}


@pytest.mark.parametrize("by", [None, "genre"])
@pytest.mark.parametrize("allocation", ["proportional", "equal"])
@pytest.mark.parametrize("n", [4, 7, 30, 99, 100])
def test_every_video_can_be_drawn_and_weights_sum_to_the_frame(
    by: str | None, allocation: Allocation, n: int
) -> None:
    videos = frame(SIZES)
    drawn = draw_sample(videos, n, by=by, allocation=allocation)
    assert len(drawn.at) == len(set(drawn.at.tolist())) == n
    assert all(0 < each.probability <= 1 for each in drawn.strata)
    assert sum(each.videos for each in drawn.strata) == 100
    assert (1 / drawn.probability).sum() == pytest.approx(100)
    for h, each in enumerate(drawn.strata):
        assert (drawn.stratum == h).sum() == each.drawn


def test_allocations() -> None:
    assert allocate(10, np.array([60, 25, 5, 10]), equal=False).tolist() == [6, 2, 1, 1]
    assert allocate(20, np.array([60, 25, 3, 10]), equal=True).tolist() == [6, 6, 3, 5]
    assert allocate(4, np.array([1000, 1, 1, 1]), equal=False).tolist() == [1, 1, 1, 1]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=8), st.data(), st.booleans())
def test_an_allocation_is_whole_and_possible(sizes: list[int], data: st.DataObject, equal: bool) -> None:
    wanted = data.draw(st.integers(len(sizes), sum(sizes)))
    found = allocate(wanted, np.array(sizes), equal=equal)
    assert found.sum() == wanted
    assert ((found >= 1) & (found <= sizes)).all()


def test_the_probability_is_how_often_a_video_is_drawn() -> None:
    videos, times = frame({"beauty": 30, "gaming": 10}), np.zeros(40)
    for seed in range(400):
        drawn = draw_sample(videos, 10, by="genre", allocation="equal", seed=seed)
        times[drawn.at] += 1
    np.testing.assert_allclose(times[:30] / 400, 5 / 30, atol=0.07)
    np.testing.assert_allclose(times[30:] / 400, 5 / 10, atol=0.1)


def test_whole_accounts() -> None:
    videos, totals = frame(SIZES), []
    for seed in range(200):
        drawn = draw_sample(videos, 30, whole_accounts=True, seed=seed)
        owners = [name[:-3] + str(int(name[-3:]) // 5) for name in ids_of(videos, drawn)]
        assert {owners.count(owner) for owner in owners} == {5}, "all videos of an account, or none"
        assert set(drawn.probability.tolist()) == {6 / 20}
        totals.append((1 / drawn.probability).sum())
    assert np.mean(totals) == pytest.approx(100, rel=0.02)
    of_genres = draw_sample(videos, 40, by="genre", whole_accounts=True)
    assert {each.name: (each.units, each.drawn) for each in of_genres.strata} == {
        "beauty": (12, 4),
        "food": (1, 1),
        "gaming": (5, 2),
        "not given": (2, 1),
    }


def test_accounts_of_unlike_size_estimate_the_frame() -> None:
    rows = [video(f"v{n:03}", account=f"a{int(n**0.5)}" if n < 90 else None) for n in range(100)]
    videos, totals = pa.Table.from_pylist(rows, schema=arrow_schema(VideoRow)), []
    for seed in range(600):
        drawn = draw_sample(videos, 40, whole_accounts=True, seed=seed)
        totals.append((1 / drawn.probability).sum())
    assert np.mean(totals) == pytest.approx(100, rel=0.05)


def test_the_same_seed_and_videos_give_the_same_list_in_any_order() -> None:
    videos = frame(SIZES)
    other = videos.take(pa.array(np.random.default_rng(0).permutation(100)))
    for keys in ({}, {"by": "genre"}, {"whole_accounts": True}):
        lists = [ids_of(each, draw_sample(each, 30, seed=3, **keys)) for each in (videos, other)]
        assert lists[0] == lists[1]
        assert lists[0] != ids_of(videos, draw_sample(videos, 30, seed=4, **keys))


def test_a_larger_sample_holds_the_smaller_one() -> None:
    videos = frame(SIZES)
    some, more = (set(ids_of(videos, draw_sample(videos, n))) for n in (20, 50))
    assert some < more


def test_what_cannot_be_drawn() -> None:
    videos = frame(SIZES)
    with pytest.raises(UserError, match="--n 101: more than the 100"):
        draw_sample(videos, 101)
    with pytest.raises(UserError, match="--n 3: fewer than the 4 groups by genre"):
        draw_sample(videos, 3, by="genre")
    with pytest.raises(UserError, match="--by followers: no such column"):
        draw_sample(videos, 9, by="followers")
    with pytest.raises(UserError, match="no video has a is_minor"):
        draw_sample(videos, 9, by="is_minor")


# the list


class Made:
    """A catalog of 40 videos of 8 accounts and 2 genres: two files of a name each, one that is not there."""

    def __init__(self, root: Path) -> None:
        self.root, self.out = root, str(root / "out")
        lines = ["path,account,genre,caption"]
        for n in range(40):
            name = f"7{n:018}" if n >= 4 else f"@jane_doe{n}/clip {n}"
            (root / name).parent.mkdir(exist_ok=True)
            if n != 9:
                (root / f"{name}.mp4").write_bytes(b"x" * (n + 1))
            account = f"jane_doe{n}" if n < 4 else f"account{n // 5}"
            lines.append(f"{name}.mp4,{account},{'beauty' if n < 30 else 'gaming'},with @someone_else {n}")
        (root / "videos.csv").write_text("\n".join(lines) + "\n")
        self.list = root / "coders.csv"
        write_catalog(self.catalog())

    def catalog(self, annotations: Path | None = None) -> CatalogConfig:
        return CatalogConfig(
            videos=f"{self.root}/videos.csv",
            annotations=str(annotations) if annotations else None,
            out=self.out,
        )

    def sample(self, *words: str, source: str | None = None, to: Path | None = None) -> Result:
        return CliRunner().invoke(app, ["sample", source or self.out, "--to", str(to or self.list), *words])

    def lines(self) -> list[dict[str, str]]:
        with self.list.open(encoding="utf-8", newline="") as opened:
            return list(csv.DictReader(opened))


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path)


def test_the_command(made: Made) -> None:
    done = made.sample("--n", "12", "--by", "genre", "--seed", "5")
    assert done.exit_code == 0, done.output
    assert "12 videos of 39, videos at random within each genre, proportional allocation" in done.output
    assert "not in the frame, for they failed: missing_file 1" in done.output
    lines = made.lines()
    assert list(lines[0]) == ["video_id", "path", "caption", "stratum", "probability"]
    assert {line["stratum"] for line in lines} == {"beauty", "gaming"}
    assert sum(1 / float(line["probability"]) for line in lines) == pytest.approx(39)
    facts = json.loads((made.root / "coders.frame.json").read_text())
    assert (facts["seed"], facts["frame_videos"], facts["drawn_videos"], facts["by"]) == (5, 39, 12, "genre")
    assert facts["failed_and_left_out"] == {"missing_file": 1}
    assert facts["drawn_at"]
    before = made.list.read_bytes()
    assert made.sample("--n", "12", "--by", "genre", "--seed", "5").exit_code == 0
    assert made.list.read_bytes() == before


def test_nobody_is_named_unless_it_is_asked_for(made: Made) -> None:
    assert made.sample("--n", "39").exit_code == 0
    text = made.list.read_text()
    assert "jane" not in text
    assert "someone_else" not in text
    assert "account1" not in text
    assert sum(line["video_id"].startswith("video-") for line in made.lines()) == 4
    assert sum(not line["path"] for line in made.lines()) == 4
    done = made.sample("--n", "39", "--names", to=made.root / "named.csv")
    assert done.exit_code == 0, done.output
    assert (made.root / "named.csv").read_text().count("jane_doe") >= 8
    refused = made.sample("--n", "39", "--by", "account", to=made.root / "other.csv")
    assert refused.exit_code != 0
    assert isinstance(refused.exception, UserError)


def test_a_list_out_of_videos_names_nobody_either_and_coders_find_the_others(made: Made) -> None:
    done = made.sample("--n", "39", "--by", "genre", source=str(made.root / "videos.csv"))
    assert done.exit_code == 0, done.output
    text = made.list.read_text()
    assert not any(name in text for name in ("jane", "someone_else", "account1"))
    assert len(made.lines()) == 39
    assert sum(line["video_id"].startswith("video-") for line in made.lines()) == 4
    assert sum(not line["path"] for line in made.lines()) == 4


def test_a_list_that_somebody_may_have_written_in_is_not_replaced(made: Made) -> None:
    assert made.sample("--n", "12").exit_code == 0
    made.list.write_text(made.list.read_text().replace("probability", "probability,face"))
    before = made.list.read_bytes()
    done = made.sample("--n", "12")
    assert isinstance(done.exception, UserError)
    assert "is there already" in str(done.exception)
    assert made.list.read_bytes() == before


def come_back(made: Made) -> Path:
    """The list, with what a coder wrote: face is endorsed in every other video."""
    lines, file = made.lines(), made.root / "coded.csv"
    with file.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.DictWriter(opened, [*lines[0], "face"])
        writer.writeheader()
        writer.writerows({**line, "face": n % 2} for n, line in enumerate(lines))
    return file


@pytest.mark.parametrize("words", [[], ["--by", "genre", "--allocation", "equal"], ["--accounts"]])
@pytest.mark.parametrize("of_study", [True, False])
def test_the_list_comes_back_as_annotations_with_their_weights(
    made: Made, words: list[str], of_study: bool
) -> None:
    source = made.out if of_study else str(made.root / "videos.csv")
    assert made.sample("--n", "20", *words, source=source).exit_code == 0
    file, probabilities = come_back(made), [float(line["probability"]) for line in made.lines()]
    write_catalog(made.catalog(file))
    catalog = Folder(made.catalog().folder)
    listed = {
        row["video_id"]: row["row_key"] for row in catalog.read(["video_id", "row_key", "error"]).to_pylist()
    }
    rows = catalog.read_side_table("labels")
    assert {row["video_id"] for row in rows} <= listed.keys(), "no id is lost on the way"
    assert sorted(row["probability"] for row in rows) == pytest.approx(sorted(probabilities))
    write_predictions(made, listed)
    found = prevalence_of(Study(made.out))
    assert found.target == ("accounts" if words == ["--accounts"] else "corpus")
    assert any("weighed by the probability" in note for note in found.notes)


def write_predictions(made: Made, listed: dict[str, Any]) -> None:
    scripts = ScriptConfig(videos=made.catalog(), out=made.out)
    system = ExtractConfig(scripts=scripts, system="local", out=made.out)
    rows = [
        prediction(name, *(["face+"] if n % 3 else []), row_key=key)
        for n, (name, key) in enumerate(listed.items())
    ]
    folder = Folder(system.folder)
    part = folder.write_part(pa.Table.from_pylist(rows, schema=arrow_schema(PredictionRow)))
    folder.write_run(system, [part], {}, len(rows), {}, 1.0)


def test_a_frame_without_a_video(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    with pytest.raises(UserError, match="no video that can be drawn: 1 failed"):
        read_frame(str(tmp_path))
