"""A study in several parts, each with a driver of its own: which rows are whose, and where each part lies.

    OUT/shards/3-of-16/    a whole study folder over the rows of the third of sixteen shards

A row belongs to one shard by its key, which is a hash: a listing that grows leaves the rows where they are.
"""

import json
import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Self

import numpy as np
import pyarrow.fs as pafs

from tikval.config import UserError
from tikval.files import filesystem, parse_json, read_bytes, write_bytes

FOLDER: Final = "shards"
MOST: Final = 10_000  # shards of one study
_WORDS: Final = re.compile(r"(\d{1,5})/(\d{1,5})")
_NAME: Final = re.compile(r"(\d{1,5})-of-(\d{1,5})")
_INSIDE: Final = re.compile(rf"/{FOLDER}/\d{{1,5}}-of-\d{{1,5}}$")
_MERGED: Final = "merged.json"


class Shard(NamedTuple):
    """One part of a study, counted from 1."""

    number: int
    of: int

    @classmethod
    def parse(cls, words: str) -> Self:
        """The shard of `3/16`. Raises UserError for what is none."""
        found = _WORDS.fullmatch(words.strip())
        shard = cls(*map(int, found.groups())) if found else None
        if shard is None or not 1 <= shard.number <= shard.of <= MOST:
            raise UserError(
                f"--shard {words}: write NUMBER/HOW-MANY from 1/16 to 16/16, of at most {MOST:,} shards"
            )
        return shard

    @property
    def name(self) -> str:
        return f"{self.number}-of-{self.of}"

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def out(self, out: str) -> str:
        """The folder of this part of the study in `out`."""
        return f"{out.rstrip('/')}/{FOLDER}/{self.name}"

    def holds(self, keys: np.ndarray) -> np.ndarray:
        """bool [N]: which of the row keys, S16 [N], are of this shard."""
        first = np.ascontiguousarray(keys, "S16").view(np.uint8).reshape(len(keys), 16)[:, :8]
        numbers = np.ascontiguousarray(first).view(">u8").ravel()
        return np.asarray(numbers % np.uint64(self.of) == self.number - 1)


def whole_study(out: str) -> str:
    """The folder of the study that `out` is a shard of; any other folder as it is."""
    return _INSIDE.sub("", out.rstrip("/"))


def shards_of(out: str) -> list[Shard]:
    """The shards that lie below a study's folder, by number. Raises UserError where it cannot be listed."""
    place = f"{out.rstrip('/')}/{FOLDER}"
    try:
        fs, path = filesystem(place)
        infos: Sequence[pafs.FileInfo] = fs.get_file_info(pafs.FileSelector(path, allow_not_found=True))
    except OSError as err:
        raise UserError(f"{place}: cannot be listed ({err.strerror or err})") from err
    names = [_NAME.fullmatch(info.base_name) for info in infos if info.type == pafs.FileType.Directory]
    return sorted(Shard(*map(int, name.groups())) for name in names if name)


def shard_outs(out: str) -> list[str]:
    """Folders of the shards of a study, each of which is a study folder by itself."""
    return [shard.out(out) for shard in shards_of(out)]


class Merged(NamedTuple):
    """What a stage's folder has taken in of a shard."""

    run: str  # when the run that was merged finished
    spent_usd: float  # by the shard, until then


def read_merged(folder: str) -> dict[str, Merged]:
    """What a stage's folder has taken in, by the names of shards."""
    place = f"{folder}/{_MERGED}"
    data = read_bytes(place)
    if data is None:
        return {}
    written: dict[str, Any] = parse_json(data, place)
    try:
        return {name: Merged(str(facts["run"]), float(facts["spent_usd"])) for name, facts in written.items()}
    except (KeyError, TypeError, ValueError, AttributeError) as err:
        raise UserError(f"{place}: not what tikval wrote there") from err


def write_merged(folder: str, merged: dict[str, Merged]) -> None:
    data = json.dumps({name: facts._asdict() for name, facts in sorted(merged.items())}, indent=2)
    write_bytes(f"{folder}/{_MERGED}", data.encode())


def merged_usd(folder: str) -> float:
    """USD that shards paid for the rows that a stage's folder has taken in."""
    return sum(facts.spent_usd for facts in read_merged(folder).values())
