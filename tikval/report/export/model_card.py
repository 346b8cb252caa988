"""The card of an exported model: what it is worth, on what, and what it must not be used for. Counts, and no names.

https://huggingface.co/docs/hub/model-cards
"""

import re
from pathlib import Path
from typing import Any, Final

import yaml

from tikval.config import TextEncoder
from tikval.finetune.model_files import EnsembleFacts, Kept, Measured, Scores
from tikval.report.export.card_text import NONE, render_card

_HUB_NAME: Final = re.compile(r"[\w.-]+(/[\w.-]+)?")


def base_of(model: TextEncoder) -> str | None:
    """The hub name of the encoder that training began with; None: a folder of the study's own."""
    name = model.model
    return name if _HUB_NAME.fullmatch(name) and not Path(name).exists() else None


def model_card(facts: EnsembleFacts, kept: Kept, training: str) -> str:
    """README.md of one exported training of a text encoder with transformers' own head."""
    assert isinstance(kept.model, TextEncoder)
    base, member = base_of(kept.model), facts.members[training]
    return render_card(
        "model_card.md.j2",
        head=_head(base),
        system=facts.system,
        training=training,
        label_set=facts.label_set,
        labels=_labels(facts, kept),
        not_modelled=[label for label in facts.all_labels if label not in facts.labels],
        **_encoder(kept.model, base),
        train=member.train,
        validation=member.validation,
        test=member.test,
        cut_rows=member.cut_rows,
        own=_measures(member.scores),
        rows=facts.rows,
        failed=facts.failed,
        groups=facts.groups,
        n_trainings=len(facts.members),
        averaged=_measures(facts.scores),
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


def _labels(facts: EnsembleFacts, kept: Kept) -> list[tuple[str, str, int, str]]:
    """Each label with its threshold, the rows that have it, and its F1."""
    columns = zip(facts.labels, kept.thresholds, facts.support, facts.label_f1, strict=True)
    return [(label, f"{threshold:.4f}", support, _number(f1)) for label, threshold, support, f1 in columns]


def _measures(scores: Scores) -> dict[str, str]:
    return {name: _number(measured) for name, measured in scores}


def _number(measured: Measured) -> str:
    if measured.value is None:
        return NONE
    if measured.low is None or measured.high is None:
        return f"{measured.value:.3f}"
    return f"{measured.value:.3f} [{measured.low:.3f}, {measured.high:.3f}]"
