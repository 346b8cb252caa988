"""A study that was finished with the codebook in the user's turn, run again by today's configurations."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.corpus import write_unlike
from tests.fixtures.llm_server import LlmServer, serving
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
