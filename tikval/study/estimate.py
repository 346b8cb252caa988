"""What a paid run will cost, before it is paid for: lengths of a sample of the videos, the real prompt, the prices.

Output cannot be known before: until calls of the same recipe have been paid, their length is assumed, and the range
says by how much that may be off.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tikval.ask.prompts import fixed_prompt_of
from tikval.config import ExtractConfig, Gemini, Limits, LlmExtractor, LlmWriter, ScriptConfig
from tikval.files import list_files
from tikval.llm.client import Usage
from tikval.llm.gate import read_spent
from tikval.llm.prices import Prices, load_prices
from tikval.media.child import Child
from tikval.media.fetch import read_video
from tikval.media.reading import ClipError, Want
from tikval.store.folder import Folder

SAMPLE: Final = 40  # videos whose length is looked at
CHARACTERS_PER_TOKEN: Final = 4  # of English, as Google says
# Assumed until calls of the recipe were paid: tokens of a reply, without thinking, and of thinking.
_SCRIPT_TOKENS_PER_SECOND: Final = 12  # the paper's Table 2: some 300 words for half a minute
_SCRIPT_TOKENS: Final = 120
_ANSWER_TOKENS: Final = 350  # 19 values and two sentences
_THOUGHT_TOKENS: Final = {"minimal": 50, "low": 400, "medium": 1500, "high": 4000}
_THOUGHT_DEFAULT: Final = 1500
_OFF: Final = (0.5, 2.5)  # how far the assumed output may be off


@dataclass(frozen=True)
class CostEstimate:
    stage: str
    name: str  # of the system or the model
    model: str
    calls: int  # still to be paid for
    basis: str
    seconds: float | None = None  # mean length of the videos sent; None: scripts are
    tokens_in: float = 0  # per call
    tokens_out: float = 0  # per call, thinking included
    usd: float | None = None  # None: the model runs on own hardware or has no price
    low_usd: float | None = None
    high_usd: float | None = None


def estimate_of(config: ScriptConfig | ExtractConfig) -> CostEstimate:
    """What the rows that are still to do will cost. Raises UserError without a finished catalog, or a price."""
    part = config.writer if isinstance(config, ScriptConfig) else config.extractor
    catalog_config = config.videos if isinstance(config, ScriptConfig) else config.catalog
    name = part.llm.model if isinstance(part, LlmWriter) else getattr(config, "system", "local")
    rows = _to_do(config, Folder(catalog_config.folder))
    if not isinstance(part, LlmWriter | LlmExtractor) or not isinstance(part.llm, Gemini):
        return CostEstimate(
            stage=config.stage,
            name=name,
            model=part.llm.model if isinstance(part, LlmWriter | LlmExtractor) else "none",
            calls=len(rows),
            basis="runs on your own hardware, or at an endpoint without a price here",
        )
    lengths = _lengths(rows, config.limits)
    call = _tokens_per_call(config, part.llm, load_prices(config.api.prices), lengths)
    price = load_prices(config.api.prices).of(part.llm.model, datetime.now(UTC).date())

    def usd(tokens_in: float, tokens_out: float) -> float:
        usage = Usage(
            tokens_in=round(tokens_in), tokens_sound=round(call.sound), tokens_out=round(tokens_out)
        )
        return len(rows) * price.cost(usage)

    return CostEstimate(
        stage=config.stage,
        name=name,
        model=part.llm.model,
        calls=len(rows),
        seconds=float(np.mean(lengths)) if lengths and _sends_videos(config) else None,
        tokens_in=call.tokens_in,
        tokens_out=call.tokens_out,
        usd=usd(call.tokens_in, call.tokens_out),
        low_usd=usd(max(call.tokens_in - call.spread, call.prompt), call.least_out),
        high_usd=usd(call.tokens_in + call.spread, call.most_out),
        basis=call.basis,
    )


def estimate_once(config: ScriptConfig | ExtractConfig) -> float | None:
    """USD of what is to do, for the folder's account; None where it has one already, or nothing has a price.

    Only the first is kept there, and to make one opens files: it is not made at each start.
    """
    spent = read_spent(config.folder)
    return estimate_of(config).usd if spent is None or spent.estimate_usd is None else None


def _sends_videos(config: ScriptConfig | ExtractConfig) -> bool:
    return isinstance(config, ScriptConfig) or config.videos is not None


class _CallTokens(NamedTuple):
    """Tokens of one call, on average, and how far that may be off."""

    prompt: float  # of tokens_in, the same in every call
    sound: float  # of tokens_in
    tokens_in: float
    spread: float  # two standard errors of the mean of tokens_in
    tokens_out: float
    least_out: float
    most_out: float
    basis: str  # of tokens_out


def _tokens_per_call(
    config: ScriptConfig | ExtractConfig, llm: Gemini, prices: Prices, lengths: Sequence[float]
) -> _CallTokens:
    """Input by the lengths [seconds] of a sample of the videos, output as measured, else as assumed."""
    prompt = _prompt_tokens(config)
    if _sends_videos(config):
        per_video = np.array([_video_tokens(prices, llm, s) for s in lengths] or [0.0])
        sound = np.array([float(prices.sound_tokens(llm.model, s)) for s in lengths] or [0.0])
    else:
        per_video = np.array([_script_tokens(s) for s in lengths] or [0.0])
        sound = np.zeros_like(per_video)
    if measured := _measured_output(Folder(config.folder)):
        out, calls = measured
        less, more, basis = 1.0, 1.0, f"replies as long as those of {calls} calls of this recipe"
    else:
        out, basis = _assumed_output(llm, isinstance(config, ScriptConfig), lengths)
        less, more = _OFF
    return _CallTokens(
        prompt=prompt,
        sound=float(sound.mean()),
        tokens_in=prompt + float(per_video.mean()),
        spread=2 * float(per_video.std(ddof=1)) / np.sqrt(len(per_video)) if len(per_video) > 1 else 0.0,
        tokens_out=out,
        least_out=less * out,
        most_out=min(more * out, llm.max_tokens),
        basis=basis,
    )


def _to_do(config: ScriptConfig | ExtractConfig, catalog: Folder) -> list[dict[str, Any]]:
    """Videos without a failure that have no result in the folder yet."""
    table = catalog.read(["row_key", "path", "error"])
    done = [
        Folder(config.folder).table(name, ["row_key", "error"])
        for name in list_files(config.folder, ".parquet")
    ]
    keys = [part.filter(pc.is_null(part["error"]))["row_key"].combine_chunks() for part in done]
    paid = pa.concat_arrays([pa.array([], pa.string()), *(key.cast(pa.string()) for key in keys)])
    keep = pc.and_(pc.is_null(table["error"]), pc.invert(pc.is_in(table["row_key"], paid)))
    rows: list[dict[str, Any]] = table.filter(keep).select(["row_key", "path"]).to_pylist()
    return rows


def _lengths(rows: Sequence[dict[str, Any]], limits: Limits) -> list[float]:
    """Seconds of a sample of the videos, the same for the same videos; those that cannot be read cost nothing."""
    drawn = sorted(rows, key=lambda row: hashlib.sha256(row["row_key"].encode()).digest())[:SAMPLE]
    lengths = []
    with Child(limits) as child:
        for row in drawn:
            try:
                lengths.append(read_video(child, row["path"], Want()).seconds)
            except ClipError:
                continue
    return lengths


def _prompt_tokens(config: ScriptConfig | ExtractConfig) -> float:
    return len(fixed_prompt_of(config)) / CHARACTERS_PER_TOKEN


def _video_tokens(prices: Prices, llm: Gemini, seconds: float) -> float:
    return float(
        prices.video_tokens(llm.model, seconds, llm.media_resolution)
        + prices.sound_tokens(llm.model, seconds)
    )


def _script_tokens(seconds: float) -> float:
    return _SCRIPT_TOKENS + _SCRIPT_TOKENS_PER_SECOND * seconds


def _assumed_output(llm: Gemini, script: bool, lengths: Sequence[float]) -> tuple[float, str]:
    reply = float(np.mean([_script_tokens(s) for s in lengths] or [0])) if script else _ANSWER_TOKENS
    if llm.thinking_tokens is not None and llm.thinking_tokens >= 0:
        thought = llm.thinking_tokens
    else:
        thought = _THOUGHT_TOKENS.get(llm.thinking_level or "", _THOUGHT_DEFAULT)
    basis = f"replies of {reply:.0f} tokens and {thought} of thinking, assumed"
    return min(reply + thought, llm.max_tokens), basis


def _measured_output(folder: Folder) -> tuple[float, int] | None:
    """Mean tokens of the replies that this recipe has already had, and how many those are."""
    columns = [folder.table(name, ["tokens_out"]) for name in folder.parts()]
    counted = [n for part in columns for n in part["tokens_out"].to_pylist() if n is not None]
    return (float(np.mean(counted)), len(counted)) if len(counted) >= 10 else None
