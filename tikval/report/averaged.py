"""Which labels a mean over labels runs over: printed with every table of means, as another list is another number."""

from collections.abc import Sequence
from typing import Final

from tikval.config import EvaluateConfig
from tikval.evaluate.baselines import BASELINES
from tikval.evaluate.scores import LEFT_OUT
from tikval.report.display import display_name
from tikval.rows import ScoreRow
from tikval.stats.limits import FEWEST_ACCOUNTS_OF_LABEL, counted

FROZEN: Final = "frozen in the configuration"


def averaged_labels(scores: Sequence[ScoreRow]) -> dict[str, tuple[str, ...]]:
    """The labels that the means of each system run over, in the label set's order."""
    found: dict[str, list[str]] = {row["system"]: [] for row in scores}
    for row in scores:
        if row["failures"] == LEFT_OUT and row["frequent"]:
            found[row["system"]].append(row["label"])
    return {system: tuple(labels) for system, labels in found.items()}


def averaged_notes(scores: Sequence[ScoreRow], config: EvaluateConfig) -> list[str]:
    """A sentence for each list of labels, with the systems whose means run over it where there are several."""
    systems_of: dict[tuple[str, ...], list[str]] = {}
    for system, labels in averaged_labels(scores).items():
        systems_of.setdefault(labels, []).append(system)
    several = len(systems_of) > 1
    return [
        f"Means{_of(systems) if several else ''} run over {_list(labels, config)}"
        for labels, systems in systems_of.items()
    ]


def _of(systems: Sequence[str]) -> str:
    own = [name for name in systems if name not in BASELINES]
    baselines = [display_name(name) for name in systems if name in BASELINES]
    return f" of {', '.join([*own, *baselines])}"


def _list(labels: Sequence[str], config: EvaluateConfig) -> str:
    if not labels:
        return f"no label: none is {_rule(config)}."
    return f"{counted(len(labels), 'label')}, {_rule(config)}: {', '.join(labels)}."


def _rule(config: EvaluateConfig) -> str:
    if config.labels is not None:
        return FROZEN
    rule = f"true of at least {100 * config.min_share:g} % of the videos"
    if config.min_positives > 1:
        rule += f", and of {config.min_positives} videos in {FEWEST_ACCOUNTS_OF_LABEL} accounts or more"
    return rule
