"""What a run will cost: made once, with the videos or without them, on both sides of a price change."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.conftest import ROOT
from tests.fixtures.photos import write_slides
from tests.fixtures.rows import prediction
from tikval.config import Api, ExtractConfig, ScriptConfig, UserError, load_config
from tikval.llm.client import Usage
from tikval.llm.prices import load_prices
from tikval.rows import PredictionRow, arrow_schema
from tikval.sources.write_catalog import write_catalog
from tikval.store.folder import Folder
from tikval.study.estimate import (
    CostEstimate,
    Way,
    estimate_of,
    estimate_once,
    estimate_without_videos,
    way_of,
)
from tikval.study.rates import load_rates

TODAY, NEW_YEAR = date(2026, 11, 28), date(2027, 1, 1)
ONLINE, CACHED, BATCH = Way(), Way(cached=True), Way(batch=True)
MILLION = 1_000_000


def direct(tmp_path: Path) -> ExtractConfig:
    out = [("out", str(tmp_path)), ("videos.out", str(tmp_path)), ("videos.videos", str(tmp_path / "videos"))]
    return load_config(ExtractConfig, "configs/gemini/direct.yaml", out)


def account(config: ExtractConfig, estimate_usd: float | None) -> None:
    Path(config.folder).mkdir(parents=True, exist_ok=True)
    spent = {"settled_usd": 1.0, "unknown_usd": 0.0, "calls": 3, "estimate_usd": estimate_usd}
    payload = {"spent": spent, "open": {}, "window": []}
    Path(config.folder, "calls.json").write_text(json.dumps(payload))


def test_the_way_of_a_configuration_is_its_route() -> None:
    assert (way_of(Api()), way_of(Api(route="batch"))) == (ONLINE, BATCH)


def test_a_folder_with_an_estimate_gets_no_other(tmp_path: Path) -> None:
    """Its videos are not even looked at: here there is no catalog that could name them."""
    config = direct(tmp_path)
    account(config, 2.5)
    assert estimate_once(config) is None


@pytest.mark.parametrize("known", [False, True])
def test_a_folder_without_one_gets_it(tmp_path: Path, known: bool) -> None:
    config = direct(tmp_path)
    if known:
        account(config, None)
    with pytest.raises(UserError, match="catalog"):
        estimate_once(config)


def forecast(file: str, *sets: tuple[str, Any], videos: int = MILLION, seconds: float = 30) -> CostEstimate:
    own = [("out", "out/of_nobody"), *sets]
    config: ScriptConfig | ExtractConfig
    if file.endswith("scripts.yaml"):
        config = load_config(ScriptConfig, file, own)
    else:
        config = load_config(ExtractConfig, file, own)
    return estimate_without_videos(config, videos, seconds, TODAY)


def test_without_the_videos_it_goes_by_their_number_and_mean_length() -> None:
    found = forecast("configs/gemini/direct.yaml")
    prices, tokens = load_prices(), found.tokens
    assert tokens is not None
    shown = prices.video_tokens(found.model, 30, None) + prices.sound_tokens(found.model, 30)
    assert tokens.tokens_in == tokens.prompt + shown
    usage = Usage(round(tokens.tokens_in), 0, round(tokens.sound), round(tokens.tokens_out))
    usd = found.usd(ONLINE)
    assert usd is not None
    assert usd.mid == pytest.approx(MILLION * prices.of(found.model, TODAY).cost(usage))
    assert usd.low < usd.mid < usd.high
    assert any("assumed" in note.kind and "of thinking" in note.text for note in found.notes)

    half = forecast("configs/gemini/direct.yaml", videos=MILLION // 2).usd(ONLINE)
    assert half == pytest.approx(usd.times(0.5))
    longer = forecast("configs/gemini/direct.yaml", seconds=60).tokens
    assert longer is not None
    assert longer.tokens_in - tokens.tokens_in == pytest.approx(shown)


def test_evidence_makes_replies_longer() -> None:
    plain = forecast("configs/gemini/direct.yaml").tokens
    config = load_config(ExtractConfig, "configs/gemini/direct.yaml", ["extractor.evidence=true"])
    longer = estimate_without_videos(config, MILLION, 30, TODAY).tokens
    assert plain is not None
    assert longer is not None
    assert 1.5 * (plain.tokens_out - 1500) < longer.tokens_out - 1500, "1,500 of thinking"
    assert longer.prompt > plain.prompt


def test_a_photo_post_has_the_tokens_of_its_pictures(tmp_path: Path) -> None:
    write_slides(tmp_path / "videos")
    config = direct(tmp_path)
    assert config.videos is not None
    write_catalog(config.videos)
    tokens = estimate_of(config, TODAY).tokens
    assert tokens is not None
    assert tokens.tokens_in - tokens.prompt == 3 * 1120 + 9 * 25


def test_a_reply_is_as_long_as_one_of_a_rows_samples(tmp_path: Path) -> None:
    own = [("out", str(tmp_path)), ("extractor.samples", 3)]
    config = load_config(ExtractConfig, "configs/gemini/direct.yaml", own)
    rows = [prediction(f"v{i}", tokens_out=900) for i in range(10)]
    Folder(config.folder).write_part(pa.Table.from_pylist(rows, schema=arrow_schema(PredictionRow)))
    measured = forecast("configs/gemini/direct.yaml", *own).tokens
    assert measured is not None
    assert measured.tokens_out == 300, "a row's tokens are those of all its samples"
    assert measured.basis == "replies as long as those of 30 calls of this recipe"


def test_both_sides_of_a_price_change() -> None:
    found = forecast("configs/gemini/direct.yaml")
    assert {cost.since for cost in found.costs} == {TODAY, NEW_YEAR}
    before, after = found.usd(ONLINE, TODAY), found.usd(ONLINE, NEW_YEAR)
    assert before is not None
    assert after == pytest.approx(before.times(2))
    assert {cost.since for cost in forecast("configs/paper/scripts.yaml").costs} == {TODAY}


def test_a_retired_model_costs_what_the_one_that_answers_does() -> None:
    """Its own tokens of a video as well."""
    found = forecast("configs/gemini/direct.yaml", ("extractor.llm.model", "gemini-2.5-pro"))
    names = {cost.since: cost.model for cost in found.costs}
    assert names == {
        TODAY: "gemini-2.5-pro",
        date(2026, 12, 1): "gemini-3.8-flash",
        NEW_YEAR: "gemini-3.8-flash",
    }
    other = forecast("configs/gemini/direct.yaml")
    assert found.usd(ONLINE, NEW_YEAR) == other.usd(ONLINE, NEW_YEAR)


def test_batch_is_half_and_a_cached_prompt_a_tenth() -> None:
    found = forecast("configs/gemini/direct.yaml")
    online, batch, cached = (found.usd(way) for way in (ONLINE, BATCH, CACHED))
    assert online is not None
    assert cached is not None
    assert found.tokens is not None
    assert batch == pytest.approx(online.times(0.5))
    price = load_prices().of(found.model, TODAY)
    saved = MILLION * price.cost(Usage(round(found.tokens.prompt))) * 0.9
    assert found.hours_at_limits is not None
    kept = price.storage_usd(found.tokens.prompt, found.hours_at_limits)
    assert 1 < kept < 10
    assert online.mid - cached.mid == pytest.approx(saved - kept, abs=0.1)


def test_a_short_prompt_is_never_cached() -> None:
    found = forecast("configs/gemini/scripts.yaml")
    assert {cost.way for cost in found.costs} == {ONLINE, BATCH}


def test_a_cache_costs_more_than_it_saves_for_a_few_calls() -> None:
    """It is filled once."""
    found = forecast("configs/gemini/direct.yaml", videos=1)
    online, cached = found.usd(ONLINE), found.usd(CACHED)
    assert online is not None
    assert cached is not None
    assert cached.mid > online.mid
    assert found.usd(Way(batch=True, cached=True)) is None, "batch jobs use no cache"
    assert forecast("configs/gemini/direct.yaml", videos=0).usd(CACHED) == (0, 0, 0)


def test_open_models_cost_hours_by_rates_that_say_where_they_are_from() -> None:
    found = forecast("configs/mistral/predictions.yaml")
    rates, tokens, hours = load_rates(), found.tokens, found.gpu_hours
    rate = rates.of(found.model)
    assert rate is not None
    assert tokens is not None
    assert hours is not None
    assert not found.costs
    fresh = tokens.tokens_in - rates.cached_share.share * tokens.prompt
    seconds = fresh / rate.prompt_tokens_per_second + tokens.tokens_out / rate.output_tokens_per_second
    assert hours.mid == pytest.approx(MILLION * seconds / 3600)
    assert hours.low < hours.mid < hours.high
    assert any(note.kind == "stated, not run here" and rate.source in note.text for note in found.notes)
    slower = load_rates().of(found.model, "A100")
    assert slower is not None
    assert slower.output_tokens_per_second < rate.output_tokens_per_second
    with pytest.raises(UserError, match=r"'H1000'; known: A100, H100"):
        rates.of(found.model, "H1000")

    unknown = forecast("configs/mistral/predictions.yaml", ("extractor.llm.model", "my/model"))
    assert unknown.gpu_hours is None
    assert any(note.kind == "not known" and "how fast my/model is" in note.text for note in unknown.notes)


def test_a_video_shown_as_pictures_has_the_tokens_of_the_pictures() -> None:
    """docs/vllm.md: 5,600 tokens for 16 pictures of 448 x 800."""
    found = forecast("configs/qwen/direct.yaml", seconds=0).tokens
    assert found is not None
    assert found.tokens_in - found.prompt == pytest.approx(5600, rel=0.01)


def test_what_runs_on_cores_costs_hours_that_were_measured() -> None:
    scripts, values = (
        forecast("configs/local/scripts.yaml", seconds=60),
        forecast("configs/local/predictions.yaml"),
    )
    assert scripts.core_hours == pytest.approx(MILLION * 15.72 / 3600)
    assert values.core_hours == pytest.approx(MILLION * load_rates().cores.values.at(30) / 3600)
    for found in (scripts, values):
        assert found.tokens is None
        assert any(note.kind == "measured" and "benchmarks/results" in note.text for note in found.notes)


def test_the_rates_of_cores_are_those_of_the_benchmarks() -> None:
    cores = load_rates().cores

    def results(source: str) -> Any:
        return json.loads((ROOT / source).read_text(encoding="utf-8"))

    limits = {clip["clip"]: clip["cpu_seconds"] for clip in results(cores.script.source)["clips"]}
    assert cores.script.core_seconds == {s: limits[f"1080x1920-{s}s-gop250-3b-h264-talk"] for s in (10, 60)}
    decode = {clip["clip"]: clip["cpu_seconds"]["tikval"] for clip in results(cores.pictures.source)["clips"]}
    assert cores.pictures.core_seconds == {s: decode[f"1080x1920-{s}s-gop250-3b-h264"] for s in (10, 30, 60)}
    values = results(cores.values.source)["cpu_seconds"]
    assert cores.values.core_seconds == {float(s): seconds for s, seconds in values.items()}
    share = results(load_rates().cached_share.source)["targets"]
    assert load_rates().cached_share.share in [target["figure"] for target in share.values()]


def test_several_samples_are_as_many_calls() -> None:
    once, thrice = (forecast("configs/gemini/direct.yaml", ("extractor.samples", n)) for n in (1, 3))
    usd = once.usd(ONLINE)
    assert usd is not None
    assert (once.calls, thrice.calls) == (MILLION, 3 * MILLION)
    assert thrice.usd(ONLINE) == pytest.approx(usd.times(3))


def test_an_unknown_model_has_no_estimate() -> None:
    with pytest.raises(UserError, match=r"no price of 'gemini-9'"):
        forecast("configs/gemini/direct.yaml", ("extractor.llm.model", "gemini-9"))
