"""A study that was finished with the codebook in the user's turn, run again by today's configurations."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.corpus import write_unlike
from tests.fixtures.llm_server import LlmServer, Rule, Trouble, serving
from tikval.cli.job import job_command
from tikval.config import ExtractConfig
from tikval.rows import sha256
from tikval.store.folder import Folder
from tikval.store.recipes import load_job

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray")]


@pytest.fixture
def server() -> Iterator[LlmServer]:
    with serving(LlmServer()) as fake:
        yield fake


def sets(out: Path, videos: Path, server: LlmServer, *more: str) -> list[str]:
    paths = [f"out={out}", f"videos.out={out}", f"videos.videos={videos}"]
    return [*paths, f"api.base_url={server.url}", "api.minors_unknown=send", *more]


def run(out: Path, videos: Path, server: LlmServer, *more: str) -> tuple[Folder, list[Any]]:
    """The catalog and the values, by their commands; the folder, and the bodies of the calls."""
    before, own = len(server.bodies), sets(out, videos, server, *more)
    assert job_command("catalog", ["configs/gemini/catalog.yaml", f"out={out}", f"videos={videos}"]) == 0
    assert job_command("extract_values", ["configs/gemini/direct.yaml", *own]) == 0
    config = load_job(ExtractConfig, "configs/gemini/direct.yaml", own)
    return Folder(config.folder), server.bodies[before:]


def test_a_finished_study_of_before_asks_nothing_and_a_new_one_asks_by_a_system_instruction(
    tmp_path: Path, server: LlmServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "a-key")
    videos = tmp_path / "videos"
    ids = write_unlike(videos, 3)
    old, bodies = run(tmp_path / "old", videos, server, "extractor.instruction=user")
    assert old.uri.endswith("predictions-feedac86472f"), "as the commit before named it"
    assert [body.get("systemInstruction") for body in bodies] == [None] * 3
    finished = old.run()

    again, bodies = run(tmp_path / "old", videos, server)
    assert not bodies
    assert (again.uri, again.run()) == (old.uri, finished)

    new, bodies = run(tmp_path / "new", videos, server)
    systems = [body["systemInstruction"]["parts"][0]["text"] for body in bodies]
    assert len(systems) == len(ids)
    assert len(set(systems)) == 1
    table = new.read().to_pylist()
    assert {row["prompt_sha"] for row in table} == {sha256(systems[0])}
    assert sum(len(json.dumps(body["contents"])) < 500 for body in bodies) == 3, "the post alone"


def test_a_run_that_another_model_goes_on_with_says_so_at_its_end(
    tmp_path: Path, server: LlmServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "a-key")
    videos = tmp_path / "videos"
    write_unlike(videos, 2)
    own = ["api.served_as=[gemini-other]"]
    folder, _ = run(tmp_path / "out", videos, server, *own)
    assert "the model changed" not in capsys.readouterr().out
    server.rules = [Rule(Trouble("wrong_model"))]
    write_unlike(videos, 3)
    run(tmp_path / "out", videos, server, *own)
    change = "answered by gemini-3.8-flash from row 1 on (2 of 3 rows), by gemini-other from row 3 on (1 of 3 rows)"
    line = f"the model changed: predictions: {change}; rows are counted in the order of the replies"
    assert line in capsys.readouterr().out
    assert {row["model_served"] for row in folder.read().to_pylist()} == {"gemini-3.8-flash", "gemini-other"}
