"""The evidence of an export's lines: what is left of each stance's passages once they were checked.

Shape letters: R rows, V values.
"""

import math
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tikval.evaluate.evidence import CheckedPassage, PassageStatus
from tikval.evaluate.evidence_counts import checked_evidence, evidence_sources
from tikval.report.export.columns import EVIDENCE, MOST_PASSAGES
from tikval.report.export.systems import ExportedSystem
from tikval.store.runs import Study


class Evidence:
    """The checked evidence of one system; nothing is read before there are rows that have any."""

    def __init__(self, study: Study, of: ExportedSystem, *, names: bool) -> None:
        """`names`: quotes may hold the name of the video's account."""
        self._study, self._of, self._names = study, of, names

    def columns_of(self, rows: pa.Table, stances: pa.Array) -> dict[str, pa.Array]:
        """The columns of EVIDENCE, [R * V], for rows [R] and the `stances` [R * V] of their values; {}: none has any.

        Raises UserError where the scripts that the system judged are not there any more.
        """
        given = pa.array(pc.greater(pc.fill_null(pc.list_value_length(rows["evidence"]), 0), 0))
        has = rows.select(["row_key", "evidence"]).filter(given)
        if has.num_rows == 0:
            return {}
        slugs = self._of.codebook.slugs
        cells: dict[str, list[Any]] = {column.name: [None] * len(stances) for column in EVIDENCE}
        sources = evidence_sources(self._study, self._of.config.scripts)
        checked = checked_evidence(has.to_pylist(), sources, hide_accounts=not self._names)
        for row, passages in zip(pc.indices_nonzero(given).to_pylist(), checked, strict=True):
            first = row * len(slugs)
            signs = stances.slice(first, len(slugs)).to_pylist()
            for v, (slug, sign) in enumerate(zip(slugs, signs, strict=True)):
                label = f"{slug}{'+' if sign == 1 else '-'}"
                mine = [one for one in passages if sign and one.passage["label"] == label][:MOST_PASSAGES]
                for name, cell in _cells(mine).items():
                    cells[name][first + v] = cell
        return {column.name: pa.array(cells[column.name], column.type) for column in EVIDENCE}


def _cells(passages: list[CheckedPassage]) -> dict[str, Any]:
    """The cells of one line that are not empty."""
    if not passages:
        return {}
    cells: dict[str, Any] = {
        "evidence_not_found": sum(one.status is PassageStatus.NOT_FOUND for one in passages)
    }
    for n, one in enumerate(passages, 1):
        is_there = one.status is not PassageStatus.NOT_FOUND
        cells |= {
            f"evidence_{n}_quote": one.quote,
            f"evidence_{n}_source": one.places[0].source.value if one.places else one.passage["source"],
            f"evidence_{n}_start": _seconds(one.passage["start"]) if is_there else None,
            f"evidence_{n}_end": _seconds(one.passage["end"]) if is_there else None,
            f"evidence_{n}_status": one.status.value,
        }
    return cells


def _seconds(time: float | None) -> float | None:
    return time if time is not None and math.isfinite(time) and time >= 0 else None
