"""How many tokens one call has, on average: the prompt, the video or the script, the reply.

The reply cannot be known before: until calls of the same recipe were made its length is assumed, and the range says by
how much that may be off.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from tikval.ask.prompts import fixed_prompt_of
from tikval.config import ExtractConfig, Gemini, Llm, Look, ScriptConfig
from tikval.llm.prices import Prices
from tikval.store.folder import Folder

CHARACTERS_PER_TOKEN: Final = 4  # of English, as Google says
# Assumed until calls of the recipe were made: tokens of a reply, without thinking, and of thinking.
_SCRIPT_TOKENS_PER_SECOND: Final = 12  # the paper's Table 2: some 300 words for half a minute
_SCRIPT_TOKENS: Final = 120
_ANSWER_TOKENS: Final = 350  # 19 values and two sentences
_EVIDENCE_TOKENS: Final = 350  # some eight passages
_VERDICTS_TOKENS: Final = 200  # on some five stances, a reason of twenty words each
_STANCES_TOKENS: Final = 60  # of the question: the same five, by name
_THOUGHT_TOKENS: Final = {"minimal": 50, "low": 400, "medium": 1500, "high": 4000}
_LEVELS: Final = (("-lite", "minimal"), ("gemini-3.1-pro", "high"))  # in a model's name, and its own level
_OFF: Final = (0.5, 2.5)  # how far the assumed output may be off
_MEASURED_FROM: Final = 10  # calls
# Of a video that is shown as pictures: a token per 32 x 32 pixels (Qwen3-VL), and what is said at 150 words a minute
_PX_PER_TOKEN: Final = 32
_TALL: Final = 16 / 9  # a picture's long side over its short one
_SOUND_TOKENS_PER_SECOND: Final = 25  # of Gemma: a token is 40 ms
_SPEECH_TOKENS_PER_SECOND: Final = 3.4


class CallTokens(NamedTuple):
    """Tokens of one call, on average, and how far that may be off."""

    prompt: float  # of tokens_in, the same in every call
    sound: float  # of tokens_in
    tokens_in: float
    spread: float  # two standard errors of the mean of tokens_in; 0 where only a mean length is known
    tokens_out: float
    least_out: float
    most_out: float
    basis: str  # of tokens_out
    measured: bool  # tokens_out


def llm_of(config: ScriptConfig | ExtractConfig) -> Llm | None:
    """The language model that a stage asks; None where it asks none."""
    part = config.writer if isinstance(config, ScriptConfig) else config.extractor
    return None if part.kind == "local" else part.llm


def samples_of(config: ScriptConfig | ExtractConfig) -> int:
    """How often a stage asks its language model about one row."""
    part = None if isinstance(config, ScriptConfig) else config.extractor
    return part.samples if part is not None and part.kind == "llm" else 1


def sends_videos(config: ScriptConfig | ExtractConfig) -> bool:
    """Whether a stage looks at videos, not at scripts."""
    return isinstance(config, ScriptConfig) or config.sends_videos


def tokens_of_calls(
    config: ScriptConfig | ExtractConfig,
    llm: Llm,
    prices: Prices | None,
    lengths: Sequence[float],
    pictures: Sequence[int] = (),
) -> CallTokens:
    """Input by the lengths [seconds] of the videos, output as measured, else as assumed.

    `pictures`: of each of these videos, 0 where it is no photo post; without them none is.
    """
    prompt = len(fixed_prompt_of(config)) / CHARACTERS_PER_TOKEN
    shown_as = zip(lengths, pictures or [0] * len(lengths), strict=True)
    given = np.array([_tokens_given(config, llm, prices, *each) for each in shown_as] or [(0.0, 0.0)])
    shown, sound = given.T
    if measured := _measured_output(Folder(config.folder)):
        out, calls = measured[0] / samples_of(config), measured[1] * samples_of(config)
        less, more, basis = 1.0, 1.0, f"replies as long as those of {calls} calls of this recipe"
    else:
        out, basis = _assumed_output(config, llm, lengths)
        less, more = _OFF
    return CallTokens(
        prompt=prompt,
        sound=float(sound.mean()),
        tokens_in=prompt + float(shown.mean()),
        spread=2 * float(shown.std(ddof=1)) / np.sqrt(len(shown)) if len(shown) > 1 else 0.0,
        tokens_out=out,
        least_out=less * out,
        most_out=min(more * out, llm.max_tokens),
        basis=basis,
        measured=measured is not None,
    )


def _tokens_given(
    config: ScriptConfig | ExtractConfig, llm: Llm, prices: Prices | None, seconds: float, pictures: int
) -> tuple[float, float]:
    """Tokens of a video of this length, or of its script; and how many of them are sound. `pictures`: as above."""
    if not sends_videos(config):
        assert isinstance(config, ExtractConfig)
        passages = _EVIDENCE_TOKENS if config.predictions and config.predictions.quotes_from else 0
        stances = _STANCES_TOKENS + passages if config.predictions else 0
        return (_script_tokens(seconds) if config.scripts else 0) + stances, 0.0
    if isinstance(llm, Gemini):
        assert prices is not None
        sound = float(prices.sound_tokens(llm.model, seconds))
        if pictures:
            return pictures * prices.picture_tokens(llm.model, llm.media_resolution) + sound, sound
        return prices.video_tokens(llm.model, seconds, llm.media_resolution) + sound, sound
    part = config.writer if isinstance(config, ScriptConfig) else config.extractor
    assert part.kind == "llm"
    look = part.look
    if pictures:
        look = look.model_copy(update={"frames": min(pictures, look.frames)})
    if look.sound == "audio":
        sound = _SOUND_TOKENS_PER_SECOND * min(seconds, look.sound_seconds)
        return _picture_tokens(look) + sound, sound
    return _picture_tokens(look) + _SPEECH_TOKENS_PER_SECOND * seconds, 0.0


def _picture_tokens(look: Look) -> float:
    return look.frames * _TALL * (look.side_px / _PX_PER_TOKEN) ** 2


def _script_tokens(seconds: float) -> float:
    return _SCRIPT_TOKENS + _SCRIPT_TOKENS_PER_SECOND * seconds


def _assumed_output(
    config: ScriptConfig | ExtractConfig, llm: Llm, lengths: Sequence[float]
) -> tuple[float, str]:
    if isinstance(config, ScriptConfig):
        reply = float(np.mean([_script_tokens(s) for s in lengths] or [0]))
    elif config.predictions:
        reply = _VERDICTS_TOKENS
    else:
        reply = _ANSWER_TOKENS + (_EVIDENCE_TOKENS if config.quotes_from else 0)
    if not isinstance(llm, Gemini):
        return min(reply, llm.max_tokens), f"replies of {reply:,.0f} tokens"
    if llm.thinking_tokens is not None and llm.thinking_tokens >= 0:
        thought = llm.thinking_tokens
    else:
        level: str = llm.thinking_level or next((own for part, own in _LEVELS if part in llm.model), "medium")
        thought = _THOUGHT_TOKENS[level]
    return min(reply + thought, llm.max_tokens), f"replies of {reply:,.0f} tokens and {thought:,} of thinking"


def _measured_output(folder: Folder) -> tuple[float, int] | None:
    """Mean tokens of the replies to a row that this recipe has already had, and how many rows those are."""
    columns = [folder.table(name, ["tokens_out"]) for name in folder.parts()]
    counted = [n for part in columns for n in part["tokens_out"].to_pylist() if n is not None]
    return (float(np.mean(counted)), len(counted)) if len(counted) >= _MEASURED_FROM else None
