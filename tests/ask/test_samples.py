"""Several samples of a row: each is paid for once, and what failed is asked again alone."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fixtures.fakes import OpenGate
from tests.fixtures.llm_server import Ask, LlmServer, default_answer, serving
from tikval.ask.paid import PaidAnswers, asked_of
from tikval.ask.samples import Samples, ask_samples, of_sample
from tikval.codebook import load_codebook
from tikval.config import Api, Endpoint, Gemini, LlmExtractor, find_file
from tikval.extract.llm import ReadValues
from tikval.extract.reply import is_answer
from tikval.llm.client import Client
from tikval.llm.endpoint import EndpointClient
from tikval.llm.gemini import GeminiClient
from tikval.llm.ledger import Ledger, ledger_key
from tikval.llm.prices import load_prices
from tikval.prompt_text import reply_schema
from tikval.rows import AnswerRow

BOOK = load_codebook(find_file("prompts/codebook.yaml"))
SCHEMA = reply_schema(BOOK)
VALID = partial(is_answer, codebook=BOOK, answer="json")
LLM = Endpoint(model="m", temperature=1)
ROW: dict[str, Any] = {
    "video_id": "v",
    "row_key": "0" * 32,
    "attempt": 1,
    "prompt": "Q",
    "input_sha": "1",
    "carried": json.dumps({"account": None}),
    "seconds": None,
    **dict.fromkeys(("error", "detail", "video", "files", "pictures", "sounds")),
}


@pytest.fixture
def fake() -> Iterator[LlmServer]:
    with serving(LlmServer()) as server:
        yield server


def client_of(llm: Endpoint | Gemini, api: Api) -> Client:
    if isinstance(llm, Gemini):
        return GeminiClient(llm, api, "key", SCHEMA)
    return EndpointClient(llm, api, None, SCHEMA)


def ask(
    fake: LlmServer,
    tmp_path: Path,
    n: int,
    *rows: Any,
    llm: Endpoint | Gemini = LLM,
    sample: int | None = None,
) -> list[AnswerRow]:
    """The rows asked `n` times each, by a new process as it were."""
    api = Api(base_url=fake.url if isinstance(llm, Gemini) else f"{fake.url}/v1", tries=1)
    gate: Any = OpenGate
    no_video: Any = None
    answers = PaidAnswers(
        llm,
        api,
        asked_of(llm, "Q", SCHEMA, sample),
        partial(client_of, llm, api),
        gate,
        Ledger(str(tmp_path)),
        load_prices(),
        no_video,
        Samples(n, VALID) if n > 1 else None,
    )
    return answers(list(rows) or [ROW])


def seeds(fake: LlmServer) -> list[int]:
    return sorted(body["seed"] for body in fake.bodies)


def test_more_samples_pay_only_for_what_is_new(fake: LlmServer, tmp_path: Path) -> None:
    (once,) = ask(fake, tmp_path, 1)
    assert seeds(fake) == [0]
    (three,) = ask(fake, tmp_path, 3)
    assert seeds(fake) == [0, 1, 2]
    (five,) = ask(fake, tmp_path, 5)
    assert seeds(fake) == [0, 1, 2, 3, 4]
    assert ask(fake, tmp_path, 3) == [three]
    assert len(fake.of("chat")) == 5

    samples = [json.loads(row["samples"] or "") for row in (three, five)]
    assert samples[0][0] == once | {"samples": None}
    assert samples[1][:3] == samples[0]
    assert len({one["reply"] for one in samples[1]}) == 5
    assert (five["ledger_key"] or "").split() == [one["ledger_key"] for one in samples[1]]
    assert set((five["ledger_key"] or "").split()) == Ledger(str(tmp_path)).keys()
    assert (five["tokens_in"], five["tokens_out"]) == (
        sum(call.tokens_in for call in fake.of("chat")),
        sum(call.tokens_out for call in fake.of("chat")),
    )
    assert (five["reply"], five["error"], five["model_served"]) == (None, None, "m")


def test_a_sample_that_failed_is_asked_again_alone(fake: LlmServer, tmp_path: Path) -> None:
    def answer(asked: Ask) -> str:
        broken = asked.body["seed"] in (1, 2) and asked.nth == 0
        return "no answer" if broken else default_answer(asked)

    fake.answer = answer
    extractor = LlmExtractor.model_validate({"llm": LLM.model_dump(), "samples": 3})
    read = ReadValues("votes", BOOK, extractor, "sha")

    (first,) = read(ask(fake, tmp_path, 3))
    assert (first["error"], first["votes"], len(fake.calls)) == ("bad_reply", None, 3)
    (killed,) = read(ask(fake, tmp_path, 3))
    assert (killed, len(fake.calls)) == (first, 3), (
        "the row was not written, and its replies are in the ledger"
    )
    (second,) = read(ask(fake, tmp_path, 3, {**ROW, "attempt": 2}))
    assert (second["error"], second["votes"]) == (None, 3)
    assert seeds(fake) == [0, 1, 1, 2, 2]
    assert ask(fake, tmp_path, 3)[0]["samples"] == ask(fake, tmp_path, 3, {**ROW, "attempt": 2})[0]["samples"]
    ask(fake, tmp_path, 5)
    assert seeds(fake) == [0, 1, 1, 2, 2, 3, 4]


def test_a_reply_of_a_later_attempt_is_sample_0_too(fake: LlmServer, tmp_path: Path) -> None:
    """A run that asks once was refused before, so that its first attempt left nothing in the ledger."""
    ask(fake, tmp_path, 1, {**ROW, "attempt": 2})
    ask(fake, tmp_path, 3)
    assert seeds(fake) == [0, 1, 2]


def test_the_same_file_under_two_names_is_paid_once_a_sample(fake: LlmServer, tmp_path: Path) -> None:
    other = {**ROW, "video_id": "w", "row_key": "1" * 32}
    one, two = ask(fake, tmp_path, 3, ROW, other)
    assert (one["video_id"], two["video_id"]) == ("v", "w")
    assert (one["ledger_key"], len(fake.calls)) == (two["ledger_key"], 3)


def test_a_failed_row_is_not_asked(fake: LlmServer, tmp_path: Path) -> None:
    (row,) = ask(fake, tmp_path, 3, {**ROW, "error": "no_text", "detail": "silent"})
    assert (row["error"], row["samples"], len(fake.calls)) == ("no_text", None, 0)


def test_gemini_is_asked_with_each_seed_and_its_costs_are_added(fake: LlmServer, tmp_path: Path) -> None:
    gemini = Gemini(model="gemini-3.8-flash", seed=7)
    (row,) = ask(fake, tmp_path, 3, llm=gemini)
    assert sorted(body["generationConfig"]["seed"] for body in fake.bodies) == [7, 8, 9]
    assert row["cost_usd"] == pytest.approx(fake.billed_usd())
    (without,) = ask(fake, tmp_path, 3, llm=gemini.model_copy(update={"seed": None}))
    assert [body["generationConfig"].get("seed") for body in fake.bodies[3:]] == [None] * 3
    assert len({*(row["ledger_key"] or "").split(), *(without["ledger_key"] or "").split()}) == 6


def test_a_samples_key_is_that_of_the_request_that_it_makes() -> None:
    def key(llm: Endpoint, sample: int | None, number: int) -> str:
        return ledger_key(of_sample(asked_of(llm, "Q", None, sample), {"sample": number}))

    assert key(LLM, None, 0) == ledger_key(asked_of(LLM, "Q", None, None))
    assert key(LLM, None, 2) == key(Endpoint(model="m", temperature=1, seed=2), None, 0)
    unseeded = Endpoint(model="m", seed=None)
    made = [key(llm, own, i) for llm in (LLM, unseeded) for own in (None, 1, 2) for i in range(3)]
    assert len(set(made)) == len(made), "another `sample` is asked, and paid, anew"


# what one sample's calls come to, one after another
ENDS = st.lists(st.sampled_from(["ok", "bad", "blocked", "fault"]), min_size=6, max_size=6)


@settings(max_examples=60)
@given(st.lists(ENDS, min_size=2, max_size=4), st.lists(st.booleans(), min_size=5, max_size=5))
def test_no_sample_is_asked_again_that_needs_it_not(ends: list[list[str]], written: list[bool]) -> None:
    """Attempt after attempt, some of which nobody wrote down: `written`."""
    held: dict[tuple[int, int], str] = {}
    asked: Counter[int] = Counter()

    async def is_held(row: Any) -> bool:
        return (row["sample"], row["attempt"]) in held

    async def one(row: Any) -> AnswerRow:
        place = row["sample"], row["attempt"]
        end = held.get(place)
        if end is None:
            end = ends[row["sample"]][asked[row["sample"]]]
            before = [held[at] for at in held if at[0] == row["sample"]]
            assert not {"ok", "blocked"} & set(before), "paid again"
            asked[row["sample"]] += 1
            if end != "fault":
                held[place] = end
        answer: Any = dict.fromkeys(AnswerRow.__annotations__)
        error = {"blocked": "blocked", "fault": "timeout"}.get(end)
        answer |= {"error": error, "reply": end, "ledger_key": None if end == "fault" else str(place)}
        made: AnswerRow = answer
        return made

    run: Callable[[Any], AnswerRow] = lambda row: asyncio.run(ask_samples(row, of, one, is_held))  # noqa: E731
    of, attempt = Samples(len(ends), lambda text: text == "ok"), 1
    for is_written in written:
        got = json.loads(run({**ROW, "attempt": attempt})["samples"] or "")
        assert len(got) == len(ends)
        for number, answer in enumerate(got):
            kept = [held[at] for at in held if at[0] == number]
            if {"ok", "blocked"} & set(kept):
                assert answer["reply"] in ("ok", "blocked")
        attempt += is_written
    assert all(count <= 2 * attempt + len(written) for count in asked.values())
    for number in range(len(ends)):
        assert sum(end == "bad" for at, end in held.items() if at[0] == number) <= attempt
