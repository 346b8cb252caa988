"""Intervals hold the truth as often as they say, in a few studies of each size; benchmarks/coverage.py has 1,200."""

import json

import pytest

from benchmarks import coverage


def test_intervals_hold_the_truth_and_none_is_without_width(capsys: pytest.CaptureFixture[str]) -> None:
    assert coverage.main(["--quick"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["missed"] == []
    assert found["means"].keys() == coverage.SIZES.keys()
    assert found["genres"]["range"] < found["genres"]["range_of_macro_f1"]


def test_a_miss_is_named_and_ends_with_an_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half as wide, they do not hold it."""
    monkeypatch.setattr(coverage, "SIZES", {"8": coverage.SIZES["8"]})
    monkeypatch.setattr(coverage, "F1S", ())
    monkeypatch.setattr(coverage, "t_critical", lambda degrees: 1.2)
    assert coverage.main(["--quick"]) == 1
    assert "macro F1, 8 accounts: covers" in capsys.readouterr().out
