"""How far the samples of a language model agree, and whether it is right more often where they do.

V values; a label's score is the share of a video's valid replies that give it.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow.compute as pc

from tikval.evaluate.development import without_development
from tikval.evaluate.faithfulness import ShareEstimate, share_estimate
from tikval.rows import LabelRow
from tikval.store.folder import Folder
from tikval.values import Stance, stances

_JUDGED = ["video_id", "decisions", "scores", "agreement"]


@dataclass(frozen=True, slots=True)
class SampleAgreement:
    """The agreement of one system's samples over the videos that the catalog lists.

    `agreed` and `split`: of the annotated values on which all samples of a video agree, and of the others, the share
    that has the annotator's stance (dominant counts as endorsed), with its interval over accounts; None: there is none.
    """

    videos: int  # with two valid replies or more
    mean: float  # of the videos' agreement, as extract/votes.py has it
    disagreeing: int  # videos whose samples differ on at least one value
    agreed: ShareEstimate | None
    split: ShareEstimate | None


def sample_agreement(
    folder: Folder, catalog: Folder, labels: Mapping[str, LabelRow]
) -> SampleAgreement | None:
    """The agreement of the samples in a system's folder; None where no video has two. `labels`: by video."""
    column = folder.read_listed(catalog.sorted_keys(), ["agreement"])["agreement"].drop_null()
    if not len(column):
        return None
    final, _ = without_development(list(labels.values()), catalog)
    labels = {row["video_id"]: row for row in final}
    judged = [row for row in folder.rows(catalog, labels, _JUDGED) if row["agreement"] is not None]
    agreed, split = (
        share_estimate([part for row in judged if (part := _right(row, labels[row["video_id"]], unanimous))])
        for unanimous in (True, False)
    )
    return SampleAgreement(
        videos=len(column),
        mean=pc.mean(column).as_py(),
        disagreeing=pc.sum(pc.less(column, 1.0)).as_py(),
        agreed=agreed,
        split=split,
    )


def _right(row: Any, label: LabelRow, unanimous: bool) -> tuple[Hashable, int, int] | None:
    """Account, and of a video's annotated values with or without one stance of all samples how many are right."""
    half, right, judged = len(label["stances"]), 0, 0
    for v, (predicted, code) in enumerate(
        zip(stances(row["decisions"], row["scores"]), label["stances"], strict=True)
    ):
        alike = all(row["scores"][place] in (0, 1) for place in (v, half + v))
        if code is None or alike is not unanimous:
            continue
        judged += 1
        right += predicted == min(code, int(Stance.ENDORSED))
    return (label["account"] or (row["video_id"],), right, judged) if judged else None
