"""Faults on three nodes: the same command ends in the undisturbed tables, and pays for no row twice but what was lost.

Twenty seeds: make chaos.
"""

from pathlib import Path

import pytest

from tests.chaos.runs import line_of, run_seeds
from tests.fixtures.namespace import available

pytestmark = [
    pytest.mark.ray,
    pytest.mark.cluster,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not available(), reason="network namespaces are not permitted here"),
]

SECONDS = 8.0  # of a SIGSTOP, a full disk, a store in trouble
# seeds that found something, with what they found
FOUND = {
    3: "a full disk ended in a traceback of Ray's",
    1: "a driver whose head was gone ended without a word",
    9: "a store that fails ended in a traceback",
}
SHORT = 3


def held(seed: int, folder: Path) -> None:
    calm, outcome = run_seeds([seed], folder, SECONDS)
    assert calm["holds"], line_of(calm)
    assert outcome["holds"], line_of(outcome)
    assert outcome["starts"] > 1, "the command was started again"


def test_the_same_command_ends_in_the_undisturbed_tables(tmp_path: Path) -> None:
    held(SHORT, tmp_path)


@pytest.mark.full
@pytest.mark.parametrize("seed", sorted(FOUND.keys() - {SHORT}))
def test_what_seeds_found_is_mended(seed: int, tmp_path: Path) -> None:
    held(seed, tmp_path)
