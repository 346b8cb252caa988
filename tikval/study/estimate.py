"""What a stage will cost before it runs: USD by every way of asking and on every price, hours of GPUs and of cores.

With the videos at hand it goes by the lengths of a sample of them, else by how many there are and their mean length.
"""

import hashlib
import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tikval.ask.video import n_pictures
from tikval.config import Api, ExtractConfig, Gemini, Limits, ScriptConfig, UserError
from tikval.files import list_files
from tikval.llm.client import Usage
from tikval.llm.gate import read_spent
from tikval.llm.prices import Price, Prices, load_prices
from tikval.media.child import Child
from tikval.media.fetch import files_of, read_video
from tikval.media.reading import ClipError, Want
from tikval.store.folder import Folder
from tikval.store.row_keys import KEY, contains, keys_of
from tikval.store.teacher import sample_keys, usable_keys
from tikval.study.call_tokens import CallTokens, llm_of, samples_of, sends_videos, tokens_of_calls
from tikval.study.rates import CoreRate, Rates, load_rates

SAMPLE: Final = 40  # videos whose length is looked at
_ROWS: Final = 2**12  # that are Python objects at once
LOOK_AHEAD: Final = timedelta(days=366)  # at changes of prices
_SPEECH_ON_CORES: Final = "what Whisper takes on cores to hear the videos: not counted"
_READING_FOR_GEMINI: Final = "what cores take to read the videos for Gemini: not counted"
_TEXT: Final = (
    "a token for four characters, a script as long as the paper's, no call that fails or is made twice; "
    "an assumed reply may be half as long or two and a half times as long: the ranges"
)
_CACHE: Final = (
    "codebook cached: all of the prompt before the post in an explicit cache, which every call meets, kept as long as "
    "the calls take; what a server caches by itself saves as much at best, or nothing; batch jobs use none"
)
_CRITIC: Final = (
    "a critic asks about the videos with a stance: about all, until the system before it has finished"
)
_SPREAD: Final = "how far lengths lie from their mean: the ranges are those of the replies"


class Spread(NamedTuple):
    """A figure, and how low and how high it may be."""

    low: float
    mid: float
    high: float

    def times(self, factor: float) -> "Spread":
        return Spread(*(factor * figure for figure in self))


class Way(NamedTuple):
    """How a model is asked."""

    batch: bool = False  # by Batch, not online
    cached: bool = False  # the prompt before the post lies in an explicit cache


class DatedCost(NamedTuple):
    """USD of all calls of a stage, by one way of asking, at the price from a day on."""

    way: Way
    since: date
    model: str  # that answers then
    usd: Spread


Kind = Literal["measured", "assumed", "stated, not run here", "not known"]


class Note(NamedTuple):
    """What a figure rests on."""

    kind: Kind
    text: str


@dataclass(frozen=True)
class CostEstimate:
    """What one stage takes for all its videos, or those still to do."""

    stage: str
    system: str | None  # None: scripts, which several systems may read
    model: str
    calls: int
    seconds: float | None  # mean length of the videos; None: none is known
    tokens: CallTokens | None = None  # None: no language model is asked
    costs: tuple[DatedCost, ...] = ()
    gpu: str | None = None
    gpu_hours: Spread | None = None
    core_hours: float | None = None
    hours_at_limits: float | None = (
        None  # that the calls take online, at the most that api allows in a minute
    )
    notes: tuple[Note, ...] = ()

    def usd(self, way: Way, since: date | None = None) -> Spread | None:
        """USD by one way of asking; at today's price, unless a day is named on which a price begins."""
        mine = [cost for cost in self.costs if cost.way == way and since in (None, cost.since)]
        return mine[0].usd if mine else None


def estimate_of(
    config: ScriptConfig | ExtractConfig,
    today: date | None = None,
    gpu: str | None = None,
    sample: int | None = None,
) -> CostEstimate:
    """What the rows that are still to do will take; `sample`: those of a teacher that answers so many videos.

    Raises UserError without a finished catalog, or a price.
    """
    catalog = Folder((config.videos if isinstance(config, ScriptConfig) else config.catalog).folder)
    rows = _to_do(config, catalog)
    if sample is not None:  # as it is drawn once scripts are there, but for the videos that have none
        drawn = {key.hex() for key in _full_keys(sample_keys(usable_keys(catalog, catalog), sample))}
        rows = (row for row in rows if row["row_key"] in drawn)
    return estimate_of_rows(config, rows, today, gpu)


def estimate_of_rows(
    config: ScriptConfig | ExtractConfig,
    rows: Iterable[dict[str, Any]],
    today: date | None = None,
    gpu: str | None = None,
) -> CostEstimate:
    """What these videos will take: `row_key`, `path` and `files` of each. Raises UserError without a price."""
    n, drawn = _drawn(rows)
    lengths, pictures = _lengths(drawn, config.limits)
    return _estimate(config, n, lengths, today or _today(), gpu, pictures)


def estimate_without_videos(
    config: ScriptConfig | ExtractConfig,
    videos: int,
    seconds: float,
    today: date | None = None,
    gpu: str | None = None,
) -> CostEstimate:
    """What so many videos of a mean length will take. Raises UserError where the model has no price today."""
    found = _estimate(config, videos, [seconds], today or _today(), gpu)
    return replace(found, notes=(*found.notes, Note("not known", _SPREAD)))


def estimate_once(config: ScriptConfig | ExtractConfig) -> float | None:
    """USD of what is to do, for the folder's account; None where it has one already, or nothing has a price.

    Only the first is kept there, and to make one opens files: it is not made at each start.
    """
    spent = read_spent(config.folder)
    if not isinstance(llm_of(config), Gemini) or (spent is not None and spent.estimate_usd is not None):
        return None
    usd = estimate_of(config).usd(way_of(config.api))
    return None if usd is None else usd.mid


def way_of(api: Api) -> Way:
    """The way of asking that a configuration names."""
    batch = api.route == "batch"
    return Way(batch, cached=api.cache == "explicit" and not batch)


def _today() -> date:
    return datetime.now(UTC).date()


def _estimate(
    config: ScriptConfig | ExtractConfig,
    videos: int,
    lengths: Sequence[float],
    today: date,
    gpu: str | None,
    pictures: Sequence[int] = (),
) -> CostEstimate:
    llm, rates = llm_of(config), load_rates()
    core_hours, notes = _on_cores(config, rates, videos, lengths)
    found = CostEstimate(
        stage=config.stage,
        system=None if isinstance(config, ScriptConfig) else config.system,
        model="none" if llm is None else llm.model,
        calls=videos,
        seconds=float(np.mean(lengths)) if lengths and sends_videos(config) else None,
        core_hours=core_hours,
        notes=tuple(notes),
    )
    if llm is None:
        return found
    calls = videos * samples_of(config)
    prices = load_prices(config.api.prices) if isinstance(llm, Gemini) else None
    tokens = tokens_of_calls(config, llm, prices, lengths, pictures)
    what = f"{config.stage} by {llm.model.rpartition('/')[2]}: {tokens.basis}"
    notes += [Note("measured" if tokens.measured else "assumed", what), Note("assumed", _TEXT)]
    if isinstance(config, ExtractConfig) and config.predictions:
        notes.append(Note("assumed", _CRITIC))
    found = replace(found, calls=calls, tokens=tokens, notes=tuple(notes))
    if prices is None:
        return _on_gpus(found, rates, gpu)
    hours = (
        max(calls / config.api.requests_per_minute, calls * tokens.tokens_in / config.api.tokens_per_minute)
        / 60
    )

    def tokens_for(model: str) -> CallTokens:
        other = llm.model_copy(update={"model": model})
        return tokens if model == llm.model else tokens_of_calls(config, other, prices, lengths, pictures)

    notes.append(Note("assumed", _CACHE))
    found = replace(found, notes=tuple(notes))
    costs = _costs(llm.model, prices, calls, tokens_for, hours, today)
    return replace(found, costs=tuple(costs), hours_at_limits=hours)


def _on_cores(
    config: ScriptConfig | ExtractConfig, rates: Rates, videos: int, lengths: Sequence[float]
) -> tuple[float | None, list[Note]]:
    """Hours of cores, and what they rest on; None where nothing was measured, or next to nothing is done."""
    llm, notes = llm_of(config), []
    if llm is None:
        rate: CoreRate | None = rates.cores.script if isinstance(config, ScriptConfig) else rates.cores.values
    elif not sends_videos(config):
        rate = None
    elif isinstance(llm, Gemini):
        rate = None
        notes.append(Note("not known", _READING_FOR_GEMINI))
    else:
        rate = rates.cores.pictures
        notes.append(Note("not known", _SPEECH_ON_CORES))
    if rate is None or not lengths:
        return None, notes
    notes.append(Note("measured", f"hours of cores: {rate.machine} ({rate.source})"))
    return videos * float(np.mean([rate.at(seconds) for seconds in lengths])) / 3600, notes


def _on_gpus(found: CostEstimate, rates: Rates, gpu: str | None) -> CostEstimate:
    """The estimate with hours of a GPU, where a rate of the model is known."""
    assert found.tokens is not None
    tokens, rate = found.tokens, rates.of(found.model, gpu)
    if rate is None:
        note = Note("not known", f"how fast {found.model} is (configs/rates.yaml): no hours of GPUs")
        return replace(found, notes=(*found.notes, note))
    fresh = tokens.tokens_in - rates.cached_share.share * tokens.prompt
    seconds = [
        fresh / rate.prompt_tokens_per_second + out / rate.output_tokens_per_second
        for out in (tokens.least_out, tokens.tokens_out, tokens.most_out)
    ]
    text = (
        f"{rate.gpu}, {found.model}: {rate.prompt_tokens_per_second:,.0f} tokens/s of prompt, "
        f"{rate.output_tokens_per_second:,.0f} of replies ({rate.source})"
    )
    share = f"{rates.cached_share.share:.1%} of the prompt before the post from the engine's cache"
    notes = (
        Note("measured" if rate.run_here else "stated, not run here", text),
        Note("measured", f"{share} ({rates.cached_share.source}, on cores)"),
    )
    hours = Spread(*seconds).times(found.calls / 3600)
    return replace(found, gpu=rate.gpu, gpu_hours=hours, notes=(*found.notes, *notes))


def _costs(
    model: str,
    prices: Prices,
    calls: int,
    tokens_for: Callable[[str], CallTokens],
    hours: float,
    today: date,
) -> Iterator[DatedCost]:
    """Costs by every way of asking, today and from each change on; `hours`: what the calls take online."""
    for day in (today, *prices.changes(model, today, today + LOOK_AHEAD)):
        name = model if day == today else prices.answering(model, day)
        try:
            price = prices.of(name, day)
        except UserError:
            if day == today:
                raise
            continue  # it ends, and nobody says who answers then
        tokens = tokens_for(name)
        cached = [Way(cached=True)] if prices.can_cache(name, round(tokens.prompt)) else []
        for way in (Way(), *cached, Way(batch=True)):  # batch jobs use no cache
            yield DatedCost(way, day, name, _usd(price, way, calls, tokens, hours))


def _usd(price: Price, way: Way, calls: int, tokens: CallTokens, hours: float) -> Spread:
    """USD of all calls; `hours`: that a cache of the prompt is kept, which is filled once."""
    held = round(tokens.prompt) if way.cached and calls else 0

    def of_call(tokens_in: float, tokens_out: float) -> float:
        sound, n_in, n_out = round(tokens.sound), round(tokens_in), round(tokens_out)
        return price.cost(Usage(n_in, held, sound, n_out), batch=way.batch)

    least_in, most_in = max(tokens.tokens_in - tokens.spread, tokens.prompt), tokens.tokens_in + tokens.spread
    of_calls = Spread(
        of_call(least_in, tokens.least_out),
        of_call(tokens.tokens_in, tokens.tokens_out),
        of_call(most_in, tokens.most_out),
    ).times(calls)
    cache = price.cost(Usage(tokens_in=held)) + price.storage_usd(held, hours)
    return Spread(*(usd + cache for usd in of_calls))


def _to_do(config: ScriptConfig | ExtractConfig, catalog: Folder) -> Iterator[dict[str, Any]]:
    """Videos without a failure that have no result in the folder yet; of a critic those with stances to read again."""
    done, folder = [np.empty(0, KEY)], Folder(config.folder)
    for name in list_files(config.folder, ".parquet"):
        part = folder.table(name, ["row_key", "error"])
        done.append(keys_of(part.filter(pc.is_null(part["error"]))["row_key"]))
    paid = np.sort(np.concatenate(done))
    asked = isinstance(config, ExtractConfig) and config.predictions
    judged = _with_stances(Folder(asked.folder)) if asked else None
    for table in catalog.tables(["row_key", "path", "files", "error"]):
        table = table.filter(table["error"].is_null()).select(["row_key", "path", "files"])
        keys = keys_of(table["row_key"])
        keep = ~contains(paid, keys) & (True if judged is None else contains(judged, keys))
        for batch in table.filter(pa.array(keep)).to_batches(_ROWS):
            yield from batch.to_pylist()


def _full_keys(keys: np.ndarray) -> Iterator[bytes]:
    """Keys of 16 bytes, which an element of an array cuts where they end in zeros."""
    return (key.ljust(16, b"\0") for key in keys.tolist())


def _with_stances(first: Folder) -> np.ndarray | None:
    """Row keys of videos that a first system gives stances to, S16 sorted; None, where it has not finished."""
    if first.run() is None:
        return None
    found = [np.empty(0, KEY)]
    for table in first.tables(["row_key", "decisions"]):
        decided = table["decisions"].combine_chunks()
        given = pc.fill_null(decided.flatten(), False)
        rows = pc.unique(pc.list_parent_indices(decided).filter(given))
        found.append(keys_of(table["row_key"].take(rows)))
    return np.sort(np.concatenate(found))


def _drawn(rows: Iterable[dict[str, Any]]) -> tuple[int, list[dict[str, Any]]]:
    """How many there are, and some of them, the same of the same videos: no more are in memory."""
    n = 0

    def counted_rows() -> Iterator[dict[str, Any]]:
        nonlocal n
        for row in rows:
            n += 1
            yield row

    def number(row: dict[str, Any]) -> bytes:
        return hashlib.sha256(row["row_key"].encode()).digest()

    some = heapq.nsmallest(SAMPLE, counted_rows(), number)
    return n, some


def _lengths(drawn: Sequence[dict[str, Any]], limits: Limits) -> tuple[list[float], list[int]]:
    """Seconds of each of some videos, and how many pictures it has where it is a photo post, else 0.

    Those that cannot be read cost nothing.
    """
    lengths, pictures = list[float](), list[int]()
    with Child(limits) as child:
        for row in drawn:
            try:
                lengths.append(read_video(child, files_of(row), Want()).seconds)
            except ClipError:
                continue
            pictures.append(n_pictures(row["files"] or ()))
    return lengths, pictures
