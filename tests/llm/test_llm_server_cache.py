"""The explicit caches of the tests' server, by raw HTTP, and as the SDK reads them."""

import json
import time
from datetime import datetime
from typing import Any

import pytest

from tests.fixtures.llm_server import LlmServer, Rule, Trouble, serving
from tests.llm.test_llm_server import MODEL, RATE, Got, generate, request, send, upload

BOOK = "The codebook. " * 2000  # 28,000 bytes, 7,000 tokens
TOKENS = 7000


def create(url: str, text: str = BOOK, **more: Any) -> Got:
    system = {"systemInstruction": {"parts": [{"text": text}]}}
    return send(url, "POST", "/v1beta/cachedContents", {"model": f"models/{MODEL}", **system, **more})


def made(url: str, **more: Any) -> str:
    return str(create(url, **more).json["name"])


def lives(cache: dict[str, Any]) -> float:
    """Seconds from its creation to the end that the server told."""
    times = [datetime.fromisoformat(cache[name]) for name in ("createTime", "expireTime")]
    return (times[1] - times[0]).total_seconds()


def test_a_cache_is_used_by_its_name_and_the_server_counts_its_tokens() -> None:
    with serving(LlmServer()) as fake:
        cache = create(fake.url, ttl="300s", displayName="codebook").json
        plain = generate(fake.url, "Q", systemInstruction={"parts": [{"text": BOOK}]}).json
        cached = generate(fake.url, "Q", cachedContent=cache["name"]).json
    assert cache["usageMetadata"] == {"totalTokenCount": TOKENS}
    assert (cache["displayName"], cache["model"], lives(cache)) == ("codebook", f"models/{MODEL}", 300)
    usage = cached["usageMetadata"]
    assert (usage["promptTokenCount"], usage["cachedContentTokenCount"]) == (TOKENS + 1, TOKENS)
    assert cached["candidates"] == plain["candidates"], "the model reads the same"
    without, hit = fake.of("generate")
    assert (without.cache, without.tokens_cached) == (None, 0)
    assert (hit.cache, hit.tokens_cached, hit.key) == (cache["name"], TOKENS, without.key)
    saved = TOKENS * (RATE.input - RATE.cached) / 1e6
    assert without.billed_usd - hit.billed_usd == pytest.approx(saved)


def test_making_one_costs_its_input_and_keeping_it_its_hours() -> None:
    with serving(LlmServer()) as fake:
        name = made(fake.url)
        time.sleep(0.5)
        send(fake.url, "DELETE", f"/v1beta/{name}")
        left = made(fake.url)
        time.sleep(0.3)
        assert list(fake.caches) == [left]
        fake.end()
    creation, _ = fake.of("cache")
    assert creation.cache == name
    assert creation.billed_usd == pytest.approx(TOKENS * RATE.input / 1e6)
    storage = fake.of("storage")
    assert [line.cache for line in storage] == [name, left]
    hours = [line.billed_usd / (TOKENS * RATE.storage / 1e6) for line in storage]
    assert 0.5 <= hours[0] * 3600 < 1.5
    assert 0.3 <= hours[1] * 3600 < 1.3


def test_its_time_to_live_is_kept_and_renewed() -> None:
    with serving(LlmServer()) as fake:
        short, long = made(fake.url, ttl="1.5s"), made(fake.url, ttl="1.5s")
        renewed = send(fake.url, "PATCH", f"/v1beta/{long}?updateMask=ttl", {"ttl": "60s"})
        wrong = send(fake.url, "PATCH", f"/v1beta/{long}", {"displayName": "another"}).status
        assert generate(fake.url, cachedContent=short).status == 200
        time.sleep(1.6)
        gone = generate(fake.url, cachedContent=short)
        assert generate(fake.url, cachedContent=long).status == 200
        listed = send(fake.url, "GET", "/v1beta/cachedContents").json["cachedContents"]
        shown = [send(fake.url, "GET", f"/v1beta/{name}").status for name in (short, long)]
    assert 59 < lives(renewed.json) < 62
    assert (gone.status, gone.message) == (403, "CachedContent not found (or permission denied)")
    assert (wrong, [cache["name"] for cache in listed], shown) == (400, [long], [403, 200])
    [storage] = fake.of("storage")
    assert storage.billed_usd == pytest.approx(TOKENS * 1.5 / 3600 * RATE.storage / 1e6, rel=0.01)
    assert fake.of("generate")[1].outcome == "gone"
    assert fake.of("generate")[1].billed_usd == 0


def test_it_may_be_gone_before_its_time() -> None:
    with serving(LlmServer(cache_lives=1.0)) as fake:
        name = made(fake.url, ttl="3600s")
        first = generate(fake.url, cachedContent=name).status
        time.sleep(1.1)
        later = generate(fake.url, cachedContent=name).status
        fake.cache_lives = 100.0
        second = made(fake.url)
        send(fake.url, "POST", "/control", {"expire_caches": True})
        told = generate(fake.url, cachedContent=second).status
        counters = send(fake.url, "GET", "/control").json
    assert (first, later, told, counters["caches"]) == (200, 403, 403, [])


@pytest.mark.parametrize(
    ("more", "model", "message"),
    [
        ({"systemInstruction": {"parts": [{"text": "S"}]}}, MODEL, "can not be used with"),
        ({"tools": [{"googleSearch": {}}]}, MODEL, "can not be used with"),
        ({}, "gemini-3.8-flash", "has to be the same"),
    ],
)
def test_what_a_cache_cannot_be_used_with(more: dict[str, Any], model: str, message: str) -> None:
    with serving(LlmServer()) as fake:
        reply = generate(fake.url, model=model, cachedContent=made(fake.url), **more)
    assert reply.status == 400
    assert message in reply.message
    assert fake.of("generate")[0].billed_usd == 0


def test_a_small_one_is_refused() -> None:
    with serving(LlmServer()) as fake:
        small = create(fake.url, "x" * 4000)
        fake.cache_least = 1000
        assert create(fake.url, "x" * 4000).status == 200
    assert small.status == 400
    assert small.message == "Cached content is too small. total_token_count=1000, min_total_token_count=4096"
    assert fake.of("cache")[0].billed_usd == 0


def test_a_server_without_caches() -> None:
    with serving(LlmServer(no_caches=True)) as fake:
        assert create(fake.url).status == send(fake.url, "GET", "/v1beta/cachedContents").status == 404


@pytest.mark.parametrize(("name", "there"), [("reset", 1), ("reset_before", 0), ("unavailable", 0)])
def test_the_answer_to_create_is_lost(name: str, there: int) -> None:
    with serving(LlmServer(rules=[Rule(Trouble(name), kind="cache", first=1)])) as fake:
        assert create(fake.url).status in (0, 503)
        assert len(send(fake.url, "GET", "/v1beta/cachedContents").json["cachedContents"]) == there
    assert (fake.billed_usd() > 0) == bool(there)


def test_a_row_of_a_batch_uses_one_too() -> None:
    with serving(LlmServer(batch_seconds=None)) as fake:
        names = [made(fake.url), "cachedContents/none"]
        rows = [{"key": name, "request": request("Q", cachedContent=name)} for name in names]
        file = upload(fake.url, "\n".join(map(json.dumps, rows)).encode(), mime="jsonl").json["file"]["name"]
        batch = {"batch": {"inputConfig": {"fileName": file}}}
        send(fake.url, "POST", f"/v1beta/models/{MODEL}:batchGenerateContent", batch)
        send(fake.url, "POST", "/control", {"finish_jobs": True})
    hit, missed = fake.of("generate")
    assert (hit.route, hit.cache, hit.tokens_cached) == ("batch", names[0], TOKENS)
    assert (missed.outcome, missed.billed_usd) == ("rejected", 0)


def test_the_sdk_reads_all_of_it() -> None:
    from google import genai
    from google.genai import types

    with serving(LlmServer()) as fake:
        client = genai.Client(api_key="a-key", http_options={"base_url": fake.url, "api_version": "v1beta"})
        config = types.CreateCachedContentConfig(system_instruction=BOOK, ttl="300s", display_name="tikval-1")
        cache = client.caches.create(model=MODEL, config=config)
        renewed = client.caches.update(name=str(cache.name), config={"ttl": "900s"})
        reply = client.models.generate_content(
            model=MODEL, contents="Q", config={"cached_content": cache.name}
        )
        listed = [(cache.name, cache.display_name) for cache in client.caches.list()]
        client.caches.delete(name=str(cache.name))
    assert cache.usage_metadata is not None
    assert cache.usage_metadata.total_token_count == TOKENS
    assert renewed.expire_time is not None
    assert cache.expire_time is not None
    assert (renewed.expire_time - cache.expire_time).total_seconds() > 590
    assert reply.usage_metadata is not None
    assert reply.usage_metadata.cached_content_token_count == TOKENS
    assert (listed, fake.caches) == ([(cache.name, "tikval-1")], {})
