"""The card of an exported model: what it is worth, on what, and what it must not be used for. Counts, and no names.

https://huggingface.co/docs/hub/model-cards
"""

import re
from pathlib import Path
from typing import Final

import yaml

from tikval.config import TextEncoder
from tikval.finetune.model_files import EnsembleFacts, Kept, Measured

_HUB_NAME: Final = re.compile(r"[\w.-]+(/[\w.-]+)?")
_PROTOCOLS: Final = {
    "honest": "folds that no account and no near-duplicate straddles; epoch and threshold chosen inside the training "
    "folds",
    "paper": "shuffled folds, the test fold chose the epoch: **these scores flatter**, as accounts and near-duplicates "
    "stand on both sides",
    "given": "the split that came with the texts",
}


def base_of(model: TextEncoder) -> str | None:
    """The hub name of the encoder that training began with; None: a folder of the study's own."""
    name = model.model
    return name if _HUB_NAME.fullmatch(name) and not Path(name).exists() else None


def model_card(facts: EnsembleFacts, kept: Kept, training: str) -> str:
    """README.md of one exported training of a text encoder with transformers' own head."""
    assert isinstance(kept.model, TextEncoder)
    base, member = base_of(kept.model), facts.members[training]
    head = {
        "library_name": "transformers",
        "pipeline_tag": "text-classification",
        "license": "unknown",
        **({"base_model": base} if base else {}),
        "tags": ["human-values", "multi-label-classification", "tikval"],
        "metrics": ["f1"],
    }
    began = f"`{base}`" + (f" at `{kept.model.revision}`" if kept.model.revision else "") if base else None
    n_others = len(facts.members) - 1
    lines = [
        "---",
        yaml.safe_dump(head, sort_keys=False).rstrip(),
        "---",
        f"# {facts.system}, training {training}",
        "",
        "Says which human values a text endorses (`+`) or confronts (`-`): one probability for each of "
        f"{len(facts.labels)} labels of the label set `{facts.label_set}`. Trained by tikval from "
        f"{began or 'an encoder in a folder of the study (one that was pre-trained further, say)'}.",
        "",
        "## Use",
        "```python",
        "from transformers import pipeline",
        "",
        'judge = pipeline("text-classification", model="THIS FOLDER", top_k=None, function_to_apply="sigmoid")',
        "judge([text], truncation=True)[0]",
        "```",
        "A label is said where its probability is at least its threshold (below).",
        "",
        "## What it was trained on",
        f"{member.train} rows trained it, {member.validation} more chose the epoch and the thresholds"
        + (", " if member.validation else " (none: the test rows chose the epoch), ")
        + f"and {member.test} tested it. Of the study's {facts.rows + facts.failed} annotated rows {facts.rows} had a "
        f"text, in {facts.groups} groups of accounts and near-duplicates; {facts.failed} had none.",
        "",
        "## Scores on held-out rows",
        f"Protocol `{facts.protocol.name}`: {_PROTOCOLS[facts.protocol.name]}. In brackets, where 95 % of 1,000 "
        "bootstrap draws of whole groups lie; another training's luck is not in them.",
        "",
        f"| | this training, {member.test} rows | all {len(facts.members)} trainings, averaged, {facts.rows} rows |",
        "| --- | --- | --- |",
        *(
            f"| {name} | {_said(getattr(member.scores, key))} | {_said(getattr(facts.scores, key))} |"
            for name, key in (
                ("macro F1", "macro_f1"),
                ("macro F1 of saying every label", "baseline_macro_f1"),
                ("gain over it", "gain"),
                ("weighted F1", "weighted_f1"),
                ("weighted F1 of saying every label", "baseline_weighted_f1"),
            )
        ),
        "",
        f"Calibration of the mean held-out probabilities: Brier score {facts.brier:.3f}, expected calibration error "
        f"{facts.ece:.3f}.",
        "",
        "| label | threshold | rows with it | F1, all trainings |",
        "| --- | --- | --- | --- |",
        *(
            f"| `{label}` | {threshold:.4f} | {support} | {_said(f1)} |"
            for label, threshold, support, f1 in zip(
                facts.labels, kept.thresholds, facts.support, facts.label_f1, strict=True
            )
        ),
        "",
        "## Limits",
        *(f"* {limit}" for limit in _limits(facts, kept, training, n_others)),
        "",
    ]
    return "\n".join(lines)


def _limits(facts: EnsembleFacts, kept: Kept, training: str, n_others: int) -> list[str]:
    model, member = kept.model, facts.members[training]
    assert isinstance(model, TextEncoder)
    left = [label for label in facts.all_labels if label not in facts.labels]
    length = (
        f"Reads at most {model.max_tokens} tokens; what is behind them is not seen. {member.cut_rows} of the study's "
        "texts were longer."
    )
    if model.long_texts == "windows":
        length = (
            f"Reads at most {model.max_tokens} tokens. For the scores above, longer texts were read in overlapping "
            "windows whose logits were averaged, which transformers does not do by itself."
        )
    limits = [
        "Not for decisions about individual people: it judges what a text says, it is often wrong, and a value in a "
        "text is not a trait of its author.",
        "Language: that of the texts it was trained on and of its encoder; no other was tested.",
        "Texts of another kind than scripts of short videos as this study wrote them may be judged otherwise."
        if facts.label_set.startswith("schwartz")
        else "Texts of another kind than those of this study may be judged otherwise.",
        length,
        f"Labels that it does not model, which does not make them absent: {', '.join(left)}."
        if left
        else "It models every label of its set.",
    ]
    if n_others:
        limits.append(
            f"This is one of {n_others + 1} trainings. tikval averages them when it judges new videos, with "
            "thresholds of that average; neither is in this folder."
        )
    if model.precision == "bfloat16":
        limits.append(
            "It was trained and scored in bfloat16; in float32 its probabilities differ by about 0.01."
        )
    limits.append(
        "Licence: not stated here. That of the encoder it began with applies, and so may the terms of the texts."
    )
    return limits


def _said(number: Measured) -> str:
    if number.value is None:
        return "–"  # noqa: RUF001 - nothing to measure
    if number.low is None or number.high is None:
        return f"{number.value:.3f}"
    return f"{number.value:.3f} [{number.low:.3f}, {number.high:.3f}]"
