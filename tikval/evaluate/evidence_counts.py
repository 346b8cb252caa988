"""How much of a system's evidence is found where it should stand: counted over all rows, some thousand at a time."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tikval.config import ScriptConfig
from tikval.evaluate.evidence import CheckedPassage, PassageStatus, check_passages, recognised_scripts
from tikval.evaluate.faithfulness_sample import rows_of_keys
from tikval.privacy import strip_handles
from tikval.rows import PassageSource
from tikval.store.folder import Folder
from tikval.store.row_keys import contains, keys_of
from tikval.store.runs import Study
from tikval.store.tables import iter_rows

_AT_ONCE: Final = 2_000  # rows whose scripts are in memory


@dataclass(frozen=True, slots=True)
class EvidenceCounts:
    """Passages and stances of some rows; a picture is not compared, and never a quote."""

    found: int = 0
    not_compared: int = 0
    not_found: int = 0
    pictures: int = 0  # of not_compared
    with_evidence: int = 0  # stances that have a passage at least
    without_evidence: int = 0  # stances of systems that give evidence, that have none

    def __add__(self, other: Self) -> "EvidenceCounts":
        return EvidenceCounts(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))

    @property
    def passages(self) -> int:
        return self.found + self.not_compared + self.not_found

    @property
    def compared(self) -> int:
        """Passages of which it is known whether they are there."""
        return self.found + self.not_found

    @property
    def not_found_share(self) -> float | None:
        """The share of the passages that were compared; None where none was."""
        return self.not_found / self.compared if self.compared else None


class EvidenceSources(NamedTuple):
    """What the evidence of one system is checked against."""

    catalog: Folder
    scripts: Folder | None  # that it judged; None: the videos themselves
    recognised: Folder | None


def evidence_sources(study: Study, scripts: ScriptConfig | None) -> EvidenceSources:
    """The sources that lie in a study, wherever it was moved; `scripts`: that the system judged."""
    judged = Folder(f"{study.out}/{Folder(scripts.folder).name}") if scripts else None
    return EvidenceSources(study.catalog(), judged, recognised_scripts(study))


def count_evidence(
    predictions: Folder, sources: EvidenceSources, labels: Sequence[str]
) -> EvidenceCounts | None:
    """The counts over all listed videos; None where no row of the system has evidence."""
    counts, any_given = EvidenceCounts(), False
    for rows in _rows_with_evidence(predictions, sources.catalog):
        any_given = True
        counts += _counted(rows, sources, labels)
    return counts if any_given else None


def _rows_with_evidence(predictions: Folder, catalog: Folder) -> Iterator[list[Any]]:
    listed: np.ndarray | None = None  # read once there is a row to look up
    for name in predictions.finished().files:
        for table in iter_rows(
            f"{predictions.uri}/{name}", predictions.stage, ["row_key", "decisions", "evidence"]
        ):
            given = pc.and_(pc.is_valid(table["evidence"]), pc.is_valid(table["decisions"]))
            if not (table := table.filter(given)).num_rows:
                continue
            listed = catalog.sorted_keys() if listed is None else listed
            table = table.filter(pa.array(contains(listed, keys_of(table["row_key"]))))
            for at in range(0, table.num_rows, _AT_ONCE):
                yield table.slice(at, _AT_ONCE).to_pylist()


def _counted(rows: Sequence[Any], sources: EvidenceSources, labels: Sequence[str]) -> EvidenceCounts:
    statuses, pictures, having, lacking = Counter[PassageStatus](), 0, 0, 0
    for row, checked in zip(rows, checked_evidence(rows, sources), strict=True):
        statuses.update(one.status for one in checked)
        pictures += sum(one.passage["source"] == PassageSource.PICTURE for one in checked)
        decided = {label for label, yes in zip(labels, row["decisions"], strict=True) if yes}
        having += len(supported := decided & {one.passage["label"] for one in checked})
        lacking += len(decided - supported)
    return EvidenceCounts(
        found=statuses[PassageStatus.FOUND],
        not_compared=statuses[PassageStatus.NOT_COMPARED],
        not_found=statuses[PassageStatus.NOT_FOUND],
        pictures=pictures,
        with_evidence=having,
        without_evidence=lacking,
    )


def checked_evidence(
    rows: Sequence[Any], sources: EvidenceSources, *, hide_accounts: bool = False
) -> list[list[CheckedPassage]]:
    """The checked passages of rows that have evidence, in their order; scripts are read of these rows alone.

    `rows`: with `row_key` and `evidence`. `hide_accounts`: no quote has a handle, or the name of the video's account.
    """
    keys = [row["row_key"] for row in rows]
    scripts = rows_of_keys(sources.scripts, keys, ["row_key", "script", "caption"]) if sources.scripts else {}
    captions = {} if sources.scripts else _captions(sources.catalog, keys)
    heard = rows_of_keys(sources.recognised, keys, ["row_key", "script"]) if sources.recognised else {}
    accounts = rows_of_keys(sources.catalog, keys, ["row_key", "account"]) if hide_accounts else {}
    checked = []
    for key, evidence in zip(keys, (row["evidence"] for row in rows), strict=True):
        judged = scripts.get(key, {})
        caption = judged.get("caption") if sources.scripts else captions.get(key)
        texts = [judged.get("script"), caption, heard.get(key, {}).get("script")]
        if hide_accounts:
            account = accounts.get(key, {}).get("account")
            texts = [text and strip_handles(text, account) for text in texts]
            evidence = [
                one | {"quote": one["quote"] and strip_handles(one["quote"], account)} for one in evidence
            ]
        checked.append(check_passages(evidence, *texts))
    return checked


def _captions(catalog: Folder, keys: Sequence[str]) -> dict[str, str | None]:
    """The captions of videos that were judged themselves, as scripts have them: without handles."""
    rows = rows_of_keys(catalog, keys, ["row_key", "caption", "account"])
    return {
        key: strip_handles(row["caption"], row["account"]) if row["caption"] else None
        for key, row in rows.items()
    }
