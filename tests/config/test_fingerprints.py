"""Results stay where they are: no committed configuration's fingerprint moves without being named."""

from pathlib import Path
from typing import Annotated, ClassVar

import pytest
import yaml

from tests.config.test_config import COMMITTED, JOBS, ROOT, kind_of
from tikval.config import ADDED_LATER, Config, JobConfig, load_config

LISTED: dict[str, str] = yaml.safe_load((Path(__file__).parent / "fingerprints.yaml").read_text())


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: str(path.relative_to(ROOT / "configs")))
def test_a_committed_configurations_results_stay_where_they_are(path: Path) -> None:
    name = str(path.relative_to(ROOT))
    found = load_config(JOBS[kind_of(path)][0], name, []).fingerprint
    assert found == LISTED.get(name), (
        f"{name}: its finished studies would be computed anew. If that is meant, name it and the reason in "
        "CHANGELOG.md and write the new fingerprint into fingerprints.yaml; if not, mark the new field ADDED_LATER"
    )


def test_every_listed_configuration_is_there() -> None:
    assert LISTED.keys() == {str(path.relative_to(ROOT)) for path in COMMITTED}


class _Part(Config):
    rate: float = 1.0


class _LaterPart(Config):
    rate: float = 1.0
    later: Annotated[int, ADDED_LATER] = 5


class _Before(JobConfig):
    stage: ClassVar[str] = "made"
    part: _Part = _Part()


class _After(JobConfig):
    stage: ClassVar[str] = "made"
    part: _LaterPart = _LaterPart()
    another: Annotated[_Part | None, ADDED_LATER] = None


def test_a_field_that_is_added_later_moves_nothing_while_it_stands_at_its_default() -> None:
    before = _Before(out="out").fingerprint
    assert _After(out="out").fingerprint == before
    assert _After(out="out", part=_LaterPart(later=5)).fingerprint == before
    moved = {
        _After(out="out", part=_LaterPart(later=6)).fingerprint,
        _After(out="out", another=_Part()).fingerprint,
    }
    assert len(moved | {before}) == 3
