"""The deletion test of a language model, over HTTP and on Ray: what it pays, and what it finds."""

import json
from pathlib import Path

import pytest

from tests.fixtures.llm_server import Ask, LlmServer, serving
from tests.study.test_deletions import LABEL, SAYS, Given
from tikval.config import Api, ExplainConfig
from tikval.flow.explain import explain
from tikval.llm.gate import read_spent
from tikval.stats.deletion import DeletionGap, deletion_gap
from tikval.store.folder import Folder
from tikval.values import SLUGS

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray")]


def reads(ask: Ask) -> str:
    """Says the value where the sentence is there."""
    return _reply(SAYS in ask.prompt)


def never_reads(ask: Ask) -> str:
    return _reply(True)


def _reply(endorsed: bool) -> str:
    values = dict.fromkeys(SLUGS, "absent") | {LABEL[:-1]: "endorsed" if endorsed else "absent"}
    return json.dumps({"has_sound": True, "values": values, "notes": ""})


def found_by(config: ExplainConfig) -> DeletionGap:
    explain(config)
    return deletion_gap(Folder(config.folder).read().to_pylist())


def study(root: Path, url: str) -> Given:
    llm = {"kind": "llm", "llm": {"kind": "gemini", "model": "gemini-3.8-flash"}}
    return Given(root, system="asked", extractor=llm, api=Api(base_url=url, minors_unknown="send"))


def test_a_model_that_reads_loses_its_labels_and_is_paid_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "a-key")
    with serving(LlmServer(answer=reads)) as fake:
        config = study(tmp_path, fake.url).test(sample=12, controls=1)
        found, paid = found_by(config), len(fake.of("generate"))
        assert 20 < paid <= 24, "a text that was made twice is paid once"
        assert found_by(config) == found
        assert len(fake.of("generate")) == paid
        fake.end()
        (asked,) = Path(config.folder).glob("predictions-*")
        spent = read_spent(str(asked))
        assert spent is not None
        assert spent.settled_usd == pytest.approx(fake.billed_usd())
    assert (found.labels, found.evidence, found.controls, found.failed) == (12, 1, 0, 0)


@pytest.mark.full
def test_a_model_that_says_it_of_everything_has_no_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "a-key")
    with serving(LlmServer(answer=never_reads)) as fake:
        config = study(tmp_path, fake.url).test(sample=12)
        nothing = config.model_copy(update={"budget_usd": 0.0})
        assert nothing.folder == config.folder
        assert found_by(nothing).failed == 12
        assert fake.calls == [], "the budget is that of the test"
        found = found_by(config)  # and goes on
    assert (found.labels, found.evidence, found.controls, found.gap) == (12, 0, 0, 0)
