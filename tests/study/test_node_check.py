"""What tikval doctor --cluster finds: what each node has, and in what nodes differ."""

from pathlib import Path

import pytest

from tikval.cli.profiles import profile_file
from tikval.config import ReportConfig, UserError, load_config
from tikval.study.node_check import NodeFacts, WantedModel, differences, look_at_node, wanted_models

SAME = {"ray": "2.60.0", "torch": "2.13.0"}


def test_equal_nodes_have_nothing_wrong() -> None:
    assert not differences([NodeFacts("a", SAME), NodeFacts("b", SAME, gpus=1, promised_gpus=1)])


def test_the_node_that_is_unlike_most_is_named() -> None:
    nodes = [NodeFacts("a", SAME), NodeFacts("b", {**SAME, "ray": "2.59.0"}), NodeFacts("c", SAME)]
    assert differences(nodes) == ["b: ray 2.59.0 (most nodes: 2.60.0)"]


def test_gpus_that_cuda_does_not_see_are_wrong_and_troubles_are_told() -> None:
    nodes = [NodeFacts("a", SAME, gpus=0, promised_gpus=1), NodeFacts("b", trouble=("no answer within 5 s",))]
    assert differences(nodes) == ["a: CUDA sees 0 GPUs, and Ray hands out 1", "b: no answer within 5 s"]


def test_this_machine_writes_into_a_folder_and_leaves_nothing(tmp_path: Path) -> None:
    facts = look_at_node(str(tmp_path), [], 0)
    assert not facts.trouble
    assert facts.versions["ray"]
    assert not list(tmp_path.iterdir())


def test_a_store_that_takes_nothing_is_a_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    [line] = look_at_node(str(tmp_path / "file"), [], 0).trouble
    assert "cannot be written and read here" in line
    assert "\n" not in line


def test_a_tool_that_is_missing_is_told_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    [line] = look_at_node(None, [], 0).trouble
    assert "apt-get install" in line


def test_a_model_that_is_not_there_is_told_where_it_would_load(tmp_path: Path) -> None:
    local = WantedModel(str(tmp_path), None, on_gpus=False)
    language = WantedModel(str(tmp_path), None, on_gpus=True)
    [line] = look_at_node(
        None, [local, language], 0
    ).trouble  # without a GPU nobody asks for the language model
    assert line.startswith(f"{tmp_path}: cannot be loaded (")


def test_the_models_of_a_profile() -> None:
    local = wanted_models(load_config(ReportConfig, profile_file("local"), []))
    assert [(model.name, model.on_gpus) for model in local] == [
        ("sentence-transformers/all-MiniLM-L6-v2", False)
    ]
    assert [
        model.on_gpus for model in wanted_models(load_config(ReportConfig, profile_file("mistral"), []))
    ] == [True]
    assert not wanted_models(load_config(ReportConfig, profile_file("gemini"), []))


def test_without_a_cluster_nothing_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    from tikval.cli.cluster import show_cluster

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(UserError, match="RAY_ADDRESS"):
        show_cluster(None, None, as_json=False)
