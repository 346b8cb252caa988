"""The list of videos that coders get, and beside it the frame and the rule that it was drawn by.

Nobody is named in it unless it is asked for. The column `probability` comes back with the annotations and weighs them.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

import tikval
from tikval.config import UserError
from tikval.evaluate.sample import SampleFrame, VideoSample
from tikval.files import write_bytes
from tikval.privacy import strip_handles
from tikval.sources.ids import name_by_key
from tikval.sources.naming_ids import hidden_names
from tikval.spreadsheet import csv_of


def frame_file(to: Path) -> Path:
    """coders.csv -> coders.frame.json"""
    return to.with_suffix(".frame.json")


def write_coders_list(
    frame: SampleFrame, sample: VideoSample, to: Path, about: Mapping[str, Any], *, names: bool
) -> list[str]:
    """Write the list as CSV and its frame as JSON, and return what to know of them.

    `about` is written into the frame. Without `names`, an id or path that names an account is not shown, nor are
    handles in captions; the id in its place is known again when the annotations come back. Raises UserError where the
    list is there already with other content: somebody may have written in it.
    """
    rows = frame.videos.take(pa.array(sample.at)).to_pylist()
    shown = {} if names else _shown(frame, rows)
    header = ["video_id", *(["account"] if names else []), "path", "caption", "stratum", "probability"]
    lines = [
        [
            shown.get(row["video_id"], row["video_id"]),
            *([row["account"] or ""] if names else []),
            "" if row["path"] in shown else "; ".join(row["files"] or [row["path"]]),
            (row["caption"] or "") if names else strip_handles(row["caption"] or "", row["account"]),
            sample.strata[h].name,
            probability,
        ]
        for row, h, probability in zip(
            rows, sample.stratum.tolist(), sample.probability.tolist(), strict=True
        )
    ]
    data = csv_of([header, *lines]).encode()
    try:
        if to.exists() and to.read_bytes() != data:
            raise UserError(f"{to}: is there already, perhaps with annotations; name another file")
        write_bytes(str(to), data)
        write_bytes(str(frame_file(to)), _frame_json(frame, sample, about))
    except OSError as err:
        raise UserError(f"{to}: cannot be written ({err.strerror})") from err
    hidden = sum(not line[1] for line in lines) if not names else 0
    return [f"paths that name somebody are left out: {hidden}; --names shows them"] if hidden else []


def _shown(frame: SampleFrame, rows: list[Any]) -> dict[str, str]:
    """What stands for ids and paths that name somebody whom the frame knows, or anybody by a handle."""
    keys = {name: row["row_key"] for row in rows for name in (row["video_id"], row["path"])}
    plain = {name: name.partition("://")[2] or name for name in keys}  # an address by itself names nobody
    found = hidden_names(lambda: [frame.videos], {plain[row["path"]]: row["account"] for row in rows})
    return {name: name_by_key(key) for name, key in keys.items() if name in found or plain[name] in found}


def _frame_json(frame: SampleFrame, sample: VideoSample, about: Mapping[str, Any]) -> bytes:
    accounts = {name for name in frame.videos["account"].to_pylist() if name}
    facts = {
        "rule": sample.rule,
        **about,
        "drawn_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "tikval": tikval.__version__,
        "drawn_videos": len(sample.at),
        "frame_videos": frame.videos.num_rows,
        "frame_accounts": len(accounts),
        "failed_and_left_out": frame.left_out,
        "strata": [stratum._asdict() for stratum in sample.strata],
    }
    return json.dumps(facts, indent=2, ensure_ascii=False).encode()
