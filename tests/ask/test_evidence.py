"""A script, asked and answered over real HTTP by models that quote rightly, otherwise, or what nobody said."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.fixtures.fakes import OpenGate
from tests.fixtures.llm_server import Ask, LlmServer, default_answer, serving
from tests.fixtures.rows import script as script_row
from tikval.ask.paid import PaidAnswers, asked_of
from tikval.ask.prompts import fixed_prompt_of, turns_of
from tikval.ask.withheld import Withheld
from tikval.codebook import load_codebook
from tikval.config import Api, ExtractConfig, LlmExtractor, find_file, load_config
from tikval.extract.llm import AskOfScript, ReadValues
from tikval.llm.endpoint import EndpointClient
from tikval.llm.ledger import Ledger
from tikval.prompt_text import reply_schema
from tikval.rows import PredictionRow

SENTENCES = (
    "I quit my job to paint all day.",
    "Nobody tells me what to do.",
    "My mother calls every sunday.",
)
SCRIPT = "Genre: Vlog\nSound: Yes\n\n" + "".join(f'ANNA: "{words}"\n' for words in SENTENCES)


@pytest.fixture
def server() -> Iterator[LlmServer]:
    with serving(LlmServer()) as fake:
        yield fake


def quoting(quote: Callable[[str], str]) -> Callable[[Ask], str]:
    """A model that gives one value, and quotes for it what it makes of the first sentence."""

    def answer(ask: Ask) -> str:
        assert ask.schema is not None
        slugs = ask.schema["properties"]["values"]["properties"]
        passage = {"value": "face", "quote": quote(SENTENCES[0]), "source": "speech"}
        values = dict.fromkeys(slugs, "absent") | {"face": "endorsed"}
        return json.dumps({"has_sound": True, "values": values, "evidence": [passage], "notes": ""})

    return answer


def judged(server: LlmServer, folder: Path) -> PredictionRow:
    """One script through the stages of the job, without Ray."""
    llm = ("extractor.llm", {"kind": "endpoint", "model": "m"})
    config = load_config(ExtractConfig, "configs/gemini/two_step.yaml", [llm, "extractor.evidence=true"])
    extractor, prompt = config.extractor, fixed_prompt_of(config)
    assert isinstance(extractor, LlmExtractor)
    book, turns, nobody = (
        load_codebook(find_file(config.codebook)),
        turns_of(config, prompt),
        np.empty(0, "S16"),
    )
    schema = reply_schema(book, 300, config.quotes_from)
    (ask,) = AskOfScript(turns.before, Withheld(nobody, nobody), evidence=True)(
        [script_row("v", script=SCRIPT)]
    )
    api = Api(base_url=f"{server.url}/v1")
    gate: Any = OpenGate
    no_video: Any = None
    client = partial(EndpointClient, extractor.llm, api, "a-key", schema, system=turns.system)  # type: ignore[arg-type]
    paid = PaidAnswers(
        extractor.llm,  # type: ignore[arg-type]
        api,
        asked_of(extractor.llm, prompt, schema, None, as_system=turns.system is not None),  # type: ignore[arg-type]
        client,
        gate,
        Ledger(str(folder)),
        None,
        no_video,
        system=turns.system,
    )
    (row,) = ReadValues("s", book, extractor, "sha", config.quotes_from)(paid([ask]))
    assert row["error"] is None, row["detail"]
    return row


@pytest.mark.parametrize(
    ("quote", "kept", "found"),
    [
        (str, SENTENCES[0].rstrip("."), True),
        (str.upper, SENTENCES[0].rstrip("."), True),
        (
            lambda words: f"{words[:13]} \u2026 {SENTENCES[2]}",
            "I quit my job \u2026 My mother calls every sunday",
            True,
        ),
        (
            lambda words: SENTENCES[1],
            SENTENCES[1].rstrip("."),
            True,
        ),  # of another value: found, for the deletion test
        (lambda words: "Money is all that counts.", "Money is all that counts.", False),
        (lambda words: words.replace("quit", "love"), "I love my job to paint all day.", False),
        (lambda words: "<b onclick=alert(1)>@jane.doe_7</b>", "<b onclick=alert(1)>@someone</b>", False),
    ],
    ids=["rightly", "in other case", "with a gap", "of another value", "invented", "changed", "hostile"],
)
def test_what_a_model_quotes_is_looked_up(
    server: LlmServer, tmp_path: Path, quote: Callable[[str], str], kept: str, found: bool
) -> None:
    server.answer = quoting(quote)
    (passage,) = judged(server, tmp_path)["evidence"] or []
    assert (passage["label"], passage["quote"], passage["in_script"]) == ("face+", kept, found)


def test_what_fits_the_schema_alone_is_an_answer(server: LlmServer, tmp_path: Path) -> None:
    """A server that draws at random within it: no passage of it stands in the script."""
    server.answer = default_answer
    row = judged(server, tmp_path)
    assert not any(passage["in_script"] for passage in row["evidence"] or [])
