"""A claim as a sentence: which groups, which direction, and nobody's name."""

from typing import Any

import pytest

from tikval.claims.wording import sentence_of
from tikval.config.claims import Claim


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (
            {"group": {"genre": "food"}, "against": {"genre": ["travel", "sports"], "is_ad": "yes"}},
            "Accounts endorse Hedonism more often in videos with genre food than in videos with genre travel or "
            "sports and is_ad yes.",
        ),
        (
            {"label": "hedonism-", "group": {"genre": "food"}, "against": 0.25, "direction": "less"},
            "Accounts confront Hedonism in less than 25 % of their videos with genre food.",
        ),
        (
            {"over_time": {"before": "2026-03-01"}, "direction": "differ"},
            "Accounts endorse Hedonism at another rate in their videos since 1 March 2026 than before.",
        ),
        (
            {"over_time": {"before": "2026-03-01", "since": "2026-05-02"}},
            "Accounts endorse Hedonism more often in their videos since 2 May 2026 than before 1 March 2026.",
        ),
        (
            {"group": {"account": ["jane.doe", "bob"]}, "against": {"genre": "ask @jane.doe"}},
            "Accounts endorse Hedonism more often in videos with account among 2 chosen than in videos with genre "
            "ask @someone.",
        ),
    ],
)
def test_a_claim_is_a_sentence(keys: dict[str, Any], expected: str) -> None:
    claim = Claim.model_validate({"label": "hedonism+", **keys})
    assert sentence_of(claim, {"hedonism": "Hedonism"}) == expected
