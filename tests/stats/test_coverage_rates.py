"""What intervals of rates must cover, in the quick form of the benchmark that measures it."""

from benchmarks.coverage_rates import ACCOUNTS, CASES, measure


def test_rates_cover_what_they_should() -> None:
    found = measure(quick=True)
    assert found["missed"] == []
    assert found["met"]
    assert set(found["rates"]["made"]) == {str(accounts) for accounts in ACCOUNTS}
    assert set(found["corrected"]) == {case.name for case in CASES}
