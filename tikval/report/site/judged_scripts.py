"""What quotes are checked against: the script that each system judged, and what was recognised in the video itself."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from tikval.config import ReportConfig
from tikval.report.site.facts import scripts_of
from tikval.report.site.study_rows import StudyRows
from tikval.store.folder import Folder
from tikval.store.row_keys import keys_of

Texts = Mapping[str, str | None]  # by row key


def judged_scripts(config: ReportConfig, rows: StudyRows) -> dict[str, Texts]:
    """The scripts that each system judged, of the videos that get a page; none of one that saw the videos."""
    recipes = {recipe.fingerprint: _texts(rows, name) for name, recipe in scripts_of(config).items()}
    systems = config.scores.predictions
    return {one.system: recipes[one.scripts.fingerprint] if one.scripts else {} for one in systems}


def recognised_texts(folder: Folder | None, rows: StudyRows) -> Texts:
    """What was recognised in the videos that get a page; {} where nobody did."""
    if folder is None:
        return {}
    for name, place in rows.places.items():
        if place.name == folder.name:
            return _texts(rows, name)
    keys = np.sort(keys_of(pa.chunked_array([[video["row_key"] for video in rows.shown]], pa.string())))
    table = folder.read_listed(keys, ["row_key", "script"])
    return dict(zip(table["row_key"].to_pylist(), table["script"].to_pylist(), strict=True))


def _texts(rows: StudyRows, stage: str) -> Texts:
    return {row["row_key"]: row["script"] for row in rows.stages[stage].shown}
