"""Intervals of agreement hold the coefficient as often as they say, in a few studies of each size."""

import pytest

from benchmarks import coverage_agreement


def test_intervals_hold_what_they_should(capsys: pytest.CaptureFixture[str]) -> None:
    assert coverage_agreement.main(["--quick"]) == 0
    assert '"width_of_alpha"' in capsys.readouterr().out


def test_intervals_that_are_too_narrow_are_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tikval.stats.agreement.t_critical", lambda degrees: 1.0)
    monkeypatch.setattr(coverage_agreement, "ACCOUNTS", (8,))
    assert coverage_agreement.main(["--quick"]) == 1
    assert "missed: ac1 of 8 accounts" in capsys.readouterr().out
