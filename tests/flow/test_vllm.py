"""vLLM for real, on cores and with random weights: Ray's engine actors, the engine alone, and its OpenAI server.

    .venv-vllm/bin/pytest -m vllm tests/flow/test_vllm.py

A model of random weights says nothing, but what it says keeps to the schema, and where its prompt lay in the cache,
where its reply ended and whether a picture reached it are the engine's own counts.
"""

import asyncio
import io
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import httpx2
import pyarrow as pa
import pytest

from tests.fixtures.vllm_checkpoints import CONTEXT_TOKENS, write_mistral, write_qwen35, write_qwen_vl
from tikval.codebook import load_codebook
from tikval.config import Api, Endpoint, Engine, Pool, UserError, Vllm
from tikval.prompt_text import render_material, render_prompt, reply_schema
from tikval.rows import AnswerRow, AskRow, Reason, arrow_schema, row_key

pytest.importorskip("vllm")
pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
CODEBOOK = load_codebook(ROOT / "prompts/codebook.yaml")
PROMPT = render_prompt(CODEBOOK, (ROOT / "prompts/extract.txt").read_text(encoding="utf-8"), "script")
SCRIPT = "Genre: comedy\nSound: yes\n\nSPEAKER: 'This is number {} of our series about patience.'\n"
# an engine that is small, on cores: half a GB of cache, one thread
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
}
ENGINE = Engine(max_sequences=4, batch_rows=4)
CORES = Pool(cpus=0.5)


def short_notes() -> dict[str, Any]:
    """The codebook's schema; random weights would hardly ever end the notes."""
    schema = deepcopy(reply_schema(CODEBOOK))
    schema["properties"]["notes"]["maxLength"] = 40
    return schema


SCHEMA = short_notes()


def ask(name: str, prompt: str | None, **changes: Any) -> AskRow:
    row: AskRow = {
        "files": None,
        "video_id": name,
        "row_key": row_key(name, 1, "1"),
        "attempt": 1,
        "prompt": prompt,
        "video": None,
        "pictures": None,
        "sounds": None,
        "seconds": 9.0,
        "has_sound": True,
        "input_sha": None,
        "carried": "{}",
        "error": None,
        "detail": None,
    }
    assert changes.keys() <= row.keys()
    return {**row, **changes}  # type: ignore[typeddict-item]


@pytest.fixture(scope="module")
def quiet_ray() -> Iterator[None]:
    from tikval.flow.session import start_ray

    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)  # before Ray's processes inherit it
        start_ray()
        yield
        import ray

        ray.shutdown()


@pytest.fixture(scope="module")
def mistral(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mistral(tmp_path_factory.mktemp("mistral"), [PROMPT, SCRIPT])


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_qwen_vl(tmp_path_factory.mktemp("qwen"), [PROMPT, SCRIPT], context_tokens=1024)


def answered(
    config: Vllm, rows: list[AskRow], schema: dict[str, Any] | None, most: dict[str, int] | None = None
) -> list[AnswerRow]:
    import ray.data

    from tikval.flow.vllm import vllm_answers

    asked = ray.data.from_arrow(pa.Table.from_pylist(rows, schema=arrow_schema(AskRow)))
    answers = vllm_answers(config, ENGINE, CORES, schema, most=most)(asked)
    blocks = [table for table in ray.get(answers.to_arrow_refs()) if table.num_rows]
    assert all(table.schema.equals(arrow_schema(AnswerRow)) for table in blocks)
    found: list[AnswerRow] = [row for table in blocks for row in table.to_pylist()]
    assert sorted(row["row_key"] for row in found) == sorted(row["row_key"] for row in rows)
    return found


@pytest.fixture(scope="module")
def tokens(mistral: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(mistral)


@pytest.fixture(scope="module")
def answers(quiet_ray: None, mistral: Path, tokens: Any) -> dict[str, AnswerRow]:
    """All cases of a script in one run, as one engine takes half a minute to start."""
    room = CONTEXT_TOKENS - 60 - len(tokens(PROMPT)["input_ids"])
    rows = [
        *(ask(f"codebook first {i}", PROMPT + render_material(SCRIPT.format(i), None)) for i in range(5)),
        *(ask(f"script first {i}", render_material(f"{i} {SCRIPT}", None) + PROMPT) for i in range(2)),
        ask("failed before", None, error=Reason.UNREADABLE, detail="no frames", carried='{"kept": 1}'),
        ask("over-long", PROMPT + render_material("patience " * CONTEXT_TOKENS, None)),
        ask("no room to reply", PROMPT + " patience" * room),
    ]
    config = Vllm(model=str(mistral), max_tokens=600)
    return {row["video_id"]: row for row in answered(config, rows, SCHEMA)}


def test_every_reply_keeps_to_the_codebooks_schema(answers: dict[str, AnswerRow], mistral: Path) -> None:
    import jsonschema

    replies = [row for name, row in answers.items() if "first" in name]
    assert len(replies) == 7
    for row in replies:
        assert row["error"] is None, row
        message = json.loads(row["reply"] or "")
        jsonschema.validate(message, reply_schema(CODEBOOK))
        assert list(message["values"]) == list(CODEBOOK.slugs)
        assert row["model_served"] == str(mistral)
        assert row["tokens_out"]
        assert row["cost_usd"] is None


def test_a_row_that_failed_before_passes_through(answers: dict[str, AnswerRow]) -> None:
    row = answers["failed before"]
    assert (row["error"], row["detail"], row["carried"]) == (Reason.UNREADABLE, "no frames", '{"kept": 1}')
    assert (row["reply"], row["tokens_in"], row["model_served"]) == (None, None, None)


def test_what_does_not_fit_costs_no_other_row(answers: dict[str, AnswerRow]) -> None:
    assert answers["over-long"]["error"] == Reason.TOO_MANY_TOKENS
    assert "patience" not in (answers["over-long"]["detail"] or "")
    cut = answers["no room to reply"]
    assert cut["error"] == Reason.TRUNCATED
    assert "the end of the context" in (cut["detail"] or "")
    assert cut["reply"] is None
    assert (cut["tokens_in"] or 0) + (cut["tokens_out"] or 0) == CONTEXT_TOKENS


def test_the_codebook_comes_from_the_prefix_cache(answers: dict[str, AnswerRow], tokens: Any) -> None:
    codebook = len(tokens(PROMPT)["input_ids"])
    first, *later = sorted(answers[f"codebook first {i}"]["tokens_cached"] or 0 for i in range(5))
    assert first < 0.01 * codebook  # somebody has to be the first
    assert min(later) >= 0.95 * codebook
    for i in range(2):  # the counter-example: the same words, the script before them
        assert (answers[f"script first {i}"]["tokens_cached"] or 0) < 0.01 * codebook


def test_a_prompt_begins_once(answers: dict[str, AnswerRow], tokens: Any) -> None:
    """Ray's own steps put a second beginning-of-text before a rendered template."""
    text = f"[INST] {PROMPT}{render_material(SCRIPT.format(0), None)} [/INST]"
    assert answers["codebook first 0"]["tokens_in"] == len(tokens(text)["input_ids"])
    assert tokens(text)["input_ids"].count(tokens.bos_token_id) == 1


def test_neither_prompts_nor_replies_are_in_the_logs(answers: dict[str, AnswerRow]) -> None:
    import ray

    node: Any = ray._private.worker._global_node
    logs = Path(node.get_logs_dir_path())
    written = [file.read_bytes() for file in logs.rglob("*") if file.is_file()]
    assert any(b"EngineActor" in content for content in written)
    for word in (b"about patience", b"MATERIAL", b"patience patience", b'"self_direction_thought":'):
        assert not any(word in content for content in written), word


def jpeg(colour: str, width: int = 64) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (width, 64), colour).save(file, "JPEG")
    return file.getvalue()


LOOK = "What is to be seen?"


@pytest.fixture(scope="module")
def seen(quiet_ray: None, qwen: Path) -> dict[str, AnswerRow]:
    rows = [
        ask("no picture", LOOK),
        ask("one", LOOK, pictures=[jpeg("red")]),
        ask("two", LOOK, pictures=[jpeg("red"), jpeg("blue")]),
        ask("a wide one", LOOK, pictures=[jpeg("red", 128)]),
        ask("not a picture", LOOK, pictures=[b"not a JPEG"]),
    ]
    return {row["video_id"]: row for row in answered(Vllm(model=str(qwen), max_tokens=4), rows, None)}


def test_pictures_reach_the_engine(seen: dict[str, AnswerRow]) -> None:
    """A mark before, one after, and a token for each 32 x 32 pixels."""
    words = seen["no picture"]["tokens_in"]
    assert words
    count = {name: (row["tokens_in"] or 0) - words for name, row in seen.items()}
    assert (count["one"], count["two"], count["a wide one"]) == (2 + 4, 2 * (2 + 4), 2 + 8)
    assert seen["not a picture"]["error"] == Reason.INTERNAL_ERROR


def test_a_reply_that_meets_max_tokens_is_truncated(seen: dict[str, AnswerRow]) -> None:
    row = seen["one"]
    assert (row["error"], row["tokens_out"], row["reply"]) == (Reason.TRUNCATED, 4, None)
    assert row["detail"] == "the reply met max_tokens after 4 tokens"


def test_another_picture_is_another_reply(seen: dict[str, AnswerRow], qwen: Path) -> None:
    """The engine alone, on the very requests that the actors make."""
    from vllm import LLM, SamplingParams

    from tikval.flow.vllm_engine import EngineRequest, Turn, decoded

    turn = Turn(EngineRequest(Vllm(model=str(qwen), max_tokens=8), None))
    engine = LLM(
        str(qwen), max_num_seqs=2, dtype="float32", enforce_eager=True, limit_mm_per_prompt={"video": 0}
    )

    def reply(*pictures: bytes) -> list[int]:
        request = turn(ask("x", LOOK, pictures=list(pictures)))
        prompt = {
            "prompt_token_ids": request["tokenized_prompt"],
            "multi_modal_data": decoded(request["multimodal_data"]),
        }
        (output,) = engine.generate(prompt, SamplingParams(**request["sampling_params"]), use_tqdm=False)
        return list(output.outputs[0].token_ids)

    red, blue = jpeg("red"), jpeg("blue")
    assert reply(red) == reply(red)
    assert reply(red) != reply(blue)
    assert reply(red, blue) != reply(blue, red)  # the order of time


def test_the_system_has_a_turn_where_the_model_knows_one(mistral: Path, qwen: Path, tmp_path: Path) -> None:
    """Mistral's template of the tests refuses a system's turn, as its first models' do; another drops it silently."""
    import shutil

    from tikval.flow.vllm_engine import EngineRequest, Turn

    def words(model: Path, system: str | None) -> str:
        turn = Turn(EngineRequest(Vllm(model=str(model)), None, system))
        return str(turn.tokenizer.decode(turn(ask("x", "The post:"))["tokenized_prompt"]))

    assert "<|im_start|>system\nThe codebook.<|im_end|>\n<|im_start|>user\nThe post:" in words(
        qwen, "The codebook."
    )
    assert "system" not in words(qwen, None)
    assert "[INST] The codebook.\n\nThe post: [/INST]" in words(mistral, "The codebook.")
    deaf = tmp_path / "deaf"
    shutil.copytree(mistral, deaf)
    for file in ("chat_template.jinja", "tokenizer_config.json"):
        if (deaf / file).exists():
            text = (deaf / file).read_text().replace("raise_exception", "lower")
            (deaf / file).write_text(text.replace("lower('a turn is the user or the assistant')", "''"))
    assert "[INST] The codebook.\n\nThe post: [/INST]" in words(deaf, "The codebook.")


def test_a_reply_that_is_held_to_a_schema_opens_no_thoughts(tmp_path: Path) -> None:
    from tikval.flow.vllm_engine import EngineRequest, Turn

    thinks = Vllm(model=str(write_qwen35(tmp_path, [PROMPT, SCRIPT])))

    def ending(schema: str | None) -> str:
        turn = Turn(EngineRequest(thinks, schema))
        return str(turn.tokenizer.decode(turn(ask("x", "The post:"))["tokenized_prompt"])).split("assistant")[
            1
        ]

    assert ending("{}") == "\n<think>\n\n</think>\n\n"
    assert ending(None) == "\n<think>\n", "the model's own way"


def test_a_model_that_does_not_load_is_one_line(quiet_ray: None, tmp_path: Path) -> None:
    from tikval.flow.data import _cause

    with pytest.raises(Exception) as caught:  # Ray's, around ours
        answered(Vllm(model=str(tmp_path)), [ask("x", "Hello")], None)
    cause = _cause(caught.value)
    assert isinstance(cause, UserError)
    assert str(tmp_path) in str(cause)
    assert "\n" not in str(cause)


@contextmanager
def serving_vllm(model: Path, more: list[str], log: Path) -> Iterator[str]:
    """The URL of vLLM's own server, on loopback."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--max-num-seqs", "2", "--enforce-eager", *more]
    with log.open("wb") as sink:
        process = subprocess.Popen(command, env=os.environ | ENVIRONMENT, stdout=sink, stderr=sink)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            assert process.poll() is None, log.read_text()[-2000:]
            try:
                if httpx2.get(f"{url}/health", timeout=1).status_code == 200:
                    break
            except httpx2.HTTPError:
                time.sleep(0.5)
        yield f"{url}/v1"
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def server(mistral: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    outputs = json.dumps({"backend": "xgrammar", "disable_any_whitespace": True})
    more = ["--served-model-name", "tiny-mistral", "--structured-outputs-config", outputs]
    with serving_vllm(mistral, more, tmp_path_factory.mktemp("server") / "log") as url:
        yield url


@pytest.mark.full  # a server to start; the engine is the one above, and our client meets servers in tests of its own
def test_vllms_server_answers_our_client(server: str) -> None:
    import jsonschema

    from tikval.llm.client import Question
    from tikval.llm.endpoint import EndpointClient

    async def reply() -> Any:
        config = Endpoint(model="tiny-mistral", max_tokens=600)
        client = EndpointClient(config, Api(base_url=server), None, SCHEMA)
        try:
            return await client.ask(Question(PROMPT + render_material(SCRIPT.format(1), None)))
        finally:
            await client.close()

    message = asyncio.run(reply())
    assert message.reason is None, message
    jsonschema.validate(json.loads(message.text), reply_schema(CODEBOOK))
    assert message.usage.tokens_in > 1000
