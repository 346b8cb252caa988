"""A key comes from the environment or from a file, and stands in no command."""

from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT
from tikval.config import UserError
from tikval.llm.keys import GEMINI_KEY, read_key


def test_the_variable_counts_else_the_file_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gemini").write_text("of-a-file\n")
    monkeypatch.setenv(f"{GEMINI_KEY}_FILE", str(tmp_path / "gemini"))
    monkeypatch.setenv(GEMINI_KEY, "of-the-environment")
    assert read_key(GEMINI_KEY) == "of-the-environment"
    monkeypatch.setenv(GEMINI_KEY, "")
    assert read_key(GEMINI_KEY) == "of-a-file"
    monkeypatch.delenv(f"{GEMINI_KEY}_FILE")
    assert read_key(GEMINI_KEY) is None


def test_a_file_that_is_not_there_is_named_and_its_content_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(GEMINI_KEY)
    monkeypatch.setenv(f"{GEMINI_KEY}_FILE", str(tmp_path / "none"))
    with pytest.raises(UserError, match=r"GEMINI_API_KEY_FILE: .*none cannot be read"):
        read_key(GEMINI_KEY)
    (tmp_path / "odd").write_bytes("sch\u00e4rfe".encode())
    monkeypatch.setenv(f"{GEMINI_KEY}_FILE", str(tmp_path / "odd"))
    with pytest.raises(UserError) as err:
        read_key(GEMINI_KEY)
    assert "rfe" not in str(err.value)


def test_no_document_puts_a_key_into_a_command_and_every_machine_asks_for_a_token() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        assert '"GEMINI_API_KEY": ' not in page.read_text(encoding="utf-8"), page
    nodes = yaml.safe_load((ROOT / "cluster.yaml").read_text())["available_node_types"]
    for node in nodes.values():
        assert node["node_config"]["MetadataOptions"]["HttpTokens"] == "required"
