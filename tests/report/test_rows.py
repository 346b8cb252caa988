"""Which videos get a page, and what is counted of a catalog."""

import numpy as np
import pyarrow as pa
import pytest

from tikval.report.site import rows
from tikval.report.site.rows import CatalogRows, with_a_page


def listed(twice: list[bool], annotated: list[bool]) -> CatalogRows:
    nobody = pa.DictionaryArray.from_arrays(pa.nulls(len(twice), pa.int32()), pa.array([], pa.string()))
    none = np.zeros(len(twice), bool)
    return CatalogRows(nobody, nobody, np.array(twice), np.array(annotated), none)


@pytest.mark.parametrize("at_once", [1, 3, 100])
@pytest.mark.parametrize("most", range(8))
def test_annotated_videos_get_a_page_first_then_others_in_order(
    most: int, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "_AT_ONCE", at_once)
    chance = np.random.default_rng(most)
    for _ in range(50):
        twice, annotated = chance.random((2, 9)) < 0.3
        once = [i for i in range(9) if not twice[i]]
        wanted = sorted(once, key=lambda i: not annotated[i])[:most]
        found = with_a_page(listed(twice.tolist(), annotated.tolist()), most)
        assert np.flatnonzero(found).tolist() == sorted(wanted)
