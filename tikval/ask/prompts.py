"""The part of a prompt that comes before the post, as a configuration makes it."""

from tikval.ask.video import fixed_prompt
from tikval.codebook import load_codebook, render_prompt
from tikval.config import ExtractConfig, LlmExtractor, LlmWriter, ScriptConfig, UserError, find_file


def fixed_prompt_of(config: ScriptConfig | ExtractConfig) -> str:
    """The prompt before the post: the same bytes for every row.

    Raises UserError where a file is missing or the template cannot be rendered.
    """
    if isinstance(config, ScriptConfig):
        assert isinstance(config.writer, LlmWriter)
        return fixed_prompt(config.writer.llm, _text(config.writer.prompt))
    extractor = config.extractor
    assert isinstance(extractor, LlmExtractor)
    try:
        prompt = render_prompt(
            load_codebook(find_file(config.codebook)),
            _text(extractor.prompt),
            "script" if config.scripts else "video",
            examples_per_value=extractor.examples_per_value,
            answer=extractor.answer,
        )
    except ValueError as err:
        raise UserError(str(err)) from err
    return prompt if config.scripts else fixed_prompt(extractor.llm, prompt)


def _text(path: str) -> str:
    try:
        return find_file(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as err:
        raise UserError(f"{path}: not UTF-8 text (byte {err.start})") from err
