"""Two prompts tried with Gemini on the development sample: it costs these videos alone, and nothing is paid twice."""

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.fixtures.corpus import write_unlike
from tests.fixtures.llm_server import LlmServer, serving
from tests.fixtures.offline import tikval
from tikval.config import CatalogConfig, ExtractConfig, load_config
from tikval.flow.extract_values import extract_values
from tikval.llm.ledger import Ledger
from tikval.sources.write_catalog import write_catalog
from tikval.store.runs import Study

pytestmark = [pytest.mark.ray, pytest.mark.full, pytest.mark.usefixtures("local_ray")]


def test_a_prompt_is_tried_on_the_sample_alone_and_paid_once(tmp_path: Path) -> None:
    ids, out = write_unlike(tmp_path / "videos", 8), str(tmp_path / "out")
    lines = [f"videos/{name}.mp4,{name},account{i // 2}" for i, name in enumerate(ids)]
    (tmp_path / "videos.csv").write_text("\n".join(["path,video_id,account", *lines]))
    (tmp_path / "labels.csv").write_text("\n".join(["video_id,face", *(f"{name},1" for name in ids)]))
    catalog = CatalogConfig(
        videos=str(tmp_path / "videos.csv"), annotations=str(tmp_path / "labels.csv"), out=out
    )
    write_catalog(catalog)
    shipped = (ROOT / "prompts" / "extract.txt").read_text(encoding="utf-8")
    for name in ("short", "long"):
        (tmp_path / f"{name}.txt").write_text(f"{shipped}\nKeep your notes {name}.\n")
    short, long = (str(tmp_path / f"{name}.txt") for name in ("short", "long"))
    with serving(LlmServer()) as server:
        asked = ["--set", f"api.base_url={server.url}", "--set", "api.minors_unknown=send"]
        how = ["--study", out, "--profile", "configs/gemini/direct.yaml", *asked]
        assert "4 videos of 2 accounts" in tikval("prompt", "sample", out, "--n", "4").output
        first = tikval("prompt", "compare", short, long, *how).output
        assert len(server.of("generate")) == 8, "two prompts, four videos"
        assert "looked at 1 time, 2 prompts" in " ".join(first.split())
        tikval("prompt", "compare", short, long, *how)
        assert len(server.of("generate")) == 8, "nothing is asked again"
        assert Study(out).systems() == {}, "a prompt that was tried is no system of the study"
        assert len(Ledger(out).keys()) == 8

        sets: list[tuple[str, Any]] = [
            ("out", out),
            ("videos", catalog.model_dump(mode="json")),
            ("system", "mine"),
            ("extractor.prompt", short),
            ("api.base_url", server.url),
            ("api.minors_unknown", "send"),
        ]
        run = extract_values(load_config(ExtractConfig, "configs/gemini/direct.yaml", sets))
        assert (run.rows, run.failed) == (8, {})
        assert len(server.of("generate")) == 12, "of the four others alone"
        again = tikval("prompt", "compare", "mine", long, *how).output
        assert "(the same as before: no new look)" in " ".join(again.split())
        assert "USD per 1,000 videos" in again
        assert len(server.of("generate")) == 12
