"""Scores of a study by the job, and how the page shows intervals, comparisons and genres. No model, no Ray."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fixtures.site import EVIL, Page, pages, report
from tests.fixtures.trained import IDS, Study, stances
from tikval.config import EvaluateConfig, ReportConfig, UserError
from tikval.evaluate.baselines import BASELINES, HUMAN, PRIOR
from tikval.evaluate.score_systems import score_systems
from tikval.evaluate.scores import BASELINE
from tikval.report.site.contrasts import comparison_table, p_value, signed
from tikval.report.site.write import write_report
from tikval.rows import ComparisonRow, ScoreRow, SliceRow
from tikval.store.folder import Folder


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study(tmp_path)


def test_a_study_has_intervals_comparisons_and_baselines(study: Study) -> None:
    trained = study.trained("bert", study.noisy(1))
    asked = study.asked("gemini", lambda name: stances(int(study.truth[name][0]), 0))
    config = EvaluateConfig(predictions=(trained, asked), out=study.out, permutations=200)
    run = score_systems(config)
    scores = Folder(config.folder).read().to_pylist()
    assert {row["system"] for row in scores} == {"bert", "gemini", *BASELINES} - {HUMAN}
    macro = {
        r["system"]: r
        for r in scores
        if (r["stance"], r["label"], r["failures"]) == ("all", "macro", "left_out")
    }
    for system in ("bert", BASELINE):
        assert macro[system]["lower"] < macro[system]["f1"] < macro[system]["upper"]
    assert all(
        (row["lower"] is None) <= (row["why_none"] is not None) for row in scores if row["f1"] is not None
    )
    assert macro["bert"]["average_precision"] > 0.8
    assert macro["bert"]["brier"] < 0.25
    assert macro["gemini"]["average_precision"] is None
    assert macro[PRIOR]["f1"] < macro[BASELINE]["f1"] < macro["bert"]["f1"]

    pairs = Folder(config.folder).read_side_table("comparisons")
    assert {(row["system_a"], row["system_b"]) for row in pairs} >= {("bert", "gemini")}
    assert {row["n_groups"] for row in pairs} == {15}
    assert all(row["p"] <= row["p_holm"] <= 1 for row in pairs)
    drops = Folder(config.folder).read_side_table("slices")
    assert {row["by"] for row in drops} == {"drop"}, "the videos have no genre"

    assert score_systems(config) == run, "nothing to do"
    study.annotate(turned=IDS[:30])
    again = score_systems(config)
    assert again.state != run.state
    assert sorted(path.name for path in Path(config.folder).glob("*.parquet")) == sorted(
        [*again.files, *again.side_tables.values()]
    ), "the old tables are gone"

    page = ReportConfig(scores=config, out=study.out)
    write_report(page)
    text = Page((Path(page.folder) / "systems.html").read_text(encoding="utf-8")).text
    for phrase in (
        "bert minus gemini",
        "Guess by frequency",
        "From endorsed to confronted",
        "Average precision",
    ):
        assert phrase in " ".join(text.split())
    assert re.search(r"0\.\d\d \[0\.\d\d, [01]\.\d\d\]", text)


def test_means_are_over_labels_with_positives_enough_or_over_those_that_are_named(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = study.asked("gemini", lambda name: stances(int(study.truth[name][0]), 0))

    def averaged(**changes: object) -> list[str]:
        config = EvaluateConfig.model_validate({"predictions": (asked,), "out": study.out, **changes})
        score_systems(config)
        rows = Folder(config.folder).read().to_pylist()
        own = [row for row in rows if row["system"] == "gemini" and row["failures"] == "left_out"]
        (macro,) = (row for row in own if (row["stance"], row["label"]) == ("all", "macro"))
        labels = [row["label"] for row in own if row["frequent"]]
        assert macro["n_labels"] == len(labels)
        assert (macro["f1"] is None) == (not labels)
        return labels

    by_default = averaged()
    assert by_default
    assert averaged(labels=by_default[:1]) == by_default[:1]
    assert averaged(min_positives=1_000) == []
    assert "no label has enough positives for a mean" in capsys.readouterr().err
    with pytest.raises(UserError, match="not of the codebook: joy"):
        averaged(labels=["joy"])


def test_a_key_that_does_nothing_any_more_is_accepted_and_named(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    """Files of earlier versions have it, and so has every finished study's recipe."""
    asked = study.asked("gemini", lambda _: stances(0, 0))
    old = EvaluateConfig(predictions=(asked,), out=study.out, draws=1_000)
    assert old.fingerprint == EvaluateConfig(predictions=(asked,), out=study.out).fingerprint
    score_systems(old)
    assert "draws: does nothing any more" in capsys.readouterr().err


def test_a_system_is_not_named_like_a_baseline(study: Study) -> None:
    config = study.asked(PRIOR, lambda _: stances(0, 0))
    with pytest.raises(UserError, match="name of a baseline: frequency_prior"):
        score_systems(EvaluateConfig(predictions=(config,), out=study.out))


def pair(**changes: object) -> ComparisonRow:
    row = ComparisonRow(
        system_a="a",
        system_b=BASELINE,
        metric="macro_f1",
        difference=0.0412,
        lower=-0.004,
        upper=0.09,
        why_none=None,
        p=0.0004,
        p_holm=0.03,
        p_exchangeable=0.01,
        n_videos=1888,
        n_groups=91,
        n_labels=18,
    )
    return {**row, **changes}  # type: ignore[typeddict-item]


def part(by: str, name: str, system: str = "s") -> list[SliceRow]:
    return [
        SliceRow(
            system=system,
            by=by,
            slice=name,
            metric=metric,
            value=-0.125,
            lower=None,
            upper=None,
            why_none="too few",
            baseline=None,
            n_labels=2,
            labels=["a+", "b+"],
            n_videos=3,
            n_groups=1,
        )
        for metric in (("macro_f1", "weighted_f1") if by == "drop" else ("common_f1",))
    ]


def test_differences_are_shown_with_their_sign() -> None:
    assert [signed(x) for x in (0.041, -0.041, 0.004, -0.004, 0.0, None)] == [
        *("+0.04", "\u22120.04", "0.00", "0.00", "0.00", "\u2013")
    ]
    assert [p_value(p) for p in (0.0004, 0.0124, 1.0, None)] == ["< 0.001", "0.012", "1.000", "\u2013"]
    (line,) = comparison_table(replace(report(), comparisons=(pair(),)))["lines"]
    assert (line["a"], line["b"], line["metric"]) == ("a", "Predict everything", "macro F1")
    assert (line["difference"], line["interval"], line["sure"]) == (*("+0.04", "[\u22120.00, 0.09]", True),)
    none = dict.fromkeys(("difference", "lower", "upper", "p", "p_holm"))
    (line,) = comparison_table(replace(report(), comparisons=(pair(**none),)))["lines"]
    assert (line["difference"], line["interval"], line["p"], line["sure"]) == ("\u2013", "", "\u2013", False)


def test_a_table_says_what_a_p_cannot_be_below_where_it_matters() -> None:
    def below(n_groups: int, **changes: object) -> list[str]:
        made = comparison_table(replace(report(), comparisons=(pair(n_groups=n_groups, **changes),)))
        return list(made["below"])

    assert below(6) == [
        "a few accounts decide this: 6",
        "p if exchangeable cannot be below 0.0312 with 6 accounts",
    ]
    assert below(14) == ["a few accounts decide this: 14"]
    assert below(15) == []
    none = dict.fromkeys(("lower", "upper", "p", "p_holm"))
    assert below(4, **none, why_none="4 accounts: too few for an interval") == [
        "4 accounts: too few for an interval"
    ]


def test_names_in_the_new_tables_are_text() -> None:
    rows = (
        *part("drop", "x", EVIL),
        *(row for by in ("genre", "without_genre", "difference") for row in part(by, EVIL)),
    )
    found = pages(replace(report(), comparisons=(pair(system_a=EVIL, metric=EVIL),), slices=rows))
    assert [found[name].text.count(EVIL) for name in ("systems.html", "accounts.html")] == [3, 1]


def test_rows_without_intervals_are_shown_without() -> None:
    """A table that was written before there were any."""
    new = {"lower", "upper"}
    old: tuple[ScoreRow, ...] = tuple(
        {k: v for k, v in row.items() if k not in new}  # type: ignore[misc]
        for row in report().scores
    )
    text = pages(replace(report(), scores=old))["systems.html"].text
    assert "95 % interval" not in text
    given = tuple({**row, "lower": 0.111, "upper": 0.222} for row in report().scores)
    text = pages(replace(report(), scores=given))["systems.html"].text  # type: ignore[arg-type]
    assert "95 % interval" in text
    assert "[0.11, 0.22]" in text
