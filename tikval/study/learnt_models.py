"""Models that learnt from a video before it was erased: weights cannot forget, so these are named until trained anew.

<stage>-<fingerprint>/learnt_from_erased.json    by model: which state of it, and keyed hashes of the videos
"""

import hashlib
import json
from typing import Any, Final

import pyarrow.compute as pc

from tikval.extract.tuned import learnt_ids
from tikval.files import list_files, read_bytes, read_parquet, read_schema, write_bytes
from tikval.sources.erased import erased_hashes
from tikval.stats.folds import from_json
from tikval.store.folder import Folder
from tikval.store.runs import stage_folders
from tikval.study.erasure_proof import files_below

_FILE: Final = "learnt_from_erased.json"
_ENCODER: Final = "_encoder-"
_HEADS: Final = "heads.npz"  # of a tuned system


def note_models(out: str, folder: Folder, ids: frozenset[str]) -> None:
    """Write down which of a folder's models learnt from videos that are about to be erased."""
    if not (learnt := _trained_with(folder, ids) | _encoders_with(folder, ids) | _heads_with(folder, ids)):
        return
    noted, states = _noted(folder), _states(folder)
    for name, videos in learnt.items():
        before = noted.get(name, {})
        hashes = set(before.get("videos", ())) if before.get("state") == states[name] else set[str]()
        noted[name] = {"state": states[name], "videos": sorted(hashes | erased_hashes(out, videos))}
    write_bytes(f"{folder.uri}/{_FILE}", json.dumps(noted, indent=2).encode())


def models_that_learnt(out: str) -> dict[str, int]:
    """Models below `out` that learnt from erased videos and were not trained since, with the number of these videos."""
    found = {}
    for folder in map(Folder, stage_folders(out)):
        if noted := _noted(folder):
            states = _states(folder)
            for name, note in sorted(noted.items()):
                if states.get(name) == note["state"]:
                    found[f"{folder.uri.rpartition('/')[2]}/{name}"] = len(note["videos"])
    return found


def _noted(folder: Folder) -> dict[str, dict[str, Any]]:
    data = read_bytes(f"{folder.uri}/{_FILE}")
    noted: dict[str, dict[str, Any]] = json.loads(data) if data is not None else {}
    return noted


def _states(folder: Folder) -> dict[str, str]:
    """What tells each model of a folder from one that is trained anew in its place."""
    found = {}
    for file in files_below(f"{folder.uri}/models"):
        if file.endswith("/model.json"):
            data = read_bytes(f"{folder.uri}/models/{file}") or b""
            found[f"models/{file.removesuffix('/model.json')}"] = hashlib.sha256(data).hexdigest()[:32]
    if (heads := read_bytes(f"{folder.uri}/{_HEADS}")) is not None:
        found[_HEADS] = hashlib.sha256(heads).hexdigest()[:32]
    for name, uri in _encoders(folder).items():
        if not files_below(f"{folder.uri}/{name}"):
            continue
        facts = (read_schema(uri).metadata or {}).get(b"tikval", b"")
        found[name] = hashlib.sha256(facts).hexdigest()[:32]
    return found


def _trained_with(folder: Folder, ids: frozenset[str]) -> dict[str, set[str]]:
    """Kept trainings, and which of the ids they trained with or chose their epoch by."""
    written = read_bytes(f"{folder.uri}/folds.json")
    if written is None:
        return {}
    models = [name for name in _states(folder) if name.startswith("models/")]
    try:
        folds = from_json(written.decode())
    except ValueError:  # whom it names is not known
        return {name: set(ids) for name in models if ids}
    learnt = {f"models/{fold.name}-": ids.intersection(fold.train + fold.validation) for fold in folds}
    return {
        name: set(videos)
        for name in models
        for prefix, videos in learnt.items()
        if videos and name.startswith(prefix)
    }


def _encoders(folder: Folder) -> dict[str, str]:
    """The tables of who was read by each encoder of a pre-training."""
    files = list_files(folder.uri, ".parquet", include_side_tables=True)
    return {
        f"encoders/{file.removeprefix(_ENCODER).rpartition('-')[0]}": f"{folder.uri}/{file}"
        for file in files
        if file.startswith(_ENCODER)
    }


def _encoders_with(folder: Folder, ids: frozenset[str]) -> dict[str, set[str]]:
    found = {}
    for name, uri in _encoders(folder).items():
        table = read_parquet(uri, ["video_id", "left_out"])
        read = table.filter(pc.is_null(table["left_out"]))["video_id"].to_pylist()
        if (videos := ids.intersection(read)) and files_below(f"{folder.uri}/{name}"):
            found[name] = set(videos)
    return found


def _heads_with(folder: Folder, ids: frozenset[str]) -> dict[str, set[str]]:
    videos = ids.intersection(learnt_ids(folder))
    return {_HEADS: set(videos)} if videos and _HEADS in _states(folder) else {}
