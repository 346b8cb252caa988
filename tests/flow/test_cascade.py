"""A cascade, with its strong system replaced by one that needs no Ray; and once as it is, against our own server."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.fixtures.cascade import config_of, list_videos, prepare, truth_of
from tests.fixtures.offline import tikval
from tests.fixtures.rows import prediction
from tests.study.test_bundle import Files, changed, checked, place, unpacked, with_new_manifest
from tikval.claims.families import read_families
from tikval.claims.verdict import Verdict
from tikval.config import CascadeConfig, ExtractConfig, UserError
from tikval.flow import cascade as flow
from tikval.report.tables.cascade import promise_of
from tikval.rows import PredictionRow, arrow_schema
from tikval.sources.write_catalog import write_catalog
from tikval.store.folder import Folder
from tikval.store.folder_run import FolderRun
from tikval.store.row_keys import contains, keys_of
from tikval.store.runs import Study
from tikval.study.bundle import write_bundle
from tikval.study.erasure import erase_videos
from tikval.values import LABELS, SLUGS


class Strong:
    """A strong system with a bill: a cent a video, errors where it is told to have them."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.errors: dict[str, str] = {}
        self.lives_for: int | None = None  # answers

    def __call__(self, config: ExtractConfig, only: np.ndarray | None = None) -> FolderRun:
        folder = Folder(config.folder)
        seen = folder.seen()
        listed = Folder(config.catalog.folder).read(["video_id", "row_key"])
        keys = keys_of(listed["row_key"])
        wanted = ~contains(seen.done, keys) & (True if only is None else contains(only, keys))
        rows = [self.row(row) for row in listed.filter(pa.array(wanted)).to_pylist()]
        done = rows[: self.lives_for]
        folder.write_part(pa.Table.from_pylist(done, schema=arrow_schema(PredictionRow)))
        if self.lives_for is not None:
            self.lives_for -= len(done)
            if len(done) < len(rows):
                raise KeyboardInterrupt
        inputs = {config.source.folder: Folder(config.source.folder).finished().state}
        partial = {} if only is None else {"only": str(len(only))}
        return folder.seal(config, inputs | partial, 36.0 * len(rows), computed=len(rows) or None)

    def row(self, listed: Any) -> PredictionRow:
        name = listed["video_id"]
        self.asked.append(name)
        error = self.errors.get(name)
        changes: dict[str, Any] = {
            "row_key": listed["row_key"],
            "system": "gemini_two_step",
            "model": "gemini",
        }
        if error:
            return prediction(name, error=error, detail="the server's", **changes)
        return prediction(name, *truth_of(name), cost_usd=0.01, ledger_key=f"key of {name}", **changes)


@pytest.fixture
def strong(monkeypatch: pytest.MonkeyPatch) -> Strong:
    fake = Strong()
    monkeypatch.setattr(flow, "extract_values", fake)
    return fake


@pytest.fixture
def config(tmp_path: Path) -> CascadeConfig:
    list_videos(tmp_path / "videos", 400)
    made = config_of(tmp_path)
    prepare(made)
    return made


def rows_of(config: CascadeConfig) -> dict[str, Any]:
    rows = Folder(config.folder).read().to_pylist()
    assert len({row["video_id"] for row in rows}) == len(rows), "an id came out twice"
    return {row["video_id"]: row for row in rows}


def test_every_video_once_by_whoever_answered_it(
    config: CascadeConfig, strong: Strong, capsys: pytest.CaptureFixture[str]
) -> None:
    done = flow.cascade(config)
    rows = rows_of(config)
    assert (done.rows, len(rows), done.failed) == (400, 400, {})
    by = Counter(row["answered_by"] for row in rows.values())
    assert by["strong"] == len(strong.asked) == len(set(strong.asked))
    assert 120 < by["strong"] < 400
    assert by["cheap"] == 400 - by["strong"]
    for name, row in rows.items():
        assert row["system"] == "cascade"
        if row["answered_by"] == "strong":
            assert [label for label, yes in zip(LABELS, row["decisions"], strict=True) if yes] == [
                label for label in LABELS if label in truth_of(name)
            ]
            assert (row["cost_usd"], row["ledger_key"]) == (0.01, f"key of {name}")
        else:
            assert (row["cost_usd"], row["model"]) == (None, "local")
    told = capsys.readouterr().err
    assert "with 95% confidence" in told
    assert "the promise, on" in told
    check = json.loads((Path(config.folder) / "check.json").read_bytes())
    assert check["answered_by"] == dict(by)
    again = len(strong.asked)
    assert flow.cascade(config) == done
    assert len(strong.asked) == again


def test_the_plan_is_told_before_the_rest_is_asked(
    config: CascadeConfig, strong: Strong, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[tuple[int, str]] = []

    def asked(one: ExtractConfig, only: np.ndarray | None = None) -> FolderRun:
        told.append((len(strong.asked), capsys.readouterr().err))
        return strong(one, only)

    monkeypatch.setattr(flow, "extract_values", asked)
    flow.cascade(config)
    assert [before for before, _ in told] == [0, 120]
    assert "the cascade" not in told[0][1]
    assert "planned on 60 of 120 videos drawn at random" in told[1][1]
    assert "left to ask" in told[1][1]


def test_a_killed_run_pays_for_nothing_twice_and_keeps_its_plan(
    config: CascadeConfig, strong: Strong
) -> None:
    strong.lives_for = 30  # within the sample
    with pytest.raises(KeyboardInterrupt):
        flow.cascade(config)
    assert not (Path(config.folder) / "plan.json").exists()
    sample = sorted(Path(config.folder).glob("_sampled-*"))
    strong.asked.clear()
    strong.lives_for = 95  # the other 90 of it, and 5 of the rest
    with pytest.raises(KeyboardInterrupt):
        flow.cascade(config)
    plan = (Path(config.folder) / "plan.json").read_bytes()
    strong.lives_for = None
    before = {row["video_id"] for row in _answers(config)}
    strong.asked.clear()
    flow.cascade(config)
    assert not before & set(strong.asked)
    assert (Path(config.folder) / "plan.json").read_bytes() == plan
    assert sorted(Path(config.folder).glob("_sampled-*")) == sample
    assert len(rows_of(config)) == 400


def _answers(config: CascadeConfig) -> list[Any]:
    folder = Folder(config.strong.folder)
    return [row for name in folder.parts() for row in folder.table(name).to_pylist()]


def test_above_the_budget_it_stops_and_says_what_the_rest_buys(
    tmp_path: Path, config: CascadeConfig, strong: Strong, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tikval.evaluate.cascade_plan.read_spent", lambda folder: None)
    with pytest.raises(
        UserError, match=r"the rest costs about \d\.\d\d USD, and 0\.20 USD of the budget"
    ) as stop:
        flow.cascade(config.model_copy(update={"budget_usd": 0.20}))
    assert "share=0.07" in str(stop.value)
    assert "recall" in str(stop.value) or "no promise" in str(stop.value)
    assert len(strong.asked) == 120
    assert Folder(config.folder).run() is None
    taken = config_of(tmp_path, share=0.07)
    flow.cascade(taken.model_copy(update={"budget_usd": 0.25}))
    by = Counter(row["answered_by"] for row in rows_of(taken).values())
    assert by["strong"] == len(strong.asked) == pytest.approx(140, abs=4)


def test_a_failure_that_may_pass_stays_one_and_a_final_one_leaves_the_marked_cheap_answer(
    config: CascadeConfig, strong: Strong
) -> None:
    flow.cascade(config)
    # of the sample, which is asked about whatever the plan will be
    (drawn,) = Path(config.folder).glob("_sampled-*")
    up = sorted(pq.read_table(drawn)["video_id"].to_pylist())[-3:]
    for name, error in zip(up, ("timeout", "blocked", "minor"), strict=True):
        strong.errors[name] = error
    for path in Path(config.strong.folder).iterdir():
        path.unlink()
    for path in Path(config.folder).glob("*"):
        if not path.name.startswith("_sampled"):
            path.unlink()
    done = flow.cascade(config)
    rows = rows_of(config)
    assert done.failed == {"timeout": 1}
    assert done.retryable == 1
    assert (rows[up[0]]["error"], rows[up[0]]["decisions"], rows[up[0]]["answered_by"]) == (
        "timeout",
        None,
        None,
    )
    for name in up[1:]:
        assert rows[name]["answered_by"] == "cheap_instead"
        assert (rows[name]["error"], len(rows[name]["decisions"])) == (None, 38)
    strong.errors.clear()
    strong.asked.clear()
    assert flow.cascade(config).failed == {}
    assert up[0] in strong.asked
    assert rows_of(config)[up[0]]["answered_by"] == "strong"


def test_what_the_cheap_system_could_not_judge_goes_up(config: CascadeConfig, strong: Strong) -> None:
    prepare(config, failed=("v0003", "v0004"))
    strong.errors["v0004"] = "unreadable"
    flow.cascade(config)
    rows = rows_of(config)
    assert rows["v0003"]["answered_by"] == "strong"
    assert (rows["v0004"]["error"], rows["v0004"]["answered_by"]) == ("unreadable", None)


def test_a_cheap_system_without_scores_is_refused(config: CascadeConfig, strong: Strong) -> None:
    prepare(config, scores=False)
    with pytest.raises(UserError, match="local: gives no scores, so nothing tells where it is in doubt"):
        flow.cascade(config)
    assert not strong.asked


def test_new_videos_follow_the_plan_that_was_made(
    tmp_path: Path, config: CascadeConfig, strong: Strong
) -> None:
    flow.cascade(config)
    plan, before = (Path(config.folder) / "plan.json").read_bytes(), rows_of(config)
    list_videos(tmp_path / "videos", 500)
    prepare(config)
    strong.asked.clear()
    flow.cascade(config)
    after = rows_of(config)
    assert (Path(config.folder) / "plan.json").read_bytes() == plan
    assert not set(strong.asked) & before.keys()
    assert {name: after[name]["answered_by"] for name in before} == {
        name: row["answered_by"] for name, row in before.items()
    }
    assert 0 < len(strong.asked) < 100


def test_other_answers_of_the_cheap_system_are_planned_anew(
    config: CascadeConfig, strong: Strong, capsys: pytest.CaptureFixture[str]
) -> None:
    flow.cascade(config)
    prepare(config, noise=0.21)
    flow.cascade(config)
    assert "planned anew" in capsys.readouterr().err
    assert len(strong.asked) == len(set(strong.asked))


def test_a_sample_of_all_videos_needs_no_plan(tmp_path: Path, config: CascadeConfig, strong: Strong) -> None:
    whole = config_of(tmp_path, sample=1000)
    flow.cascade(whole)
    assert {row["answered_by"] for row in rows_of(whole).values()} == {"strong"}


def test_too_small_a_sample_promises_nothing_and_stops(
    tmp_path: Path, config: CascadeConfig, strong: Strong
) -> None:
    small = config_of(tmp_path, sample=12)
    with pytest.raises(UserError, match="nothing can be promised"):
        flow.cascade(small)
    assert len(strong.asked) == 12


def test_an_erased_video_leaves_the_sample_too(config: CascadeConfig, strong: Strong) -> None:
    flow.cascade(config)
    sampled = Folder(config.folder).read_side_table("sampled")
    gone = sampled[0]["video_id"]
    erase_videos(config.out, {gone}, set())
    assert gone not in {row["video_id"] for row in Folder(config.folder).read_side_table("sampled")}
    assert gone not in rows_of(config)
    for file in Path(config.folder).iterdir():
        assert sampled[0]["row_key"].encode() not in file.read_bytes()
        assert gone.encode() not in file.read_bytes()


def test_a_comparison_shows_the_promise_and_what_its_check_found(
    config: CascadeConfig, strong: Strong
) -> None:
    flow.cascade(config)
    shown = " ".join(tikval("compare", config.out).output.split())
    told = promise_of(Folder(config.folder))
    assert told is not None
    assert f"* cascade: {told}" in shown
    assert "local: " not in shown.partition("* cascade: ")[2]


def bundled(config: CascadeConfig, root: Path) -> Files:
    write_bundle(Study(config.out), str(root / "one.zip"))
    return unpacked(root / "one.zip")


def test_a_bundle_has_the_check_of_the_promise_computed_again(
    tmp_path: Path, config: CascadeConfig, strong: Strong
) -> None:
    flow.cascade(config)
    files = bundled(config, tmp_path)
    found = checked(files, tmp_path / "sound")
    assert found.differs == []
    check = place(files, "cascade", "check.json")
    stated = json.loads(files[check])
    stated["reached"][0]["recall"] = 0.99
    lines = checked(
        with_new_manifest(files | {check: json.dumps(stated).encode()}), tmp_path / "stated"
    ).differs
    assert len(lines) == 1
    assert f"{check}: row reached.0.recall, column value: states 0.99, recomputed 0." in lines[0]


def test_a_changed_answer_of_the_strong_system_changes_the_check(
    tmp_path: Path, config: CascadeConfig, strong: Strong
) -> None:
    flow.cascade(config)
    files = bundled(config, tmp_path)
    name = f"study/{config.strong.folder.rpartition('/')[2]}/data.parquet"

    def turn(rows: Any) -> None:
        for row in rows:
            row["decisions"] = [not yes for yes in row["decisions"]]

    lines = checked(changed(files, name, turn), tmp_path / "turned").differs
    assert any("check.json: row verdict, column value: states" in line for line in lines)
    lines = checked(changed(files, name, lambda rows: rows.pop()), tmp_path / "fewer").differs
    assert any("run.json: rows: states" in line for line in lines)


def test_a_check_of_answers_that_are_no_longer_there_is_not_bundled(
    tmp_path: Path, config: CascadeConfig, strong: Strong
) -> None:
    flow.cascade(config)
    erase_videos(config.out, {Folder(config.folder).read_side_table("sampled")[0]["video_id"]}, set())
    files = bundled(config, tmp_path)
    assert not any(name.endswith("check.json") for name in files)
    found = checked(files, tmp_path / "sound")
    assert found.differs == []
    assert any("check of the promise of cascade" in line for line in found.not_recomputed)


def annotate(config: CascadeConfig, names: list[str]) -> None:
    """Let people have labelled the first value of some videos, drawn at random, by their truth."""
    slug = SLUGS[0]
    lines = [f"{name},{(f'{slug}+' in truth_of(name)) - (f'{slug}-' in truth_of(name))}" for name in names]
    labels = Path(config.out).parent / "labels.csv"
    labels.write_text("\n".join([f"video_id,{slug}", *lines]) + "\n")
    write_catalog(config.catalog.model_copy(update={"annotations": str(labels), "annotated_by": "random"}))


def test_claims_over_a_cascade_are_corrected_by_people_and_bundled(
    tmp_path: Path, config: CascadeConfig, strong: Strong
) -> None:
    flow.cascade(config)
    file = tmp_path / "claims.yaml"
    claims = f"{{label: {SLUGS[0]}+, group: {{}}, against: 0.1}}"
    file.write_text(f"name: mine\nsystem: cascade\nclaims:\n  many: {claims}\n")
    tikval("claim", config.out, str(file), "--declare")
    listed = sorted(rows_of(config))
    annotate(config, [str(name) for name in np.random.default_rng(0).permutation(listed)[:150]])
    assert "look 1 of" in tikval("claim", config.out, str(file)).output
    (family,) = read_families(config.out)
    (claim,) = family.claims
    assert claim["verdict"] == Verdict.HOLDS
    assert 0.1 < (claim["estimate"] or 0) < 0.35
    assert {(way["system"], way["way"]) for way in family.ways} == {
        *((system, way) for system in ("cascade", "local") for way in ("corrected", "raw")),
        (None, "annotated"),
    }
    assert checked(bundled(config, tmp_path), tmp_path / "sound").differs == []
