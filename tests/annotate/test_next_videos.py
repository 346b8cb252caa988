"""Which video next: the target, the command from the first list to `stop`, its records, and rates by them."""

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner, Result

from tests.fixtures.rows import prediction
from tikval.annotate.next_videos import next_videos
from tikval.annotate.width_target import parse_width_target
from tikval.cli.commands import app
from tikval.config import CatalogConfig, ExtractConfig, ScriptConfig, UserError
from tikval.evaluate.batches import labels_of_batches, read_batches
from tikval.evaluate.prevalence import Prevalence, prevalence_of
from tikval.rows import PredictionRow, arrow_schema
from tikval.sources.write_catalog import write_catalog
from tikval.store.folder import Folder
from tikval.store.runs import Study
from tikval.study.erasure import erase_videos
from tikval.values import LABELS

TARGET = "hedonism+ by genre within 0.08"


@pytest.mark.parametrize(
    ("text", "labels", "by", "width"),
    [
        ("hedonism+ by genre within 0.05", ("hedonism+",), "genre", 0.05),
        ("  Hedonism+, face-  within 5% ", ("hedonism+", "face-"), None, 0.05),
        ("security personal+ by month WITHIN .1", ("security_personal+",), "month", 0.1),
    ],
)
def test_targets(text: str, labels: tuple[str, ...], by: str | None, width: float) -> None:
    found = parse_width_target(text, LABELS)
    assert (found.labels, found.by) == (labels, by)
    assert found.width == pytest.approx(width)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("hedonism+", "say LABEL by COLUMN within WIDTH"),
        ("hedonsm+ within 0.05", "is hedonism[+] or hedonism- meant"),
        ("hedonism within 0.05", "which side. hedonism[+] is endorsed"),
        ("hedonism+ by gender within 0.05", "is genre meant"),
        ("hedonism+ by account within 0.05", "would name people in the list"),
        ("hedonism+ within 5", "between 0 and 0.5"),
        ("hedonism+ within narrow", "between 0 and 0.5"),
        (", within 0.1", "names no label"),
    ],
)
def test_targets_that_are_none(text: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        parse_width_target(text, LABELS)


class Made:
    """360 videos of 2 genres x 18 accounts; a fifth has hedonism+, which the scores tell well."""

    def __init__(self, root: Path, videos: int = 360, accounts: int = 36, *, system: bool = True) -> None:
        self.root, self.out = root, str(root / "out")
        rng = np.random.default_rng(3)
        self.names = [f"v{n:03}" for n in range(videos)]
        self.truth = dict(zip(self.names, (rng.random(videos) < 0.2).tolist(), strict=True))
        lines = ["path,account,genre,caption"]
        for n, name in enumerate(self.names):
            (root / f"{name}.mp4").write_bytes(b"x")
            genre = "beauty" if n < videos // 2 else "gaming"
            lines.append(f"{name}.mp4,a{n * accounts // videos},{genre},with @someone_else")
        (root / "videos.csv").write_text("\n".join(lines) + "\n")
        write_catalog(self.catalog())
        if system:
            self._judge(rng)

    def _judge(self, rng: np.random.Generator) -> None:
        listed = Folder(self.catalog().folder).read(["video_id", "row_key"]).to_pylist()
        keys = {row["video_id"]: row["row_key"] for row in listed}
        system = ExtractConfig(
            scripts=ScriptConfig(videos=self.catalog(), out=self.out), system="local", out=self.out
        )
        rows = [self._row(name, keys[name], 3 * self.truth[name] - 3 + rng.normal()) for name in self.names]
        folder = Folder(system.folder)
        part = folder.write_part(pa.Table.from_pylist(rows, schema=arrow_schema(PredictionRow)))
        folder.write_run(system, [part], {}, len(rows), {}, 1.0)

    def _row(self, name: str, key: str, logit: float) -> PredictionRow:
        scores: list[float | None] = [0.0] * len(LABELS)
        scores[LABELS.index("hedonism+")] = float(1 / (1 + np.exp(-logit)))
        return prediction(name, *(["hedonism+"] if logit > 0 else []), row_key=key, scores=scores)

    def catalog(self, annotations: Path | None = None) -> CatalogConfig:
        given = str(annotations) if annotations else None
        return CatalogConfig(videos=f"{self.root}/videos.csv", annotations=given, out=self.out)

    def code(self, *lists: Path, without: int = 0, more: str = "") -> None:
        """Hand in what coders say of the videos of some lists, but for the last few."""
        lines = [line for file in lists for line in csv.DictReader(file.open(encoding="utf-8"))]
        kept = lines[: len(lines) - without]
        text = "".join(
            f"{line['video_id']},{line['probability']},{int(self.truth[line['video_id']])},0\n"
            for line in kept
        )
        (self.root / "coded.csv").write_text(f"video_id,probability,hedonism,face\n{text}{more}")
        write_catalog(self.catalog(self.root / "coded.csv"))

    def next(self, to: str | None, *words: str, target: str = TARGET) -> Result:
        place = ["--to", str(self.root / to)] if to else []
        return CliRunner().invoke(app, ["annotate", "next", self.out, "--target", target, *place, *words])

    def rates(self) -> Prevalence:
        return prevalence_of(Study(self.out), by="genre")


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path)


def lines_of(file: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(file.open(encoding="utf-8")))


def flat(done: Result) -> str:
    assert done.exit_code == 0, done.output
    return " ".join(done.output.split())


def test_from_the_first_list_to_stop(made: Made) -> None:
    text = flat(made.next("one.csv", "--n", "40"))
    assert "no labels yet: this batch is a plain random sample" in text
    one = lines_of(made.root / "one.csv")
    assert len(one) == 40
    assert {line["stratum"] for line in one} == {"beauty", "gaming"}
    assert {float(line["probability"]) for line in one} == {40 / 360}
    assert "someone_else" not in (made.root / "one.csv").read_text()
    assert json.loads((made.root / "one.frame.json").read_text())["target"] == TARGET
    files = [made.root / "one.csv"]
    made.code(*files)
    text = flat(made.next("two.csv", "--n", "31"))
    assert "40 labels so far, of 360 videos" in text
    assert "half of the batch evenly, until 200 labels have recalibrated the scores" in text
    assert "more labels are needed" in text
    two = lines_of(made.root / "two.csv")
    assert len(two) == 31
    assert not {line["video_id"] for line in two} & {line["video_id"] for line in one}, "nobody codes twice"
    for number in range(2, 12):
        files.append(made.root / ("two.csv" if number == 2 else f"{number}.csv"))
        made.code(*files)
        text = flat(made.next(f"{number + 1}.csv", "--n", "60"))
        if "stop: " in text:
            break
    assert f"stop: {TARGET} is reached" in text
    assert "nothing is drawn" in text
    found = [line for line in made.rates().lines if line.what == "hedonism+"]
    for line in found:
        ids = made.names[:180] if line.group == "beauty" else made.names[180:]
        assert line.corrected_low is not None
        assert line.corrected is not None
        assert line.corrected_high is not None
        assert line.corrected_low <= np.mean([made.truth[name] for name in ids]) <= line.corrected_high
        assert max(line.corrected_high - line.corrected, line.corrected - line.corrected_low) <= 0.08
        assert f"{100 * line.corrected:.1f}" in text, "the same number as tikval prevalence"


def test_a_batch_waits_for_its_labels_and_its_list_can_be_written_again(made: Made) -> None:
    made.next("one.csv", "--n", "40")
    before = (made.root / "one.csv").read_bytes()
    assert flat(made.next("one.csv", "--n", "40"))
    assert (made.root / "one.csv").read_bytes() == before
    made.code(made.root / "one.csv", without=20)
    text = flat(made.next("again.csv", "--n", "40", "--seed", "9"))
    assert "batch 1 waits for its labels: 20 of 40 videos have any" in text
    assert {line["video_id"] for line in lines_of(made.root / "again.csv")} == {
        line["video_id"] for line in lines_of(made.root / "one.csv")
    }
    assert {line.corrected for line in made.rates().lines} == {None}
    assert any("no batch of tikval annotate next has come back" in note for note in made.rates().notes)
    made.code(made.root / "one.csv", without=3)
    assert "3 of its 40 videos have no label, which is taken as chance" in flat(made.next(None))
    assert len(read_batches(made.out)) == 1, "without --to nothing is drawn"


def test_what_does_not_help(made: Made) -> None:
    made.next("one.csv", "--n", "60")
    made.code(made.root / "one.csv")
    text = flat(made.next(None, target="hedonism+, face+, face- within 0.02"))
    assert "a plain random sample does as well for 3 labels at once" in text
    assert "--to FILE.csv writes the list" in text
    text = flat(made.next(None, "--of", "accounts", target="hedonism+ by genre within 0.005"))
    assert (
        "more labels will not help: with 18 accounts the interval for accounts like these cannot become"
        in text
    )
    assert "nothing is drawn" in text
    text = flat(made.next(None, target="face- within 0.02"))
    assert "a plain random sample does as well, by these scores" in text
    text = flat(made.next(None, "--n", "900", target="hedonism+ within 0.001"))
    assert "these are all the videos that are left" in text
    with pytest.raises(UserError, match="--n 1: fewer than the 2 groups by genre"):
        raise made.next("two.csv", "--n", "1").exception or AssertionError
    with pytest.raises(UserError, match=r"humility.*some labelled videos have no stance of it"):
        next_videos(Study(made.out), "humility+ within 0.1", 20)


def test_too_few_accounts_however_many_labels(tmp_path: Path) -> None:
    made = Made(tmp_path, videos=60, accounts=6)
    made.next("one.csv", "--n", "20")
    assert "beauty: 3 accounts: too few for an interval, however many labels; add accounts" in flat(
        made.next(None)
    )


def test_without_a_system_it_is_a_random_sample_and_labels_are_counted_as_they_are(tmp_path: Path) -> None:
    made = Made(tmp_path, videos=120, accounts=12, system=False)
    made.next("one.csv", "--n", "60")
    made.code(made.root / "one.csv")
    text = flat(made.next("two.csv", "--n", "20", target="hedonism+ within 0.03"))
    assert "no system judges these labels: this batch is a plain random sample" in text
    share = np.mean([made.truth[line["video_id"]] for line in lines_of(made.root / "one.csv")])
    (line,) = next_videos(Study(made.out), "hedonism+ within 0.03", 20).lines
    assert line.estimate == pytest.approx(share, abs=0.005)
    assert {float(line["probability"]) for line in lines_of(made.root / "two.csv")} == {20 / 60}


def test_labels_of_several_batches_without_their_records_correct_nothing(made: Made) -> None:
    made.next("one.csv", "--n", "60")
    made.code(made.root / "one.csv")
    made.next("two.csv", "--n", "60")
    made.code(made.root / "one.csv", made.root / "two.csv")
    assert made.rates().target == "corpus"
    first, second = sorted((Path(made.out) / "next").iterdir())
    second.with_name("batch-002-another.parquet").write_bytes(second.read_bytes())
    with pytest.raises(UserError, match="several records of batch 2"):
        made.rates()
    for file in (Path(made.out) / "next").iterdir():
        file.unlink()
    assert not first.exists()
    found = made.rates()
    assert found.target is None
    assert any("probabilities are those of several lists" in note for note in found.notes)


def test_a_sample_before_is_the_first_draw_and_other_labels_count_once_they_were_known(made: Made) -> None:
    listed = made.root / "sample.csv"
    assert CliRunner().invoke(app, ["sample", made.out, "--n", "60", "--to", str(listed)]).exit_code == 0
    made.code(listed)
    made.next("one.csv", "--n", "40")
    coded = [listed, made.root / "one.csv"]
    ids = {line["video_id"] for file in coded for line in lines_of(file)}
    later = next(name for name in made.names if name not in ids)
    made.code(*coded, more=f"{later},,0,0\n")
    (record,) = read_batches(made.out)
    known = record.table.filter(record.table["known"])["video_id"].to_pylist()
    assert len(known) == 60
    found = made.rates()
    assert any(
        "of 2 draws; 1 label that no batch drew or knew corrects nothing" in note for note in found.notes
    )
    assert "1 of them no batch has drawn or known yet" in flat(made.next("two.csv", "--n", "40"))


def test_a_sample_before_the_batches() -> None:
    ids, labelled = pa.chunked_array([[f"v{n}" for n in range(40)]]), np.arange(8)
    found = labels_of_batches([], ids, labelled, np.full(8, 0.2), np.arange(40))
    assert found.counts == (8,)
    np.testing.assert_allclose(found.weights.weight[:8], 5)
    unknown = np.full(8, np.nan)
    assert not labels_of_batches([], ids, labelled, unknown, np.arange(40)).is_usable
    assert labels_of_batches([], ids, labelled, unknown, np.arange(40), at_random=True).is_usable
    whole = labels_of_batches([], ids, labelled, np.full(8, 0.2), np.arange(40) // 4)
    assert not whole.is_usable, "whole accounts are no sample of videos"


def test_erasure_reaches_the_records(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIKVAL_KEY", "00" * 16)
    made.next("one.csv", "--n", "40")
    drawn = lines_of(made.root / "one.csv")[0]["video_id"]
    erase_videos(made.out, {drawn}, set())
    (record,) = read_batches(made.out)
    assert record.table.num_rows == 359
    assert drawn not in record.table["video_id"].to_pylist()
    assert record.about["target"] == TARGET
