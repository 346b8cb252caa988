"""What each of Gemini's models takes of thinking and sampling: a wrong level is a 400 of every call.

Read on 2026-11-28. Levels and defaults: https://ai.google.dev/gemini-api/docs/generate-content/thinking (as copied in
github.com/can1357/oh-my-pi/issues/10543), the guide to 3.8 Flash of docs.cloud.google.com, and each level tried by
github.com/tetsuo-ai/agenc-core/pull/2393 (2026-09-11). Budgets: the same page's table, as copied in
github.com/checkmarble/llmberjack/pull/14. Sampling: https://ai.google.dev/gemini-api/docs/whats-new-gemini-3.6
(2026-07-21): other values than the default are ignored by 3.6 Flash and 3.5 Flash-Lite, and by what came later.
A new model: a line below, with where it was read.
"""

import re
from typing import Final, NamedTuple

from tikval.config import Gemini, UserError
from tikval.terminal import note_once

_LOW: Final = ("low", "medium", "high")
_ALL: Final = ("minimal", *_LOW)


class ModelLimits(NamedTuple):
    """What one model takes."""

    model: str
    levels: tuple[str, ...] = ()  # of thinking; (): it takes a budget
    default: str = ""  # level
    budget: tuple[int, int] = (0, 0)  # tokens of thinking, at least and at most
    can_be_off: bool = False  # a budget of 0, though it is below the least
    samples: bool = True  # temperature; False: deprecated, and ignored


_MODELS: Final = (
    ModelLimits("gemini-3.8-flash", _LOW, "medium", samples=False),
    ModelLimits("gemini-3.7-flash", _LOW, "medium", samples=False),
    ModelLimits("gemini-3.6-flash", _ALL, "medium", samples=False),
    ModelLimits("gemini-3.5-flash", _ALL, "medium"),
    ModelLimits("gemini-3.5-flash-lite", _ALL, "minimal", samples=False),
    ModelLimits("gemini-3.1-pro", _LOW, "high"),
    ModelLimits("gemini-3.1-flash-lite", _ALL, "minimal"),
    ModelLimits("gemini-3-flash", _ALL, "high"),
    ModelLimits("gemini-2.5-pro", budget=(128, 32_768)),
    ModelLimits("gemini-2.5-flash", budget=(0, 24_576)),
    ModelLimits("gemini-2.5-flash-lite", budget=(512, 24_576), can_be_off=True),
)
# of the same model: gemini-3.1-pro-preview, gemini-3.8-flash-002, gemini-2.5-flash-preview-09-2025
_VERSION: Final = r"(-(preview|latest|\d{3}))?(-\d{2}-\d{2,4})?"


def model_limits(model: str) -> ModelLimits | None:
    """What a model takes, whatever its version; None: nothing is known of it."""
    name = model.removeprefix("models/")
    return next((one for one in _MODELS if re.fullmatch(re.escape(one.model) + _VERSION, name)), None)


def check_parameters(llm: Gemini) -> None:
    """Before the first call: note what is left out or unknown. Raises UserError for what the model refuses."""
    limits = model_limits(llm.model)
    if limits is None:
        if llm.thinking_level is not None or llm.thinking_tokens is not None:
            note_once(
                f"{llm.model}: not known here, so how it may think is not checked (tikval/llm/thinking.py)"
            )
        return
    if llm.temperature is not None and not limits.samples:
        note_once(f"{llm.model} ignores a temperature, deprecated since 2026-07-21: it is not sent")
    if llm.thinking_level is not None and llm.thinking_level not in limits.levels:
        raise UserError(f"thinking_level: {llm.model} takes {_choices(limits)}, and not {llm.thinking_level}")
    if llm.thinking_tokens is None:
        return
    if limits.levels:
        note_once(f"{llm.model} takes a thinking_level rather than thinking_tokens: {_choices(limits)}")
        return
    least, most = limits.budget
    tokens = llm.thinking_tokens
    if not (least <= tokens <= most or tokens == -1 or (tokens == 0 and limits.can_be_off)):
        raise UserError(f"thinking_tokens: {llm.model} takes {_choices(limits)}, and not {tokens}")


def _choices(limits: ModelLimits) -> str:
    if not limits.levels:
        least, most = limits.budget
        off = "0, " if limits.can_be_off else ""
        return f"thinking_tokens of {off}{least} to {most}, or -1 for as many as it likes"
    words = [f"{each} (its default)" if each == limits.default else each for each in limits.levels]
    return f"{', '.join(words[:-1])} or {words[-1]}"
