"""Batches of videos that `tikval annotate next` drew: their records in the study, and how the labels then weigh.

One column `probability` cannot tell how a label was drawn that five batches might have drawn. So each batch leaves a
Parquet file in OUT/next: of every video the probability that it had, and whether it was drawn, or labelled before. It
is all that is needed to weigh the labels, whatever labels come later.

Shape letters: N videos, n of them labelled, R batches on record.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tikval.config import UserError
from tikval.evaluate.video_groups import are_whole
from tikval.files import list_files, parse_json, read_parquet, write_table
from tikval.stats.adaptive import BatchDesign, DrawWeights, draw_weights
from tikval.stats.arrays import Floats, Ints
from tikval.stats.limits import counted

FOLDER: Final = "next"  # below a study's
CLOSED: Final = (
    0.8  # of a batch's videos have a label, so that it counts; the others are taken as missing by chance
)
_ABOUT: Final = b"tikval"
_COLUMNS: Final = {
    "probability": pa.float64(),
    "even": pa.float64(),
    "known": pa.bool_(),
    "drawn": pa.bool_(),
}


@dataclass(frozen=True)
class BatchRecord:
    number: int  # from 1
    about: Mapping[str, Any]  # the target, the seed, the list's name, when
    table: pa.Table  # video_id, and _COLUMNS as in BatchDesign

    def columns(self, ids: pa.ChunkedArray) -> dict[str, Any]:
        """[N] of each, of these videos; 0 or False of one that it does not know."""
        at = pc.index_in(ids, self.table["video_id"])
        return {
            name: pc.fill_null(self.table[name].take(at), pa.scalar(0).cast(kind)).to_numpy()
            for name, kind in _COLUMNS.items()
        }


class BatchLabels(NamedTuple):
    """How the labels weigh that batches, and a sample before them, have brought."""

    weights: DrawWeights
    counts: tuple[int, ...]  # labels of the sample before, then of each batch that counts
    open: tuple[BatchRecord, ...]  # batches that are not labelled yet
    notes: tuple[str, ...]

    @property
    def is_usable(self) -> bool:
        return bool(self.weights.precision.any())


def read_batches(out: str) -> list[BatchRecord]:
    """The records of a study, in order. Raises UserError for a file that is none, and for two of one batch."""
    uri, found = f"{out}/{FOLDER}", list[BatchRecord]()
    for name in list_files(uri, ".parquet"):
        table = read_parquet(f"{uri}/{name}")
        facts = (table.schema.metadata or {}).get(_ABOUT)
        if facts is None or not {"video_id", *_COLUMNS} <= set(table.column_names):
            raise UserError(f"{uri}/{name}: not a record of tikval annotate next")
        about = parse_json(facts, f"{uri}/{name}")
        found.append(BatchRecord(int(about["batch"]), about, table))
    numbers = [one.number for one in found]
    if twice := sorted({number for number in numbers if numbers.count(number) > 1}):
        raise UserError(
            f"{uri}: holds several records of batch {twice[0]}; keep the one whose list was coded"
        )
    return sorted(found, key=lambda one: one.number)


def write_batch(out: str, record: BatchRecord) -> str:
    """Write a record below the study's folder; returns its place."""
    facts = json.dumps({**record.about, "batch": record.number}, ensure_ascii=False)
    place = f"{out}/{FOLDER}/batch-{record.number:03}-drawn.parquet"  # an erasure gives the end another name
    write_table(place, record.table.replace_schema_metadata({_ABOUT: facts.encode()}))
    return place


def labels_of_batches(
    records: Sequence[BatchRecord],
    ids: pa.ChunkedArray,
    labelled: Ints,
    sample: Floats,
    account_N: Ints,
    *,
    at_random: bool = False,
) -> BatchLabels:
    """How the labels of videos `labelled`, places in `ids` [N], weigh.

    `sample`: [n] the probability of each in a sample before all batches, nan where that is not known. `at_random`: all
    that were labelled before the batches are a sample in which each had the same. A sample of whole accounts is none
    of videos: its labels count in the batches alone, which knew them.
    """
    n, labelled_N = len(ids), np.zeros(len(ids), bool)
    labelled_N[labelled] = True
    designs, counts, is_open, notes = list[BatchDesign](), list[int](), list[BatchRecord](), list[str]()
    batch_N = np.full(n, -1)
    columns = [one.columns(ids) for one in records]
    known_n = (columns[0]["known"] if records else labelled_N)[labelled]
    before_n = known_n & (at_random | ~np.isnan(sample))
    if before_n.any() and not are_whole(account_N, labelled[before_n]):
        at, share = labelled[before_n], before_n.sum() / n
        even_N, probability_N = np.full((2, n), share)
        probability_N[at] = share if at_random else sample[before_n]  # of the others no draw needs it
        designs.append(BatchDesign(probability_N, even_N, np.zeros(n, bool)))
        batch_N[at] = 0
        counts.append(len(at))
    for one, of_N in zip(records, columns, strict=True):
        back_N = of_N["drawn"] & labelled_N
        back, total = int(back_N.sum()), int(of_N["drawn"].sum())
        if not total:  # all of them were erased
            continue
        if back < CLOSED * total:
            is_open.append(one)
            continue
        if back < total:
            missing = (
                f"{total - back} of its {counted(total, 'video')} have no label, which is taken as chance"
            )
            notes.append(f"batch {one.number}: {missing}")
        batch_N[back_N] = len(designs)
        designs.append(BatchDesign(back / total * of_N["probability"], of_N["even"], of_N["known"]))
        counts.append(back)
    weights = draw_weights(designs, batch_N, labelled_N) if designs else DrawWeights(*np.zeros((4, n)))
    return BatchLabels(weights, tuple(counts), tuple(is_open), tuple(notes))
