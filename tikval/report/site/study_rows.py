"""What the stages of a study wrote, as its report needs it: counted in full, with the rows of some videos.

Tables are read file by file and column by column: of a corpus of any size only the videos that get a page become Python
objects. Shape letters: N videos of the catalog.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tikval.config import ReportConfig
from tikval.evaluate.evidence import recognised_scripts
from tikval.report.site.facts import scripts_of
from tikval.report.site.post_marks import OF_POSTS
from tikval.report.site.record import Failure
from tikval.report.site.rows import (
    CatalogRows,
    StageRows,
    failures_of,
    read_catalog_rows,
    read_stage,
    with_a_page,
)
from tikval.rows import LabelRow, VideoRow
from tikval.sources.posts import read_videos_with_posts
from tikval.store.folder import Folder
from tikval.store.row_keys import KeyPlaces, keys_of
from tikval.store.runs import Study


@dataclass(frozen=True, slots=True)
class StudyRows:
    """The catalog, the stages after it, and which of the videos get a page."""

    catalog: Folder
    places: dict[str, Folder]  # of scripts and values, by the stage's name
    scores: Folder
    recognised: Folder | None  # what was heard and read in the videos themselves, to check quotes against
    n_videos: int  # each id once
    labels: dict[str, LabelRow]  # by video, of the annotator whose labels are the truth
    shown: list[Any]  # VideoRows with what their posts tell, of the videos that get a page
    stages: dict[str, StageRows]  # by name, the catalog first
    failures: list[Failure]  # each video once
    n_failures: int  # in all; `failures` may hold only some of them


def read_study(config: ReportConfig, label_set: str) -> tuple[StudyRows, CatalogRows]:
    """Read every stage that the report rests on, with the annotations over its codebook; and the catalog's rows.

    Raises UserError where one has not finished.
    """
    catalog, places = Folder(config.scores.catalog.folder), places_of(config)
    labels = _labels(catalog, label_set, config.scores.annotator)
    listed, known, first, twice = read_catalog_rows(catalog, labels)
    page_N = with_a_page(listed, config.videos)
    columns = [name for name in VideoRow.__annotations__ if name != "script"]  # which the scripts have, too
    shown = read_videos_with_posts(catalog, [*columns, *OF_POSTS], page_N)
    paged = np.sort(keys_of(shown["row_key"]))
    stages = {"catalog": first, **_stages(known, paged, places)}
    failures, n_failures = failures_of(stages, twice)
    for stage in stages.values():
        listed.failed[known.find(keys_of(stage.failed["row_key"]))] = True
    found = StudyRows(
        catalog=catalog,
        places=places,
        scores=Folder(config.scores.folder),
        recognised=recognised_scripts(Study(config.out)),
        n_videos=int((~listed.twice).sum()),
        labels=labels,
        shown=shown.to_pylist(),
        stages=stages,
        failures=failures,
        n_failures=n_failures,
    )
    return found, listed


def places_of(config: ReportConfig) -> dict[str, Folder]:
    """The folders of scripts and values, by the stage's name."""
    places = {name: Folder(recipe.folder) for name, recipe in scripts_of(config).items()}
    return places | {f"values: {each.system}": Folder(each.folder) for each in config.scores.predictions}


def _labels(catalog: Folder, label_set: str, annotator: str | None) -> dict[str, LabelRow]:
    """The annotator's rows by video; evaluation has refused several annotators without a choice."""
    rows: list[LabelRow] = [row for row in catalog.read_side_table("labels") if row["label_set"] == label_set]
    return {row["video_id"]: row for row in rows if annotator in (None, row["annotator"])}


def _stages(
    known: KeyPlaces, paged: NDArray[np.bytes_], places: Mapping[str, Folder]
) -> dict[str, StageRows]:
    """The rows of each stage after the catalog by its name."""
    return {
        name: read_stage(folder, known, paged, is_system=name.startswith("values: "))
        for name, folder in places.items()
    }
