"""tikval doctor --cluster on two nodes, one of which lacks Tesseract."""

import json
from pathlib import Path

import pytest

from tests.fixtures.namespace import BIN, HEAD, Namespace, address_of, available, node_command

pytestmark = [
    pytest.mark.ray,
    pytest.mark.cluster,
    pytest.mark.skipif(not available(), reason="network namespaces are not permitted here"),
]


def without_tesseract(folder: Path) -> Path:
    """A folder with all programs of /usr/bin but one."""
    folder.mkdir()
    for program in Path("/usr/bin").iterdir():
        if program.name != "tesseract":
            (folder / program.name).symlink_to(program)
    return folder


def test_the_node_that_lacks_something_is_named(tmp_path: Path) -> None:
    with Namespace() as inside:
        inside.start_nodes(1, cpus=1, dashboard=False)
        path = f"{BIN}:{without_tesseract(tmp_path / 'bin')}"
        code, output = inside.run(node_command(address_of(2), 1, False), env={"PATH": path})
        assert code == 0, output
        command = ["tikval", "doctor", "--cluster", "--out", str(tmp_path / "out"), "--json"]
        code, output = inside.run(command, env={"RAY_ADDRESS": HEAD}, seconds=240)
        assert "{" in output, output
        found = json.loads(output[output.index("{") :])
        assert len(found["nodes"]) == 2
        assert len({node["versions"]["ray"] for node in found["nodes"]}) == 1
        [line] = found["wrong"]
        assert "tesseract is missing" in line
        assert code == 1
        assert not list((tmp_path / "out").iterdir())
