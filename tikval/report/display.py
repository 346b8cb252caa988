"""How systems and numbers are named in tables, in figures and on the site."""

from typing import Final

from tikval.evaluate.baselines import ACCOUNT_APART, ACCOUNT_SHARED, HUMAN, PRIOR
from tikval.evaluate.scores import BASELINE

BASELINE_NAMES: Final = {
    BASELINE: "Predict everything",
    PRIOR: "Guess by frequency",
    ACCOUNT_SHARED: "Account\u2019s name, known from training",
    ACCOUNT_APART: "Account\u2019s name, unknown",
    HUMAN: "People beside people",
}


def display_name(system: str) -> str:
    """A baseline by its title, any other system by its own name."""
    return BASELINE_NAMES.get(system, system)


def two(value: float | None) -> str:
    """Two decimals, a dash where there is no number."""
    return "\u2013" if value is None else f"{value:.2f}".replace("-", "\u2212")
