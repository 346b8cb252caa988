"""What an analysis would do, told before: counts, cost, and which part of a recipe is another one than before."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from tests.fixtures.offline import tikval, without_ray
from tikval.cli.commands import app
from tikval.config import ExtractConfig, ScriptConfig, UserError
from tikval.rows import Reason
from tikval.store.folder import Folder
from tikval.store.runs import Study
from tikval.study.recipe_change import recipe_change


class Place:
    def __init__(self, root: Path) -> None:
        self.root, self.out, self.videos = root, str(root / "out"), root / "videos"
        self.videos.mkdir()
        self.more(0, 10)

    def more(self, start: int, end: int) -> None:
        for k in range(start, end):
            (self.videos / f"v{k}.mp4").write_bytes(b"x" * (k + 1))

    def analyze(self, *words: str) -> None:
        tikval("analyze", str(self.videos), "--out", self.out, *words)

    def plan(self, *words: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            tikval("plan", str(self.videos), "--out", self.out, "--json", *words).output
        )
        return found

    def files(self) -> list[str]:
        return sorted(str(path) for path in self.root.rglob("*"))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    without_ray(monkeypatch)
    monkeypatch.setattr("tikval.report.site.gather._figures", lambda *_: None)
    return Place(tmp_path)


def counts(plan: dict[str, Any]) -> list[tuple[int, ...]]:
    return [
        tuple(stage[key] for key in ("rows", "reused", "again", "new", "to_do")) for stage in plan["stages"]
    ]


def test_a_plan_of_a_study_that_has_not_begun_writes_nothing(place: Place) -> None:
    before = place.files()
    plan = place.plan()
    assert plan["catalog"] == {"videos": 10, "new": 10, "gone": 0}
    assert counts(plan) == [(10, 0, 0, 10, 10)] * 2
    assert place.files() == before


def test_a_plan_counts_what_is_reused_new_gone_and_tried_again(place: Place) -> None:
    place.analyze()
    folder = Study(place.out).folders("predictions")[0]
    table = folder.read().to_pylist()
    table[0] |= {"error": Reason.TIMEOUT.value, "decisions": None, "scores": None}
    run = folder.finished()
    for name in run.files:
        (Path(folder.uri) / name).unlink()
    folder.write_part(folder.table(folder.write_part(_as_table(table))))
    place.more(10, 13)
    (place.videos / "v9.mp4").unlink()
    before = place.files()
    plan = place.plan()
    assert plan["catalog"] == {"videos": 12, "new": 3, "gone": 1}
    done = 9 if table[0]["video_id"] == "v9" else 8
    assert counts(plan) == [(12, 9, 0, 3, 3), (12, done, 9 - done, 3, 12 - done)]
    assert place.files() == before
    hours = plan["stages"][0]["hours"]
    assert hours == [] or hours[0]["hours"] > 0


def _as_table(rows: list[Any]) -> Any:
    import pyarrow as pa

    from tikval.rows import PredictionRow, arrow_schema

    return pa.Table.from_pylist(rows, schema=arrow_schema(PredictionRow))


def test_a_plan_of_a_paid_model_says_calls_and_usd(place: Place) -> None:
    plan = place.plan("--profile", "gemini")
    for stage in plan["stages"]:
        assert stage["calls"] == 10
        low, mid, high = stage["usd"]
        assert 0 < low <= mid <= high
    place.analyze("--profile", "gemini", "--minors-unknown", "send")
    plan = place.plan("--profile", "gemini")
    assert [(stage["calls"], stage["usd"][1]) for stage in plan["stages"]] == [(0, 0), (0, 0)]
    printed = tikval("plan", str(place.videos), "--out", place.out, "--profile", "gemini").output
    assert "10 videos listed now, 0 new" in printed


def test_a_key_that_differs_is_named_with_both_values(place: Place) -> None:
    place.analyze()
    setting = ("--set", "scores.predictions.0.extractor.threshold=0.123")
    [scripts, values] = place.plan(*setting)["stages"]
    assert scripts["change"] is None
    assert values["change"]["rows"] == 10
    [reason] = values["change"]["reasons"]
    assert reason.startswith("extractor.threshold: ")
    assert reason.endswith("-> 0.123")
    printed = tikval("plan", str(place.videos), "--out", place.out, *setting).output
    assert "10 rows would be computed anew" in printed
    assert "extractor.threshold:" in printed


def test_another_way_to_write_scripts_is_no_change_of_the_one_before(place: Place) -> None:
    place.analyze()
    assert not [stage for stage in place.plan("--profile", "gemini")["stages"] if stage["change"]]


def test_a_change_upstream_is_told_by_its_key(place: Place) -> None:
    place.analyze()
    [scripts, values] = place.plan("--set", "scores.predictions.0.scripts.writer.ocr.frames=3")["stages"]
    assert scripts["change"]["reasons"][0].startswith("writer.ocr.frames: ")
    assert values["change"]["reasons"][0].startswith("scripts.writer.ocr.frames: ")


def _configs(place: Place) -> tuple[ScriptConfig, ExtractConfig]:
    from tikval.cli.analyze import steps_of_study
    from tikval.cli.profiles import Wanted

    wanted = Wanted(str(place.videos), place.out, None, None, None, None, None, None, None)
    _, steps = steps_of_study(["local"], wanted, False, [])
    [scripts] = [step for step in steps if isinstance(step, ScriptConfig)]
    [values] = [step for step in steps if isinstance(step, ExtractConfig)]
    return scripts, values


def test_a_stage_whose_version_was_raised_says_so(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.analyze()
    _, values = _configs(place)
    assert recipe_change(values) is None
    now = ExtractConfig.version
    monkeypatch.setattr(ExtractConfig, "version", now + 1)
    change = recipe_change(values)
    assert change is not None
    assert change.reasons[0].startswith(f"version of the stage: {now} -> {now + 1}")


def test_a_codebook_that_was_edited_is_named(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.fixtures.offline import own_codebook

    book = own_codebook(place.root / "moral.yaml")
    place.analyze("--codebook", str(book))
    book.write_text(book.read_text().replace("This is care.", "Care it is."))
    [scripts, values] = place.plan("--codebook", str(book))["stages"]
    assert scripts["change"] is None
    assert str(book) in values["change"]["reasons"][0]


def test_a_run_s_own_rate_is_taken_before_a_benchmark_s(place: Place) -> None:
    place.analyze()
    folder = Study(place.out).folders("scripts")[0]
    run = json.loads(Path(folder.uri, "run.json").read_text())
    Path(folder.uri, "run.json").write_text(json.dumps(run | {"seconds": 36.0, "computed": 10}))
    place.more(10, 110)
    [hours] = place.plan()["stages"][0]["hours"]
    assert hours["hours"] == pytest.approx(0.1)
    assert "this study's own, over 10 rows" in hours["rate"]
    assert place.plan()["stages"][0]["disk_mb"] > 0
    assert Folder(folder.uri).finished().rows == 10


def test_a_plan_takes_every_word_of_the_command_that_it_plans() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    words = {
        name: {word for each in commands[name].params for word in each.opts} for name in ("analyze", "plan")
    }
    assert words["plan"] - words["analyze"] == {"--json"}
    assert not words["analyze"] - words["plan"]


@pytest.mark.parametrize(("usd", "told"), [("1000", "enough"), ("0", "not enough: the run would stop")])
def test_a_budget_is_held_against_what_the_calls_take(place: Place, usd: str, told: str) -> None:
    words = ["--profile", "gemini", "--minors-unknown", "send", "--title", "A study", "--budget", usd]
    printed = tikval("plan", str(place.videos), "--out", place.out, *words).output
    assert f"budget: {float(usd):,.2f} USD, 0.00 of it spent; the calls to do take" in printed
    assert printed.strip().rpartition("): ")[2].startswith(told)


def test_a_shard_s_plan_counts_its_own_videos_and_what_the_whole_study_has_of_them(place: Place) -> None:
    first, second = (place.plan("--shard", f"{n}/2") for n in (1, 2))
    assert first["catalog"]["videos"] + second["catalog"]["videos"] == 10
    assert 0 < first["catalog"]["videos"] < 10
    place.analyze()
    again = place.plan("--shard", "1/2")
    assert again["catalog"] == {"videos": first["catalog"]["videos"], "new": 0, "gone": 0}
    assert {stage["to_do"] for stage in again["stages"]} == {0}
    assert {stage["rows"] for stage in again["stages"]} == {first["catalog"]["videos"]}


def test_a_stage_that_no_shard_can_do_is_told_by_the_plan_too(place: Place) -> None:
    words = ["--out", place.out, "--shard", "1/2", "--profile", "cascade"]
    done = CliRunner().invoke(app, ["plan", str(place.videos), *words])
    assert isinstance(done.exception, UserError)
    assert "looks at all rows" in str(done.exception)
