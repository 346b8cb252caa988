"""When an explicit cache pays, how a call goes with one, and where a configuration may ask for one."""

import asyncio
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.llm_server import LlmServer, Rule, Trouble, serving
from tikval.config import Api, ExtractConfig, Gemini, UserError, validate
from tikval.llm.cache import is_served_anyway, worth_usd
from tikval.llm.client import Question, Reply
from tikval.llm.gemini import GeminiClient
from tikval.llm.gemini_caches import CacheFault, GeminiCaches
from tikval.llm.prices import load_prices

MODEL = "gemini-3.8-flash"
BOOK = "The codebook. " * 2000
PRICE = load_prices().of(MODEL, date(2026, 11, 28))  # 0.75, cached 0.075, storage 0.50
CODEBOOK = 12_500


def test_what_a_cache_is_worth() -> None:
    a_call = CODEBOOK * (0.75 - 0.075) / 1e6
    made, hour = CODEBOOK * 0.75 / 1e6, CODEBOOK * 0.50 / 1e6
    assert worth_usd(PRICE, CODEBOOK, 9000, 150) == pytest.approx(9000 * a_call - made - hour)
    assert worth_usd(PRICE, CODEBOOK, 1, 150) < 0 < worth_usd(PRICE, CODEBOOK, 2, 150)
    assert worth_usd(PRICE, CODEBOOK, 0, 150) < 0
    assert worth_usd(PRICE, CODEBOOK, 100, 1) < worth_usd(PRICE, CODEBOOK, 100, 150)
    assert PRICE.storage < 60 * 0.675 < 120 * PRICE.storage, "at a call an hour it is the storage that counts"


def test_a_price_without_a_rate_for_what_is_cached_leaves_nothing_to_save() -> None:
    same = PRICE._replace(rates=PRICE.rates.model_copy(update={"cached": None}))
    assert worth_usd(same, CODEBOOK, 10**6, 150) < 0


@pytest.mark.parametrize(
    ("cached", "anyway"),
    [
        ([CODEBOOK] * 20, True),
        ([CODEBOOK] * 18 + [0] * 2, True),
        ([CODEBOOK] * 17 + [0] * 3, False),
        ([int(0.92 * CODEBOOK)] * 20, True),  # in whole blocks
        ([0] * 20, False),
        ([0] * 10 + [3 * CODEBOOK] * 10, False),  # more than the prompt makes up for no other
    ],
)
def test_whether_the_implicit_cache_holds_the_prompt(cached: list[int], anyway: bool) -> None:
    assert is_served_anyway(cached, CODEBOOK) == anyway


class Door:
    """What lets a call go, with a cache at first."""

    def __init__(self, name: str | None) -> None:
        self.name, self.gone = name, list[str | None]()

    async def __call__(self, gone: str | None = None) -> str | None:
        self.gone.append(gone)
        return None if gone else self.name


def ask(fake: LlmServer, video: Path, door: Door) -> Reply:
    async def run() -> Reply:
        client = GeminiClient(Gemini(model=MODEL), Api(base_url=fake.url), "a-key", None, system=BOOK)
        try:
            return await client.ask(Question("A post.", str(video)), door)
        finally:
            await client.close()

    return asyncio.run(run())


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "v.mp4"
    path.write_bytes(b"a video")
    return path


def test_a_call_with_a_cache_sends_the_post_and_the_video_alone(
    video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "a-key")
    with serving(LlmServer()) as fake:
        made = GeminiCaches(MODEL, BOOK, Api(base_url=fake.url)).make("tikval-1", 60)
        door = Door(made.name)
        reply = ask(fake, video, door)
    assert made.tokens == 7000
    assert (door.gone, reply.usage.tokens_cached) == ([None], 7000)
    (body,) = fake.bodies
    assert "systemInstruction" not in body
    assert [next(iter(part)) for part in body["contents"][0]["parts"]] == ["text", "inlineData"]


@pytest.mark.parametrize("name", ["cachedContents/none", None])
def test_a_call_that_meets_that_its_cache_is_gone_goes_again_without(video: Path, name: str | None) -> None:
    with serving(LlmServer()) as fake:
        door = Door(name)
        reply = ask(fake, video, door)
    assert reply.reason is None
    assert door.gone == ([None, name] if name else [None])
    assert [call.outcome for call in fake.of("generate")] == (["gone", "ok"] if name else ["ok"])
    assert [body.get("systemInstruction", {}).get("parts") for body in fake.bodies][-1] == [{"text": BOOK}]


def test_the_servers_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "a-key")
    with serving(LlmServer()) as fake:
        server = GeminiCaches(MODEL, BOOK, Api(base_url=fake.url))
        made = server.make("tikval-1", 60)
        assert server.find("tikval-1") == made
        server.renew(made.name, 600)
        assert fake.caches[made.name].expires > fake.caches[made.name].created + 500
        server.delete(made.name)
        server.delete(made.name)  # it is gone
        assert server.find("tikval-1") is None
        with pytest.raises(CacheFault) as gone:
            server.renew(made.name, 600)
        assert (gone.value.gone, gone.value.billed) == (True, "no")
        fake.no_caches = True
        with pytest.raises(CacheFault) as none:
            server.make("tikval-2", 60)
        assert (none.value.lasting, none.value.billed) == (True, "no")
        fake.no_caches, fake.rules = False, [Rule(Trouble("reset"), kind="cache", first=1)]
        found = server.make("tikval-3", 60)
        assert (list(fake.caches), found.tokens) == ([found.name], 7000), "looked for, and not made twice"
        fake.rules = [Rule(Trouble("reset_before"), kind="cache")]
        with pytest.raises(CacheFault) as lost:
            server.make("tikval-4", 60)
        assert (lost.value.lasting, lost.value.billed) == (False, "unknown")


def config(extractor: dict[str, Any], **api: Any) -> ExtractConfig:
    catalog = {"videos": "videos", "out": "out"}
    data = {"system": "s", "videos": catalog, "out": "out", "extractor": extractor, "api": api}
    return validate(ExtractConfig, data, "c.yaml")


def test_where_an_explicit_cache_has_nothing_to_hold_it_is_refused() -> None:
    gemini = {"kind": "llm", "llm": {"kind": "gemini", "model": MODEL}}
    endpoint = {"kind": "llm", "llm": {"kind": "endpoint", "model": "m"}}
    held = config({**gemini, "instruction": "system"}, cache="explicit")
    assert held.api.cache == "explicit"
    assert held.fingerprint == config({**gemini, "instruction": "system"}).fingerprint
    for extractor, more in (
        (gemini, {}),
        ({**endpoint, "instruction": "system"}, {"base_url": "http://h/v1"}),
        ({**gemini, "instruction": "system"}, {"route": "batch"}),
    ):
        with pytest.raises(UserError, match=r"api.cache: explicit holds the system instruction"):
            config(extractor, cache="explicit", **more)
        config(extractor, **more)
