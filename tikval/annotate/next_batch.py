"""A batch of videos to code next: the draw, its record, and its list.

Shape letters: N videos, R of one group that have no label.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tikval.evaluate.batches import BatchRecord
from tikval.evaluate.sample import Stratum, VideoSample
from tikval.stats.adaptive import doubt, draw_by_probability, drawing_probabilities
from tikval.stats.arrays import Bools, Floats, Ints
from tikval.store.row_keys import draw_number


class GroupDraw(NamedTuple):
    """What is drawn from one group of videos."""

    name: str
    inside: Bools  # [N]
    unlabelled: Ints  # [R] places in N
    p: Floats  # [R, K] recalibrated scores of the labels in question
    n: int  # videos to draw; 0: none


def draw_batch(
    ids: pa.ChunkedArray,
    groups: Sequence[GroupDraw],
    labelled_N: Bools,
    uniform: float,
    seed: int,
    batch: int,
) -> pa.Table:
    """The record of a new batch: video_id, probability, even, known, drawn, stratum.

    The same seed, batch, videos and labels give the same draw, whatever the order of the videos.
    """
    probability_N, even_N = np.zeros((2, len(ids)))
    drawn_N, stratum_N = np.zeros(len(ids), bool), np.empty(len(ids), object)
    for group in groups:
        stratum_N[group.inside] = group.name
        if not group.n:
            continue
        rest = group.unlabelled
        probability_R = drawing_probabilities(doubt(group.p), group.n, uniform)
        number_R = np.array([_share(seed, batch, name) for name in ids.take(pa.array(rest)).to_pylist()])
        probability_N[rest], even_N[group.inside] = probability_R, group.n / len(rest)
        drawn_N[rest] = draw_by_probability(
            probability_R, number_R, _share(seed, batch, f"start of {group.name}")
        )
    columns = {"probability": probability_N, "even": even_N, "known": labelled_N, "drawn": drawn_N}
    return pa.table({"video_id": ids, **columns, "stratum": pa.array(stratum_N.tolist(), pa.string())})


def _share(seed: int, batch: int, name: str) -> float:
    """A number from 0 up to 1, of its own for each batch: what one has drawn tells nothing of the next."""
    return draw_number(seed, f"{batch} {name}") / 2**52


def list_of(record: BatchRecord, videos: pa.Table) -> VideoSample:
    """The videos that a batch has drawn, as places in a frame's videos."""
    drawn = record.table.filter(record.table["drawn"])
    names = sorted(set(drawn["stratum"].to_pylist()))
    strata = []
    for name in names:
        inside = record.table.filter(pc.equal(record.table["stratum"], name))
        can = inside.filter(pc.greater(inside["probability"], 0))
        n_drawn = int(pc.sum(inside["drawn"]).as_py())
        strata.append(Stratum(name, inside.num_rows, can.num_rows, n_drawn, n_drawn / can.num_rows))
    at = pc.index_in(drawn["video_id"], videos["video_id"])
    there = drawn.filter(at.is_valid())
    order = np.argsort([_share(0, record.number, f"order {name}") for name in there["video_id"].to_pylist()])
    return VideoSample(
        f"batch {record.number} for {record.about['target']}",
        at.drop_null().to_numpy()[order].astype(np.int64),
        np.array([names.index(name) for name in there["stratum"].to_pylist()], np.int64)[order],
        strata,
        there["probability"].to_numpy()[order],
    )
