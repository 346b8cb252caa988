"""A key comes from the environment or from a file, and stands in no command."""

from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT
from tikval.config import Api, ExtractConfig, Gemini, UserError, load_config
from tikval.llm.clients import make_client
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


SECRET = "sEcReT-123"


@pytest.mark.parametrize(
    "url",
    [
        f"https://user:{SECRET}@host/v1",
        f"https://{SECRET}@host/v1",
        f"https://host/v1?key={SECRET}",
        f"https://host/v1?a=b&access_token={SECRET}",
    ],
)
def test_a_servers_address_holds_no_secret_and_the_message_does_not_repeat_it(url: str) -> None:
    with pytest.raises(UserError, match=r"api\.base_url: must hold no user") as error:
        load_config(ExtractConfig, str(ROOT / "configs/gemini/direct.yaml"), [f"api.base_url={url}"])
    assert SECRET not in str(error.value)


def test_a_plain_address_is_taken() -> None:
    assert Api(base_url="http://localhost:8000/v1?api-version=2").base_url


def test_a_worker_without_a_key_points_to_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(GEMINI_KEY)
    with pytest.raises(UserError, match="GEMINI_API_KEY_FILE") as error:
        make_client(Gemini(model="m"), Api(), None)
    assert "runtime-env" not in str(error.value)
