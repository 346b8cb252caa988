"""The part of a prompt that is the same for every post, as a configuration makes it, and in whose turn it stands."""

from typing import Any, Final, NamedTuple

from tikval.ask.video import fixed_prompt
from tikval.codebook import load_codebook
from tikval.config import (
    AskingPart,
    CriticExtractor,
    ExtractConfig,
    LlmExtractor,
    LlmWriter,
    ScriptConfig,
    UserError,
    find_file,
)
from tikval.prompt_text import render_prompt

_LEAD: Final = "The post:\n"  # a user's turn has some text also where a post has none


class Turns(NamedTuple):
    """The fixed prompt, divided."""

    system: str | None  # the system instruction, None: there is none
    before: str  # what comes before the post in each user's turn


def fixed_prompt_of(config: ScriptConfig | ExtractConfig) -> str:
    """The prompt before the post: the same bytes for every row, whoever's turn it stands in.

    Raises UserError where a file is missing or the template cannot be rendered.
    """
    part = _asking_part(config)
    material = _text(part.material) if part.material else ""
    if isinstance(part, LlmWriter):
        return fixed_prompt(part.llm, part.look, _text(part.prompt)) + material
    assert isinstance(config, ExtractConfig)
    try:
        prompt = render_prompt(
            load_codebook(find_file(config.codebook)),
            _text(part.prompt),
            config.judged,
            **_of_extractor(part),
        )
    except ValueError as err:
        raise UserError(str(err)) from err
    if isinstance(part, CriticExtractor) or not config.sends_videos:
        return prompt + material
    return fixed_prompt(part.llm, part.look, prompt) + material


def _of_extractor(part: LlmExtractor | CriticExtractor) -> dict[str, Any]:
    """What of the prompt an extractor's own keys decide."""
    if isinstance(part, CriticExtractor):
        return {}
    evidence = _text(part.evidence) if part.evidence else ""
    return {"examples_per_value": part.examples_per_value, "answer": part.answer, "evidence": evidence}


def turns_of(config: ScriptConfig | ExtractConfig, prompt: str) -> Turns:
    """In whose turn the fixed prompt stands, as the configuration has it."""
    return Turns(prompt, _LEAD) if _asking_part(config).instruction == "system" else Turns(None, prompt)


def _asking_part(config: ScriptConfig | ExtractConfig) -> AskingPart:
    part = config.writer if isinstance(config, ScriptConfig) else config.extractor
    assert isinstance(part, AskingPart)
    return part


def _text(path: str) -> str:
    try:
        return find_file(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as err:
        raise UserError(f"{path}: not UTF-8 text (byte {err.start})") from err
