"""The card of an exported model: what it is worth, on what, and what it must not be used for. Counts, and no names.

https://huggingface.co/docs/hub/model-cards
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import yaml

from tikval.config import TextEncoder
from tikval.finetune.model_files import EnsembleFacts, Kept, Measured, Scores
from tikval.report.export.card_text import NONE, render_card
from tikval.stats.footnotes import Footnotes
from tikval.stats.limits import FEWEST_POSITIVES, few_accounts

OLDER: Final = "No intervals: this was trained by an earlier version, which had others than the report's."
_HUB_NAME: Final = re.compile(r"[\w.-]+(/[\w.-]+)?")


def base_of(model: TextEncoder) -> str | None:
    """The hub name of the encoder that training began with; None: a folder of the study's own."""
    name = model.model
    return name if _HUB_NAME.fullmatch(name) and not Path(name).exists() else None


def model_card(facts: EnsembleFacts, kept: Kept, training: str) -> str:
    """README.md of one exported training of a text encoder with transformers' own head."""
    assert isinstance(kept.model, TextEncoder)
    base, member = base_of(kept.model), facts.members[training]
    own, averaged, sure = _measures(facts, member.scores)
    labels, sure_labels = _labels(facts, kept)
    return render_card(
        "model_card.md.j2",
        head=_head(base),
        system=facts.system,
        training=training,
        label_set=facts.label_set,
        labels=labels,
        sure_labels=sure_labels,
        not_modelled=[label for label in facts.all_labels if label not in facts.labels],
        **_encoder(kept.model, base),
        train=member.train,
        validation=member.validation,
        test=member.test,
        cut_rows=member.cut_rows,
        own=own,
        rows=facts.rows,
        failed=facts.failed,
        groups=facts.groups,
        n_trainings=len(facts.members),
        averaged=averaged,
        sure=sure,
        brier=f"{facts.brier:.3f}",
        ece=f"{facts.ece:.3f}",
        protocol=facts.protocol.name,
        of_scripts=facts.label_set.startswith("schwartz"),
    )


def _head(base: str | None) -> str:
    """The card's metadata in YAML."""
    head = {
        "library_name": "transformers",
        "pipeline_tag": "text-classification",
        "license": "unknown",
        **({"base_model": base} if base else {}),
        "tags": ["human-values", "multi-label-classification", "tikval"],
        "metrics": ["f1"],
    }
    return yaml.safe_dump(head, sort_keys=False).rstrip()


def _encoder(model: TextEncoder, base: str | None) -> dict[str, Any]:
    return {
        "base": base,
        "revision": model.revision,
        "max_tokens": model.max_tokens,
        "windows": model.long_texts == "windows",
        "bfloat16": model.precision == "bfloat16",
    }


def _labels(facts: EnsembleFacts, kept: Kept) -> tuple[list[tuple[str, str, int, str]], list[str]]:
    """Each label with its threshold, the rows that have it, and its F1; what stands below them."""
    rare = [support < FEWEST_POSITIVES for support in facts.support]
    footnotes = _footnotes(facts, (f1 for f1, few in zip(facts.label_f1, rare, strict=True) if not few))
    rows = []
    columns = zip(facts.labels, kept.thresholds, facts.support, facts.label_f1, rare, strict=True)
    for label, threshold, support, f1, few in columns:
        number = f"{_plain(f1)} (n = {support})" if few else _number(f1, facts, footnotes)
        rows.append((label, f"{threshold:.4f}", support, number))
    legend = ["(n = ...): so few rows have the label that its F1 says nothing."] if any(rare) else []
    return rows, [*legend, *footnotes.lines]


def _measures(facts: EnsembleFacts, own: Scores) -> tuple[dict[str, str], dict[str, str], list[str]]:
    """One training's numbers, those of all, and what stands below them."""
    footnotes = _footnotes(facts, (measured for scores in (own, facts.scores) for _, measured in scores))
    some = any(measured.low is not None for _, measured in facts.scores) and facts.intervals == "jackknife"
    few = few_accounts(facts.accounts) if some and facts.accounts is not None else None
    older = [OLDER] if facts.intervals != "jackknife" else []
    own_numbers, averaged = (
        {name: _number(measured, facts, footnotes) for name, measured in scores}
        for scores in (own, facts.scores)
    )
    return own_numbers, averaged, [*older, *footnotes.lines, *([few] if few else [])]


def _footnotes(facts: EnsembleFacts, shown: Iterable[Measured]) -> Footnotes:
    """The reasons of numbers without an interval; there are none of an earlier version's."""
    known = [each for each in shown if each.value is not None] if facts.intervals == "jackknife" else []
    return Footnotes(each.why_none for each in known)


def _number(measured: Measured, facts: EnsembleFacts, footnotes: Footnotes) -> str:
    if measured.low is None or measured.high is None or facts.intervals != "jackknife":
        return f"{_plain(measured)} {footnotes.mark(measured.why_none)}".strip()
    return f"{_plain(measured)} [{measured.low:.3f}, {measured.high:.3f}]"


def _plain(measured: Measured) -> str:
    return NONE if measured.value is None else f"{measured.value:.3f}"
