"""What asks a model for evidence, and the schema of what it gives; without it every byte is as it was."""

import json
from typing import Any, Literal

import jsonschema
import pytest

from tikval.ask.prompts import fixed_prompt_of
from tikval.codebook import load_codebook
from tikval.config import ExtractConfig, UserError, find_file, load_config
from tikval.extract.reply import MAX_QUOTE
from tikval.prompt_text import MAX_QUOTES, QUOTE_CHARACTERS, reply_schema

BOOK = load_codebook(find_file("prompts/codebook.yaml"))
ASKED = "extractor.evidence=true"


def config(name: str, *sets: str) -> ExtractConfig:
    return load_config(ExtractConfig, f"configs/{name}.yaml", sets)


@pytest.mark.parametrize("name", ["gemini/two_step", "gemini/direct", "mistral/predictions", "qwen/direct"])
def test_evidence_is_a_recipe_of_its_own_and_only_adds_to_the_prompt(name: str) -> None:
    before, with_it = config(name), config(name, ASKED)
    assert config(name, "extractor.evidence=false").fingerprint == before.fingerprint != with_it.fingerprint
    plain, longer = fixed_prompt_of(before), fixed_prompt_of(with_it)
    assert "EVIDENCE" not in plain
    at = longer.index("\nEVIDENCE\n")
    added = len(longer) - len(plain)
    assert longer[:at] + longer[at + added :] == plain
    assert ("start_seconds" in longer) == (with_it.judged == "video")
    assert "{{" not in longer
    assert "{%" not in longer


def test_the_text_that_asks_is_part_of_the_recipe(tmp_path: Any) -> None:
    own = tmp_path / "own.txt"
    marks = set()
    for text in ("Quote!\n", "Quote well!\n"):
        own.write_text(text)
        found = config("gemini/two_step", f"extractor.evidence={own}")
        assert text in fixed_prompt_of(found)
        marks.add(found.fingerprint)
    assert len(marks) == 2


def test_the_papers_format_has_no_quotes() -> None:
    with pytest.raises(UserError, match="evidence: figure6 is the paper's format and has no quotes"):
        config("paper/gemini_direct", ASKED)


@pytest.mark.parametrize("quotes_from", ["script", "video"])
@pytest.mark.parametrize("max_notes", [None, 300])
def test_the_schema_takes_evidence_and_nothing_else(
    quotes_from: Literal["script", "video"], max_notes: int | None
) -> None:
    schema = reply_schema(BOOK, max_notes, quotes_from)
    passage: dict[str, Any] = {"value": "face", "quote": "look at me", "source": "speech"}
    passage |= {"start_seconds": 1.5, "end_seconds": None} if quotes_from == "video" else {}
    reply = {"has_sound": True, "values": dict.fromkeys(BOOK.slugs, "absent"), "notes": ""}

    def valid(*evidence: dict[str, Any]) -> bool:
        return jsonschema.Draft202012Validator(schema).is_valid({**reply, "evidence": list(evidence)})

    assert valid()
    assert valid(passage)
    assert not jsonschema.Draft202012Validator(schema).is_valid(reply)
    assert not valid({**passage, "value": "fame"})
    assert not valid({**passage, "by": "me"})
    assert valid({**passage, "source": "picture"}) == (quotes_from == "video")
    assert valid({**passage, "quote": "x" * (QUOTE_CHARACTERS + 1)}) == (max_notes is None)
    assert valid(*[passage] * (MAX_QUOTES + 1)) == (max_notes is None)
    assert QUOTE_CHARACTERS <= MAX_QUOTE
    assert list(schema["properties"]) == ["has_sound", "values", "evidence", "notes"]


def test_without_evidence_the_schema_is_as_it_was() -> None:
    assert "evidence" not in json.dumps(reply_schema(BOOK, 300))
