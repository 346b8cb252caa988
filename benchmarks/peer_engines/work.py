"""The work that every engine of benchmarks/peers.py does for one clip, and the list of clips that it is done over.

    file -> 16 small pictures, 3 at full size and the sound -> a light model -> a vector of 64 numbers

`Work` reads in the process that calls it, as a user of these engines would write it, with an exception caught per row.
Every row that is worked out leaves its id in a ledger: what was computed again after a kill is what stands there twice.
"""

import os
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.peer_engines.trouble import trouble
from tikval.media.clip import read_clip
from tikval.media.reading import ClipError

WIDTH: Final = 64  # numbers of one vector
WORKERS: Final = 2
CALL_ROWS: Final = 4  # of one call of the model
PART_ROWS: Final = 8  # of one task, file or block, where an engine has a say
FRAMES, KEY_FRAMES = 16, 3
_CROP: Final = 224  # pixels
_WINDOW: Final = 400  # samples: 25 ms

SCHEMA: Final = pa.schema(
    [
        ("id", pa.string()),
        ("vector", pa.list_(pa.float32())),
        ("seconds", pa.float64()),
        ("error", pa.string()),
    ]
)


class Job(NamedTuple):
    """Where one run reads and writes."""

    clips: str
    out: str
    ledger: str


class Model:
    """Two random layers over the pictures and one over the spectrum of the sound: some milliseconds a clip."""

    def __init__(self) -> None:
        rng = np.random.default_rng(5)
        self.pixels = rng.normal(0, 0.01, ((_CROP // 4) ** 2 * 3, 256)).astype(np.float32)
        self.hidden = rng.normal(0, 0.1, (256, WIDTH)).astype(np.float32)
        self.tones = rng.normal(0, 0.1, (_WINDOW // 2 + 1, WIDTH)).astype(np.float32)

    def __call__(self, frames_THWC: NDArray[np.uint8], sound_S: NDArray[np.int16] | None) -> list[float]:
        top, left = ((side - _CROP) // 2 for side in frames_THWC.shape[1:3])
        small = frames_THWC[:, top : top + _CROP : 4, left : left + _CROP : 4].reshape(len(frames_THWC), -1)
        vector = np.tanh((small / np.float32(255) - np.float32(0.5)) @ self.pixels).mean(0) @ self.hidden
        if sound_S is not None and len(sound_S) >= _WINDOW:
            windows = sound_S[: len(sound_S) // _WINDOW * _WINDOW].reshape(-1, _WINDOW) / np.float32(2**15)
            vector = vector + np.log1p(np.abs(np.fft.rfft(windows))).mean(0).astype(np.float32) @ self.tones
        return [float(x) for x in vector]


class Work:
    """Loaded once in each worker."""

    def __init__(self, ledger: str) -> None:
        self.model = Model()
        self.ledger = ledger

    def __call__(self, path: str) -> dict[str, Any]:
        """A row of SCHEMA."""
        row: dict[str, Any] = {"id": Path(path).stem, "vector": None, "seconds": None, "error": None}
        try:
            trouble(path)
            clip = read_clip(path, frames=FRAMES, key_frames=KEY_FRAMES)
            row |= {"vector": self.model(clip.frames, clip.sound), "seconds": clip.seconds}
        except ClipError as err:
            row["error"] = err.reason.value
        note(self.ledger, row["id"])
        return row


def note(ledger: str, name: str) -> None:
    """One line, written whole by one call: several processes append to the file."""
    file = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(file, f"{name}\n".encode())
    finally:
        os.close(file)


def clips_of(folder: str) -> list[str]:
    return sorted(str(path) for path in Path(folder).glob("*.mp4"))


def write_listing(job: Job) -> str:
    """The clips as Parquet files of PART_ROWS lines each; returns their folder."""
    folder = Path(f"{job.out}-listing")
    if not folder.exists():
        part = folder.with_suffix(".part")
        part.mkdir(parents=True, exist_ok=True)
        paths = clips_of(job.clips)
        for at in range(0, len(paths), PART_ROWS):
            some = paths[at : at + PART_ROWS]
            table = pa.table({"id": [Path(path).stem for path in some], "path": some})
            pq.write_table(table, part / f"{at:06}.parquet")
        part.rename(folder)
    return str(folder)


def written(out: str, name: str = "id") -> list[tuple[str, str | None]]:
    """Id and error of the rows that lie on disk; a file that is not whole has none. `name`: of the column of ids."""
    found: list[tuple[str, str | None]] = []
    for path in Path(out).rglob("[!.]*.parquet"):
        try:
            table = pq.read_table(path, columns=[name, "error"], partitioning=None)
        except (pa.ArrowInvalid, FileNotFoundError):
            continue
        found += zip(table[name].to_pylist(), table["error"].to_pylist(), strict=True)
    return found
