"""What a paid run will cost, before it is paid for: lengths of a sample of the videos, the real prompt, the prices.

Output cannot be known before: until calls of the same recipe have been paid, their length is assumed, and the range
says by how much that may be off.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tikval.config import ExtractConfig, Gemini, Limits, LlmExtractor, LlmWriter, ScriptConfig
from tikval.files import list_files, read_parquet
from tikval.flow.llm_steps import fixed_prompt_of
from tikval.llm.client import Usage
from tikval.llm.prices import Prices, load_prices
from tikval.media.child import Child
from tikval.media.fetch import read_video
from tikval.media.reading import ClipError, Want
from tikval.store.folder import Folder

SAMPLE: Final = 40  # videos whose length is looked at
_CHARACTERS_PER_TOKEN: Final = 4  # of English, as Google says
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
    seconds: float | None  # mean length of the videos sent; None: scripts are
    tokens_in: float  # per call
    tokens_out: float  # per call, thinking included
    usd: float | None  # None: the model runs on own hardware or has no price
    low_usd: float | None
    high_usd: float | None
    basis: str


def estimate_of(config: ScriptConfig | ExtractConfig) -> CostEstimate:
    """What the rows that are still to do will cost. Raises UserError without a finished catalog, or a price."""
    part = config.writer if isinstance(config, ScriptConfig) else config.extractor
    catalog_config = config.videos if isinstance(config, ScriptConfig) else config.catalog
    catalog = Folder(catalog_config.folder)
    name = part.llm.model if isinstance(part, LlmWriter) else getattr(config, "system", "local")
    rows = _to_do(config, catalog)
    if not isinstance(part, LlmWriter | LlmExtractor) or not isinstance(part.llm, Gemini):
        own = "runs on your own hardware, or at an endpoint without a price here"
        model = part.llm.model if isinstance(part, LlmWriter | LlmExtractor) else "none"
        return CostEstimate(config.stage, name, model, len(rows), None, 0, 0, None, None, None, own)
    llm, prices = part.llm, load_prices(config.api.prices)
    watched = isinstance(config, ScriptConfig) or config.videos is not None
    lengths = _lengths(rows, config.limits)
    prompt = _prompt_tokens(config)
    assumed_out, basis = _assumed_output(llm, isinstance(config, ScriptConfig), lengths)
    measured = _measured_output(Folder(config.folder))
    tokens_out = measured[0] if measured else assumed_out
    if watched:
        per_video = np.array([_video_tokens(prices, llm, s) for s in lengths] or [0.0])
        sound = np.array([float(prices.sound_tokens(llm.model, s)) for s in lengths] or [0.0])
    else:
        per_video = np.array([_script_tokens(s) for s in lengths] or [0.0])
        sound = np.zeros_like(per_video)
    price = prices.of(llm.model, datetime.now(UTC).date())
    tokens_in = prompt + float(per_video.mean())

    def usd(n_in: float, n_sound: float, n_out: float) -> float:
        usage = Usage(tokens_in=round(n_in), tokens_sound=round(n_sound), tokens_out=round(n_out))
        return len(rows) * price.cost(usage)

    spread = 2 * float(per_video.std(ddof=1)) / np.sqrt(len(per_video)) if len(per_video) > 1 else 0.0
    less, more = (1.0, 1.0) if measured else _OFF
    if measured:
        basis = f"replies as long as those of {measured[1]} calls of this recipe"
    return CostEstimate(
        config.stage,
        name,
        llm.model,
        len(rows),
        float(np.mean(lengths)) if lengths and watched else None,
        tokens_in,
        tokens_out,
        usd(tokens_in, float(sound.mean()), tokens_out),
        usd(max(tokens_in - spread, prompt), float(sound.mean()), less * tokens_out),
        usd(tokens_in + spread, float(sound.mean()), min(more * tokens_out, llm.max_tokens)),
        basis,
    )


def _to_do(config: ScriptConfig | ExtractConfig, catalog: Folder) -> list[dict[str, Any]]:
    """Videos without a failure that have no result in the folder yet."""
    table = catalog.read(["row_key", "path", "error"])
    done = [
        read_parquet(f"{config.folder}/{name}", ["row_key", "error"])
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
    return len(fixed_prompt_of(config)) / _CHARACTERS_PER_TOKEN


def _video_tokens(prices: Prices, llm: Gemini, seconds: float) -> float:
    return float(
        prices.video_tokens(llm.model, seconds, llm.media_resolution)
        + prices.sound_tokens(llm.model, seconds)
    )


def _script_tokens(seconds: float) -> float:
    return _SCRIPT_TOKENS + _SCRIPT_TOKENS_PER_SECOND * seconds


def _assumed_output(llm: Gemini, script: bool, lengths: Sequence[float]) -> tuple[float, str]:
    said = float(np.mean([_script_tokens(s) for s in lengths] or [0])) if script else _ANSWER_TOKENS
    if llm.thinking_tokens is not None and llm.thinking_tokens >= 0:
        thought = llm.thinking_tokens
    else:
        thought = _THOUGHT_TOKENS.get(llm.thinking_level or "", _THOUGHT_DEFAULT)
    return min(
        said + thought, llm.max_tokens
    ), f"replies of {said:.0f} tokens and {thought} of thinking, assumed"


def _measured_output(folder: Folder) -> tuple[float, int] | None:
    """Mean tokens of the replies that this recipe has already had, and how many those are."""
    columns = [read_parquet(f"{folder.uri}/{name}", ["tokens_out"]) for name in folder.parts()]
    counted = [n for part in columns for n in part["tokens_out"].to_pylist() if n is not None]
    return (float(np.mean(counted)), len(counted)) if len(counted) >= 10 else None
