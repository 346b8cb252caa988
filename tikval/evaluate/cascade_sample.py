"""What a cascade's two systems answered, as arrays; and the random sample that both of them answer.

Shape letters: N videos of the catalog that the cheap system could judge, L labels, n of the sample.
"""

import hashlib
import secrets
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tikval.config import UserError
from tikval.evaluate.video_groups import account_codes
from tikval.files import delete, list_files, write_table
from tikval.rows import SampledRow, arrow_schema
from tikval.stats.arrays import Bools, Floats, Ints
from tikval.store.folder import Folder
from tikval.store.row_keys import KEY, contains, draw_number, keys_of
from tikval.store.tables import read_table_of

SAMPLED: Final = "sampled"  # the side table


@dataclass(frozen=True)
class CheapAnswers:
    """The cheap system's answers, in the order of the row keys."""

    keys: np.ndarray  # S16 [N] sorted
    ids: list[str]  # [N]
    scores: Floats  # [N, L] nan: it does not model that label
    decisions: Bools  # [N, L]
    account: Ints  # [N] numbers, a video without an account by itself
    failed: np.ndarray  # S16 sorted: files of the catalog that it could not judge, and another system may

    def at(self, keys: np.ndarray) -> Ints:
        """Places in N of some keys, those that are not there left out."""
        return np.flatnonzero(contains(np.sort(keys), self.keys))


@dataclass(frozen=True)
class CascadeSample:
    """The random sample, as it was drawn once."""

    keys: np.ndarray  # S16 [n] sorted
    held_out: Bools  # [n] tests the promise
    file: str  # its table in the cascade's folder


def read_cheap(folder: Folder, catalog: Folder, system: str) -> CheapAnswers:
    """Read the answers to every video of the catalog. Raises UserError where it gives no scores, or lacks a video."""
    videos = catalog.read(["video_id", "row_key", "account", "error"])
    videos = videos.filter(pc.is_null(videos["error"]))
    listed = np.sort(keys_of(videos["row_key"]))
    rows = folder.read_listed(listed, ["row_key", "error", "decisions", "scores"])
    known = np.sort(keys_of(rows["row_key"]))
    if len(known) != len(np.unique(known)):
        raise UserError(f"{system}: has several answers to a video; a cascade needs one")
    if not contains(known, listed).all():
        raise UserError(f"{folder.uri}: older than the catalog; run the job that writes it first")
    rows = rows.filter(pc.is_null(rows["error"]))
    if rows.num_rows and not rows["scores"].combine_chunks().flatten().drop_null():
        raise UserError(
            f"{system}: gives no scores, so nothing tells where it is in doubt; take the local extractor, a tuned or a "
            "trained system, or a language model with extractor.samples above 1 as cheap"
        )
    keys = keys_of(rows["row_key"])
    order, number_N, places = (
        np.argsort(keys),
        account_codes(videos)[0],
        np.argsort(keys_of(videos["row_key"])),
    )
    at = places[np.searchsorted(listed, keys[order])]
    return CheapAnswers(
        keys=keys[order],
        ids=videos["video_id"].take(pa.array(at)).to_pylist(),
        scores=_matrix(rows["scores"])[order],
        decisions=_matrix(rows["decisions"])[order] == 1,
        account=number_N[at],
        failed=np.setdiff1d(listed, keys),
    )


def _matrix(lists: pa.ChunkedArray) -> Floats:
    """[N, L] of a column of lists of one length; nan for null."""
    flat = lists.combine_chunks().flatten().cast(pa.float64()).to_numpy(zero_copy_only=False)
    return np.asarray(flat, np.float64).reshape(len(lists), -1 if len(lists) else 0)


def draw_keys(keys: np.ndarray, n: int, seed: int) -> np.ndarray:
    """A simple random sample of keys, S16 [min(n, N)] sorted: those whose number, a hash with the seed, is smallest.

    A larger sample holds the smaller one.
    """
    numbers = [draw_number(seed, key) for key in _names(keys)]
    return np.sort(keys[np.argsort(numbers, kind="stable")[:n]])


def halves(account_n: Ints | None, names: list[str], seed: int) -> Bools:
    """Which of the sampled videos are held out: about half of them, accounts whole where these are given.

    A promise about these videos needs halves that are random samples of videos, one about other accounts whole ones;
    one account alone is divided.

    `names`: of the videos, by whose numbers the accounts come in a random order.
    """
    number_n = np.array([draw_number(seed + 1, name) for name in names], np.int64)
    groups = np.arange(len(names))
    if account_n is not None and len(np.unique(account_n)) > 1:
        groups = account_n
    held_out, n_held = np.zeros(len(groups), bool), 0
    found, group_n = np.unique(groups, return_inverse=True)
    first = np.full(len(found), np.iinfo(np.int64).max)
    np.minimum.at(first, group_n, number_n)
    n_seen = 0
    for group in np.argsort(first, kind="stable"):
        members = group_n == group
        if 2 * n_held < n_seen:
            held_out |= members
            n_held += int(members.sum())
        n_seen += int(members.sum())
    return held_out


def cascade_sample(
    folder: Folder, cheap: CheapAnswers, n: int, seed: int, *, accounts_whole: bool
) -> CascadeSample:
    """The sample as it lies in the cascade's folder; drawn, and written there, where there is none."""
    there = list_files(folder.uri, ".parquet", include_side_tables=True)
    if files := [name for name in there if name.startswith(f"_{SAMPLED}-")]:
        return read_sample(folder, files, cheap)
    keys = draw_keys(cheap.keys, n, seed)
    at = cheap.at(keys)
    held_out = halves(cheap.account[at] if accounts_whole else None, _names(keys), seed)
    rows = [
        SampledRow(video_id=cheap.ids[place], row_key=name, held_out=bool(held))
        for place, name, held in zip(at, _names(keys), held_out, strict=True)
    ]
    file = f"_{SAMPLED}-{secrets.token_hex(8)}.parquet"
    write_table(f"{folder.uri}/{file}", pa.Table.from_pylist(rows, schema=arrow_schema(SampledRow)))
    return CascadeSample(keys, held_out, file)


def read_sample(folder: Folder, files: list[str], cheap: CheapAnswers) -> CascadeSample:
    """What is there of the sample of one file; of several, which an erasure that was killed leaves, the smaller."""
    tables = [read_table_of(f"{folder.uri}/{name}", SAMPLED) for name in files]
    fewest = min(range(len(tables)), key=lambda place: tables[place].num_rows)
    for place, name in enumerate(files):
        if place != fewest:
            delete(f"{folder.uri}/{name}")
    keys, held_out = keys_of(tables[fewest]["row_key"]), tables[fewest]["held_out"].to_numpy()
    order = np.argsort(keys)
    order = order[contains(cheap.keys, keys[order])]
    return CascadeSample(keys[order], held_out[order], files[fewest])


def basis_of(cheap: CheapAnswers, sample: CascadeSample) -> str:
    """A hash of what a plan is made on: the sample, and what the cheap system says of it."""
    at = cheap.at(sample.keys)
    hashed = hashlib.sha256()
    for part in (cheap.keys[at], cheap.scores[at], cheap.decisions[at], sample.held_out):
        hashed.update(np.ascontiguousarray(part).tobytes())
    return hashed.hexdigest()


def strong_answers(folder: Folder, cheap: CheapAnswers, at: Ints, n_labels: int) -> Floats:
    """[len(at), L] 0 or 1, what the strong system says of videos by their places in N; nan rows where it failed."""
    table = folder.read_listed(cheap.keys[at], ["row_key", "error", "decisions"])
    table = table.filter(pc.is_null(table["error"]))
    answers = np.full((len(at), n_labels), np.nan)
    answers[np.searchsorted(cheap.keys[at], keys_of(table["row_key"]))] = _matrix(table["decisions"])
    return answers


def _names(keys: np.ndarray) -> list[str]:
    """Row keys as rows have them: 32 hexadecimal digits."""
    raw = keys.astype(KEY).tobytes()  # an element alone would lose the zeros at its end
    return [raw[at : at + 16].hex() for at in range(0, len(raw), 16)]
