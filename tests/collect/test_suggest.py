"""`tikval accounts suggest` against a server that keeps a bill: each model is asked once, and none stops another."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.fixtures.llm_server import LlmServer, Rule, Trouble, serving
from tests.fixtures.llm_server.rules import Ask
from tikval.collect.suggest import accounts_prompt
from tikval.config import SuggestConfig, UserError, load_config

LISTS = {
    "gemini-3.8-flash": ["alpha", "Beta.b", "@gamma_", "delta"],
    "own-model": ["gamma_", "delta", "epsilon"],
}
ABOUT: dict[str, Any] = {
    "audience": "children aged 9 to 14",
    "country": None,
    "language": None,
    "platform": "TikTok",
    "n": 3,
    "genres": [],
}


def answer(ask: Ask) -> str:
    return json.dumps({"accounts": [{"account": name, "genre": "games"} for name in LISTS[ask.model]]})


@pytest.fixture
def fake() -> Iterator[LlmServer]:
    with serving(LlmServer(answer=answer)) as server:
        yield server


def suggest(fake: LlmServer, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    config = folder / "models.yaml"
    config.write_text(
        "models:\n"
        f"  - llm: {{kind: gemini, model: gemini-3.8-flash, max_tokens: 2000}}\n    api: {{base_url: '{fake.url}'}}\n"
        f"  - name: own\n    llm: {{kind: endpoint, model: own-model}}\n    api: {{base_url: '{fake.url}/v1'}}\n"
    )
    survey = folder / "minors.csv"
    survey.write_text("account,count\nGAMMA_,10\nalpha,3\nzeta,7\n")
    command = [sys.executable, "-m", "tikval.cli", "accounts", "suggest", "--out", str(folder / "out")]
    command += ["--audience", "children aged 9 to 14", "--country", "Spain", "--surveys", str(survey)]
    return subprocess.run(
        [*command, "--config", str(config), *words],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "160", "GEMINI_API_KEY": "a-key"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def candidates(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "out" / "candidates.csv").open(newline="") as file:
        return {row["account"]: row for row in csv.DictReader(file)}


def test_two_models_are_asked_once_and_compared_with_a_survey(fake: LlmServer, tmp_path: Path) -> None:
    done = suggest(fake, tmp_path, "--genres", "gaming, food", "--language", "Spanish", "--n", "7")
    assert done.returncode == 0, done.stderr
    assert (len(fake.of("generate")), len(fake.of("chat"))) == (1, 1)
    prompt = (tmp_path / "out" / "prompt.txt").read_text()
    for words in ("7 accounts", "children aged 9 to 14 in Spain", "Spanish", "gaming, food"):
        assert words in prompt
    assert "zeta" not in json.dumps(fake.bodies)  # surveys stay here
    for model, title in (("gemini-3.8-flash", "gemini-3.8-flash"), ("own-model", "own")):
        kept = json.loads((tmp_path / "out" / "models" / f"{title}.json").read_text())
        assert kept["reply"] == json.dumps(
            {"accounts": [{"account": name, "genre": "games"} for name in LISTS[model]]}
        )
        assert kept["model_served"] == model
        assert len(kept["accounts"]) == len(LISTS[model])
    rows = candidates(tmp_path)
    assert list(rows) == ["gamma_", "alpha", "delta", "zeta", "beta.b", "epsilon"]
    assert rows["gamma_"]["source"] == "gemini-3.8-flash; own; minors"
    with (tmp_path / "out" / "overlap.csv").open(newline="") as file:
        pairs = {(row["name"], row["other"]): row for row in csv.DictReader(file)}
    assert pairs["minors", "gemini-3.8-flash"]["shared"] == "2"
    assert pairs["minors", "gemini-3.8-flash"]["votes_shared"] == "0.65"
    assert pairs["own", "gemini-3.8-flash"]["only_here"] == "1"
    picture = (tmp_path / "out" / "overlap.svg").read_text()
    assert "minors (survey, 3 accounts)" in picture
    assert "each must be opened by a person" in done.stderr
    assert not any(name in done.stdout + done.stderr + picture for name in ("gamma", "zeta", "alpha"))


def test_the_same_command_again_pays_nothing_and_keeps_what_people_wrote(
    fake: LlmServer, tmp_path: Path
) -> None:
    assert suggest(fake, tmp_path, "--budget", "1").returncode == 0
    billed, place = fake.billed_usd(), tmp_path / "out" / "candidates.csv"
    assert billed > 0
    before = place.read_bytes()
    assert suggest(fake, tmp_path, "--budget", "1").returncode == 0
    assert place.read_bytes() == before
    place.write_text(before.decode().replace("zeta,,,,,", "zeta,food,yes,no,eva,"))
    done = suggest(fake, tmp_path, "--budget", "1")
    assert done.returncode == 0, done.stderr
    assert (len(fake.of("generate")), len(fake.of("chat")), fake.billed_usd()) == (1, 1, billed)
    row = candidates(tmp_path)["zeta"]
    assert (row["genre"], row["is_minor"], row["is_parent_run"], row["checked_by_1"]) == (
        "food",
        "yes",
        "no",
        "eva",
    )


def test_a_bad_reply_is_that_models_failure_alone_and_is_not_paid_again(tmp_path: Path) -> None:
    def odd(ask: Ask) -> str:
        return "Sure! jane_doe is a good one." if ask.kind == "generate" else answer(ask)

    with serving(LlmServer(answer=odd)) as fake:
        for _ in range(2):
            done = suggest(fake, tmp_path)
            assert done.returncode == 1, done.stderr
            assert "gemini-3.8-flash: no list: bad_reply: not the list" in done.stderr
            assert "jane_doe" not in done.stderr + done.stdout
        assert (len(fake.of("generate")), len(fake.of("chat"))) == (1, 1)
    kept = json.loads((tmp_path / "out" / "models" / "gemini-3.8-flash.json").read_text())
    assert (kept["error"], kept["accounts"]) == ("bad_reply", [])
    assert kept["reply"] == "Sure! jane_doe is a good one."
    assert set(candidates(tmp_path)) == {"gamma_", "delta", "epsilon", "alpha", "zeta"}


def test_a_model_over_budget_is_not_asked_and_the_others_are(fake: LlmServer, tmp_path: Path) -> None:
    done = suggest(fake, tmp_path, "--budget", "0.000001")
    assert done.returncode == 1
    assert "gemini-3.8-flash: no list: over_budget: might cost" in done.stderr
    assert (len(fake.of("generate")), len(fake.of("chat"))) == (0, 1)
    assert suggest(fake, tmp_path, "--budget", "1").returncode == 0
    assert (len(fake.of("generate")), len(fake.of("chat"))) == (1, 1)


def test_a_server_that_refuses_is_that_models_failure(tmp_path: Path) -> None:
    rules = [Rule(Trouble("no_model"), kind="chat"), Rule(Trouble("unauthorized"), kind="generate", first=1)]
    with serving(LlmServer(answer=answer, rules=rules)) as fake:
        done = suggest(fake, tmp_path)
        assert done.returncode == 1
        assert done.stderr.count(": no list: ") == 2
        assert "Traceback" not in done.stderr
        assert not (tmp_path / "out" / "candidates.csv").exists()
        assert suggest(fake, tmp_path).returncode == 1  # asked again: nothing was served
        assert set(candidates(tmp_path)) == {"alpha", "beta.b", "gamma_", "delta", "zeta"}


def test_the_shipped_configuration_and_prompt_are_whole() -> None:
    config = load_config(SuggestConfig, "configs/accounts.yaml", [])
    assert len(config.models) >= 2
    plain = accounts_prompt(config.prompt, ABOUT)
    assert "Name 3 accounts whose posts are watched by children aged 9 to 14.\n" in plain
    assert "None" not in plain
    assert '{"accounts": [{"account": "...", "genre": "..."}, ...]}' in plain
    with pytest.raises(UserError, match="two models of one name"):
        load_config(
            SuggestConfig,
            "configs/accounts.yaml",
            [("models", [{"llm": {"kind": "endpoint", "model": "M"}}] * 2)],
        )


def test_a_prompt_that_does_not_render_is_a_mistake_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "prompt.txt").write_text("Name {{ count }} accounts.")
    with pytest.raises(UserError, match=r"prompt\.txt: 'count' is undefined"):
        accounts_prompt(str(tmp_path / "prompt.txt"), ABOUT)
