"""Several finished systems as one, by the job: averaged before thresholds, chosen on other folds, nobody lost."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.fixtures.trained import AT, BROKEN, IDS, Study, stances
from tikval.config import CombineConfig, EvaluateConfig, Protocol, UserError, load_config
from tikval.evaluate.score_systems import score_systems
from tikval.files import read_bytes, write_bytes
from tikval.finetune.combine_systems import combine_systems
from tikval.stats.folds import from_json, to_json
from tikval.store.folder import Folder


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study(tmp_path)


def rows(config: CombineConfig, split: str = "honest-0") -> dict[str, Any]:
    return {row["video_id"]: row for row in Folder(config.folder).read().to_pylist() if row["split"] == split}


def facts(config: CombineConfig) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((Path(config.folder) / "combined.json").read_text())
    return found


def thresholds(config: CombineConfig) -> dict[tuple[int, int], list[float]]:
    """The thresholds of every partition and fold."""
    return {
        (part["partition"], fold["fold"]): list(fold["thresholds"].values())
        for part in facts(config)["partitions"]
        for fold in part["folds"]
    }


def test_seeds_and_systems_are_averaged_before_a_threshold(study: Study) -> None:
    """Two of three say no (0.4) and one is sure (0.9): a vote says no, the mean yes."""
    sure = study.trained("sure", lambda *_: (0.9, 0.1))
    unsure = study.trained("unsure", lambda name, partition, seed: ((0.2, 0.6)[seed], 0.1), seeds=2)
    config = CombineConfig(systems=(sure, unsure), out=study.out, system="both", threshold=0.5)
    run = combine_systems(config)
    assert (run.rows, run.failed) == (2 * len(IDS), {"unreadable": 2 * len(BROKEN)})
    folds = {name: fold.fold for fold in study.folds(sure) if fold.partition == 1 for name in fold.test}
    predicted = rows(config, "honest-1")
    assert sorted(predicted) == list(IDS)
    for name, row in predicted.items():
        assert (row["seed"], row["system"]) == (0, "both")
        if name in BROKEN:
            assert (row["error"], row["detail"], row["decisions"], row["fold"]) == (
                "unreadable",
                "no",
                None,
                None,
            )
            continue
        assert row["fold"] == folds[name]
        assert [row["scores"][i] for i in AT] == pytest.approx([0.65, 0.1])  # of systems, each of its seeds
        assert [row["decisions"][i] for i in AT] == [True, False]
        assert sum(decided is not None for decided in row["decisions"]) == 2, "not modelled is not absent"
        assert row["model_served"] == "mean of sure@1, unsure@1"
    assert thresholds(config)[0, 0] == [0.5, 0.5]

    again = combine_systems(config)
    assert again == run
    study.trained("sure", lambda *_: (0.1, 0.1))
    assert combine_systems(config).files != run.files
    assert rows(config)[IDS[0]]["scores"][AT[0]] == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("how", "threshold"), [("mean", "global"), ("mean", "per_label"), ("regression", "per_label")]
)
def test_a_folds_own_truth_chooses_nothing_for_it(study: Study, how: Any, threshold: Any) -> None:
    systems = tuple(study.trained(f"s{i}", study.noisy(1.5, seed=i)) for i in range(2))
    config = CombineConfig(
        systems=systems, out=study.out, system="both", how=how, threshold=threshold, calibrate=True
    )
    combine_systems(config)
    before, scores = thresholds(config), rows(config)
    (own, *_) = (fold for fold in study.folds(systems[0]) if (fold.partition, fold.fold) == (0, 1))
    study.annotate(turned=own.test)
    combine_systems(config)
    after, changed = thresholds(config), rows(config)
    assert after[0, 1] == before[0, 1]
    assert after[0, 0] != before[0, 0]
    assert after[0, 2] != before[0, 2]
    assert {name: changed[name] for name in own.test} == {name: scores[name] for name in own.test}


def test_a_language_models_answers_help_and_their_failures_fail_nobody(study: Study) -> None:
    rng = np.random.default_rng(1)

    def answer(name: str) -> list[int] | None:
        face, humility = (yes != (rng.random() < 0.1) for yes in study.truth[name])
        return None if rng.random() < 0.2 else stances(2 * face, -int(humility))

    trained, asked = study.trained("bert", study.noisy(2.5)), study.asked("gemini", answer)
    n_failed = Folder(asked.folder).finished().failed["bad_reply"]
    assert n_failed > len(BROKEN) + 5
    alone, both = (
        CombineConfig(systems=systems, out=study.out, system=name, how="regression")
        for name, systems in (("alone", (trained,)), ("both", (asked, trained)))
    )
    for config in (alone, both):
        assert combine_systems(config).failed == {"unreadable": 2 * len(BROKEN)}
    brier = [
        np.mean([part["brier"]["before"] for part in facts(config)["partitions"]]) for config in (alone, both)
    ]
    assert brier[1] < brier[0] - 0.02
    part = facts(both)["partitions"][0]
    assert (part["rows"], part["failed"]) == (90, 2)
    assert all(fold["strength"] > 0 and fold["rows"] + fold["chosen_on"] == 90 for fold in part["folds"])

    # and it is scored as what was trained is: over its labels, partitions averaged
    scores = EvaluateConfig(predictions=(trained, both), out=study.out)
    score_systems(scores)
    f1 = {
        line["system"]: line["f1"]
        for line in Folder(scores.folder).read().to_pylist()
        if (line["stance"], line["label"], line["failures"]) == ("all", "macro", "left_out")
    }
    assert f1["both"] > f1["bert"] + 0.05


def test_a_row_that_failed_in_one_system_has_failed(study: Study) -> None:
    systems = (
        study.trained("one", study.noisy(1)),
        study.trained("two", lambda name, *run: None if name == IDS[5] else study.noisy(1)(name, *run)),
    )
    for how in ("mean", "regression"):
        config = CombineConfig.model_validate(
            {"systems": systems, "out": study.out, "system": "both", "how": how}
        )
        assert combine_systems(config).failed == {"unreadable": 2 * (1 + len(BROKEN))}
        predicted = rows(config)
        assert sorted(predicted) == list(IDS)
        assert predicted[IDS[5]]["decisions"] is None
        part = facts(config)["partitions"][0]
        assert part["rows"] == 89
        assert {fold["rows"] + fold["chosen_on"] for fold in part["folds"]} == {89}


def test_calibration_is_told_before_and_after(study: Study) -> None:
    def overconfident(name: str, partition: int, seed: int) -> tuple[float, float]:
        face, humility = study.noisy(2.5)(name, partition, seed)
        return tuple(p**4 / (p**4 + (1 - p) ** 4) for p in (face, humility))  # type: ignore[return-value]

    config = CombineConfig(
        systems=(study.trained("bert", overconfident),), out=study.out, system="mended", calibrate=True
    )
    combine_systems(config)
    for part in facts(config)["partitions"]:
        assert part["brier"]["after"] < part["brier"]["before"]
        assert part["ece"]["after"] < part["ece"]["before"]


def test_what_cannot_be_combined_is_named(study: Study) -> None:
    first = study.trained("first", study.noisy(1))

    def refusal(*systems: Any, **keys: Any) -> str:
        config = CombineConfig(systems=(first, *systems), out=study.out, system="both", **keys)
        with pytest.raises(UserError) as err:
            combine_systems(config)
        assert not Folder(config.folder).run()
        return str(err.value)

    other = study.trained("other", study.noisy(1), protocol=Protocol(partitions=1))
    assert "first and other were trained on different folds" in refusal(other)
    assert "same name" in refusal(first)
    few = study.trained("few", study.noisy(1), labels=("face+",))
    write_bytes(f"{few.folder}/folds.json", to_json(study.folds(first)).encode())
    assert "few: models 1 labels, not the same 2" in refusal(few)
    more = study.trained("more", study.noisy(1), seeds=2)
    fewer = more.model_copy(update={"protocol": Protocol(partitions=2, seeds=1), "system": "more"})
    assert "not finished" in refusal(fewer)
    silent = study.asked("silent", lambda _: None)
    assert "silent: no answer for any of the 90 rows" in refusal(silent, how="regression")
    (Path(first.folder) / "folds.json").unlink()
    assert "jobs.finetune again" in refusal()


def test_a_single_split_takes_a_number(study: Study) -> None:
    config = study.trained("one", study.noisy(1))
    (fold, *_) = from_json((read_bytes(f"{config.folder}/folds.json") or b"").decode())
    write_bytes(f"{config.folder}/folds.json", to_json([fold]).encode())
    for keys in ({}, {"threshold": 0.5, "calibrate": True}, {"threshold": 0.5, "how": "regression"}):
        with pytest.raises(UserError, match="single split"):
            combine_systems(CombineConfig(systems=(config,), out=study.out, system="both", **keys))
    combined = CombineConfig(systems=(config,), out=study.out, system="both", threshold=0.5)
    assert combine_systems(combined).rows == len(fold.test) + len(BROKEN)


def test_an_annotation_that_went_is_named(study: Study) -> None:
    config = CombineConfig(systems=(study.trained("one", study.noisy(1)),), out=study.out, system="both")
    study.truth.pop(IDS[3])
    study.annotate()
    with pytest.raises(UserError, match=f"{IDS[3]} was trained on and is not there any more"):
        combine_systems(config)


def test_the_example_loads() -> None:
    config = load_config(CombineConfig, "configs/paper/ensemble.yaml", [])
    assert [system.system for system in config.trained_systems] == ["roberta_honest", "deberta_honest"]
