"""Open models over scripts from their committed configurations, on a real engine with random weights.

Mistral to a finished page; Qwen3.5; and a critic of each, over what the same model predicted.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.fixtures.corpus import TEXTS, write_captioned
from tests.fixtures.vllm_checkpoints import CONTEXT_TOKENS, write_mistral, write_qwen35
from tests.flow.test_vllm import ENVIRONMENT, PROMPT, SCRIPT
from tikval.config import ExtractConfig, ReportConfig, load_config
from tikval.evaluate.score_systems import score_systems
from tikval.flow.extract_values import extract_values
from tikval.flow.write_scripts import write_scripts
from tikval.report.site.write import write_report
from tikval.sources.write_catalog import write_catalog
from tikval.store.folder import Folder

PAPER = "configs/paper/mistral_two_step.yaml"
pytest.importorskip("vllm")
pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def engine_on_cores() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def mistral(tmp_path_factory: pytest.TempPathFactory, engine_on_cores: None) -> Path:
    return write_mistral(tmp_path_factory.mktemp("mistral"), [PROMPT, SCRIPT])


def system(place: str, tmp_path: Path, model: Path, context: int) -> list[tuple[str, Any]]:
    """Overrides: these videos, a writer that every machine has, the tiny model on one core."""
    out = str(tmp_path / "out")
    return [
        *((f"{place}{at}out", out) for at in ("", "scripts.", "scripts.videos.")),
        (f"{place}scripts.videos.videos", str(tmp_path / "videos")),
        (f"{place}scripts.writer", {"kind": "local", "ocr": {"frames": 1}, "speech": {"engine": "none"}}),
        (f"{place}scripts.pool", {"actors": 1, "cpus": 0.5}),
        (f"{place}extractor.llm.model", str(model)),
        (f"{place}extractor.llm.context_tokens", context),
        (f"{place}engine", {"max_sequences": 4, "batch_rows": 4}),
        (f"{place}pool", {"actors": 1, "cpus": 0.5, "gpus": 0}),
        (f"{place}read_pool", {"actors": 1, "cpus": 0.25}),
    ]


@pytest.mark.parametrize(
    "systems",
    [
        ["configs/mistral/predictions.yaml"],
        pytest.param(["configs/mistral/predictions.yaml", PAPER], marks=pytest.mark.full),
    ],
    ids=["ours", "ours and the paper's"],
)
def test_mistral_two_step_to_a_finished_report(tmp_path: Path, mistral: Path, systems: list[str]) -> None:
    """The paper's own format is read by the same code; that random weights do not keep to it takes another engine."""
    context = json.loads((mistral / "config.json").read_text())["max_position_embeddings"]
    (tmp_path / "videos").mkdir()
    for n, text in enumerate(TEXTS):
        write_captioned(tmp_path / "videos" / f"v{n}.mp4", text)
    (tmp_path / "videos" / "page.mp4").write_text("<html>")
    sets: list[tuple[str, Any]] = [
        ("scores.predictions", systems),
        ("out", str(tmp_path / "out")),
        ("scores.out", str(tmp_path / "out")),
    ]
    for n in range(len(systems)):
        sets += system(f"scores.predictions.{n}.", tmp_path, mistral, context)
    if PAPER in systems:
        sets += [
            ("scores.predictions.1.system", "as_the_paper"),
            ("scores.predictions.1.extractor.llm.max_tokens", 60),
        ]
    config = load_config(ReportConfig, "configs/mistral/report.yaml", sets)
    held, *free = config.scores.extracted
    write_catalog(held.catalog)
    assert held.scripts is not None
    write_scripts(held.scripts)
    for predictions in (held, *free):
        extract_values(predictions)
    score_systems(config.scores)
    write_report(config)

    def rows(of: ExtractConfig) -> dict[str, Any]:
        return {row["video_id"]: row for row in Folder(of.folder).read().to_pylist()}

    ids = ["v0", "v1", "v2"]
    message = rows(held)
    assert message["page"]["error"] == "unreadable"
    assert [message[name]["error"] for name in ids] == [None] * 3, (
        "the schema is enforced, so random weights answer"
    )
    assert all(len(message[name]["decisions"]) == 38 and message[name]["tokens_in"] > 1000 for name in ids)
    page = Path(f"{config.folder}/index.html").read_text()
    assert held.system in page
    for predictions in free:
        unheld = rows(predictions)
        assert {unheld[name]["error"] for name in ids} <= {"bad_reply", "truncated"}, "and unheld they do not"
        assert predictions.system in page


@pytest.mark.full  # two engines to start, one after the other
@pytest.mark.parametrize(("profile", "write"), [("mistral", write_mistral), ("open", write_qwen35)])
def test_a_critic_in_an_engine_judges_each_stance_of_another_system(
    profile: str, write: Callable[..., Path], tmp_path: Path, engine_on_cores: None
) -> None:
    """An engine is held to a verdict on each stance of a row and no other, so random weights give them."""
    model = write(tmp_path / "model", [PROMPT, SCRIPT])
    (tmp_path / "videos").mkdir()
    for n, text in enumerate(TEXTS):
        write_captioned(tmp_path / "videos" / f"v{n}.mp4", text)
    (tmp_path / "videos" / "page.mp4").write_text("<html>")
    sets = system("", tmp_path, model, CONTEXT_TOKENS)
    sets += [(f"predictions.{key}", value) for key, value in sets]
    sets.append(("extractor.llm.max_tokens", 4096))  # random weights keep none of up to 38 reasons short
    critic = load_config(ExtractConfig, f"configs/{profile}/critic.yaml", sets)
    assert critic.predictions is not None
    assert critic.scripts is not None
    write_catalog(critic.catalog)
    write_scripts(critic.scripts)
    extract_values(critic.predictions)
    extract_values(critic)
    first, second = (
        {row["video_id"]: row for row in Folder(run.folder).read().to_pylist()}
        for run in (critic.predictions, critic)
    )
    assert first.keys() == second.keys() == {"v0", "v1", "v2", "page"}
    assert first["page"]["error"] == second["page"]["error"] == "unreadable"
    assert [first[name]["error"] for name in ("v0", "v1", "v2")] == [None] * 3
    for name in ("v0", "v1", "v2"):
        before, after = first[name], second[name]
        assert after["system"] == f"{before['system']}_critic"
        assert after["error"] is None, after["detail"]
        assert not np.any(np.array(after["decisions"]) & ~np.array(before["decisions"])), "nothing is added"
        # a row without a stance passes through, and nothing is asked
        assert (after["tokens_in"] is None) == (not any(before["decisions"]))
    assert any(any(row["decisions"] or ()) for row in first.values())
