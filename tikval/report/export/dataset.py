"""A study as a data set that Hugging Face's `datasets` loads: ids and labels only, as the paper's ethics ask.

README.md             the card
predictions.parquet   a line per video and answer of a system
labels.parquet        a line per video and annotator, where there are annotations
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tikval.codebook import Codebook
from tikval.config import UserError
from tikval.report.export.dataset_card import dataset_card
from tikval.report.export.dataset_facts import DatasetFacts, label_facts, scores_of, system_facts
from tikval.report.export.systems import in_one, read_systems
from tikval.report.export.target import check_target, staging
from tikval.report.shown_ids import show_ids, shown_ids
from tikval.rows import LabelRow
from tikval.store.runs import Study

PREDICTIONS: Final = "predictions"
LABELS: Final = "labels"
CARD: Final = "README.md"


def export_dataset(study: Study, to: Path, only: tuple[str, ...] = (), force: bool = False) -> list[str]:
    """Write the folder. Returns what its owner should know before sharing it.

    Raises UserError for a study without a finished system and, unless forced, for a folder that is not empty; forced,
    its card and data are replaced and other files stay.
    """
    check_target(to, force)
    systems = read_systems(study, only)
    videos, owners, rows = _catalog(study)
    tables = {PREDICTIONS: in_one([system.table for system in systems])}
    known = _labels(study, rows)
    if known is not None:
        tables[LABELS] = known[1]
    ids = {video_id for table in tables.values() for video_id in pc.unique(table["video_id"]).to_pylist()}
    shown = shown_ids(study, {video_id: owners.get(video_id) for video_id in ids})
    tables = {name: show_ids(table, shown) for name, table in tables.items()}
    minors = _minors(study)
    scores, why_not = scores_of(study, systems)
    facts = DatasetFacts(
        systems=tuple(system_facts(study, system, videos) for system in systems),
        labels=known and label_facts(known[0], rows, videos),
        scores=tuple(scores),
        no_scores=why_not,
        ids=len(ids),
        naming=len(ids & shown.keys()),
        minors=sum(owners.get(video_id) in minors for video_id in ids),
    )
    text = dataset_card(facts, {name: table.schema for name, table in tables.items()})
    _write(to, text, tables)
    return _notes(facts)


def _notes(facts: DatasetFacts) -> list[str]:
    notes = [system.not_calibrated for system in facts.systems if system.not_calibrated]
    if facts.naming:
        notes.append(
            f"{facts.naming} of {facts.ids} ids contain an account's name, a handle or an address: video-... stands in "
            "their place; a manifest can give the videos ids of their own (video_id)"
        )
    if facts.minors:
        notes.append(
            f"{facts.minors} ids are of accounts marked as a minor's: leave them out before you share them"
        )
    return notes


def _write(to: Path, text: str, tables: Mapping[str, pa.Table]) -> None:
    """Write the card last: without it nothing here is a data set."""
    with staging(to) as place:
        # what was here before may name who has been erased since
        for stale in (CARD, f"{PREDICTIONS}.parquet", f"{LABELS}.parquet"):
            (to / stale).unlink(missing_ok=True)
        for name, table in tables.items():
            file = place / f"{name}.parquet"
            pq.write_table(table, file, compression="zstd", row_group_size=100_000)
            file.replace(to / file.name)
        (place / CARD).write_text(text, encoding="utf-8")
        (place / CARD).replace(to / CARD)


def _catalog(study: Study) -> tuple[set[str], dict[str, str], list[LabelRow]]:
    """Ids of the videos, accounts of all that have one, and annotations; nothing for a study of texts alone."""
    if study.latest("catalog") is None:
        return set(), {}, []
    listed = study.catalog().read(["video_id", "account"]).to_pylist()
    labels = study.annotations()
    owners = {row["video_id"]: row["account"] for row in (*labels, *listed) if row["account"]}
    return {row["video_id"] for row in listed}, owners, labels


def _minors(study: Study) -> set[str]:
    if study.latest("catalog") is None:
        return set()
    return {row["account"] for row in study.catalog().read_side_table("accounts") if row["is_minor"]}


def _labels(study: Study, rows: list[LabelRow]) -> tuple[Codebook, pa.Table] | None:
    """The codebook, and ids and stances of all annotators, who are numbered: a name is not a label."""
    if not rows:
        return None
    codebook = study.codebook()
    widths = {len(row["stances"]) for row in rows}
    if {row["label_set"] for row in rows} != {codebook.label_set} or widths != {len(codebook.slugs)}:
        raise UserError(
            f"{codebook.name}: has changed since the annotations were read; give them again with --annotations"
        )
    names = {name: n + 1 for n, name in enumerate(sorted({row["annotator"] for row in rows}))}
    columns = {
        "video_id": pa.array([row["video_id"] for row in rows], pa.string()),
        "annotator": pa.array([names[row["annotator"]] for row in rows], pa.int64()),
    }
    values = {
        slug: pa.array([row["stances"][v] for row in rows], pa.int8())
        for v, slug in enumerate(codebook.slugs)
    }
    table = pa.table(columns | values).sort_by([("video_id", "ascending"), ("annotator", "ascending")])
    return codebook, table
