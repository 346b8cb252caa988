"""A model that sees and hears, for real: Gemma 4's architecture with random weights, in vLLM on cores.

    .venv-vllm/bin/pytest -m vllm tests/flow/test_vllm_hears.py

What the weights say means nothing. That pictures and sounds reach them shows in the prompt's tokens, and in that
another sound, or another picture, is another reply.
"""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.fixtures.vllm_checkpoints import write_gemma, write_mistral
from tests.flow.test_vllm import LOOK, PROMPT, SCRIPT, answered, ask, jpeg, quiet_ray, serving_vllm
from tikval.ask.sound_pieces import sound_pieces
from tikval.ask.video import most_media
from tikval.config import Api, Endpoint, Look, UserError, Vllm
from tikval.rows import AnswerRow

vllm = pytest.importorskip("vllm")
pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]
__all__ = ["quiet_ray"]

HEARS = Look.model_validate({"frames": 4, "sound": "audio", "sound_seconds": 60})
HIGH, LOW = (
    (8000 * np.sin(2 * np.pi * hertz * np.arange(16_000) / 16_000)).astype(np.int16) for hertz in (1760, 110)
)


def pieces(sound: Any) -> list[bytes]:
    return sound_pieces(sound, HEARS.sound_seconds)


@pytest.fixture(scope="module")
def gemma(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gemma(tmp_path_factory.mktemp("gemma"), [PROMPT, SCRIPT], context_tokens=4096)


@pytest.fixture(scope="module")
def heard(quiet_ray: None, gemma: Path) -> dict[str, AnswerRow]:
    red, odd = jpeg("red"), np.resize(HIGH, 16_001)
    rows = [
        ask("nothing", LOOK),
        ask("a second", LOOK, sounds=pieces(HIGH)),
        ask("a sample more", LOOK, sounds=pieces(odd)),
        ask("45 seconds", LOOK, sounds=pieces(np.resize(HIGH, 45 * 16_000))),
        ask("two minutes", LOOK, sounds=pieces(np.resize(HIGH, 120 * 16_000))),
        ask("both", LOOK, pictures=[red], sounds=pieces(HIGH)),
        ask("a picture", LOOK, pictures=[red]),
        ask("not a sound", LOOK, sounds=[b"RIFF, but no sound"]),
    ]
    config = Vllm(model=str(gemma), max_tokens=4)
    return {row["video_id"]: row for row in answered(config, rows, None, most_media(HEARS))}


@pytest.mark.full  # Ray and an engine that starts anew: five minutes
def test_a_sound_is_a_token_per_40_ms_in_pieces_of_half_a_minute(heard: dict[str, AnswerRow]) -> None:
    """And a mark before and after each piece; what is beyond `sound_seconds` is not there."""
    words = heard["nothing"]["tokens_in"]
    assert words
    count = {name: (row["tokens_in"] or 0) - words for name, row in heard.items()}
    assert count["a second"] == 25 + 2
    assert count["a sample more"] == 26 + 2
    assert count["45 seconds"] == 45 * 25 + 2 * 2
    assert count["two minutes"] == 60 * 25 + 2 * 2
    assert count["both"] == count["a picture"] + count["a second"] > count["a second"] + 100


@pytest.mark.full  # the same engine
def test_what_is_no_sound_costs_no_other_row(heard: dict[str, AnswerRow]) -> None:
    assert heard["not a sound"]["error"] == "internal_error"
    assert all(row["tokens_out"] for name, row in heard.items() if name != "not a sound")


def test_another_sound_and_another_picture_are_another_reply(gemma: Path) -> None:
    """The engine alone, on the very requests that the actors make; told apart by how likely it finds its words."""
    from vllm import LLM, SamplingParams

    from tikval.flow.vllm_engine import EngineRequest, Turn, decoded

    turn = Turn(EngineRequest(Vllm(model=str(gemma), max_tokens=8), None))
    engine = LLM(
        str(gemma),
        max_num_seqs=2,
        dtype="float32",
        enforce_eager=True,
        limit_mm_per_prompt=most_media(HEARS),
        kv_cache_memory_bytes=2**29,  # not a share of the machine's memory, which others use
    )

    def reply(pictures: list[bytes], sounds: list[bytes]) -> list[float]:
        request = turn(ask("x", LOOK, pictures=pictures, sounds=sounds))
        prompt = {
            "prompt_token_ids": request["tokenized_prompt"],
            "multi_modal_data": decoded(request["multimodal_data"]),
        }
        sampling = SamplingParams(**request["sampling_params"], logprobs=1)
        (output,) = engine.generate(prompt, sampling, use_tqdm=False)
        return [each.logprob for step in output.outputs[0].logprobs for each in list(step.values())[:1]]

    def differ(one: list[float], other: list[float]) -> bool:
        return len(one) != len(other) or not np.allclose(one, other, atol=0.01)

    red, blue, high, low = [jpeg("red")], [jpeg("blue")], pieces(HIGH), pieces(LOW)
    first = reply(red, high)
    assert not differ(first, reply(red, high))
    assert differ(first, reply(red, low))
    assert differ(first, reply(blue, high))
    assert differ(first, reply(red, []))
    assert differ(reply(red, high + low), reply(red, low + high))  # the order of time


@pytest.mark.full
def test_a_model_that_does_not_hear_is_one_line(quiet_ray: None, tmp_path: Path) -> None:
    from tikval.flow.data import _cause

    write_mistral(tmp_path, [PROMPT])
    with pytest.raises(Exception, match="takes no sounds") as caught:  # Ray's, around ours
        answered(Vllm(model=str(tmp_path)), [ask("x", LOOK, sounds=pieces(HIGH))], None)
    assert isinstance(_cause(caught.value), UserError)


@pytest.fixture(scope="module")
def gemma_server(gemma: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    more = ["--served-model-name", "tiny-gemma", "--limit-mm-per-prompt", json.dumps(most_media(HEARS))]
    with serving_vllm(gemma, more, tmp_path_factory.mktemp("server") / "log") as url:
        yield url


@pytest.mark.full  # a server to start
@pytest.mark.skipif(
    vllm.__version__ < "0.28",
    reason="the server of vLLM 0.27 ends at the request with two sounds here; that of 0.29 does not",
)
def test_vllms_server_hears_what_our_client_sends(gemma_server: str) -> None:
    from tikval.llm.client import Question
    from tikval.llm.endpoint import EndpointClient

    async def tokens(*questions: Question) -> list[int]:
        config = Endpoint(model="tiny-gemma", max_tokens=4)
        client = EndpointClient(config, Api(base_url=gemma_server), None, None)
        try:
            return [(await client.ask(question)).usage.tokens_in for question in questions]
        finally:
            await client.close()

    red, sounds = (jpeg("red"),), tuple(pieces(np.resize(HIGH, 31 * 16_000)))
    asked = (Question(LOOK), Question(LOOK, sounds=sounds), Question(LOOK, pictures=red, sounds=sounds))
    words, with_sound, with_both = asyncio.run(tokens(*asked))
    assert with_sound - words == 31 * 25 + 2 * 2
    assert with_both > with_sound + 100
